#include "filter/sieve/mailto.h"

#include <stddef.h>

#include "store/address.h"
#include "store/compose.h"

/* Fields that must not come from a URI: RFC 5436 §2.7. */
static const char *const FORBIDDEN[] = { "from", "date", "message-id", "received",
	"auto-submitted" };

/* unreserved and some-delims, RFC 6068 §2; "/" and "?" may stand in any query, RFC 3986 §3.4. */
static bool
is_plain(char c)
{
	return ascii_is_alnum(c) || (c != '\0' && strchr("-._~!$'()*+,;:@/?", c) != NULL);
}

/* Percent-encoded text; false: a byte that cannot stand there.  Line ends come as CRLF and stay LF. */
static bool
take_text(struct arena *arena, struct str in, struct str *text_out)
{
	char *text = arena_alloc(arena, in.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		char c = in.p[i];

		if (c == '%') {
			if (i + 2 >= in.len || hex_value(in.p[i + 1]) < 0 ||
			    hex_value(in.p[i + 2]) < 0)
				return false;
			c = (char)(hex_value(in.p[i + 1]) * 16 + hex_value(in.p[i + 2]));
			i += 2;
			if (c == '\0')
				return false;
			if (c == '\r')
				continue;
		} else if (!is_plain(c)) {
			return false;
		}
		text[len++] = c;
	}
	text[len] = '\0';
	*text_out = (struct str){ text, len };
	return true;
}

static void
add_recipient(struct arena *arena, struct mailto *m, const struct address *address)
{
	struct buf b = { 0 };

	address_spec(&b, address);
	for (size_t i = 0; i < m->to_count; i++)
		if (ascii_eq_nocase(m->to[i], buf_cstr(&b)))
			goto end;
	m->to[m->to_count++] = arena_strndup(arena, b.data, b.len);
end:
	buf_free(&b);
}

/* to = addr-spec *("," addr-spec), RFC 6068 §2; what RFC 2368 allowed beyond it (names) too.  Those of
 * "cc" and "bcc" are only counted. */
static bool
take_recipients(
    struct arena *arena, struct str text, bool add, struct mailto *m, const char **why_out)
{
	for (const struct address *a = address_parse(arena, text); a != NULL; a = a->next) {
		if (a->broken || a->mailbox.len == 0 || a->domain.len == 0) {
			*why_out = "a recipient is no mail address";
			return false;
		}
		if (++m->recipient_count > MAILTO_RECIPIENTS_MAX) {
			*why_out = "there are too many recipients";
			return false;
		}
		if (add)
			add_recipient(arena, m, a);
	}
	return true;
}

static bool
is_forbidden(const struct mailto *m, struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(FORBIDDEN); i++)
		if (str_eq_nocase(name, str_from(FORBIDDEN[i])))
			return true;
	for (const struct mailto_field *f = m->fields; f != NULL; f = f->next)
		if (str_eq_nocase(name, f->name))
			return true;
	return false;
}

/* hfield = hfname "=" hfvalue, RFC 6068 §2 */
static bool
take_field(struct arena *arena, struct str field, struct mailto *m, const char **why_out)
{
	const char *equals = memchr(field.p, '=', field.len);
	struct mailto_field *f = arena_zalloc(arena, sizeof(*f)), **end = &m->fields;

	*why_out = "a header field has no \"=\"";
	if (equals == NULL)
		return false;
	*why_out = "a header field's name is none";
	if (!take_text(arena, (struct str){ field.p, (size_t)(equals - field.p) }, &f->name) ||
	    !compose_header_name_is_valid(f->name))
		return false;
	*why_out = "a header field's value has a byte that must be percent-encoded";
	if (!take_text(arena,
		(struct str){ equals + 1, (size_t)(field.p + field.len - equals) - 1 }, &f->value))
		return false;
	if (str_eq_nocase(f->name, STR("to")))
		return take_recipients(arena, f->value, true, m, why_out);
	if (is_forbidden(m, f->name)) {
		m->ignored = f->name.p;
		return true;
	}
	if ((str_eq_nocase(f->name, STR("cc")) || str_eq_nocase(f->name, STR("bcc"))) &&
	    !take_recipients(arena, f->value, false, m, why_out))
		return false;
	while (*end != NULL)
		end = &(*end)->next;
	*end = f;
	return true;
}

static bool
not_question(char c)
{
	return c != '?';
}

static bool
not_ampersand(char c)
{
	return c != '&';
}

/* mailtoURI = "mailto:" [ to ] [ hfields ], RFC 6068 §2 */
bool
mailto_parse(struct arena *arena, struct str uri, struct mailto *mailto_out, const char **why_out)
{
	struct cursor c = cursor_from(uri);
	struct str path, text;

	*mailto_out = (struct mailto){ .to = arena_zalloc(
					   arena, MAILTO_RECIPIENTS_MAX * sizeof(const char *)) };
	*why_out = "it is no mailto URI";
	if (!cursor_take_nocase(&c, STR("mailto:")))
		return false;
	path = cursor_take_while(&c, not_question);
	*why_out = "a recipient has a byte that must be percent-encoded";
	if (!take_text(arena, path, &text) ||
	    !take_recipients(arena, text, true, mailto_out, why_out))
		return false;
	if (!cursor_take(&c, '?'))
		return true;
	do {
		if (!take_field(arena, cursor_take_while(&c, not_ampersand), mailto_out, why_out))
			return false;
	} while (cursor_take(&c, '&'));
	return true;
}
