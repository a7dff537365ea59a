#include "store/address.h"

struct parser {
	struct cursor c;
	struct arena *arena;
	struct address *first, **tail;
	size_t count;
	struct buf scratch, comment;
	bool has_comment; /* `comment` is the last one of this member */
	bool lost;        /* something was passed over */
};

static bool
is_atext(char ch)
{
	return (unsigned char)ch >= 0x80 || ascii_is_alnum(ch) ||
	       (ch != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", ch) != NULL);
}

static bool
is_wsp(int ch)
{
	return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

static struct str
keep(struct parser *p, const struct buf *b)
{
	return (struct str){ arena_strndup(p->arena, b->data, b->len), b->len };
}

static struct address *
add(struct parser *p)
{
	struct address *a = arena_zalloc(p->arena, sizeof(*a));

	*p->tail = a;
	p->tail = &a->next;
	p->count++;
	return a;
}

/* comment = "(" *([FWS] ccontent) [FWS] ")", RFC 5322 §3.2.2; false if it does not end. */
static bool
take_comment(struct parser *p)
{
	int depth = 1;

	buf_reset(&p->comment);
	p->has_comment = true;
	for (p->c.p++; p->c.p < p->c.end; p->c.p++) {
		char ch = *p->c.p;

		if (ch == '(') {
			depth++;
		} else if (ch == ')' && --depth == 0) {
			p->c.p++;
			return true;
		} else if (ch == '\\' && p->c.p + 1 < p->c.end) {
			ch = *++p->c.p;
		}
		if (ch != '\r' && ch != '\n')
			buf_addc(&p->comment, ch);
	}
	p->has_comment = false;
	return false;
}

/* [CFWS]; false if a comment does not end. */
static bool
skip_cfws(struct parser *p)
{
	for (;;) {
		int ch = cursor_peek(&p->c);

		if (is_wsp(ch))
			p->c.p++;
		else if (ch != '(')
			return true;
		else if (!take_comment(p))
			return false;
	}
}

/* quoted-string, §3.2.4, its content to out; false (and at the end) if it is not closed. */
static bool
take_quoted(struct parser *p, struct buf *out)
{
	for (p->c.p++; p->c.p < p->c.end; p->c.p++) {
		char ch = *p->c.p;

		if (ch == '"') {
			p->c.p++;
			return true;
		}
		if (ch == '\\' && p->c.p + 1 < p->c.end)
			ch = *++p->c.p;
		if (ch != '\r' && ch != '\n')
			buf_addc(out, ch);
	}
	return false;
}

static bool
take_atom(struct parser *p, struct buf *out)
{
	struct str atom = cursor_take_while(&p->c, is_atext);

	buf_add(out, atom.p, atom.len);
	return atom.len > 0;
}

/* phrase = 1*word / obs-phrase, §3.2.5 and §4.1: words with one blank between, dots as they stand. */
static bool
take_phrase(struct parser *p, struct buf *out)
{
	bool any = false, blank = false, after_dot = false;

	for (;;) {
		int ch = cursor_peek(&p->c);
		const char *before;

		if (ch == '.') {
			buf_addc(out, '.');
			p->c.p++;
			after_dot = true;
		} else if (ch == '"' || (ch >= 0 && is_atext((char)ch))) {
			if (any && (blank || !after_dot))
				buf_addc(out, ' ');
			if (ch == '"' ? !take_quoted(p, out) : !take_atom(p, out))
				return false;
			after_dot = false;
		} else {
			return any;
		}
		any = true;
		before = p->c.p;
		if (!skip_cfws(p))
			return false;
		blank = p->c.p > before;
	}
}

/* local-part = dot-atom / quoted-string / obs-local-part, §3.4.1 and §4.4, with any dots. */
static bool
take_local(struct parser *p, struct buf *out)
{
	bool any = false, word = false; /* the last was a word, so only a dot may follow */

	for (;;) {
		int ch = cursor_peek(&p->c);
		struct cursor back;

		if (ch == '.') {
			buf_addc(out, '.');
			p->c.p++;
		} else if (word || ch < 0) {
			return any;
		} else if (ch == '"' ? !take_quoted(p, out) : !take_atom(p, out)) {
			return any;
		}
		word = ch != '.';
		any = true;
		back = p->c;
		if (!skip_cfws(p))
			return any;
		ch = cursor_peek(&p->c);
		if (p->c.p > back.p && ch != '.' && (back.p[-1] != '.' || ch == '@')) {
			return any; /* a blank that no dot excuses ends it */
		}
	}
}

/* domain-literal = "[" *([FWS] dtext) [FWS] "]", kept as it stands. */
static bool
take_literal(struct parser *p, struct buf *out)
{
	while (p->c.p < p->c.end) {
		char ch = *p->c.p++;

		buf_addc(out, ch);
		if (ch == '\\' && p->c.p < p->c.end)
			buf_addc(out, *p->c.p++);
		else if (ch == ']')
			return true;
	}
	return false;
}

/* domain = dot-atom / domain-literal / obs-domain; blanks may stand around the dots. */
static bool
take_domain(struct parser *p, struct buf *out)
{
	if (!skip_cfws(p))
		return false;
	if (cursor_peek(&p->c) == '[')
		return take_literal(p, out) && skip_cfws(p);
	for (;;) {
		if (!take_atom(p, out) || !skip_cfws(p))
			return false;
		if (cursor_peek(&p->c) != '.')
			return true;
		buf_addc(out, '.');
		p->c.p++;
		if (!skip_cfws(p))
			return false;
	}
}

static void
set_mailbox(struct parser *p, struct address *a, bool there)
{
	a->mailbox = there ? keep(p, &p->scratch) : STR("MISSING_MAILBOX");
	a->broken = a->broken || !there;
}

/* "@" domain; false if there is an "@" without one. */
static bool
set_domain(struct parser *p, struct address *a)
{
	bool at = cursor_take(&p->c, '@'), good;

	buf_reset(&p->scratch);
	good = at && take_domain(p, &p->scratch);
	a->domain = good ? keep(p, &p->scratch) : STR("MISSING_DOMAIN");
	a->broken = a->broken || !good;
	return good || !at;
}

/* obs-route = obs-domain-list ":", §4.4; empty places of the list are left out. */
static void
take_route(struct parser *p, struct address *a)
{
	bool good = true;

	buf_reset(&p->scratch);
	while (good && cursor_take(&p->c, '@')) {
		buf_adds(&p->scratch, p->scratch.len > 0 ? ",@" : "@");
		good = take_domain(p, &p->scratch);
		while (good && cursor_take(&p->c, ','))
			good = skip_cfws(p);
	}
	good = cursor_take(&p->c, ':') && good;
	a->route = good ? keep(p, &p->scratch) : STR("INVALID_ROUTE");
	skip_cfws(p);
}

/* angle-addr = "<" [obs-route] addr-spec ">". */
static void
take_angle(struct parser *p, struct str name)
{
	struct address *a = add(p);

	a->name = name;
	p->c.p++;
	skip_cfws(p);
	if (cursor_peek(&p->c) == '@')
		take_route(p, a);
	buf_reset(&p->scratch);
	set_mailbox(p, a, take_local(p, &p->scratch));
	skip_cfws(p);
	if (!set_domain(p, a) || !cursor_take(&p->c, '>')) {
		a->domain = STR("SYNTAX_ERROR");
		a->broken = true;
	}
	skip_cfws(p);
}

/* addr-spec without angles; the comment behind it is the name.  What is no address but words
 * (`Joe Average`, `"Joe"`) is a name without an address. */
static void
take_spec(struct parser *p, struct str phrase, const char *phrase_end)
{
	struct address *a = add(p);
	bool quoted = cursor_peek(&p->c) == '"', there;

	p->has_comment = false;
	buf_reset(&p->scratch);
	there = take_local(p, &p->scratch);
	if (cursor_peek(&p->c) != '@' && phrase.p != NULL &&
	    (quoted || !str_eq(phrase, (struct str){ p->scratch.data, p->scratch.len }))) {
		p->c.p = phrase_end;
		a->name = phrase;
		set_mailbox(p, a, false);
		a->domain = STR("MISSING_DOMAIN");
		return;
	}
	set_mailbox(p, a, there);
	set_domain(p, a);
	if (p->has_comment && p->comment.len > 0)
		a->name = keep(p, &p->comment);
}

static void take_member(struct parser *p, bool in_group);

/* group = display-name ":" [group-list] ";" [CFWS]. */
static void
take_group(struct parser *p, struct str name)
{
	bool first = true;

	add(p)->mailbox = name;
	p->c.p++;
	skip_cfws(p);
	while (!cursor_at_end(&p->c) && !(first && cursor_peek(&p->c) == ';') &&
	       p->count < ADDRESS_LIST_MAX) {
		first = false;
		take_member(p, true);
		if (!cursor_take(&p->c, ','))
			break;
		skip_cfws(p);
	}
	add(p);
	if (cursor_take(&p->c, ';')) {
		skip_cfws(p);
		return;
	}
	p->lost = true;
	p->c.p = p->c.end;
}

static void
take_member(struct parser *p, bool in_group)
{
	struct cursor start = p->c;
	struct str name = { NULL, 0 };
	bool words;
	int next;

	buf_reset(&p->scratch);
	words = take_phrase(p, &p->scratch);
	next = words || p->c.p == start.p ? cursor_peek(&p->c) : -1;
	if (words)
		name = keep(p, &p->scratch);
	if (next == ':' && !in_group) {
		take_group(p, words ? name : STR(""));
	} else if (next == '<') {
		if (name.len == 0)
			name.p = NULL;
		take_angle(p, name);
	} else {
		const char *phrase_end = p->c.p;

		p->c = start;
		take_spec(p, name, phrase_end);
	}
}

struct address *
address_parse_whole(struct arena *arena, struct str value, bool *whole_out)
{
	struct parser p = { .c = cursor_from(value), .arena = arena };

	p.tail = &p.first;
	skip_cfws(&p);
	while (!cursor_at_end(&p.c) && p.count < ADDRESS_LIST_MAX) {
		take_member(&p, false);
		if (!cursor_take(&p.c, ','))
			break;
		skip_cfws(&p);
	}
	*whole_out = !p.lost && cursor_at_end(&p.c);
	buf_free(&p.scratch);
	buf_free(&p.comment);
	return p.first;
}

struct address *
address_parse(struct arena *arena, struct str value)
{
	bool whole;

	return address_parse_whole(arena, value, &whole);
}

static bool
is_dot_atom(struct str s)
{
	bool atom = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '.' ? !atom : !is_atext(s.p[i]))
			return false;
		atom = s.p[i] != '.';
	}
	return atom;
}

void
address_spec(struct buf *out, const struct address *a)
{
	if (is_dot_atom(a->mailbox)) {
		buf_add(out, a->mailbox.p, a->mailbox.len);
	} else {
		buf_addc(out, '"');
		for (size_t i = 0; i < a->mailbox.len; i++) {
			char ch = a->mailbox.p[i];

			if (ch == '"' || ch == '\\')
				buf_addc(out, '\\');
			buf_addc(out, ch);
		}
		buf_addc(out, '"');
	}
	buf_addc(out, '@');
	buf_add(out, a->domain.p, a->domain.len);
}

bool
address_first(struct str value, struct buf *out)
{
	struct arena arena = { 0 };
	const struct address *a = address_parse(&arena, value);

	while (a != NULL && (a->domain.p == NULL || a->broken))
		a = a->next;
	if (a != NULL)
		address_spec(out, a);
	arena_free(&arena);
	return a != NULL;
}

/* Mailbox of RFC 5321 §4.1.2 with the lengths of §4.5.3.1, and UTF-8 as RFC 6531 §3.3 allows. */
bool
address_is_valid(struct str addr)
{
	struct arena arena = { 0 };
	const struct address *a;
	struct buf again = { 0 };
	bool good;

	if (addr.len == 0 || addr.len > 254 || !text_is_utf8(addr))
		return false;
	for (size_t i = 0; i < addr.len; i++)
		if ((unsigned char)addr.p[i] < ' ' || addr.p[i] == 0x7f)
			return false;
	a = address_parse(&arena, addr);
	good = a != NULL && a->next == NULL && !a->broken && a->domain.p != NULL &&
	       a->name.p == NULL && a->mailbox.len <= 64 &&
	       (is_dot_atom(a->domain) || a->domain.p[0] == '[');
	if (good)
		address_spec(&again, a);
	/* the same again: nothing was read over (angles, blanks, comments, trailing text) */
	good =
	    good && (again.len == addr.len ? memcmp(again.data, addr.p, addr.len) == 0
					   : addr.p[0] == '"' && addr.p[addr.len - 1] != ' ' &&
						 again.len < addr.len && is_dot_atom(a->mailbox));
	buf_free(&again);
	arena_free(&arena);
	return good;
}
