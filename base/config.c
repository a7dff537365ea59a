#include "base/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/settings.h"

#define HOST_DEFAULT_PORT 25

struct item { /* one value; which members count is the setting's type's business */
	const char *text;
	uint64_t number;
	struct config_address address;
	struct config_network network;
};

struct value { /* of one row of SETTINGS */
	bool from_file;
	unsigned line; /* of the first */
	struct item *items;
	size_t count;
};

struct config {
	struct arena arena;
	const char *file;
	struct value *values; /* SETTINGS_COUNT of them */
};

/* --- values ------------------------------------------------------------------------------------ */

bool
config_parse_duration(struct str s, uint64_t *seconds_out)
{
	static const struct {
		char letter;
		uint64_t seconds;
	} UNITS[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	struct cursor c = cursor_from(s);
	uint64_t sum = 0;
	bool first = true;

	do {
		uint64_t n, factor = 0;

		if (!cursor_take_u64(&c, &n))
			return false;
		if (cursor_at_end(&c) && first)
			factor = 1; /* a bare number is seconds; "1h30" is a slip */
		for (size_t i = 0; i < ARRAY_LEN(UNITS); i++)
			if (cursor_peek(&c) == UNITS[i].letter)
				factor = UNITS[i].seconds;
		if (factor == 0 || n > (UINT64_MAX / 2 - sum) / factor)
			return false;
		if (!cursor_at_end(&c))
			c.p++;
		sum += n * factor;
		first = false;
	} while (!cursor_at_end(&c));
	*seconds_out = sum;
	return true;
}

typedef bool (*parse_fn)(
    struct config *cfg, const struct setting *s, struct str text, struct item *item);

static bool
parse_string(struct config *cfg, const struct setting *s, struct str text, struct item *item)
{
	(void)cfg;
	(void)s;
	item->number = text.len; /* what the bounds are about */
	return true;
}

static bool
parse_path(struct config *cfg, const struct setting *s, struct str text, struct item *item)
{
	parse_string(cfg, s, text, item);
	return text.len > 0 && text.p[0] == '/';
}

static bool
parse_integer(struct config *cfg, const struct setting *s, struct str text, struct item *item)
{
	(void)cfg;
	(void)s;
	return text_u64(text, UINT64_MAX, &item->number);
}

static bool
parse_size(struct config *cfg, const struct setting *s, struct str text, struct item *item)
{
	(void)cfg;
	(void)s;
	return text_size(text, UINT64_MAX, &item->number);
}

static bool
parse_duration(struct config *cfg, const struct setting *s, struct str text, struct item *item)
{
	(void)cfg;
	(void)s;
	return config_parse_duration(text, &item->number);
}

static bool
parse_bool(struct config *cfg, const struct setting *s, struct str text, struct item *item)
{
	static const char *const WORDS[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };

	(void)cfg;
	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
		if (str_eq_nocase(text, str_from(WORDS[i]))) {
			item->number = i % 2;
			return true;
		}
	}
	return false;
}

static bool
parse_enum(struct config *cfg, const struct setting *s, struct str text, struct item *item)
{
	const char *word = s->choices;

	(void)cfg;
	for (uint64_t i = 0; *word != '\0'; i++) {
		size_t len = strcspn(word, " ");

		if (str_eq(text, (struct str){ word, len })) {
			item->number = i;
			return true;
		}
		word += len + (word[len] == ' ');
	}
	return false;
}

static bool
is_host_char(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '.' || c == '_' || (unsigned char)c >= 0x80;
}

/* host = "*" / name / IPv4 / "[" IPv6 "]"; leaves the cursor behind it. */
static bool
parse_host_part(struct config *cfg, struct cursor *c, bool star, const char **host_out)
{
	struct in6_addr any;
	struct str host;
	const char *close;

	if (star && cursor_take(c, '*')) {
		*host_out = NULL;
		return true;
	}
	if (!cursor_take(c, '[')) {
		host = cursor_take_while(c, is_host_char);
		*host_out = arena_strndup(&cfg->arena, host.p, host.len);
		return host.len > 0 && host.len <= 255;
	}
	close = memchr(c->p, ']', cursor_left(c));
	if (close == NULL)
		return false;
	*host_out = arena_strndup(&cfg->arena, c->p, (size_t)(close - c->p));
	c->p = close + 1;
	return inet_pton(AF_INET6, *host_out, &any) == 1;
}

static bool
parse_port(struct cursor *c, uint16_t *port_out)
{
	uint32_t port;

	if (!cursor_take(c, ':') || !cursor_take_u32(c, &port) || !cursor_at_end(c))
		return false;
	*port_out = (uint16_t)port;
	return port >= 1 && port <= UINT16_MAX;
}

static bool
parse_listen(struct config *cfg, const struct setting *s, struct str text, struct item *item)
{
	struct cursor c = cursor_from(text);

	(void)s;
	item->address.text = item->text;
	if (cursor_peek(&c) == '/') {
		item->address.path = item->text;
		return text.len < 108; /* sun_path */
	}
	return parse_host_part(cfg, &c, true, &item->address.host) &&
	       parse_port(&c, &item->address.port);
}

static bool
parse_host(struct config *cfg, const struct setting *s, struct str text, struct item *item)
{
	struct cursor c = cursor_from(text);

	(void)s;
	item->address.text = item->text;
	item->address.port = HOST_DEFAULT_PORT;
	return parse_host_part(cfg, &c, false, &item->address.host) &&
	       (cursor_at_end(&c) || parse_port(&c, &item->address.port));
}

/* 10.1.0.0/8 is a typing mistake worth hearing of. */
static bool
host_bits_clear(const struct config_network *n, unsigned address_bits)
{
	for (unsigned bit = n->prefix_bits; bit < address_bits; bit++)
		if ((n->address[bit / 8] & 0x80u >> bit % 8) != 0)
			return false;
	return true;
}

static bool
parse_network(struct config *cfg, const struct setting *s, struct str text, struct item *item)
{
	const char *slash = memchr(text.p, '/', text.len);
	size_t len = slash != NULL ? (size_t)(slash - text.p) : text.len;
	const char *address = arena_strndup(&cfg->arena, text.p, len);
	struct config_network *n = &item->network;
	unsigned address_bits;
	uint64_t bits;

	(void)s;
	if (inet_pton(AF_INET, address, n->address) == 1)
		n->family = AF_INET;
	else if (inet_pton(AF_INET6, address, n->address) == 1)
		n->family = AF_INET6;
	else
		return false;
	address_bits = n->family == AF_INET ? 32 : 128;
	bits = address_bits;
	if (slash != NULL &&
	    !text_u64((struct str){ slash + 1, text.len - len - 1 }, address_bits, &bits))
		return false;
	n->prefix_bits = (unsigned)bits;
	return host_bits_clear(n, address_bits);
}

static const struct {
	parse_fn parse;
	bool bounded; /* item.number lies between least and most */
} TYPES[SETTING_TYPE_COUNT] = {
	[SETTING_STRING] = { parse_string, true },
	[SETTING_PATH] = { parse_path, true },
	[SETTING_INTEGER] = { parse_integer, true },
	[SETTING_SIZE] = { parse_size, true },
	[SETTING_DURATION] = { parse_duration, true },
	[SETTING_BOOL] = { parse_bool, false },
	[SETTING_ENUM] = { parse_enum, false },
	[SETTING_LISTEN] = { parse_listen, false },
	[SETTING_HOST] = { parse_host, false },
	[SETTING_NETWORK] = { parse_network, false },
};

static bool
parse_value(struct config *cfg, const struct setting *s, struct str text, struct item *item)
{
	*item = (struct item){ .text = arena_strndup(&cfg->arena, text.p, text.len) };
	return TYPES[s->type].parse(cfg, s, (struct str){ item->text, text.len }, item) &&
	       (!TYPES[s->type].bounded || (item->number >= s->least && item->number <= s->most));
}

/* What an empty value means is not for the parsers: nothing, where nothing is possible. */
static bool
empty_is_fine(const struct setting *s)
{
	if (s->list)
		return true;
	return s->type == SETTING_STRING || s->type == SETTING_PATH || s->type == SETTING_LISTEN ||
	       s->type == SETTING_HOST;
}

static void
add_item(struct value *v, const struct item *item)
{
	v->items = mem_realloc_array(v->items, v->count + 1, sizeof(*v->items));
	v->items[v->count++] = *item;
}

static void
set_default(struct config *cfg, size_t index)
{
	const struct setting *s = &SETTINGS[index];
	struct str rest = str_from(s->def != NULL ? s->def : "");

	while (rest.len > 0) {
		const char *blank = s->list ? memchr(rest.p, ' ', rest.len) : NULL;
		size_t len = blank != NULL ? (size_t)(blank - rest.p) : rest.len;
		struct item item;

		if (!parse_value(cfg, s, (struct str){ rest.p, len }, &item)) {
			fprintf(stderr, "default of %s.%s is bad\n", s->section, s->key);
			abort();
		}
		add_item(&cfg->values[index], &item);
		rest.p += len + (blank != NULL);
		rest.len -= len + (blank != NULL);
	}
}

/* --- the file ---------------------------------------------------------------------------------- */

struct reader { /* what inih is fed with, line by line */
	struct config *cfg;
	const char *name;
	struct str rest;
	unsigned line;
	struct buf *errors;
	bool bad;
};

__attribute__((format(printf, 2, 3))) static void
fail(struct reader *r, const char *fmt, ...)
{
	va_list args;

	buf_printf(r->errors, "%s:%u: ", r->name, r->line);
	va_start(args, fmt);
	buf_vprintf(r->errors, fmt, args);
	va_end(args);
	buf_addc(r->errors, '\n');
	r->bad = true;
}

static bool
section_exists(const char *section)
{
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		if (strcmp(SETTINGS[i].section, section) == 0)
			return true;
	return false;
}

static void
list_sections(struct buf *out)
{
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		if (i == 0 || strcmp(SETTINGS[i].section, SETTINGS[i - 1].section) != 0)
			buf_printf(out, " %s", SETTINGS[i].section);
}

static void
list_keys(const char *section, struct buf *out)
{
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		if (strcmp(SETTINGS[i].section, section) == 0)
			buf_printf(out, " %s", SETTINGS[i].key);
}

/* The line is text that may be shown in a message: nothing but what people can see. */
static const char *
shown(struct config *cfg, const char *text)
{
	char *copy = arena_strdup(&cfg->arena, text);

	for (char *p = copy; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return copy;
}

/* An empty section is no key to inih, but a misspelt one is a mistake. */
static void
check_section_line(struct reader *r, struct str line)
{
	const char *close = memchr(line.p, ']', line.len);
	struct buf allowed = { 0 };
	const char *section;

	if (line.len == 0 || line.p[0] != '[' || close == NULL)
		return;
	section = arena_strndup(&r->cfg->arena, line.p + 1, (size_t)(close - line.p) - 1);
	if (!section_exists(section)) {
		list_sections(&allowed);
		fail(r, "unknown section [%s]; there are:%s", shown(r->cfg, section),
		    buf_cstr(&allowed));
		buf_free(&allowed);
	}
}

/* fgets() for inih.  Indented lines would continue the line before: they do not. */
static char *
next_line(char *dest, int size, void *arg)
{
	struct reader *r = arg;
	const char *end = memchr(r->rest.p, '\n', r->rest.len);
	size_t taken = end != NULL ? (size_t)(end - r->rest.p) + 1 : r->rest.len;
	struct str line;

	if (r->rest.len == 0)
		return NULL;
	line = str_trim((struct str){ r->rest.p, taken });
	r->rest.p += taken;
	r->rest.len -= taken;
	r->line++;
	check_section_line(r, line);
	if (line.len + 2 > (size_t)size) {
		if (line.p[0] != '#' && line.p[0] != ';')
			fail(r, "line of %zu bytes; at most %d", line.len, size - 2);
		line.len = 0;
	}
	if (line.len > 0)
		memcpy(dest, line.p, line.len);
	memcpy(dest + line.len, "\n", 2);
	return dest;
}

static void take_value(struct reader *r, const struct setting *s, const char *text);

/* "80 90 100": a list of numbers may stand in one line too. */
static void
take_numbers(struct reader *r, const struct setting *s, const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, " \t");
		char *one = mem_strndup(text, len);

		if (len > 0)
			take_value(r, s, one);
		free(one);
		text += len + (text[len] != '\0');
	}
}

static void
take_value(struct reader *r, const struct setting *s, const char *text)
{
	struct value *v = &r->cfg->values[s - SETTINGS];
	struct buf allowed = { 0 };
	struct item item;

	if (v->from_file && !s->list) {
		fail(r, "%s.%s was set in line %u already; it takes one value", s->section, s->key,
		    v->line);
		return;
	}
	if (!v->from_file) { /* the default gives way */
		v->from_file = true;
		v->line = r->line;
		v->count = 0;
	}
	if (*text == '\0' && empty_is_fine(s)) {
		v->count = 0;
		return;
	}
	if (s->list && s->type == SETTING_INTEGER && strpbrk(text, " \t") != NULL) {
		take_numbers(r, s, text);
		return;
	}
	if (v->count >= CONFIG_LIST_MAX) {
		fail(r, "%s.%s has more than %d values", s->section, s->key, CONFIG_LIST_MAX);
	} else if (parse_value(r->cfg, s, str_from(text), &item)) {
		add_item(v, &item);
	} else {
		setting_allowed(s, &allowed);
		fail(r, "%s.%s = %s is not possible; allowed is %s", s->section, s->key,
		    shown(r->cfg, text), buf_cstr(&allowed));
		buf_free(&allowed);
	}
}

static int
on_key(void *arg, const char *section, const char *key, const char *text)
{
	struct reader *r = arg;
	const struct setting *s;
	struct buf allowed = { 0 };
	char *name;

	if (*section == '\0') {
		fail(r, "%s stands before the first [section]", shown(r->cfg, key));
		return 1;
	}
	name = mem_printf("%s.%s", section, key);
	s = strchr(section, '.') == NULL ? setting_find(name) : NULL;
	if (s != NULL) {
		take_value(r, s, text);
	} else if (section_exists(section)) { /* else its header has been complained about */
		list_keys(section, &allowed);
		fail(r, "unknown key %s in [%s]; there are:%s", shown(r->cfg, key), section,
		    buf_cstr(&allowed));
		buf_free(&allowed);
	}
	free(name);
	return 1;
}

static void
check_text(struct reader *r, struct str text)
{
	if (memchr(text.p, '\0', text.len) != NULL)
		fail(r, "the file holds NUL bytes; it must be text");
	else if (!text_is_utf8(text))
		fail(r, "the file is not UTF-8");
}

/* What two settings must be to each other. */
static void
check_together(struct reader *r)
{
	static const char *const PAIRS[][2] = {
		{ "submitd.retry_first", "submitd.retry_max" },
		{ "submitd.delay_warning", "submitd.message_lifetime" },
	};

	for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++) {
		const char *small = PAIRS[i][0], *large = PAIRS[i][1];
		unsigned a = config_line(r->cfg, small), b = config_line(r->cfg, large);

		if (config_duration_s(r->cfg, small) <= config_duration_s(r->cfg, large))
			continue;
		r->line = a > b ? a : b;
		fail(r, "%s (%s) is longer than %s (%s)", small, config_string_at(r->cfg, small, 0),
		    large, config_string_at(r->cfg, large, 0));
	}
}

struct config *
config_parse(const char *name, struct str text, struct buf *errors)
{
	struct config *cfg = mem_zalloc(sizeof(*cfg));
	struct reader r = { .cfg = cfg, .name = name, .rest = text, .errors = errors };
	int syntax_line = 0;

	cfg->file = arena_strdup(&cfg->arena, name);
	cfg->values = mem_zalloc(SETTINGS_COUNT * sizeof(*cfg->values));
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		set_default(cfg, i);
	if (text.len > 0)
		check_text(&r, text);
	if (text.len > 0 && !r.bad)
		syntax_line = ini_parse_stream(next_line, &r, on_key, &r);
	if (syntax_line != 0) {
		r.line = (unsigned)syntax_line;
		fail(&r, "neither `key = value`, [section] nor a comment");
	}
	if (!r.bad)
		check_together(&r);
	if (!r.bad)
		return cfg;
	config_free(cfg);
	return NULL;
}

/* The file's bytes; errno is set on failure. */
static bool
read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = 0;

	if (fd < 0)
		return false;
	do {
		buf_reserve(out, 65536);
		got = read(fd, out->data + out->len, 65536);
		if (got > 0)
			out->len += (size_t)got;
	} while ((got > 0 && out->len <= CONFIG_FILE_MAX_BYTES) || (got < 0 && errno == EINTR));
	close(fd);
	if (got > 0)
		errno = EFBIG;
	return got == 0;
}

struct config *
config_load(const char *path, struct buf *errors)
{
	const char *file = path != NULL ? path : CONFIG_DEFAULT_PATH;
	struct buf text = { 0 };
	struct config *cfg = NULL;

	if (read_file(file, &text))
		cfg = config_parse(file, (struct str){ text.data, text.len }, errors);
	else
		buf_printf(errors, "%s: cannot be read: %s\n", file, strerror(errno));
	buf_free(&text);
	return cfg;
}

void
config_free(struct config *cfg)
{
	if (cfg == NULL)
		return;
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		free(cfg->values[i].items);
	free(cfg->values);
	arena_free(&cfg->arena);
	free(cfg);
}

/* --- accessors --------------------------------------------------------------------------------- */

#define TYPE_BIT(type) (1u << (type))

_Noreturn static void
misused(const char *name, const char *why)
{
	fprintf(stderr, "setting %s: %s\n", name, why);
	abort();
}

static const struct value *
find(const struct config *cfg, const char *name, unsigned types, bool list)
{
	const struct setting *s = setting_find(name);

	if (s == NULL)
		misused(name, "there is no such setting");
	if ((TYPE_BIT(s->type) & types) == 0)
		misused(name, setting_type_name(s->type));
	if (s->list && !list)
		misused(name, "is a list");
	return &cfg->values[s - SETTINGS];
}

static const struct item *
only_item(const struct config *cfg, const char *name, unsigned types)
{
	const struct value *v = find(cfg, name, types, false);

	return v->count > 0 ? &v->items[0] : NULL;
}

static const struct item *
item_at(const struct config *cfg, const char *name, unsigned types, size_t i)
{
	const struct value *v = find(cfg, name, types, true);

	if (i >= v->count)
		misused(name, "has fewer values");
	return &v->items[i];
}

static uint64_t
number(const struct config *cfg, const char *name, enum setting_type type)
{
	const struct item *item = only_item(cfg, name, TYPE_BIT(type));

	if (item == NULL)
		misused(name, "has no default");
	return item->number;
}

const char *
config_file(const struct config *cfg)
{
	return cfg->file;
}

bool
config_is_set(const struct config *cfg, const char *name)
{
	return find(cfg, name, ~0u, true)->from_file;
}

unsigned
config_line(const struct config *cfg, const char *name)
{
	return find(cfg, name, ~0u, true)->line;
}

const char *
config_string(const struct config *cfg, const char *name)
{
	const struct item *item = only_item(
	    cfg, name, TYPE_BIT(SETTING_STRING) | TYPE_BIT(SETTING_PATH) | TYPE_BIT(SETTING_ENUM));

	return item != NULL ? item->text : NULL;
}

uint64_t
config_integer(const struct config *cfg, const char *name)
{
	return number(cfg, name, SETTING_INTEGER);
}

uint64_t
config_size(const struct config *cfg, const char *name)
{
	return number(cfg, name, SETTING_SIZE);
}

uint64_t
config_duration_s(const struct config *cfg, const char *name)
{
	return number(cfg, name, SETTING_DURATION);
}

bool
config_bool(const struct config *cfg, const char *name)
{
	return number(cfg, name, SETTING_BOOL) != 0;
}

unsigned
config_enum(const struct config *cfg, const char *name)
{
	return (unsigned)number(cfg, name, SETTING_ENUM);
}

const struct config_address *
config_address(const struct config *cfg, const char *name)
{
	const struct item *item =
	    only_item(cfg, name, TYPE_BIT(SETTING_LISTEN) | TYPE_BIT(SETTING_HOST));

	return item != NULL ? &item->address : NULL;
}

size_t
config_count(const struct config *cfg, const char *name)
{
	return find(cfg, name, ~0u, true)->count;
}

const char *
config_string_at(const struct config *cfg, const char *name, size_t i)
{
	return item_at(cfg, name, ~0u, i)->text;
}

uint64_t
config_integer_at(const struct config *cfg, const char *name, size_t i)
{
	return item_at(cfg, name, TYPE_BIT(SETTING_INTEGER), i)->number;
}

const struct config_address *
config_address_at(const struct config *cfg, const char *name, size_t i)
{
	unsigned types = TYPE_BIT(SETTING_LISTEN) | TYPE_BIT(SETTING_HOST);

	return &item_at(cfg, name, types, i)->address;
}

const struct config_network *
config_network_at(const struct config *cfg, const char *name, size_t i)
{
	return &item_at(cfg, name, TYPE_BIT(SETTING_NETWORK), i)->network;
}
