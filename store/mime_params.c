#include "store/mime_params.h"

#include <stdlib.h>

#include "store/charset.h"
#include "store/header.h"

#define SECTION_NONE (-1)
#define SECTION_MAX  9999 /* RFC 2231 continuations beyond this are plain parameters */

/* tspecials of RFC 2045 §5.1 end a token, so do blanks and controls; 8-bit bytes do not. */
static bool
is_token(char ch)
{
	return (unsigned char)ch > ' ' && ch != 0x7f && strchr("()<>@,;:\\\"/[]?=", ch) == NULL;
}

static bool
is_no_blank(char ch)
{
	return ch != ';' && !ascii_is_space(ch);
}

static struct str
keep(struct arena *arena, struct str s)
{
	return (struct str){ arena_strndup(arena, s.p, s.len), s.len };
}

static bool
take_quoted(struct cursor *c, struct buf *out)
{
	for (c->p++; c->p < c->end; c->p++) {
		char ch = *c->p;

		if (ch == '"') {
			c->p++;
			return true;
		}
		if (ch == '\\' && c->p + 1 < c->end)
			ch = *++c->p;
		if (ch != '\r' && ch != '\n')
			buf_addc(out, ch);
	}
	return false;
}

/* One parameter as written; `base` is its name without the RFC 2231 asterisks. */
struct raw_param {
	struct str name, base, value;
	int section;
	bool extended, rfc2231;
};

/* attribute ["*" section] ["*"], RFC 2231 §3 and §4; anything else is an ordinary name. */
static void
split_name(struct raw_param *raw)
{
	const char *star = memchr(raw->name.p, '*', raw->name.len);
	struct str rest;
	uint64_t section;

	raw->section = SECTION_NONE;
	raw->base = raw->name;
	if (star == NULL)
		return;
	rest = (struct str){ star + 1, (size_t)(raw->name.p + raw->name.len - star - 1) };
	if (rest.len == 0) {
		raw->section = 0;
		raw->extended = raw->rfc2231 = true;
	} else {
		if (rest.p[rest.len - 1] == '*') {
			raw->extended = true;
			rest.len--;
		}
		raw->rfc2231 = text_u64(rest, SECTION_MAX, &section);
		if (raw->rfc2231)
			raw->section = (int)section;
	}
	if (raw->rfc2231)
		raw->base.len = (size_t)(star - raw->name.p);
}

/* ";" attribute "=" value; false where there is none. */
static bool
take_param(struct arena *arena, struct cursor *c, struct raw_param *raw)
{
	struct buf value = { 0 };
	struct str token;
	bool good = true;

	*raw = (struct raw_param){ 0 };
	if (!cursor_take(c, ';'))
		return false;
	header_skip_cfws(c);
	raw->name = cursor_take_while(c, is_token);
	header_skip_cfws(c);
	if (raw->name.len == 0 || !cursor_take(c, '='))
		return false;
	header_skip_cfws(c);
	if (cursor_peek(c) == '"') {
		good = take_quoted(c, &value);
		raw->value = keep(arena, (struct str){ value.data, value.len });
	} else {
		/* name==?utf-8?q?…?= is what some senders write without the quotes it needs */
		token = cursor_take_while(c, cursor_peek(c) == '=' ? is_no_blank : is_token);
		raw->value = keep(arena, token);
	}
	buf_free(&value);
	raw->name = keep(arena, raw->name);
	split_name(raw);
	while (c->p < c->end && *c->p != ';') /* what stands behind a value that should be quoted */
		c->p++;
	return good;
}

static int
compare_raw(const void *a, const void *b)
{
	const struct raw_param *x = a, *y = b;
	size_t len = x->base.len < y->base.len ? x->base.len : y->base.len;

	for (size_t i = 0; i < len; i++) {
		unsigned char p = (unsigned char)ascii_lower(x->base.p[i]);
		unsigned char q = (unsigned char)ascii_lower(y->base.p[i]);

		if (p != q)
			return p < q ? -1 : 1;
	}
	if (x->base.len != y->base.len)
		return x->base.len < y->base.len ? -1 : 1;
	return x->section != y->section ? (x->section < y->section ? -1 : 1)
					: (x->name.p < y->name.p ? -1 : x->name.p > y->name.p);
}

/* A piece that was not percent-encoded, within a value that is. */
static void
percent_encode(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch >= 0x80 || !is_token((char)ch) || ch == '%' || ch == '\'' || ch == '*')
			buf_printf(out, "%%%02X", (unsigned)ch);
		else
			buf_addc(out, (char)ch);
	}
}

static struct mime_param
join(struct arena *arena, const struct raw_param *raw, size_t count)
{
	struct buf value = { 0 };
	struct mime_param param;
	bool extended = false;

	for (size_t i = 0; i < count; i++)
		extended = extended || raw[i].extended;
	if (extended && !raw[0].extended)
		buf_adds(&value, "''");
	for (size_t i = 0; i < count; i++) {
		if (extended && !raw[i].extended)
			percent_encode(&value, raw[i].value);
		else
			buf_add(&value, raw[i].value.p, raw[i].value.len);
	}
	param.value = keep(arena, (struct str){ value.data, value.len });
	buf_reset(&value);
	buf_add(&value, raw[0].base.p, raw[0].base.len);
	buf_adds(&value, extended ? "*" : "");
	param.name = keep(arena, (struct str){ value.data, value.len });
	buf_free(&value);
	return param;
}

/* How many from raw[0] have its base name; *whole_out: sections 0, 1, 2… without gap or repetition. */
static size_t
run_of(const struct raw_param *raw, size_t count, bool *whole_out)
{
	size_t n = 0;

	*whole_out = true;
	while (n < count && str_eq_nocase(raw[n].base, raw[0].base)) {
		*whole_out = *whole_out && raw[n].section == (int)n;
		n++;
	}
	return n;
}

/* Ordinary parameters in their order, then the joined ones; pieces that do not join stay pieces. */
static struct mime_param *
take_params(struct arena *arena, struct cursor *c, size_t *count_out)
{
	struct raw_param all[MIME_PARAMS_MAX], pieces[MIME_PARAMS_MAX];
	struct mime_param *params;
	size_t n = 0, piece_count = 0, count = 0, run;
	bool whole;

	*count_out = 0;
	while (n < MIME_PARAMS_MAX && !cursor_at_end(c)) {
		if (take_param(arena, c, &all[n]))
			n++;
		else if (!cursor_at_end(c)) /* as Dovecot looks for the next one */
			c->p++;
	}
	if (n == 0)
		return NULL;
	params = arena_alloc(arena, (n + 1) * sizeof(*params)); /* one more: the default charset */
	for (size_t i = 0; i < n; i++) {
		if (all[i].rfc2231)
			pieces[piece_count++] = all[i];
		else
			params[count++] = (struct mime_param){ all[i].name, all[i].value };
	}
	if (piece_count > 0)
		qsort(pieces, piece_count, sizeof(pieces[0]), compare_raw);
	for (size_t i = 0; i < piece_count; i += run) {
		run = run_of(pieces + i, piece_count - i, &whole);
		if (whole) {
			params[count++] = join(arena, pieces + i, run);
			continue;
		}
		for (size_t k = i; k < i + run; k++)
			params[count++] = (struct mime_param){ pieces[k].name, pieces[k].value };
	}
	*count_out = count;
	return params;
}

bool
mime_parse_type(
    struct arena *arena, struct str value, struct mime_part *part, struct mime_info *info)
{
	struct cursor c = cursor_from(value);
	struct str type, subtype;

	header_skip_cfws(&c);
	type = cursor_take_while(&c, is_token);
	header_skip_cfws(&c);
	if (type.len == 0 || !cursor_take(&c, '/'))
		return false;
	header_skip_cfws(&c);
	subtype = cursor_take_while(&c, is_token);
	if (subtype.len == 0)
		return false;
	header_skip_cfws(&c);
	part->type = keep(arena, type);
	part->subtype = keep(arena, subtype);
	info->params = take_params(arena, &c, &info->param_count);
	return true;
}

void
mime_parse_disposition(struct arena *arena, struct str value, struct mime_info *info)
{
	struct cursor c = cursor_from(value);

	header_skip_cfws(&c);
	info->disposition = keep(arena, cursor_take_while(&c, is_token));
	while (c.p < c.end && *c.p != ';')
		c.p++;
	info->disposition_params = take_params(arena, &c, &info->disposition_param_count);
}

void
mime_parse_languages(struct arena *arena, struct str value, struct mime_info *info)
{
	struct cursor c = cursor_from(value);
	struct str tag;

	do {
		header_skip_cfws(&c);
		tag = cursor_take_while(&c, is_token);
		header_skip_cfws(&c);
		if (tag.len == 0)
			break;
		if (info->languages == NULL)
			info->languages =
			    arena_alloc(arena, MIME_PARAMS_MAX * sizeof(*info->languages));
		info->languages[info->language_count++] = keep(arena, tag);
	} while (info->language_count < MIME_PARAMS_MAX && cursor_take(&c, ','));
}

struct str
mime_parse_encoding(struct arena *arena, struct str value)
{
	struct cursor c = cursor_from(value);
	struct str token;

	header_skip_cfws(&c);
	token = cursor_take_while(&c, is_token);
	header_skip_cfws(&c);
	if (token.len == 0 || !cursor_at_end(&c))
		return (struct str){ NULL, 0 };
	return keep(arena, token);
}

enum mime_cte
mime_cte_from_name(struct str name)
{
	static const struct {
		const char *name;
		enum mime_cte cte;
	} NAMES[] = {
		{ "7bit", MIME_CTE_IDENTITY },
		{ "8bit", MIME_CTE_IDENTITY },
		{ "binary", MIME_CTE_IDENTITY },
		{ "quoted-printable", MIME_CTE_QP },
		{ "base64", MIME_CTE_BASE64 },
		{ "x-uuencode", MIME_CTE_UUENCODE },
		{ "uuencode", MIME_CTE_UUENCODE },
		{ "x-uue", MIME_CTE_UUENCODE },
		{ "uue", MIME_CTE_UUENCODE },
	};

	if (name.p == NULL)
		return MIME_CTE_IDENTITY;
	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
		if (str_eq_nocase(name, str_from(NAMES[i].name)))
			return NAMES[i].cte;
	return MIME_CTE_UNKNOWN;
}

struct str
mime_param(const struct mime_param *params, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq_nocase(params[i].name, str_from(name)))
			return params[i].value;
	return (struct str){ NULL, 0 };
}

/* charset "'" [language] "'" percent-encoded, RFC 2231 §4. */
static void
decode_extended(struct buf *out, struct str value)
{
	const char *end = value.p + value.len;
	const char *first = memchr(value.p, '\'', value.len);
	const char *second =
	    first != NULL ? memchr(first + 1, '\'', (size_t)(end - first - 1)) : NULL;
	const char *p = second != NULL ? second + 1 : value.p;
	struct str charset =
	    second != NULL ? (struct str){ value.p, (size_t)(first - value.p) } : STR("");
	struct buf bytes = { 0 };

	for (; p < end; p++) {
		if (*p == '%' && end - p > 2 && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0) {
			buf_addc(&bytes, (char)(hex_value(p[1]) * 16 + hex_value(p[2])));
			p += 2;
		} else {
			buf_addc(&bytes, *p);
		}
	}
	if (!charset_to_utf8(out, charset, (struct str){ bytes.data, bytes.len }))
		utf8_repair(out, (struct str){ bytes.data, bytes.len });
	buf_free(&bytes);
}

bool
mime_param_utf8(const struct mime_param *params, size_t count, const char *name, struct buf *out)
{
	struct buf starred = { 0 };
	struct str value;

	buf_printf(&starred, "%s*", name);
	value = mime_param(params, count, buf_cstr(&starred));
	buf_free(&starred);
	if (value.p != NULL) {
		decode_extended(out, value);
		return true;
	}
	value = mime_param(params, count, name);
	if (value.p != NULL)
		header_decode(out, value);
	return value.p != NULL;
}
