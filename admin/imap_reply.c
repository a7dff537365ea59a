#include "admin/imap_reply.h"

#include <string.h>

#include "store/account.h"
#include "store/date.h"
#include "store/mailbox.h"

/* --- bytes to replies -------------------------------------------------------------------------- */

static enum imap_read
fill(struct imap_reader *r)
{
	ssize_t n = r->source.read(r->source.arg, r->in, sizeof(r->in));

	r->at = 0;
	r->len = n > 0 ? (size_t)n : 0;
	return n > 0 ? IMAP_READ_OK : IMAP_READ_LOST;
}

bool
imap_reader_has_input(const struct imap_reader *r)
{
	return r->at < r->len;
}

/* Appends up to and with the next LF. */
static enum imap_read
read_line(struct imap_reader *r, struct buf *text, const char **why_out)
{
	for (;;) {
		const char *from = r->in + r->at;
		size_t left = r->len - r->at;
		const char *lf = left > 0 ? memchr(from, '\n', left) : NULL;
		size_t take = lf != NULL ? (size_t)(lf - from) + 1 : left;

		if (text->len + take > IMAP_REPLY_MAX_BYTES) {
			*why_out = "a line without end";
			return IMAP_READ_BAD;
		}
		buf_add(text, from, take);
		r->at += take;
		if (lf != NULL)
			return IMAP_READ_OK;
		if (fill(r) != IMAP_READ_OK)
			return IMAP_READ_LOST;
	}
}

/* Takes line end and, if the line ends with one, a literal's announcement off: "{12}", "{12+}", "~{12}" (RFC 3516).
 * A number that is none, or too large, leaves *bad_out true. */
static bool
take_literal(struct buf *text, uint64_t *size_out, bool *bad_out)
{
	size_t at, end;

	*bad_out = false;
	text->len--;
	if (text->len > 0 && text->data[text->len - 1] == '\r')
		text->len--;
	if (text->len == 0 || text->data[text->len - 1] != '}')
		return false;
	end = text->len - 1;
	if (end > 0 && text->data[end - 1] == '+')
		end--;
	at = end;
	while (at > 0 && ascii_is_digit(text->data[at - 1]))
		at--;
	if (at == 0 || text->data[at - 1] != '{' || at == end)
		return false; /* text for people may end so */
	*bad_out =
	    !text_u64((struct str){ text->data + at, end - at }, IMAP_BODY_MAX_BYTES, size_out);
	text->len = at - 1;
	if (text->len > 0 && text->data[text->len - 1] == '~')
		text->len--;
	return true;
}

/* Does the text so far end with "BODY[…] " of a FETCH? */
static bool
is_body(const struct buf *text)
{
	struct str s = { text->data, text->len };
	size_t at;

	if (s.len < 3 || s.p[0] != '*' || s.p[s.len - 1] != ' ' ||
	    str_find(s, STR("(")) == SIZE_MAX)
		return false;
	s.len--;
	if (s.len >= 3 && memcmp(s.p + s.len - 3, "<0>", 3) == 0)
		s.len -= 3;
	if (s.p[s.len - 1] != ']')
		return false;
	for (at = s.len - 1; at > 0 && s.p[at] != '['; at--)
		continue;
	return at >= 4 && str_eq_nocase((struct str){ s.p + at - 4, 4 }, STR("BODY"));
}

static enum imap_read
read_bytes(struct imap_reader *r, uint64_t size, struct buf *text)
{
	while (size > 0) {
		size_t now;

		if (r->at == r->len && fill(r) != IMAP_READ_OK)
			return IMAP_READ_LOST;
		now = r->len - r->at;
		if (now > size)
			now = (size_t)size;
		if (text != NULL)
			buf_add(text, r->in + r->at, now);
		else if (!r->source.body(r->source.arg, r->in + r->at, now))
			return IMAP_READ_STOPPED;
		r->at += now;
		size -= now;
	}
	return IMAP_READ_OK;
}

/* One message is enough for a reply. */
static bool
has_body(const struct buf *text)
{
	return text->len > 0 && memchr(text->data, IMAP_REPLY_BODY, text->len) != NULL;
}

static enum imap_read
read_literal(struct imap_reader *r, struct buf *text, uint64_t size, const char **why_out)
{
	if (is_body(text) && !has_body(text)) {
		buf_addc(text, IMAP_REPLY_BODY);
		if (!r->source.body_begin(r->source.arg, size))
			return IMAP_READ_STOPPED;
		return read_bytes(r, size, NULL);
	}
	if (size > IMAP_REPLY_MAX_BYTES || text->len + size > IMAP_REPLY_MAX_BYTES) {
		*why_out = "a literal that is too large";
		return IMAP_READ_BAD;
	}
	buf_printf(text, "{%zu}\r\n", (size_t)size);
	return read_bytes(r, size, text);
}

enum imap_read
imap_reader_next(struct imap_reader *r, struct buf *text, const char **why_out)
{
	enum imap_read got;
	uint64_t size;
	bool bad;

	buf_reset(text);
	*why_out = "";
	for (;;) {
		size_t from = text->len;

		got = read_line(r, text, why_out);
		if (got != IMAP_READ_OK)
			return got;
		if (memchr(text->data + from, IMAP_REPLY_BODY, text->len - from) != NULL) {
			*why_out = "a control character";
			return IMAP_READ_BAD;
		}
		if (!take_literal(text, &size, &bad))
			return IMAP_READ_OK;
		if (bad) {
			*why_out = "a literal of an impossible size";
			return IMAP_READ_BAD;
		}
		got = read_literal(r, text, size, why_out);
		if (got != IMAP_READ_OK)
			return got;
	}
}

/* --- statuses ---------------------------------------------------------------------------------- */

static const struct {
	struct str word;
	enum imap_status status;
} STATUSES[] = {
	{ { "OK", 2 }, IMAP_STATUS_OK },
	{ { "NO", 2 }, IMAP_STATUS_NO },
	{ { "BAD", 3 }, IMAP_STATUS_BAD },
	{ { "BYE", 3 }, IMAP_STATUS_BYE },
	{ { "PREAUTH", 7 }, IMAP_STATUS_PREAUTH },
};

static bool
find_status(struct str word, enum imap_status *status_out)
{
	for (size_t i = 0; i < ARRAY_LEN(STATUSES); i++) {
		if (str_eq_nocase(STATUSES[i].word, word)) {
			*status_out = STATUSES[i].status;
			return true;
		}
	}
	return false;
}

static bool
is_word(char c)
{
	return c != ' ' && c != '(' && c != ')' && (unsigned char)c > ' ';
}

static void
skip_blanks(struct cursor *c)
{
	while (cursor_take(c, ' '))
		continue;
}

/* resp-text = ["[" resp-text-code "]" SP] text, RFC 9051 §9 */
static void
take_code(struct cursor *c, struct imap_reply *reply)
{
	const char *end;

	skip_blanks(c);
	if (cursor_peek(c) != '[')
		return;
	end = memchr(c->p, ']', cursor_left(c));
	if (end == NULL)
		return;
	reply->code = (struct str){ c->p + 1, (size_t)(end - c->p) - 1 };
	c->p = end + 1;
	skip_blanks(c);
}

static bool
parse_untagged(struct cursor *c, struct imap_reply *reply)
{
	skip_blanks(c);
	reply->kind = IMAP_REPLY_OTHER;
	if (cursor_peek(c) >= '0' && cursor_peek(c) <= '9') {
		reply->kind = IMAP_REPLY_NUMBER;
		if (!cursor_take_u32(c, &reply->number) || !cursor_take(c, ' '))
			return false;
		skip_blanks(c);
	}
	reply->name = cursor_take_while(c, is_word);
	if (reply->name.len == 0)
		return false;
	if (reply->kind == IMAP_REPLY_OTHER && find_status(reply->name, &reply->status)) {
		reply->kind = IMAP_REPLY_STATUS;
		take_code(c, reply);
	}
	skip_blanks(c);
	return true;
}

bool
imap_reply_parse(struct str text, struct imap_reply *reply)
{
	struct cursor c = cursor_from(text);

	*reply = (struct imap_reply){ 0 };
	if (cursor_take(&c, '+')) {
		reply->kind = IMAP_REPLY_CONTINUE;
		skip_blanks(&c);
	} else if (cursor_take(&c, '*')) {
		if (!cursor_take(&c, ' ') || !parse_untagged(&c, reply))
			return false;
	} else {
		reply->kind = IMAP_REPLY_TAGGED;
		reply->tag = cursor_take_while(&c, is_word);
		if (reply->tag.len == 0 || !cursor_take(&c, ' ') ||
		    !find_status(cursor_take_while(&c, is_word), &reply->status))
			return false;
		take_code(&c, reply);
	}
	reply->rest = (struct str){ c.p, cursor_left(&c) };
	return true;
}

bool
imap_code_number(struct str code, struct str name, uint32_t *value_out)
{
	struct cursor c = cursor_from(code);

	return cursor_take_nocase(&c, name) && cursor_take(&c, ' ') &&
	       cursor_take_u32(&c, value_out) && cursor_at_end(&c);
}

/* --- values ------------------------------------------------------------------------------------ */

enum value_kind { VALUE_ATOM, VALUE_STRING, VALUE_NIL, VALUE_BODY };
struct value {
	enum value_kind kind;
	struct str text; /* strings: in the arena */
};

/* quoted = DQUOTE *QUOTED-CHAR DQUOTE, the quote in front already taken */
static bool
take_quoted(struct cursor *c, struct arena *arena, struct value *out)
{
	char *text = arena_alloc(arena, cursor_left(c) + 1);
	size_t len = 0;

	out->kind = VALUE_STRING;
	while (!cursor_at_end(c)) {
		char ch = *c->p++;

		if (ch == '"') {
			text[len] = '\0';
			out->text = (struct str){ text, len };
			return true;
		}
		if (ch == '\\') {
			if (cursor_at_end(c))
				return false;
			ch = *c->p++;
		}
		text[len++] = ch;
	}
	return false;
}

/* literal = "{" number64 "}" CRLF *CHAR8, as the reader left it */
static bool
take_inline_literal(struct cursor *c, struct arena *arena, struct value *out)
{
	uint64_t size;

	if (!cursor_take_u64(c, &size) || !cursor_take(c, '}') || !cursor_take(c, '\r') ||
	    !cursor_take(c, '\n') || size > cursor_left(c))
		return false;
	out->kind = VALUE_STRING;
	out->text = (struct str){ arena_strndup(arena, c->p, (size_t)size), (size_t)size };
	c->p += size;
	return true;
}

static bool
take_value(struct cursor *c, struct arena *arena, struct value *out)
{
	*out = (struct value){ 0 };
	if (cursor_take(c, IMAP_REPLY_BODY)) {
		out->kind = VALUE_BODY;
		return true;
	}
	if (cursor_take(c, '"'))
		return take_quoted(c, arena, out);
	if (cursor_take(c, '{'))
		return take_inline_literal(c, arena, out);
	out->text = cursor_take_while(c, is_word);
	out->kind = str_eq_nocase(out->text, STR("NIL")) ? VALUE_NIL : VALUE_ATOM;
	return out->text.len > 0;
}

/* Whatever it is, with what it holds. */
static bool
skip_value(struct cursor *c, struct arena *arena, unsigned depth)
{
	struct value ignored;

	if (depth > IMAP_NESTING_MAX)
		return false;
	if (!cursor_take(c, '('))
		return take_value(c, arena, &ignored);
	for (;;) {
		skip_blanks(c);
		if (cursor_take(c, ')'))
			return true;
		if (cursor_at_end(c) || !skip_value(c, arena, depth + 1))
			return false;
	}
}

/* --- FETCH ------------------------------------------------------------------------------------- */

static const struct {
	struct str name;
	unsigned flag;
} FLAGS[] = {
	{ { "\\Answered", 9 }, MESSAGE_ANSWERED },
	{ { "\\Flagged", 8 }, MESSAGE_FLAGGED },
	{ { "\\Deleted", 8 }, MESSAGE_DELETED },
	{ { "\\Seen", 5 }, MESSAGE_SEEN },
	{ { "\\Draft", 6 }, MESSAGE_DRAFT },
};

static void
note_flag(void *arg, struct str name)
{
	struct imap_fetched *f = arg;

	for (size_t i = 0; i < ARRAY_LEN(FLAGS); i++) {
		if (str_eq_nocase(FLAGS[i].name, name)) {
			f->flags |= FLAGS[i].flag;
			return;
		}
	}
	if (name.p[0] != '\\' &&
	    f->keyword_count < IMAP_FLAGS_MAX) /* \Recent, and flags of tomorrow */
		f->keywords[f->keyword_count++] = name;
}

/* The words up to ")", behind the "(". */
static bool
take_words(struct cursor *c, void (*note)(void *arg, struct str word), void *arg)
{
	for (;;) {
		struct str word;

		skip_blanks(c);
		if (cursor_take(c, ')'))
			return true;
		word = cursor_take_while(c, is_word);
		if (word.len == 0)
			return false;
		note(arg, word);
	}
}

static bool
parse_flags(struct cursor *c, struct arena *arena, struct imap_fetched *f)
{
	if (!cursor_take(c, '('))
		return false;
	if (f->keywords == NULL)
		f->keywords = arena_alloc(arena, IMAP_FLAGS_MAX * sizeof(*f->keywords));
	f->has_flags = true;
	f->flags = 0;
	f->keyword_count = 0;
	return take_words(c, note_flag, f);
}

static bool
parse_date(struct cursor *c, struct arena *arena, struct imap_fetched *f)
{
	struct value v;
	int zone;

	if (!take_value(c, arena, &v))
		return false;
	/* A date that is none is as good as no date: the message matters more. */
	f->has_date = v.kind == VALUE_STRING && date_parse_imap(v.text, &f->date_s, &zone);
	return true;
}

static bool
parse_body(struct cursor *c, struct arena *arena, struct imap_fetched *f)
{
	struct value v;

	if (!take_value(c, arena, &v) || f->body_kind != IMAP_BODY_NONE)
		return false;
	f->body_kind = v.kind == VALUE_BODY  ? IMAP_BODY_SINK
		       : v.kind == VALUE_NIL ? IMAP_BODY_NIL
					     : IMAP_BODY_TEXT;
	f->body = v.text;
	return v.kind != VALUE_ATOM;
}

static bool
is_item(char c)
{
	return is_word(c) && c != '[';
}

/* BODY[…] with what stands in the brackets: other brackets and blanks do. */
static bool
take_section(struct cursor *c, bool *is_body_out)
{
	const char *end;

	*is_body_out = cursor_peek(c) == '[';
	if (!*is_body_out)
		return true;
	end = memchr(c->p, ']', cursor_left(c));
	if (end == NULL)
		return false;
	c->p = end + 1;
	if (cursor_peek(c) == '<') {
		end = memchr(c->p, '>', cursor_left(c));
		if (end == NULL)
			return false;
		c->p = end + 1;
	}
	return true;
}

static bool
parse_item(struct cursor *c, struct arena *arena, struct imap_fetched *f)
{
	struct str name = cursor_take_while(c, is_item);
	bool is_section;

	if (name.len == 0 || !take_section(c, &is_section))
		return false;
	skip_blanks(c);
	if (is_section && str_eq_nocase(name, STR("BODY")))
		return parse_body(c, arena, f);
	if (str_eq_nocase(name, STR("UID")))
		return cursor_take_u32(c, &f->uid) && f->uid > 0;
	if (str_eq_nocase(name, STR("FLAGS")))
		return parse_flags(c, arena, f);
	if (str_eq_nocase(name, STR("INTERNALDATE")))
		return parse_date(c, arena, f);
	if (str_eq_nocase(name, STR("RFC822.SIZE"))) {
		f->has_size = true;
		return cursor_take_u64(c, &f->size_bytes);
	}
	return skip_value(c, arena, 0);
}

bool
imap_fetched_parse(struct str rest, struct arena *arena, struct imap_fetched *f)
{
	struct cursor c = cursor_from(rest);

	*f = (struct imap_fetched){ 0 };
	if (!cursor_take(&c, '('))
		return false;
	for (;;) {
		skip_blanks(&c);
		if (cursor_take(&c, ')'))
			break;
		if (!parse_item(&c, arena, f))
			return false;
	}
	skip_blanks(&c);
	return cursor_at_end(&c);
}

/* --- LIST -------------------------------------------------------------------------------------- */

static void
note_attribute(void *arg, struct str name)
{
	struct imap_listed *l = arg;
	char text[32];
	enum special_use use;

	if (str_eq_nocase(name, STR("\\Noselect")))
		l->noselect = true;
	else if (str_eq_nocase(name, STR("\\NonExistent")))
		l->nonexistent = true;
	else if (str_eq_nocase(name, STR("\\Subscribed")))
		l->subscribed = true;
	if (name.len >= sizeof(text))
		return;
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	if (special_use_parse(text, &use))
		l->uses |= 1u << use;
}

static bool
parse_attributes(struct cursor *c, struct imap_listed *l)
{
	return cursor_take(c, '(') && take_words(c, note_attribute, l);
}

/* The hierarchy delimiter: DQUOTE QUOTED-CHAR DQUOTE, or nil. */
static bool
parse_delimiter(struct cursor *c, struct arena *arena, char *out)
{
	struct value v;

	skip_blanks(c);
	if (!take_value(c, arena, &v))
		return false;
	*out = v.kind == VALUE_STRING && v.text.len == 1 ? v.text.p[0] : '\0';
	return v.kind == VALUE_NIL || (v.kind == VALUE_STRING && v.text.len <= 1);
}

bool
imap_listed_parse(struct str rest, struct arena *arena, struct imap_listed *l)
{
	struct cursor c = cursor_from(rest);
	struct value name;

	*l = (struct imap_listed){ 0 };
	if (!parse_attributes(&c, l) || !parse_delimiter(&c, arena, &l->delimiter))
		return false;
	skip_blanks(&c);
	if (!take_value(&c, arena, &name) || name.kind == VALUE_BODY || name.text.len == 0 ||
	    memchr(name.text.p, '\0', name.text.len) != NULL)
		return false;
	l->name = arena_strndup(arena, name.text.p, name.text.len); /* what follows: RFC 5258 §6 */
	return true;
}

/* --- NAMESPACE --------------------------------------------------------------------------------- */

/* Namespace = nil / "(" 1*( "(" string SP (<"> QUOTED_CHAR <"> / nil) *(Extension) ")" ) ")" */
static bool
parse_namespaces(struct cursor *c, struct arena *arena, bool personal,
    struct imap_namespace out[static IMAP_NAMESPACES_MAX], size_t *count)
{
	skip_blanks(c);
	if (cursor_take_nocase(c, STR("NIL")))
		return true;
	if (!cursor_take(c, '('))
		return false;
	while (skip_blanks(c), !cursor_take(c, ')')) {
		struct imap_namespace n = { .personal = personal };
		struct value prefix;

		if (!cursor_take(c, '(') || !take_value(c, arena, &prefix) ||
		    prefix.kind != VALUE_STRING || !parse_delimiter(c, arena, &n.delimiter))
			return false;
		while (skip_blanks(c), !cursor_take(c, ')'))
			if (cursor_at_end(c) || !skip_value(c, arena, 0))
				return false;
		n.prefix = arena_strndup(arena, prefix.text.p, prefix.text.len);
		if (*count == IMAP_NAMESPACES_MAX)
			return false;
		out[(*count)++] = n;
	}
	return true;
}

bool
imap_namespaces_parse(struct str rest, struct arena *arena,
    struct imap_namespace out[static IMAP_NAMESPACES_MAX], size_t *count_out)
{
	struct cursor c = cursor_from(rest);

	*count_out = 0;
	return parse_namespaces(&c, arena, true, out, count_out) &&
	       parse_namespaces(&c, arena, false, out, count_out) &&
	       parse_namespaces(&c, arena, false, out, count_out);
}
