#include "store/sort_keys.h"

#include "base/mem.h"
#include "store/address.h"
#include "store/base_subject.h"
#include "store/casefold.h"
#include "store/header.h"
#include "store/mime.h"

/* The blob: flags, SORT_TEXTS times a length (2 bytes, low first) and the text, the count of Message-IDs (2 bytes), the
 * message's own if it has one, its references. */
#define FLAG_REPLY 1
#define FLAG_ID    2

/* --- Message-IDs ------------------------------------------------------------------------------- */

/* FNV-1a of 128 bits. */
__extension__ typedef unsigned __int128 hash128;
#define FNV_OFFSET ((hash128)0x6c62272e07bb0142u << 64 | 0x62b821756295c58du)
#define FNV_PRIME  ((hash128)0x0000000001000000u << 64 | 0x000000000000013bu)

static void
hash_byte(hash128 *h, char c)
{
	*h = (*h ^ (unsigned char)c) * FNV_PRIME;
}

/* A msg-id behind its "<".  Quotes are taken off and white space is passed over, so that each way of writing an id gives
 * the same; there must be one "@" outside of quotes at least.  False: it is none; the cursor is where another
 * may begin. */
static bool
hash_id(struct cursor *c, hash128 *h)
{
	bool quoted = false, at = false, any = false;

	while (c->p < c->end) {
		char ch = *c->p;

		if (ch == '<' && !quoted)
			return false;
		c->p++;
		if (ch == '"') {
			quoted = !quoted;
			continue;
		}
		if (quoted && ch == '\\' && c->p < c->end)
			ch = *c->p++;
		else if (ch == '>' && !quoted)
			return at && any;
		else if (ascii_is_space(ch))
			continue;
		at |= ch == '@' && !quoted;
		any |= ch != '@';
		hash_byte(h, ch);
	}
	return false;
}

bool
sort_keys_next_id(struct cursor *value, unsigned char id_out[SORT_ID_BYTES])
{
	while (value->p < value->end) {
		hash128 h = FNV_OFFSET;

		if (*value->p++ != '<')
			continue;
		if (!hash_id(value, &h))
			continue;
		for (size_t i = 0; i < SORT_ID_BYTES; i++)
			id_out[i] = (unsigned char)(h >> 8 * i);
		return true;
	}
	return false;
}

/* All of a field, the last SORT_REFERENCES_MAX at least; no more than twice as many are in memory. */
static size_t
add_ids(struct buf *out, struct str value, size_t max)
{
	struct cursor c = cursor_from(value);
	unsigned char id[SORT_ID_BYTES];
	size_t from = out->len, count = 0;

	while (count < max && sort_keys_next_id(&c, id)) {
		buf_add(out, id, sizeof(id));
		count++;
		if (count == (size_t)2 * SORT_REFERENCES_MAX) {
			count = SORT_REFERENCES_MAX;
			memmove(out->data + from, out->data + from + count * sizeof(id),
			    count * sizeof(id));
			out->len = from + count * sizeof(id);
		}
	}
	if (count > SORT_REFERENCES_MAX) {
		size_t extra = (count - SORT_REFERENCES_MAX) * sizeof(id);

		memmove(out->data + from, out->data + from + extra, out->len - from - extra);
		out->len -= extra;
		count = SORT_REFERENCES_MAX;
	}
	return count;
}

/* --- packing ----------------------------------------------------------------------------------- */

static void
put_u16(struct buf *out, size_t n)
{
	buf_addc(out, (char)(n & 0xff));
	buf_addc(out, (char)(n >> 8 & 0xff));
}

/* The normal form, no longer than it may be and not cut within a character. */
static void
put_text(struct buf *out, struct str text)
{
	size_t head = out->len, len;

	put_u16(out, 0);
	if (text.len > 4 * SORT_TEXT_MAX_BYTES)
		text.len = 4 * SORT_TEXT_MAX_BYTES;
	casefold_all(out, text);
	len = out->len - head - 2;
	if (len > SORT_TEXT_MAX_BYTES) {
		len = SORT_TEXT_MAX_BYTES;
		while (len > 0 && ((unsigned char)out->data[head + 2 + len] & 0xc0) == 0x80)
			len--;
		out->len = head + 2 + len;
	}
	out->data[head] = (char)(len & 0xff);
	out->data[head + 1] = (char)(len >> 8);
}

/* Bytes that are no UTF-8: they are ordered among themselves, as they are, behind all texts; RFC 5255 §4.6 (c). */
static void
put_octets(struct buf *out, struct str bytes)
{
	if (bytes.len >= SORT_TEXT_MAX_BYTES)
		bytes.len = SORT_TEXT_MAX_BYTES - 1;
	put_u16(out, bytes.len + 1);
	buf_addc(out, (char)0xff);
	buf_add(out, bytes.p, bytes.len);
}

static void
put_subject(struct buf *out, struct str value, bool *reply)
{
	bool good = text_is_utf8(value);
	struct buf text = { 0 };
	struct str base;

	if (good)
		base_subject_normal(&text, value);
	else
		header_unfold(&text, value);
	base = base_subject((struct str){ text.data, text.len }, reply);
	if (good)
		put_text(out, base);
	else
		put_octets(out, base);
	buf_free(&text);
}

/* The first address of the field as ENVELOPE has it: a group's start is one, with the group's name as its mailbox. */
static const struct address *
first_address(struct arena *arena, struct str values)
{
	const struct address *a = NULL;

	while (a == NULL && values.p != NULL && values.len > 0) {
		const char *nul = memchr(values.p, '\0', values.len);
		size_t len = nul != NULL ? (size_t)(nul - values.p) : values.len;

		a = address_parse(arena, (struct str){ values.p, len });
		len += nul != NULL;
		values.p += len;
		values.len -= len;
	}
	return a;
}

/* Display sort value, RFC 5957 §3. */
static void
put_display(struct buf *out, const struct address *a)
{
	struct buf text = { 0 };

	if (a != NULL && a->name.p != NULL && !text_is_utf8(a->name)) {
		put_octets(out, a->name);
		return;
	}
	if (a != NULL && a->name.p != NULL)
		base_subject_normal(&text, a->name);
	if (a != NULL && text.len == 0 && a->mailbox.p != NULL) {
		buf_add(&text, a->mailbox.p, a->mailbox.len);
		if (a->domain.p != NULL) {
			buf_addc(&text, '@');
			buf_add(&text, a->domain.p, a->domain.len);
		}
	}
	put_text(out, (struct str){ text.data, text.len });
	buf_free(&text);
}

static void
put_mailbox(struct buf *out, const struct address *a)
{
	struct str text = a != NULL && a->mailbox.p != NULL ? a->mailbox : STR("");

	if (text_is_utf8(text))
		put_text(out, text);
	else
		put_octets(out, text);
}

void
sort_keys_pack(struct buf *out, const struct mime_message *m)
{
	static const struct mime_fields NO_FIELDS = { 0 };
	const struct mime_fields *f = m->root->fields != NULL ? m->root->fields : &NO_FIELDS;
	const struct address *from, *to, *cc;
	struct arena arena = { 0 };
	size_t head = out->len, ids, count;
	unsigned flags = 0;
	bool reply = false;

	from = first_address(&arena, f->field[MIME_FROM]);
	to = first_address(&arena, f->field[MIME_TO]);
	cc = first_address(&arena, f->field[MIME_CC]);
	buf_addc(out, 0);
	put_subject(out, f->field[MIME_SUBJECT], &reply);
	put_mailbox(out, from);
	put_mailbox(out, to);
	put_mailbox(out, cc);
	put_display(out, from);
	put_display(out, to);
	arena_free(&arena);
	ids = out->len;
	put_u16(out, 0);
	if (add_ids(out, f->field[MIME_MESSAGE_ID], 1) == 1)
		flags |= FLAG_ID;
	count = add_ids(out, f->references, SIZE_MAX);
	if (count == 0) /* only the first of In-Reply-To, RFC 5256 §3 REFERENCES */
		count = add_ids(out, f->field[MIME_IN_REPLY_TO], 1);
	flags |= reply ? FLAG_REPLY : 0;
	out->data[head] = (char)flags;
	out->data[ids] = (char)(count & 0xff);
	out->data[ids + 1] = (char)(count >> 8);
}

/* --- unpacking --------------------------------------------------------------------------------- */

static bool
take_u16(struct cursor *c, size_t *n_out)
{
	if (cursor_left(c) < 2)
		return false;
	*n_out = (unsigned char)c->p[0] | (size_t)(unsigned char)c->p[1] << 8;
	c->p += 2;
	return true;
}

static bool
take_texts(struct cursor *c, struct sort_keys *keys)
{
	for (int i = 0; i < SORT_TEXTS; i++) {
		size_t len;

		if (!take_u16(c, &len) || cursor_left(c) < len)
			return false;
		keys->text[i] = (struct str){ c->p, len };
		c->p += len;
	}
	return true;
}

bool
sort_keys_unpack(struct str blob, struct sort_keys *keys_out)
{
	struct cursor c = cursor_from(blob);
	struct sort_keys keys = { 0 };
	unsigned flags;

	*keys_out = keys;
	if (cursor_at_end(&c))
		return false;
	flags = (unsigned char)*c.p++;
	keys.reply = (flags & FLAG_REPLY) != 0;
	if (!take_texts(&c, &keys) || !take_u16(&c, &keys.reference_count))
		return false;
	if (cursor_left(&c) !=
	    (keys.reference_count + ((flags & FLAG_ID) != 0)) * (size_t)SORT_ID_BYTES)
		return false;
	if ((flags & FLAG_ID) != 0) {
		keys.id = (const unsigned char *)c.p;
		c.p += SORT_ID_BYTES;
	}
	keys.references = (const unsigned char *)c.p;
	*keys_out = keys;
	return true;
}
