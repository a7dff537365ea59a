#include "admin/log_search.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define PASSES_MAX  6 /* a chain of messages longer than that is a loop of mail */
#define ID_LEAST    6 /* bytes: a shorter one is no name of a message */
#define NODES_MAX   (1u << 20)
#define TABLE_FIRST 1024
#define FRONT_BYTES 160 /* time, host, level, program and session stand in them */

/* --- one line ------------------------------------------------------------------------------------ */

static bool
is_level(struct str word)
{
	static const struct str LEVELS[] = { { "info", 4 }, { "warn", 4 }, { "error", 5 },
		{ "debug", 5 } };

	for (size_t i = 0; i < ARRAY_LEN(LEVELS); i++)
		if (str_eq(word, LEVELS[i]))
			return true;
	return false;
}

/* The next word: up to a blank that is not within quotes. */
static bool
next_word(struct cursor *c, struct str *word_out)
{
	const char *begin;
	bool quoted = false;

	while (c->p < c->end && *c->p == ' ')
		c->p++;
	begin = c->p;
	for (; c->p < c->end && (quoted || *c->p != ' '); c->p++) {
		if (*c->p == '\\' && quoted && c->p + 1 < c->end)
			c->p++;
		else if (*c->p == '"')
			quoted = !quoted;
	}
	*word_out = (struct str){ begin, (size_t)(c->p - begin) };
	return word_out->len > 0;
}

static bool
is_id_char(char ch)
{
	return ascii_is_alnum(ch) || ch == '.' || ch == '-' || ch == '_';
}

static void
add_id(struct log_line *line, const char *p, const char *end)
{
	struct str id = { p, 0 };

	while (p < end && is_id_char(*p))
		p++;
	id.len = (size_t)(p - id.p);
	while (id.len > 0 && id.p[id.len - 1] == '.') /* a sentence's */
		id.len--;
	if (id.len < ID_LEAST || line->id_count == LOG_IDS_MAX)
		return;
	for (size_t i = 0; i < line->id_count; i++)
		if (str_eq(line->ids[i], id))
			return;
	line->ids[line->id_count++] = id;
}

static void
take_value(struct log_line *line, struct str word)
{
	static const struct str KEYS[] = { { "id=", 3 }, { "spool=", 6 } };
	const char *end = word.p + word.len, *at;

	for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
		if (str_has_prefix(word, KEYS[i])) {
			add_id(line, word.p + KEYS[i].len, end);
			return;
		}
	if (word.p[word.len - 1] != '"') /* only a value with blanks holds another's words */
		return;
	for (at = word.p; (at = memmem(at, (size_t)(end - at), " id=", 4)) != NULL; at += 4)
		add_id(line, at + 4, end);
}

bool
log_line_parse(struct str text, struct log_line *line)
{
	struct cursor c = cursor_from(text);
	struct str word;
	bool known = false;

	*line = (struct log_line){ 0 };
	for (int i = 0; i < 6 && !known && next_word(&c, &word); i++)
		known = is_level(word);
	if (!known || !next_word(&c, &line->program) || !next_word(&c, &word))
		return false;
	if (str_has_prefix(word, STR("s="))) {
		line->session = (struct str){ word.p + 2, word.len - 2 };
		if (!next_word(&c, &word))
			return false;
	}
	line->event = word;
	while (next_word(&c, &word))
		take_value(line, word);
	return true;
}

/* --- names --------------------------------------------------------------------------------------- */

/* A session or a message; those that belong together are one tree. */
struct node {
	uint64_t hash; /* 0: a free slot of the table */
	uint32_t parent;
	uint32_t segment; /* of a session: the one that goes on; 0: none yet */
};

/* A session's lines from one `connect` to the next: other daemons and earlier runs use the same names. */
struct segment {
	bool matched;
};

struct found {
	size_t at, len;   /* in text */
	uint32_t node;    /* 0: the line stands for itself */
	uint32_t segment; /* 0: shown in any case */
};

struct log_search {
	char *pattern;
	size_t pattern_len;
	unsigned char skip[256]; /* Horspool; at most 255 */
	struct node *nodes;      /* 1 … count */
	uint32_t node_count, node_cap, session_count;
	uint32_t *table;
	size_t table_size;
	struct segment *segments;
	uint32_t segment_count;
	struct found *found;
	size_t found_count;
	struct buf text;
	unsigned pass;
	bool grown, overflowed;
};

static uint64_t
hash(char kind, struct str a, struct str b)
{
	uint64_t h = 14695981039346656037u ^ (unsigned char)kind;

	for (size_t i = 0; i < a.len; i++)
		h = (h ^ (unsigned char)a.p[i]) * 1099511628211u;
	h = (h ^ 0xff) * 1099511628211u;
	for (size_t i = 0; i < b.len; i++)
		h = (h ^ (unsigned char)b.p[i]) * 1099511628211u;
	return h != 0 ? h : 1;
}

static uint32_t *
slot(const struct log_search *s, uint64_t h)
{
	size_t at = (size_t)(h ^ h >> 29) & (s->table_size - 1);

	while (s->table[at] != 0 && s->nodes[s->table[at]].hash != h)
		at = (at + 1) & (s->table_size - 1);
	return &s->table[at];
}

static void
grow_table(struct log_search *s)
{
	free(s->table);
	s->table_size *= 2;
	s->table = mem_zalloc(s->table_size * sizeof(*s->table));
	for (uint32_t i = 1; i <= s->node_count; i++)
		*slot(s, s->nodes[i].hash) = i;
}

/* 0: there are too many. */
static uint32_t
add_node(struct log_search *s, uint64_t h)
{
	uint32_t *at = slot(s, h), n;

	if (*at != 0)
		return *at;
	if (s->node_count >= NODES_MAX) {
		s->overflowed = true;
		return 0;
	}
	if (s->node_count + 1 >= s->node_cap) {
		s->node_cap *= 2;
		s->nodes = mem_realloc_array(s->nodes, s->node_cap, sizeof(*s->nodes));
	}
	n = ++s->node_count;
	s->nodes[n] = (struct node){ .hash = h, .parent = n };
	*at = n;
	if (2 * (size_t)s->node_count >= s->table_size)
		grow_table(s);
	s->grown = true;
	return n;
}

static uint32_t
root(const struct log_search *s, uint32_t n)
{
	while (s->nodes[n].parent != n)
		n = s->nodes[n].parent = s->nodes[s->nodes[n].parent].parent;
	return n;
}

static void
join(struct log_search *s, uint32_t a, uint32_t b)
{
	if (a == 0 || b == 0 || (a = root(s, a)) == (b = root(s, b)))
		return;
	s->nodes[a > b ? a : b].parent = a < b ? a : b;
}

/* --- the search ---------------------------------------------------------------------------------- */

struct log_search *
log_search_new(const char *pattern)
{
	struct log_search *s = mem_zalloc(sizeof(*s));
	size_t len = strlen(pattern);

	s->pattern = mem_strdup(pattern);
	s->pattern_len = len;
	ascii_lower_all(s->pattern, len);
	memset(s->skip, len < 255 ? (int)len : 255, sizeof(s->skip));
	for (size_t i = 0; i + 1 < len; i++) {
		unsigned char skip = len - 1 - i < 255 ? (unsigned char)(len - 1 - i) : 255;

		s->skip[(unsigned char)s->pattern[i]] = skip;
		s->skip[(unsigned char)ascii_upper(s->pattern[i])] = skip;
	}
	s->node_cap = TABLE_FIRST;
	s->nodes = mem_realloc_array(NULL, s->node_cap, sizeof(*s->nodes));
	s->table_size = TABLE_FIRST;
	s->table = mem_zalloc(s->table_size * sizeof(*s->table));
	s->segments = mem_zalloc(sizeof(*s->segments));
	buf_reserve(&s->text, 1); /* so that an empty line has a place */
	return s;
}

void
log_search_free(struct log_search *s)
{
	if (s == NULL)
		return;
	free(s->pattern);
	free(s->nodes);
	free(s->table);
	free(s->segments);
	free(s->found);
	buf_free(&s->text);
	free(s);
}

static bool
matches(const struct log_search *s, struct str text)
{
	size_t last = s->pattern_len - 1;

	if (s->pattern_len == 0)
		return true;
	for (size_t at = 0; at + last < text.len;) {
		size_t i = last;

		while (ascii_lower(text.p[at + i]) == s->pattern[i])
			if (i-- == 0)
				return true;
		at += s->skip[(unsigned char)text.p[at + last]];
	}
	return false;
}

static void
keep(struct log_search *s, struct str text, uint32_t node, uint32_t segment)
{
	if (s->text.len + text.len > LOG_FOUND_MAX_BYTES) {
		s->overflowed = true;
		return;
	}
	if ((s->found_count & (s->found_count - 1)) == 0)
		s->found = mem_realloc_array(
		    s->found, s->found_count == 0 ? 1 : 2 * s->found_count, sizeof(*s->found));
	s->found[s->found_count++] =
	    (struct found){ .at = s->text.len, .len = text.len, .node = node, .segment = segment };
	buf_add(&s->text, text.p, text.len);
}

static uint32_t
begin_segment(struct log_search *s)
{
	s->segment_count++;
	if ((s->segment_count & (s->segment_count - 1)) == 0)
		s->segments = mem_realloc_array(
		    s->segments, 2 * (size_t)s->segment_count, sizeof(*s->segments));
	s->segments[s->segment_count] = (struct segment){ 0 };
	return s->segment_count;
}

/* A line of a session that is wanted, about no message. */
static void
keep_session_line(
    struct log_search *s, struct str text, const struct log_line *line, uint32_t node, bool matched)
{
	struct node *n = &s->nodes[node];

	if (n->segment == 0 || str_eq(line->event, STR("connect")))
		n->segment = begin_segment(s);
	if (matched)
		s->segments[n->segment].matched = true;
	keep(s, text, node, n->segment);
}

/* A line about messages: all of them belong together. */
static void
keep_message_line(
    struct log_search *s, struct str text, const struct log_line *line, uint32_t session)
{
	uint32_t first = session;

	for (size_t i = 0; i < line->id_count; i++) {
		uint32_t n = add_node(s, hash('i', line->ids[i], STR("")));

		join(s, first, n);
		first = first != 0 ? first : n;
	}
	keep(s, text, first, 0);
}

/* Does a word behind `key` name something that is wanted? */
static bool
has_wanted_id(const struct log_search *s, struct str text, struct str key)
{
	const char *at = text.p, *end = text.p + text.len;

	while ((at = memmem(at, (size_t)(end - at), key.p, key.len)) != NULL) {
		struct log_line line = { .id_count = 0 };

		at += key.len;
		add_id(&line, at, end);
		if (line.id_count > 0 && *slot(s, hash('i', line.ids[0], STR(""))) != 0)
			return true;
	}
	return false;
}

/* Sorts out nearly all lines of a large log without reading their words; never one that is wanted. */
static bool
may_be_wanted(const struct log_search *s, struct str text)
{
	struct log_line line;

	if (s->session_count > 0) {
		struct str front = { text.p, text.len < FRONT_BYTES ? text.len : FRONT_BYTES };

		if (!log_line_parse(front, &line) ||
		    (line.session.len > 0 && *slot(s, hash('s', line.program, line.session)) != 0))
			return true;
	}
	return has_wanted_id(s, text, STR("id=")) || has_wanted_id(s, text, STR("spool="));
}

void
log_search_line(struct log_search *s, struct str text)
{
	bool matched, ours, wanted = false;
	struct log_line line;
	uint32_t session = 0;

	if (text.len > LOG_LINE_MAX_BYTES)
		text.len = LOG_LINE_MAX_BYTES;
	matched = matches(s, text);
	if (!matched && (s->node_count == 0 || !may_be_wanted(s, text)))
		return;
	ours = log_line_parse(text, &line);
	if (ours && line.session.len > 0)
		session = *slot(s, hash('s', line.program, line.session));
	for (size_t i = 0; i < line.id_count && !wanted; i++)
		wanted = *slot(s, hash('i', line.ids[i], STR(""))) != 0;
	if (ours && line.id_count > 0 && (matched || wanted || session != 0)) {
		keep_message_line(s, text, &line, session);
		return;
	}
	if (ours && matched && session == 0 && line.session.len > 0) {
		session = add_node(s, hash('s', line.program, line.session));
		s->session_count++;
	}
	if (session != 0)
		keep_session_line(s, text, &line, session, matched);
	else if (matched)
		keep(s, text, 0, 0);
}

bool
log_search_again(struct log_search *s)
{
	bool again = s->grown && !s->overflowed && ++s->pass < PASSES_MAX;

	if (!again)
		return false;
	s->grown = false;
	s->found_count = 0;
	s->segment_count = 0;
	buf_reset(&s->text);
	for (uint32_t i = 1; i <= s->node_count; i++)
		s->nodes[i].segment = 0;
	return true;
}

bool
log_search_overflowed(const struct log_search *s)
{
	return s->overflowed;
}

/* --- what was found ------------------------------------------------------------------------------ */

struct shown {
	uint32_t group; /* the place of its first line */
	size_t place;
};

static int
by_group(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return (x->place > y->place) - (x->place < y->place);
}

void
log_search_each(
    const struct log_search *s, void (*line)(void *arg, struct str text, bool first), void *arg)
{
	struct shown *all = mem_realloc_array(NULL, s->found_count + 1, sizeof(*all));
	uint32_t *firsts = mem_zalloc(((size_t)s->node_count + 1) * sizeof(*firsts));
	size_t count = 0;

	for (size_t i = 0; i < s->found_count; i++) {
		const struct found *f = &s->found[i];
		uint32_t *first = f->node != 0 ? &firsts[root(s, f->node)] : NULL;

		if (f->segment != 0 && !s->segments[f->segment].matched)
			continue;
		if (first != NULL && *first == 0)
			*first = (uint32_t)i + 1;
		all[count++] = (struct shown){ first != NULL ? *first : (uint32_t)i + 1, i };
	}
	qsort(all, count, sizeof(*all), by_group);
	for (size_t i = 0; i < count; i++) {
		const struct found *f = &s->found[all[i].place];

		line(arg, (struct str){ s->text.data + f->at, f->len },
		    i == 0 || all[i].group != all[i - 1].group);
	}
	free(all);
	free(firsts);
}
