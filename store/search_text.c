/* Each field and each text part is one text: decoded, normalised and appended to a window in
 * which the needles are looked for; of the window only as much is kept as a needle could have begun in. */
#include "store/search_text.h"

#include <errno.h>
#include <stdlib.h>

#include "store/address.h"
#include "store/casefold.h"
#include "store/header.h"
#include "store/html_text.h"
#include "store/mime_read.h"
#include "store/search_fuzzy.h"

/* The fields that search_fields_pack() keeps; their numbers there. */
static const char *const KEPT[] = { "Subject", "From", "To", "Cc", "Bcc", "Reply-To", "Sender",
	"Message-ID", "In-Reply-To", "References", "List-Id" };

struct needle {
	enum search_where where; /* SEARCH_HEADER for SEARCH_ADDRESSES too */
	struct str header;
	int kept; /* its number in KEPT, -1: none */
	bool addresses;
	struct buf text;     /* normalised */
	struct fuzzy *fuzzy; /* or NULL; then `text` is not looked at */
	bool impossible;     /* longer than we look for */
	bool found;          /* in this message; a fuzzy one only at its end */
};

struct search_text {
	struct arena arena;
	struct needle *needles;
	size_t count;
	size_t open;            /* needles not yet found in this message */
	size_t longest;         /* needle of BODY and TEXT */
	size_t body_open;       /* of these, not yet found */
	bool fuzzy_body;        /* one of them is fuzzy */
	bool headers;           /* any SEARCH_HEADER */
	struct buf raw, window; /* reused */
	struct buf plain;       /* for fuzzy ones: the text of a part, decoded */
	char *chunk;
};

static int
kept_number(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(KEPT); i++)
		if (str_eq_nocase(name, str_from(KEPT[i])))
			return (int)i;
	return -1;
}

bool
search_fields_keep(struct str name)
{
	return kept_number(name) >= 0;
}

struct search_text *
search_text_new(const struct search_key *keys, size_t count)
{
	struct search_text *st = mem_zalloc(sizeof(*st));

	st->needles = mem_zalloc(count * sizeof(*st->needles));
	st->count = count;
	st->chunk = mem_alloc(MIME_READ_BUFFER_BYTES);
	for (size_t i = 0; i < count; i++) {
		struct needle *n = &st->needles[i];

		n->addresses = keys[i].where == SEARCH_ADDRESSES;
		n->where = n->addresses ? SEARCH_HEADER : keys[i].where;
		n->header =
		    (struct str){ arena_strndup(&st->arena, keys[i].header.p, keys[i].header.len),
			    keys[i].header.len };
		n->fuzzy = keys[i].fuzzy ? fuzzy_new(keys[i].text) : NULL;
		st->fuzzy_body |= n->fuzzy != NULL && n->where != SEARCH_HEADER;
		n->kept = n->where == SEARCH_HEADER ? kept_number(n->header) : -1;
		casefold_all(&n->text, keys[i].text);
		n->impossible = n->fuzzy == NULL && n->text.len > SEARCH_NEEDLE_MAX_BYTES;
		if (n->where != SEARCH_HEADER && n->text.len > st->longest && !n->impossible &&
		    n->fuzzy == NULL)
			st->longest = n->text.len;
		st->headers = st->headers || n->where == SEARCH_HEADER;
	}
	return st;
}

void
search_text_free(struct search_text *st)
{
	if (st == NULL)
		return;
	for (size_t i = 0; i < st->count; i++) {
		buf_free(&st->needles[i].text);
		fuzzy_free(st->needles[i].fuzzy);
	}
	free(st->needles);
	free(st->chunk);
	buf_free(&st->raw);
	buf_free(&st->window);
	buf_free(&st->plain);
	arena_free(&st->arena);
	free(st);
}

static void
found(struct search_text *st, struct needle *n)
{
	n->found = true;
	st->open--;
	if (n->where != SEARCH_HEADER)
		st->body_open--;
}

static bool
holds(struct str text, const struct needle *n)
{
	if (n->text.len == 0)
		return true;
	return text.len >= n->text.len &&
	       memmem(text.p, text.len, n->text.data, n->text.len) != NULL;
}

/* Looks for the needles of BODY and TEXT in the window; BODY matches no header field, RFC 9051 §6.4.4. */
static void
look(struct search_text *st, bool in_header)
{
	for (size_t i = 0; i < st->count && st->body_open > 0; i++) {
		struct needle *n = &st->needles[i];

		if (n->found || n->impossible || n->fuzzy != NULL || n->where == SEARCH_HEADER ||
		    (in_header && n->where == SEARCH_BODY))
			continue;
		if (holds((struct str){ st->window.data, st->window.len }, n))
			found(st, n);
	}
}

static bool
is_address_field(struct str name)
{
	static const char *const FIELDS[] = { "From", "To", "Cc", "Bcc", "Reply-To", "Sender" };

	for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++)
		if (str_eq_nocase(name, str_from(FIELDS[i])))
			return true;
	return false;
}

/* May ENVELOPE show it otherwise than it stands there?  Comments, quoted pairs, blanks around "@", and
 * quoted strings that are not a whole name; `"Ann Example" <…>` is nearly the same both ways. */
static bool
reads_otherwise(struct str value)
{
	bool quoted = false, closed = false, blank = false;
	char last = ','; /* that is no blank */

	for (size_t i = 0; i < value.len; i++) {
		char ch = value.p[i];

		if (ascii_is_space(ch)) {
			blank = true;
			continue;
		}
		if (ch == '\\' || (ch == '(' && !quoted) || (blank && (ch == '@' || last == '@')) ||
		    (closed && strchr("<,@;", ch) == NULL) ||
		    (ch == '"' && !quoted && strchr(",:;<", last) == NULL))
			return true;
		closed = quoted && ch == '"';
		quoted = quoted != (ch == '"');
		blank = false;
		last = ch;
	}
	return false;
}

/* Appends the addresses as ENVELOPE has them, which is what FROM and its like are about (RFC 9051 §6.4.4).  False: not all
 * of it can be read. */
static bool
add_addresses(struct buf *out, struct str value)
{
	struct arena arena = { 0 };
	bool good = true, angle;

	for (const struct address *a = address_parse(&arena, value); a != NULL; a = a->next) {
		good = good && !a->broken;
		if (a->broken || a->mailbox.len == 0)
			continue;
		buf_addc(out, '\n');
		if (a->domain.p == NULL) { /* a group's name */
			header_decode(out, a->mailbox);
			continue;
		}
		header_decode(out, a->name);
		angle = a->name.len > 0 || a->route.len > 0;
		buf_adds(out, a->name.len > 0 ? " <" : angle ? "<" : "");
		buf_add(out, a->route.p, a->route.len);
		buf_adds(out, a->route.len > 0 ? ":" : "");
		address_spec(out, a);
		buf_adds(out, angle ? ">" : "");
	}
	arena_free(&arena);
	return good;
}

/* Shows a text in normal form to the fuzzy needles of TEXT and, outside of headers, BODY. */
static void
look_fuzzily(struct search_text *st, struct str folded, enum fuzzy_place place)
{
	struct buf text = { 0 };

	fuzzy_fold(&text, folded);
	for (size_t i = 0; i < st->count; i++) {
		struct needle *n = &st->needles[i];

		if (n->fuzzy != NULL && n->where != SEARCH_HEADER &&
		    (n->where == SEARCH_TEXT || place == FUZZY_IN_BODY))
			fuzzy_look(n->fuzzy, (struct str){ text.data, text.len }, place);
	}
	buf_free(&text);
}

static enum fuzzy_place
place_of(struct str field)
{
	return str_eq_nocase(field, STR("Subject")) ? FUZZY_IN_SUBJECT : FUZZY_IN_HEADER;
}

/* The field's value; its name is no word of the message. */
static void
look_fuzzily_in_field(struct search_text *st, const struct header_field *h, bool top)
{
	struct buf value = { 0 }, folded = { 0 };

	header_decode(&value, h->value);
	casefold_all(&folded, (struct str){ value.data, value.len });
	look_fuzzily(
	    st, (struct str){ folded.data, folded.len }, top ? place_of(h->name) : FUZZY_IN_HEADER);
	buf_free(&value);
	buf_free(&folded);
}

/* A field's value for one fuzzy needle that names it. */
static void
look_in_value(const struct needle *n, struct str folded)
{
	struct buf text = { 0 };

	fuzzy_fold(&text, folded);
	fuzzy_look(n->fuzzy, (struct str){ text.data, text.len }, place_of(n->header));
	buf_free(&text);
}

/* Does FROM or one of its like compare this with something else than HEADER? */
static bool
differs(const struct header_field *h)
{
	return is_address_field(h->name) && reads_otherwise(h->value);
}

/* A field's value in its two forms, normalised. */
struct value {
	struct buf text;      /* as HEADER compares it */
	struct buf addresses; /* as ENVELOPE has it, for FROM and its like, if `differs` */
	bool differs;
	bool both; /* these look at the text as well */
};

static void
value_read(struct value *v, const struct header_field *h)
{
	struct buf plain = { 0 };

	buf_reset(&v->text);
	buf_reset(&v->addresses);
	header_decode(&plain, h->value);
	casefold_all(&v->text, buf_str(&plain));
	v->differs = differs(h);
	v->both = true;
	if (v->differs) {
		buf_reset(&plain);
		v->both = !add_addresses(&plain, h->value);
		casefold_all(&v->addresses, buf_str(&plain));
	}
	buf_free(&plain);
}

static void
value_free(struct value *v)
{
	buf_free(&v->text);
	buf_free(&v->addresses);
}

static void
look_in_form(struct search_text *st, struct needle *n, struct str folded)
{
	if (n->fuzzy != NULL)
		look_in_value(n, folded);
	else if (!n->found && holds(folded, n))
		found(st, n);
}

/* One field for the needles that name it. */
static void
look_in_field(struct search_text *st, const struct header_field *h)
{
	struct value value = { 0 };
	bool decoded = false;

	for (size_t i = 0; i < st->count; i++) {
		struct needle *n = &st->needles[i];

		if (n->found || n->impossible || n->where != SEARCH_HEADER ||
		    !str_eq_nocase(n->header, h->name))
			continue;
		if (!decoded)
			value_read(&value, h);
		decoded = true;
		if (!n->addresses || value.both)
			look_in_form(st, n, buf_str(&value.text));
		if (n->addresses && value.differs)
			look_in_form(st, n, buf_str(&value.addresses));
	}
	value_free(&value);
}

/* A field as TEXT sees it: `Name: decoded value`, or a line without a colon with what is folded behind it. */
static void
add_line(struct buf *out, const struct header_field *h)
{
	if (!header_has_colon(h)) {
		header_decode(out, h->raw);
		return;
	}
	buf_add(out, h->name.p, h->name.len);
	buf_adds(out, ": ");
	header_decode(out, h->value);
}

/* A header as text, field by field. */
static bool
search_header(struct search_text *st, int fd, const struct mime_part *part, bool top)
{
	struct buf value = { 0 };
	struct header_field h;
	struct cursor c;
	bool text = st->body_open > 0;

	buf_reset(&st->raw);
	if (!mime_header_read(&st->raw, fd, part))
		return false;
	if (st->raw.len == 0)
		return true;
	c = cursor_from((struct str){ st->raw.data, st->raw.len });
	while (st->open > 0 && header_next(&c, &h)) {
		if (top && st->headers && header_has_colon(&h))
			look_in_field(st, &h);
		if (!text)
			continue;
		buf_reset(&value);
		add_line(&value, &h);
		buf_reset(&st->window);
		casefold_all(&st->window, (struct str){ value.data, value.len });
		look(st, true);
		if (st->fuzzy_body)
			look_fuzzily_in_field(st, &h, top);
	}
	buf_free(&value);
	return true;
}

/* Text parts, and what is text within message/… (delivery reports, external bodies). */
static bool
is_text(const struct mime_part *part)
{
	return (part->flags & MIME_PART_TEXT) != 0 ||
	       ((part->flags & (MIME_PART_MESSAGE | MIME_PART_MULTIPART)) == 0 &&
		   str_eq_nocase(part->type, STR("message")));
}

/* The text of such a part in UTF-8. */
static struct mime_decoder *
open_text(int fd, const struct mime_part *part)
{
	struct mime_part plain = *part;

	if (plain.cte == MIME_CTE_UNKNOWN)
		plain.cte = MIME_CTE_IDENTITY;
	if ((plain.flags & MIME_PART_TEXT) == 0)
		plain.charset = STR("");
	plain.flags |= MIME_PART_TEXT;
	return mime_decoder_open(fd, &plain, MIME_DECODE_UTF8);
}

static bool
is_html(const struct mime_part *part)
{
	return (part->flags & MIME_PART_TEXT) != 0 && str_eq_nocase(part->subtype, STR("html"));
}

/* Appends a part's text in normal form as readers see it. */
static void
fold_as_read(struct buf *out, const struct mime_part *part, struct str text)
{
	struct buf page = { 0 };

	if (is_html(part)) {
		html_text(&page, text);
		text = (struct str){ page.data, page.len };
	}
	casefold_all(out, text);
	buf_free(&page);
}

static bool
search_body(struct search_text *st, int fd, const struct mime_part *part)
{
	struct mime_decoder *d = open_text(fd, part);
	struct casefold cf = { 0 };
	ssize_t n;

	buf_reset(&st->window);
	buf_reset(&st->plain);
	do {
		n = mime_decoder_read(d, st->chunk, MIME_READ_BUFFER_BYTES);
		if (n > 0 && st->fuzzy_body && st->plain.len < SEARCH_FUZZY_PART_MAX_BYTES)
			buf_add(&st->plain, st->chunk, (size_t)n);
		if (n > 0)
			casefold_feed(&cf, &st->window, st->chunk, (size_t)n);
		else if (n == 0)
			casefold_finish(&cf, &st->window);
		look(st, false);
		if (st->window.len >= st->longest && st->longest > 0)
			buf_consume(&st->window, st->window.len - (st->longest - 1));
	} while (n > 0 && st->body_open > 0);
	mime_decoder_close(d);
	if (st->fuzzy_body && n >= 0) {
		buf_reset(&st->window);
		fold_as_read(&st->window, part, (struct str){ st->plain.data, st->plain.len });
		look_fuzzily(st, (struct str){ st->window.data, st->window.len }, FUZZY_IN_BODY);
	}
	return n >= 0;
}

static bool
search_parts(struct search_text *st, int fd, const struct mime_part *part, bool top)
{
	if (st->open == 0)
		return true;
	if ((!top || st->headers || st->body_open > 0) && !search_header(st, fd, part, top))
		return false;
	if (st->body_open == 0)
		return true;
	if (is_text(part) && !search_body(st, fd, part))
		return false;
	for (part = part->first_child; part != NULL; part = part->next)
		if (!search_parts(st, fd, part, false))
			return false;
	return true;
}

bool
search_text_run(struct search_text *st, int fd, const struct mime_message *m, bool *matched_out)
{
	bool good;

	st->open = st->body_open = 0;
	for (size_t i = 0; i < st->count; i++) {
		struct needle *n = &st->needles[i];

		n->found = n->where != SEARCH_HEADER && n->text.len == 0;
		if (n->fuzzy != NULL)
			fuzzy_begin(n->fuzzy);
		if (n->found || n->impossible)
			continue;
		st->open++;
		st->body_open += n->where != SEARCH_HEADER;
	}
	good = search_parts(st, fd, m->root, true);
	for (size_t i = 0; i < st->count; i++) {
		struct needle *n = &st->needles[i];

		if (n->fuzzy != NULL)
			n->found = fuzzy_score(n->fuzzy) > 0;
		matched_out[i] = n->found;
	}
	return good;
}

unsigned
search_text_score(const struct search_text *st, size_t key)
{
	return st->needles[key].fuzzy != NULL ? fuzzy_score(st->needles[key].fuzzy) : 0;
}

/* --- texts for an index ------------------------------------------------------------------------ */

void
search_texts_free(struct search_texts *texts)
{
	buf_free(&texts->head);
	buf_free(&texts->body);
}

/* Appends what fuzzy keys see of a text in normal form, where that is something else. */
static void
add_fuzzy_form(struct buf *out, struct str folded, bool always)
{
	struct buf text = { 0 };

	if (fuzzy_fold(&text, folded) || always) {
		buf_add(out, text.data, text.len);
		buf_addc(out, '\n');
	}
	buf_free(&text);
}

static bool
collect_header(struct buf *out, int fd, const struct mime_part *part)
{
	struct buf raw = { 0 }, plain = { 0 }, folded = { 0 };
	bool ok = mime_header_read(&raw, fd, part);
	struct cursor c = cursor_from((struct str){ raw.data, raw.len });
	struct header_field h;

	while (ok && raw.len > 0 && header_next(&c, &h)) {
		buf_reset(&plain);
		add_line(&plain, &h);
		if (differs(&h))
			(void)add_addresses(&plain, h.value);
		buf_reset(&folded);
		casefold_all(&folded, buf_str(&plain));
		buf_add(out, folded.data, folded.len);
		buf_addc(out, '\n');
		add_fuzzy_form(out, (struct str){ folded.data, folded.len }, false);
	}
	buf_free(&raw);
	buf_free(&plain);
	buf_free(&folded);
	return ok;
}

static bool
collect_body(struct buf *out, size_t max_bytes, int fd, const struct mime_part *part)
{
	struct mime_decoder *d = open_text(fd, part);
	struct buf text = { 0 }, folded = { 0 };
	ssize_t n;

	do {
		buf_reserve(&text, MIME_READ_BUFFER_BYTES);
		n = mime_decoder_read(d, text.data + text.len, MIME_READ_BUFFER_BYTES);
		if (n > 0)
			text.len += (size_t)n;
	} while (n > 0 && text.len <= max_bytes);
	mime_decoder_close(d);
	casefold_all(&folded, (struct str){ text.data, text.len });
	buf_add(out, folded.data, folded.len);
	buf_addc(out, '\n');
	if (is_html(part)) {
		buf_reset(&folded);
		fold_as_read(&folded, part, (struct str){ text.data, text.len });
	}
	add_fuzzy_form(out, (struct str){ folded.data, folded.len }, is_html(part));
	buf_free(&text);
	buf_free(&folded);
	return n >= 0;
}

static bool
collect_part(struct search_texts *texts, size_t max_bytes, int fd, const struct mime_part *part)
{
	if (!collect_header(&texts->head, fd, part) ||
	    (is_text(part) && !collect_body(&texts->body, max_bytes, fd, part)))
		return false;
	if (texts->head.len + texts->body.len > max_bytes) {
		errno = EFBIG;
		return false;
	}
	for (part = part->first_child; part != NULL; part = part->next)
		if (!collect_part(texts, max_bytes, fd, part))
			return false;
	return true;
}

bool
search_texts_collect(
    struct search_texts *texts, size_t max_bytes, int fd, const struct mime_message *m)
{
	buf_reset(&texts->head);
	buf_reset(&texts->body);
	return collect_part(texts, max_bytes, fd, m->root);
}

/* --- header fields kept by an index --- */

#define MARKS_BYTES 2
#define ENTRY_BYTES 4 /* before the value */
#define NUMBER_MASK 0xff
#define AS_ENVELOPE 0x100 /* added to the number: for FROM and its like alone */
#define AS_TEXT     0x200 /* added to the number: not for these */

_Static_assert(ARRAY_LEN(KEPT) <= 8 * MARKS_BYTES, "a bit for each field");
_Static_assert(SEARCH_FIELDS_MAX_BYTES <= UINT16_MAX, "lengths of two bytes");

static void
put16(struct buf *out, size_t n)
{
	buf_addc(out, (char)(n & 0xff));
	buf_addc(out, (char)(n >> 8 & 0xff));
}

static size_t
get16(const char *p)
{
	return (size_t)(unsigned char)p[0] | (size_t)(unsigned char)p[1] << 8;
}

static void
put_entry(struct buf *out, int number, const struct buf *value)
{
	put16(out, (size_t)number);
	put16(out, value->len);
	buf_add(out, value->data, value->len);
}

void
search_fields_pack(struct buf *out, struct str header)
{
	struct buf entries = { 0 };
	struct value value = { 0 };
	struct header_field h;
	struct cursor c = cursor_from(header);
	size_t marks = 0, size;

	while (header.len > 0 && header_next(&c, &h)) {
		int number = kept_number(h.name);

		if (number < 0 || !header_has_colon(&h))
			continue;
		value_read(&value, &h);
		size = 2 * ENTRY_BYTES + value.text.len + value.addresses.len;
		if (MARKS_BYTES + entries.len + size > SEARCH_FIELDS_MAX_BYTES) {
			marks |= (size_t)1 << number;
			continue;
		}
		put_entry(&entries, number | (value.both ? 0 : AS_TEXT), &value.text);
		if (value.differs)
			put_entry(&entries, number | AS_ENVELOPE, &value.addresses);
	}
	put16(out, marks);
	buf_add(out, entries.data, entries.len);
	value_free(&value);
	buf_free(&entries);
}

static bool
next_kept(struct cursor *c, int *number_out, struct str *value_out)
{
	size_t number, len;

	if (cursor_left(c) < ENTRY_BYTES)
		return false;
	number = get16(c->p);
	len = get16(c->p + 2);
	if ((number & NUMBER_MASK) >= ARRAY_LEN(KEPT) ||
	    (number & ~(size_t)NUMBER_MASK & ~(size_t)(AS_TEXT | AS_ENVELOPE)) != 0 ||
	    len > cursor_left(c) - ENTRY_BYTES)
		return false;
	*number_out = (int)number;
	*value_out = (struct str){ c->p + ENTRY_BYTES, len };
	c->p += ENTRY_BYTES + len;
	return true;
}

static bool
are_whole(struct str fields)
{
	struct cursor c = cursor_from(fields);
	struct str value;
	int number;

	if (fields.len < MARKS_BYTES || get16(fields.p) >> ARRAY_LEN(KEPT) != 0)
		return false;
	c.p += MARKS_BYTES;
	while (next_kept(&c, &number, &value))
		continue;
	return cursor_at_end(&c);
}

/* Is an entry with this number one that the needle looks at? */
static bool
is_about(const struct needle *n, int number)
{
	return (number & NUMBER_MASK) == n->kept &&
	       (number & (n->addresses ? AS_TEXT : AS_ENVELOPE)) == 0;
}

/* What might match is for the message, which gives the score. */
static enum search_truth
fuzzy_truth(const struct needle *n, struct str fields, struct cursor c)
{
	struct str value;
	int number;

	fuzzy_begin(n->fuzzy);
	while (next_kept(&c, &number, &value))
		if (is_about(n, number))
			look_in_value(n, value);
	return fuzzy_score(n->fuzzy) > 0 || (get16(fields.p) >> n->kept & 1) != 0 ? SEARCH_UNKNOWN
										  : SEARCH_NO;
}

static enum search_truth
needle_truth(const struct needle *n, struct str fields)
{
	struct cursor c = cursor_from(fields);
	struct str value;
	int number;

	if (n->impossible)
		return SEARCH_NO;
	if (n->kept < 0 || fields.len == 0)
		return SEARCH_UNKNOWN;
	c.p += MARKS_BYTES;
	if (n->fuzzy != NULL)
		return fuzzy_truth(n, fields, c);
	while (next_kept(&c, &number, &value))
		if (is_about(n, number) && holds(value, n))
			return SEARCH_YES;
	return (get16(fields.p) >> n->kept & 1) != 0 ? SEARCH_UNKNOWN : SEARCH_NO;
}

bool
search_fields_help(const struct search_text *st)
{
	for (size_t i = 0; i < st->count; i++)
		if (st->needles[i].kept >= 0)
			return true;
	return false;
}

void
search_fields_match(const struct search_text *st, struct str fields, enum search_truth *truths_out)
{
	if (!are_whole(fields))
		fields = STR("");
	for (size_t i = 0; i < st->count; i++)
		truths_out[i] = needle_truth(&st->needles[i], fields);
}

/* --- candidates --- */

bool
search_narrow(
    const struct search_candidates *source, const struct search_key *key, struct uidset *uids)
{
	return source != NULL && source->narrow(source->arg, key, uids);
}
