#include "admin/mbox.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/date.h"
#include "store/mailbox.h"

#define WINDOW_BYTES    (256 * 1024)
#define LINE_LOOK_BYTES 2048 /* enough of a line to know it */
#define LINE_HELD_BYTES (64 * 1024)

struct mbox {
	struct mbox_source source;
	uint64_t start; /* of the window in the file */
	size_t at, len; /* in the window */
	bool end;       /* the window reaches the file's end */
	bool failed, begun;
	char window[WINDOW_BYTES];
};

/* --- From_ lines -------------------------------------------------------------------------------- */

static const char *const DAYS[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
static const char *const MONTHS[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
	"Oct", "Nov", "Dec" };

static bool
is_not_blank(char c)
{
	return c != ' ' && c != '\t';
}

static struct str
take_word(struct cursor *c)
{
	while (cursor_take(c, ' ') || cursor_take(c, '\t'))
		continue;
	return cursor_take_while(c, is_not_blank);
}

static int
find_name(struct str word, const char *const *names, size_t count)
{
	if (word.len == 4 && word.p[3] == ',')
		word.len = 3;
	for (size_t i = 0; i < count; i++)
		if (str_eq_nocase(word, str_from(names[i])))
			return (int)i;
	return -1;
}

/* hh:mm[:ss] */
static bool
parse_clock(struct str word, struct tm *tm)
{
	struct cursor c = cursor_from(word);
	uint32_t h, m, s = 0;

	if (!cursor_take_u32(&c, &h) || !cursor_take(&c, ':') || !cursor_take_u32(&c, &m))
		return false;
	if (cursor_take(&c, ':') && !cursor_take_u32(&c, &s))
		return false;
	tm->tm_hour = (int)h;
	tm->tm_min = (int)m;
	tm->tm_sec = (int)s;
	return cursor_at_end(&c) && h < 24 && m < 60 && s <= 60;
}

/* "+0200", in minutes. */
static bool
parse_zone(struct str word, int *minutes)
{
	uint64_t digits;

	if (word.len != 5 || (*word.p != '+' && *word.p != '-') ||
	    !text_u64((struct str){ word.p + 1, 4 }, 9999, &digits))
		return false;
	*minutes = (int)(digits / 100 * 60 + digits % 100);
	if (*word.p == '-')
		*minutes = -*minutes;
	return true;
}

/* "Nov 20 10:00:00 [zone] 2025 [zone]", the day's name already taken. */
static bool
parse_date(struct cursor c, int64_t *date_out)
{
	struct tm tm = { 0 };
	struct str month = take_word(&c), day = take_word(&c);
	uint64_t number, year = 0;
	int minutes = 0, m = find_name(month, MONTHS, ARRAY_LEN(MONTHS));

	if (m < 0) { /* "20 Nov 2025 …" of RFC 5322 */
		struct str swap = month;

		month = day;
		day = swap;
		m = find_name(month, MONTHS, ARRAY_LEN(MONTHS));
	}
	if (m < 0 || !text_u64(day, 31, &number) || number == 0)
		return false;
	tm.tm_mon = m;
	tm.tm_mday = (int)number;
	for (int words = 0; words < 4; words++) {
		struct str word = take_word(&c);

		if (word.len == 0)
			break;
		if (!parse_zone(word, &minutes) && !parse_clock(word, &tm) && year == 0 &&
		    word.len == 4)
			text_u64(word, 9999, &year);
	}
	if (year < 1970)
		return false;
	tm.tm_year = (int)year - 1900;
	*date_out = (int64_t)timegm(&tm) - minutes * INT64_C(60);
	return *date_out >= 0;
}

bool
mbox_from_line(struct str line, int64_t *date_out)
{
	struct cursor c = cursor_from(line);

	*date_out = -1;
	if (!cursor_take(&c, 'F') || !cursor_take(&c, 'r') || !cursor_take(&c, 'o') ||
	    !cursor_take(&c, 'm') || !cursor_take(&c, ' '))
		return false;
	if (str_trim((struct str){ c.p, cursor_left(&c) }).len == 0)
		return true; /* Thunderbird says no more */
	while (!cursor_at_end(&c)) {
		struct str word = take_word(&c);

		if (find_name(word, DAYS, ARRAY_LEN(DAYS)) >= 0 &&
		    parse_date((struct cursor){ c.p,
				   str_trim((struct str){ c.p, cursor_left(&c) }).p +
				       str_trim((struct str){ c.p, cursor_left(&c) }).len },
			date_out))
			return true;
	}
	return false;
}

/* --- the window --------------------------------------------------------------------------------- */

struct mbox *
mbox_new(const struct mbox_source *source)
{
	struct mbox *m = mem_alloc(sizeof(*m));

	memset(m, 0, offsetof(struct mbox, window));
	m->source = *source;
	return m;
}

void
mbox_free(struct mbox *m)
{
	free(m);
}

uint64_t
mbox_at(const struct mbox *m)
{
	return m->start + m->at;
}

/* At least `want` bytes from `at` on, unless the file ends before. */
static void
look_ahead(struct mbox *m, size_t want)
{
	while (!m->end && !m->failed && m->len - m->at < want) {
		ssize_t n;

		if (m->at > 0) {
			memmove(m->window, m->window + m->at, m->len - m->at);
			m->start += m->at;
			m->len -= m->at;
			m->at = 0;
		}
		n = m->source.read_at(
		    m->source.arg, m->window + m->len, WINDOW_BYTES - m->len, m->start + m->len);
		if (n < 0)
			m->failed = true;
		else if (n == 0)
			m->end = true;
		else
			m->len += (size_t)n;
	}
}

/* Goes to another place in the file. */
static void
seek(struct mbox *m, uint64_t at)
{
	if (at >= m->start && at - m->start <= m->len) {
		m->at = (size_t)(at - m->start);
		return;
	}
	m->start = at;
	m->at = m->len = 0;
	m->end = false;
}

/* What is there of the line at hand, without its end; *whole_out: all of it, and its end.  *size_out is what it takes. */
static struct str
look_at_line(struct mbox *m, size_t *size_out, bool *whole_out)
{
	const char *p, *lf;
	size_t len;

	look_ahead(m, LINE_LOOK_BYTES);
	p = m->window + m->at;
	len = m->len - m->at;
	lf = len > 0 ? memchr(p, '\n', len) : NULL;
	*whole_out = lf != NULL;
	*size_out = lf != NULL ? (size_t)(lf - p) + 1 : len;
	len = lf != NULL ? (size_t)(lf - p) : len;
	if (len > 0 && p[len - 1] == '\r')
		len--;
	return (struct str){ p, len };
}

/* Behind the rest of a line that has begun. */
static void
skip_line(struct mbox *m)
{
	bool whole;
	size_t size;

	do {
		look_at_line(m, &size, &whole);
		m->at += size;
	} while (!whole && size > 0);
}

static bool
is_at_message(struct mbox *m)
{
	size_t size;
	bool whole;
	int64_t date;
	struct str line = look_at_line(m, &size, &whole);

	return line.len >= 5 && memcmp(line.p, "From ", 5) == 0 && mbox_from_line(line, &date);
}

/* --- the header --------------------------------------------------------------------------------- */

enum field {
	FIELD_STATUS,
	FIELD_X_STATUS,
	FIELD_KEYWORDS,
	FIELD_MOZILLA_STATUS,
	FIELD_LENGTH,
	FIELD_LEFT_OUT,
	FIELD_OTHER,
};
static const struct {
	struct str name;
	enum field field;
} FIELDS[] = {
	{ { "Status", 6 }, FIELD_STATUS },
	{ { "X-Status", 8 }, FIELD_X_STATUS },
	{ { "X-Keywords", 10 }, FIELD_KEYWORDS },
	{ { "X-Mozilla-Keys", 14 }, FIELD_KEYWORDS },
	{ { "X-Mozilla-Status", 16 }, FIELD_MOZILLA_STATUS },
	{ { "X-Mozilla-Status2", 17 }, FIELD_LEFT_OUT },
	{ { "Content-Length", 14 }, FIELD_LENGTH },
	{ { "X-UID", 5 }, FIELD_LEFT_OUT },
	{ { "X-IMAPbase", 10 }, FIELD_LEFT_OUT },
	{ { "X-IMAP", 6 }, FIELD_LEFT_OUT },
};

static enum field
field_of(struct str line, struct str *value_out)
{
	const char *colon = line.len > 0 ? memchr(line.p, ':', line.len) : NULL;
	struct str name;

	if (colon == NULL)
		return FIELD_OTHER;
	name = str_trim((struct str){ line.p, (size_t)(colon - line.p) });
	*value_out = str_trim((struct str){ colon + 1, line.len - (size_t)(colon + 1 - line.p) });
	for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++)
		if (str_eq_nocase(FIELDS[i].name, name))
			return FIELDS[i].field;
	return FIELD_OTHER;
}

static const struct {
	char letter;
	unsigned flag;
} X_STATUS[] = {
	{ 'A', MESSAGE_ANSWERED },
	{ 'F', MESSAGE_FLAGGED },
	{ 'D', MESSAGE_DELETED },
	{ 'T', MESSAGE_DRAFT },
};

static void
take_keywords(struct mbox_message *out, struct str value)
{
	struct cursor c = cursor_from(value);

	while (out->keyword_count < MBOX_KEYWORDS_MAX) {
		struct str word = take_word(&c);

		if (word.len == 0)
			break;
		out->keywords[out->keyword_count++] =
		    (struct str){ arena_strndup(&out->arena, word.p, word.len), word.len };
	}
}

/* X-Mozilla-Status: four hex digits; 1 read, 2 replied, 4 marked, 8 expunged. */
static void
take_mozilla(struct mbox_message *out, struct str value)
{
	unsigned bits = 0;

	for (size_t i = 0; i < value.len && i < 4; i++)
		bits = bits << 4 | (unsigned)(hex_value(value.p[i]) & 15);
	out->flags |= ((bits & 1) != 0 ? (unsigned)MESSAGE_SEEN : 0u) |
		      ((bits & 2) != 0 ? (unsigned)MESSAGE_ANSWERED : 0u) |
		      ((bits & 4) != 0 ? (unsigned)MESSAGE_FLAGGED : 0u);
	out->expunged |= (bits & 8) != 0;
}

static void
take_field(struct mbox_message *out, enum field field, struct str value, uint64_t *length,
    bool *has_length)
{
	if (field == FIELD_STATUS && memchr(value.p, 'R', value.len) != NULL)
		out->flags |= MESSAGE_SEEN;
	for (size_t i = 0; field == FIELD_X_STATUS && i < ARRAY_LEN(X_STATUS); i++)
		if (memchr(value.p, X_STATUS[i].letter, value.len) != NULL)
			out->flags |= X_STATUS[i].flag;
	if (field == FIELD_KEYWORDS)
		take_keywords(out, value);
	if (field == FIELD_MOZILLA_STATUS)
		take_mozilla(out, value);
	if (field == FIELD_LENGTH)
		*has_length = text_u64(value, INT64_MAX, length);
}

struct reading {
	bool (*write)(void *arg, const char *bytes, size_t len);
	void *arg;
	bool stopped;
};

static void
put(struct reading *r, const char *bytes, size_t len)
{
	if (!r->stopped && len > 0)
		r->stopped = !r->write(r->arg, bytes, len);
}

/* The line at hand, however long, as it is. */
static void
copy_line(struct mbox *m, struct reading *r)
{
	bool whole;
	size_t size;

	do {
		look_at_line(m, &size, &whole);
		put(r, m->window + m->at, size);
		m->at += size;
	} while (!whole && size > 0 && !r->stopped);
}

/* Up to and with the empty line.  False: the next message began, or the file ended, before it. */
static bool
read_header(
    struct mbox *m, struct reading *r, struct mbox_message *out, uint64_t *length, bool *has_length)
{
	uint64_t from = mbox_at(m);
	bool left_out = false;

	while (!m->failed && !r->stopped) {
		size_t size;
		bool whole, folded;
		struct str line = look_at_line(m, &size, &whole), value;
		enum field field;

		if (size == 0)
			return false;
		if (line.len == 0 && whole) {
			put(r, line.p, size);
			m->at += size;
			return true;
		}
		folded = line.len > 0 && (*line.p == ' ' || *line.p == '\t');
		if (!folded) {
			field = mbox_at(m) - from < MBOX_HEADER_MAX_BYTES ? field_of(line, &value)
									  : FIELD_OTHER;
			left_out = field != FIELD_OTHER;
			if (left_out)
				take_field(out, field, value, length, has_length);
		}
		if (left_out)
			skip_line(m);
		else
			copy_line(m, r);
	}
	return false;
}

/* --- the body ----------------------------------------------------------------------------------- */

/* Do so many bytes end where a message, or the file, does? */
static bool
length_is_right(struct mbox *m, uint64_t length)
{
	uint64_t from = mbox_at(m);
	bool right;

	if (length > INT64_MAX - from)
		return false;
	if (length > 0) { /* it must not be beyond the end */
		seek(m, from + length - 1);
		look_ahead(m, 1);
		if (m->at == m->len) {
			seek(m, from);
			return false;
		}
	}
	seek(m, from + length);
	for (int empty = 0; empty < 2; empty++) {
		size_t size;
		bool whole;
		struct str line = look_at_line(m, &size, &whole);

		if (line.len > 0 || size == 0)
			break;
		m->at += size;
	}
	look_ahead(m, 1);
	right = !m->failed && (m->at == m->len || is_at_message(m));
	seek(m, from);
	return right;
}

static void
copy_bytes(struct mbox *m, struct reading *r, uint64_t length)
{
	while (length > 0 && !m->failed && !r->stopped) {
		size_t now;

		look_ahead(m, 1);
		now = m->len - m->at;
		if (now == 0)
			break;
		if (now > length)
			now = (size_t)length;
		put(r, m->window + m->at, now);
		m->at += now;
		length -= now;
	}
}

/* Behind the message: to the next From_ line, over the empty line in front of it. */
static void
skip_separator(struct mbox *m)
{
	size_t size = 1;
	bool whole;

	while (
	    size > 0 && !m->failed && !is_at_message(m) && look_at_line(m, &size, &whole).len == 0)
		m->at += size;
}

static bool
is_quoted(struct str line)
{
	size_t at = 0;

	while (at < line.len && line.p[at] == '>')
		at++;
	return at > 0 && line.len - at >= 5 && memcmp(line.p + at, "From ", 5) == 0;
}

static void
copy_body(struct mbox *m, struct reading *r)
{
	char held[2]; /* an empty line that may be the separator */
	size_t held_len = 0;
	bool behind_empty = true; /* the header's end counts */

	while (!m->failed && !r->stopped) {
		size_t size;
		bool whole;
		struct str line = look_at_line(m, &size, &whole);

		if (size == 0)
			return; /* and what is held is the last message's separator */
		if (behind_empty && is_at_message(m))
			return;
		put(r, held, held_len);
		held_len = 0;
		behind_empty = line.len == 0 && whole;
		if (behind_empty && size <= sizeof(held)) {
			memcpy(held, line.p, size);
			held_len = size;
			m->at += size;
			continue;
		}
		if (is_quoted(line))
			m->at++;
		copy_line(m, r);
	}
}

/* --- messages ----------------------------------------------------------------------------------- */

void
mbox_message_free(struct mbox_message *m)
{
	arena_free(&m->arena);
}

static void
message_clear(struct mbox_message *m)
{
	struct arena arena = m->arena;

	arena_reset(&arena);
	m->keyword_count = 0;
	m->flags = 0;
	m->expunged = false;
	m->arena = arena;
}

/* Empty lines at the start of a file do no harm. */
static enum mbox_result
find_first(struct mbox *m)
{
	skip_separator(m);
	if (m->failed)
		return MBOX_IO;
	if (m->at == m->len)
		return MBOX_END;
	return is_at_message(m) ? MBOX_MESSAGE : MBOX_NONE;
}

enum mbox_result
mbox_next(struct mbox *m, bool (*write)(void *arg, const char *bytes, size_t len), void *arg,
    struct mbox_message *out)
{
	struct reading r = { write, arg, false };
	uint64_t length = 0;
	bool has_length = false, whole;
	size_t size;

	message_clear(out);
	if (!m->begun) {
		enum mbox_result first = find_first(m);

		if (first != MBOX_MESSAGE)
			return first;
		m->begun = true;
	}
	look_ahead(m, 1);
	if (!m->failed && m->at == m->len)
		return MBOX_END;
	out->at = mbox_at(m);
	mbox_from_line(look_at_line(m, &size, &whole), &out->date_s);
	skip_line(m);
	if (read_header(m, &r, out, &length, &has_length)) {
		if (has_length && length_is_right(m, length)) {
			copy_bytes(m, &r, length);
			skip_separator(m);
		} else {
			copy_body(m, &r);
		}
	}
	if (m->failed)
		return MBOX_IO;
	return r.stopped ? MBOX_STOPPED : MBOX_MESSAGE;
}

/* --- writing ------------------------------------------------------------------------------------ */

static void
emit(struct mbox_writer *w, const char *bytes, size_t len)
{
	if (w->ok && len > 0)
		w->ok = w->write(w->arg, bytes, len);
}

/* A sender that would break the line, or be two words of it, is none. */
static const char *
sender_of(const struct mbox_meta *meta)
{
	const char *s = meta->sender;

	if (s == NULL || *s == '\0' || strlen(s) > 500)
		return "MAILER-DAEMON";
	for (const char *p = s; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == 127)
			return "MAILER-DAEMON";
	return s;
}

bool
mbox_write_begin(struct mbox_writer *w, const struct mbox_meta *meta)
{
	struct buf b = { 0 };
	time_t when = meta->date_s > 0 ? (time_t)meta->date_s : 0;
	struct tm tm;

	w->ok = true;
	w->in_body = w->continued = false;
	buf_reset(&w->header);
	buf_reset(&w->line);
	gmtime_r(&when, &tm);
	buf_printf(&b, "From %s %s %s %2d %02d:%02d:%02d %d\n", sender_of(meta),
	    DAYS[(tm.tm_wday + 6) % 7], MONTHS[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min,
	    tm.tm_sec, tm.tm_year + 1900);
	if (meta->uidvalidity != 0)
		buf_printf(&b, "X-IMAPbase: %u %010u\n", meta->uidvalidity, meta->uidnext - 1);
	buf_printf(&b, "X-UID: %u\nStatus: %sO\n", meta->uid,
	    (meta->flags & MESSAGE_SEEN) != 0 ? "R" : "");
	if ((meta->flags & ~(unsigned)MESSAGE_SEEN & MESSAGE_FLAGS_ALL) != 0) {
		buf_adds(&b, "X-Status: ");
		for (size_t i = 0; i < ARRAY_LEN(X_STATUS); i++)
			if ((meta->flags & X_STATUS[i].flag) != 0)
				buf_addc(&b, X_STATUS[i].letter);
		buf_addc(&b, '\n');
	}
	if (meta->keyword_count > 0)
		buf_adds(&b, "X-Keywords:");
	for (size_t i = 0; i < meta->keyword_count; i++)
		buf_printf(&b, " %s", meta->keywords[i]);
	if (meta->keyword_count > 0)
		buf_addc(&b, '\n');
	emit(w, b.data, b.len);
	buf_free(&b);
	return w->ok;
}

/* One whole line, or a piece of a very long one. */
static void
write_line(struct mbox_writer *w, struct str line)
{
	struct str bare = line, value;

	if (w->continued) {
		if (w->in_body || w->header.len == 0)
			emit(w, line.p, line.len);
		return;
	}
	while (bare.len > 0 && (bare.p[bare.len - 1] == '\n' || bare.p[bare.len - 1] == '\r'))
		bare.len--;
	if (w->in_body) {
		if (is_quoted(bare) || (bare.len >= 5 && memcmp(bare.p, "From ", 5) == 0))
			emit(w, ">", 1);
	} else if (bare.len == 0) {
		w->in_body = true;
	} else if (*bare.p == ' ' || *bare.p == '\t') {
		if (w->header.len > 0)
			return; /* more of a field that is left out */
	} else {
		buf_reset(&w->header);
		if (field_of(bare, &value) != FIELD_OTHER) {
			buf_addc(&w->header, 'x');
			return;
		}
	}
	emit(w, line.p, line.len);
}

bool
mbox_write(struct mbox_writer *w, const char *bytes, size_t len)
{
	while (len > 0 && w->ok) {
		const char *lf = memchr(bytes, '\n', len);
		size_t now = lf != NULL ? (size_t)(lf - bytes) + 1 : len;

		buf_add(&w->line, bytes, now);
		bytes += now;
		len -= now;
		if (lf == NULL && w->line.len < LINE_HELD_BYTES)
			continue;
		write_line(w, (struct str){ w->line.data, w->line.len });
		buf_reset(&w->line);
		w->continued = lf == NULL;
	}
	return w->ok;
}

bool
mbox_write_end(struct mbox_writer *w)
{
	if (w->line.len > 0 || w->continued) {
		buf_addc(&w->line, '\n');
		write_line(w, (struct str){ w->line.data, w->line.len });
		buf_reset(&w->line);
	}
	if (!w->in_body)
		emit(w, "\n", 1);
	emit(w, "\n", 1);
	buf_reset(&w->header);
	return w->ok;
}

void
mbox_writer_free(struct mbox_writer *w)
{
	buf_free(&w->header);
	buf_free(&w->line);
}
