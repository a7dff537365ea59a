#include "admin/filter_tools.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/cache.h"
#include "filter/exim/exim.h"
#include "filter/view.h"
#include "store/address.h"
#include "store/root.h"
#include "store/state.h"

bool
filter_input(const char *path, size_t max_bytes, struct buf *out)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : 1;

	while (got > 0 && out->len <= max_bytes) {
		buf_reserve(out, 65536);
		got = read(fd, out->data + out->len, 65536);
		if (got > 0)
			out->len += (size_t)got;
	}
	if (got < 0)
		admin_refuse("%s: %s", path, strerror(errno));
	else if (out->len > max_bytes)
		admin_refuse("%s: larger than %zu bytes", path, max_bytes);
	if (fd >= 0 && !is_stdin)
		close(fd);
	return got >= 0 && out->len <= max_bytes;
}

void
filter_who(char *out, size_t size)
{
	const char *user = getenv("SUDO_USER");

	if (user != NULL && *user != '\0' && text_is_utf8(str_from(user)))
		snprintf(out, size, "mailadmin (%s)", user);
	else
		snprintf(out, size, "mailadmin");
}

void
filter_line(struct str text, unsigned number, struct buf *out)
{
	struct cursor lines = cursor_from(text);
	struct str line = { NULL, 0 };
	unsigned n = 0;

	while (n < number && cursor_take_line(&lines, &line))
		n++;
	if (number == 0 || n < number || !text_is_utf8(line))
		return;
	line = str_trim(line);
	for (size_t i = 0; i < line.len; i++)
		buf_addc(
		    out, (unsigned char)line.p[i] < 0x20 || line.p[i] == 0x7f ? ' ' : line.p[i]);
}

bool
filter_explain(const char *name, struct str text)
{
	struct filter *filter = NULL;
	struct filter_error error;
	struct filter_warnings warnings = { { 0 }, 0 };
	enum filter_status status = filter_compile(text, &filter, &error, &warnings);
	struct cursor lines = cursor_from((struct str){ warnings.text.data, warnings.text.len });
	struct buf quote = { 0 };
	struct str line;

	while (cursor_take_line(&lines, &line))
		fprintf(stderr, "%s: warning: %.*s\n", name, (int)line.len, line.p);
	filter_line(text, status != FILTER_OK ? error.line : 0, &quote);
	if (status != FILTER_OK && error.line > 0)
		fprintf(stderr, "%s:%u: %s\n", name, error.line, error.text);
	else if (status != FILTER_OK)
		fprintf(stderr, "%s: %s\n", name, error.text);
	if (quote.len > 0)
		fprintf(stderr, "    %s\n", buf_cstr(&quote));
	buf_free(&quote);
	buf_free(&warnings.text);
	filter_free(filter);
	return status == FILTER_OK;
}

/* --- an account --------------------------------------------------------------------------------- */

bool
filter_bed_open(struct admin *a, const struct account_row *row, struct filter_bed *bed)
{
	struct filter_account_spec spec = filter_account_spec_of(a->config);

	*bed = (struct filter_bed){ 0 };
	if (!admin_open_accounts(a) ||
	    admin_result(store_root_open(spec.mail_root, a->log, &bed->root), spec.mail_root) !=
		ADMIN_DONE)
		return false;
	bed->cache = filter_cache_new(0, 0);
	bed->settings = filter_settings_new(a->config);
	spec.root = bed->root;
	spec.accounts = a->accounts;
	spec.cache = bed->cache;
	spec.settings = bed->settings;
	spec.log = a->log;
	spec.localpart = row->localpart;
	spec.domain = row->domain;
	bed->account = filter_account_open(&spec);
	return true;
}

void
filter_bed_close(struct filter_bed *bed)
{
	filter_account_close(bed->account);
	filter_settings_free(bed->settings);
	filter_cache_free(bed->cache);
	store_root_close(bed->root);
	*bed = (struct filter_bed){ 0 };
}

bool
filter_active_text(struct admin *a, const struct account_row *row, struct buf *text_out)
{
	const char *path = config_string(a->config, "filter.default");

	if (row->filter != NULL)
		buf_add(text_out, row->filter, row->filter_len);
	else if (path != NULL)
		return filter_input(path, FILTER_TEXT_MAX_BYTES, text_out);
	else
		buf_adds(text_out, EXIM_DEFAULT_FILTER);
	return true;
}

bool
filter_named_text(struct admin *a, const char *name, struct buf *text)
{
	struct account_row row = { 0 };
	bool ok;

	if (strcmp(name, "-") == 0 || access(name, F_OK) == 0 || strchr(name, '@') == NULL)
		return filter_input(name, FILTER_TEXT_MAX_BYTES, text);
	ok = admin_start(a) && admin_find_account(a, name, &row) &&
	     filter_active_text(a, &row, text);
	account_row_free(&row);
	return ok;
}

/* --- a message ---------------------------------------------------------------------------------- */

static const char *
first_address(const struct view *v, struct str name, struct arena *arena)
{
	for (size_t i = 0; i < v->field_count; i++) {
		struct buf address = { 0 };
		const char *found = NULL;

		if (!str_eq_nocase(v->fields[i].name, name))
			continue;
		if (address_first(v->fields[i].value, &address))
			found = arena_strdup(arena, buf_cstr(&address));
		else if (str_eq(str_trim(v->fields[i].value), STR("<>")))
			found = "";
		buf_free(&address);
		if (found != NULL)
			return found;
	}
	return NULL;
}

const char *
filter_address_in(
    const struct filter_message *message, const char *const *names, struct arena *arena)
{
	const char *found = NULL;
	struct view v;

	if (!view_open(&v, message, arena))
		return NULL;
	for (; *names != NULL && found == NULL; names++)
		found = first_address(&v, str_from(*names), arena);
	view_close(&v);
	return found;
}
