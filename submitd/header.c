#include "submitd/header.h"

#include <string.h>

#include "base/mem.h"
#include "store/compose.h"
#include "store/header.h"

void
header_begin(struct header_mender *m, const struct header_facts *facts)
{
	header_end(m);
	m->facts = *facts;
}

void
header_end(struct header_mender *m)
{
	buf_free(&m->held);
	buf_free(&m->message_id);
	*m = (struct header_mender){ 0 };
}

/* The length of a field's name if a field begins here, RFC 5322 §2.2 (blanks before the colon as in
 * the obsolete syntax), else 0. */
static size_t
field_name(struct str line)
{
	size_t n = 0, blanks;

	while (n < line.len && line.p[n] > ' ' && line.p[n] < 0x7F && line.p[n] != ':')
		n++;
	for (blanks = n; blanks < line.len && (line.p[blanks] == ' ' || line.p[blanks] == '\t');)
		blanks++;
	return blanks < line.len && line.p[blanks] == ':' ? n : 0;
}

/* The line that starts at `at`, with its line end. */
static struct str
line_at(const struct buf *b, size_t at)
{
	const char *from = b->data + at;
	const char *lf = memchr(from, '\n', b->len - at);

	return (struct str){ from, lf != NULL ? (size_t)(lf - from) + 1 : b->len - at };
}

static bool
is_blank(struct str line)
{
	return line.len > 0 && (line.p[0] == '\n' || (line.len == 2 && line.p[0] == '\r'));
}

/* Where the header ends: at the blank line, or at the first line that is neither a field nor a
 * continuation (a message without a header, or one that forgot the blank line).  SIZE_MAX if what has
 * come does not tell yet. */
static size_t
header_length(const struct buf *b, bool complete)
{
	size_t at = 0;

	while (at < b->len) {
		struct str line = line_at(b, at);

		if (line.p[line.len - 1] != '\n' && !complete)
			return SIZE_MAX;
		if (is_blank(line))
			return at;
		if (*line.p != ' ' && *line.p != '\t' && field_name(line) == 0)
			return at;
		if ((*line.p == ' ' || *line.p == '\t') && at == 0)
			return 0;
		at += line.len;
	}
	return complete ? at : SIZE_MAX;
}

struct seen {
	bool date, message_id, from, resent_sender;
};

static bool
name_is(struct str name, const char *what)
{
	return str_eq_nocase(name, str_from(what));
}

/* What is made of the header: for the relay, and as the author's copy. */
struct mended {
	struct buf fields, copy;
	struct seen seen;
};

enum fate { KEPT, DROPPED, COPY_ONLY };

static enum fate
fate_of(struct str name, const struct from_verdict *from, struct seen *seen)
{
	bool again = seen->resent_sender;

	seen->date |= name_is(name, "Date");
	seen->message_id |= name_is(name, "Message-ID");
	seen->from |= name_is(name, "From");
	seen->resent_sender |= name_is(name, "Resent-Sender");
	if (name_is(name, "Bcc") || name_is(name, "Resent-Bcc"))
		return COPY_ONLY;
	if (name_is(name, "MT-Priority")) /* RFC 6758: MAIL says it, within what clients get */
		return DROPPED;
	if ((from->drop_sender && name_is(name, "Sender")) ||
	    (from->drop_resent_sender && !again && name_is(name, "Resent-Sender")))
		return DROPPED;
	return KEPT;
}

static void
end_line(struct buf *fields)
{
	if (fields->len > 0 && fields->data[fields->len - 1] != '\n')
		buf_adds(fields, "\r\n");
}

/* Copies the header's fields but those that go, and notes which of the needed ones are there. */
static void
copy_fields(struct header_mender *m, size_t length, struct mended *out)
{
	enum fate fate = KEPT;

	for (size_t at = 0; at < length;) {
		struct str line = line_at(&m->held, at);

		if (*line.p != ' ' && *line.p != '\t')
			fate =
			    fate_of((struct str){ line.p, field_name(line) }, &m->from, &out->seen);
		if (fate == KEPT)
			buf_add(&out->fields, line.p, line.len);
		if (fate != DROPPED && m->facts.copy != NULL)
			buf_add(&out->copy, line.p, line.len);
		at += line.len;
	}
	end_line(&out->fields);
	end_line(&out->copy);
}

static void
add_received(struct buf *out, const struct header_facts *f, const char *date)
{
	buf_printf(out, "Received: from %s ([%s%s])\r\n\tby %s with %s\r\n", f->helo,
	    strchr(f->peer, ':') != NULL ? "IPv6:" : "", f->peer, f->hostname, f->with);
	if (f->tls != NULL)
		buf_printf(out, "\t(%s)\r\n", f->tls);
	buf_printf(out, "\tid %s;\r\n\t%s\r\n", f->id, date);
}

/* What comes in front of the client's own fields. */
static void
add_front(struct header_mender *m, const struct seen *seen, struct buf *out)
{
	const struct header_facts *f = &m->facts;
	struct buf date = { 0 };

	compose_date(&date, f->now);
	add_received(out, f, buf_cstr(&date));
	if (m->from.add_resent_sender)
		buf_printf(out, "Resent-Sender: %s\r\n", f->account);
	if (!seen->date)
		buf_printf(out, "Date: %s\r\n", buf_cstr(&date));
	if (!seen->message_id)
		buf_printf(out, "Message-ID: %s\r\n", buf_cstr(&m->message_id));
	if (!seen->from)
		buf_printf(out, "From: %s\r\n", f->account);
	if (m->from.add_sender)
		buf_printf(out, "Sender: %s\r\n", f->account);
	buf_free(&date);
}

static void
find_message_id(struct header_mender *m, struct str header)
{
	struct header_field field;

	if (header_find(header, "Message-ID", &field))
		header_unfold(&m->message_id, field.value);
	else
		compose_message_id(&m->message_id, m->facts.hostname);
}

/* Does the first field of that name have one of these words as its value? */
static bool
field_says(struct str header, const char *name, const char *const *words)
{
	struct header_field field;
	struct buf value = { 0 };
	bool says = false;

	if (!header_find(header, name, &field))
		return false;
	header_unfold(&value, field.value);
	while (value.len > 0 && ascii_is_space(value.data[value.len - 1]))
		value.len--;
	for (; *words != NULL; words++)
		says |= str_eq_nocase((struct str){ value.data, value.len }, str_from(*words));
	buf_free(&value);
	return says;
}

/* What the header asks of the queue. */
static void
note_wishes(struct header_mender *m, struct str header)
{
	static const char *const NO[] = { "No", NULL };
	static const char *const MANY[] = { "bulk", "junk", "list", NULL };
	struct header_field field;

	m->tls_optional = field_says(header, "TLS-Required", NO);
	m->bulk = field_says(header, "Precedence", MANY) || header_find(header, "List-Id", &field);
}

static void
give_out(struct header_mender *m, size_t length, struct buf *out)
{
	const char *held = buf_cstr(&m->held); /* also for a message without any bytes */
	struct str header = { held, length }, rest, next = STR("");
	struct mended mended = { 0 };
	struct buf front = { 0 };

	from_judge(&m->facts.from, header, &m->from);
	find_message_id(m, header);
	note_wishes(m, header);
	copy_fields(m, length, &mended);
	add_front(m, &mended.seen, &front);
	if (length < m->held.len)
		next = line_at(&m->held, length);
	if (!is_blank(next)) {
		buf_adds(&mended.fields, "\r\n");
		buf_adds(&mended.copy, "\r\n");
	}
	rest = (struct str){ held + length, m->held.len - length };
	buf_add(out, front.data, front.len);
	buf_add(out, mended.fields.data, mended.fields.len);
	buf_add(out, rest.p, rest.len);
	if (m->facts.copy != NULL) {
		buf_add(m->facts.copy, front.data, front.len);
		buf_add(m->facts.copy, mended.copy.data, mended.copy.len);
		buf_add(m->facts.copy, rest.p, rest.len);
	}
	buf_free(&front);
	buf_free(&mended.fields);
	buf_free(&mended.copy);
	buf_free(&m->held);
	m->done = true;
}

bool
header_feed(struct header_mender *m, struct str bytes, struct buf *out)
{
	size_t length;

	if (m->done) {
		buf_add(out, bytes.p, bytes.len);
		if (m->facts.copy != NULL)
			buf_add(m->facts.copy, bytes.p, bytes.len);
		return true;
	}
	buf_add(&m->held, bytes.p, bytes.len);
	length = header_length(&m->held, false);
	if (length != SIZE_MAX)
		give_out(m, length, out);
	return m->done ? length <= HEADER_MAX_BYTES : m->held.len <= HEADER_MAX_BYTES;
}

void
header_finish(struct header_mender *m, struct buf *out)
{
	if (!m->done)
		give_out(m, header_length(&m->held, true), out);
}
