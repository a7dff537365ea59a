#include "submitd/header.h"

#include <string.h>

#include "base/mem.h"
#include "store/compose.h"

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
	bool date, message_id, from;
};

static bool
name_is(struct str name, const char *what)
{
	return str_eq_nocase(name, str_from(what));
}

/* Copies the header's fields but Bcc and notes which of the needed ones are there. */
static void
copy_fields(const struct buf *held, size_t length, struct buf *fields, struct seen *seen)
{
	bool dropping = false;

	for (size_t at = 0; at < length;) {
		struct str line = line_at(held, at);

		if (*line.p != ' ' && *line.p != '\t') {
			struct str name = { line.p, field_name(line) };

			dropping = name_is(name, "Bcc") || name_is(name, "Resent-Bcc");
			seen->date |= name_is(name, "Date");
			seen->message_id |= name_is(name, "Message-ID");
			seen->from |= name_is(name, "From");
		}
		if (!dropping)
			buf_add(fields, line.p, line.len);
		at += line.len;
	}
	if (fields->len > 0 && fields->data[fields->len - 1] != '\n')
		buf_adds(fields, "\r\n");
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

static void
give_out(struct header_mender *m, size_t length, struct buf *out)
{
	const struct header_facts *f = &m->facts;
	struct buf fields = { 0 }, date = { 0 };
	struct seen seen = { 0 };
	struct str next;

	compose_date(&date, f->now);
	copy_fields(&m->held, length, &fields, &seen);
	add_received(out, f, buf_cstr(&date));
	if (!seen.date)
		buf_printf(out, "Date: %s\r\n", buf_cstr(&date));
	if (!seen.message_id) {
		buf_adds(out, "Message-ID: ");
		compose_message_id(out, f->hostname);
		buf_adds(out, "\r\n");
	}
	if (!seen.from)
		buf_printf(out, "From: %s\r\n", f->account);
	buf_add(out, fields.data, fields.len);
	next = length < m->held.len ? line_at(&m->held, length) : (struct str){ "", 0 };
	if (!is_blank(next))
		buf_adds(out, "\r\n");
	buf_add(out, m->held.data + length, m->held.len - length);
	buf_free(&fields);
	buf_free(&date);
	buf_free(&m->held);
	m->done = true;
}

bool
header_feed(struct header_mender *m, struct str bytes, struct buf *out)
{
	size_t length;

	if (m->done) {
		buf_add(out, bytes.p, bytes.len);
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
