/* The FETCH items that need the message's file: BODY[…], BINARY[…], RFC822 and RFC822.*. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "imapd/fetch_run.h"
#include "imapd/response.h"

/* --- the file and its parts -------------------------------------------------------------------- */

static bool
note_failure(struct fetch_run *run, const char *what)
{
	log_error(run->s->log, "fetch", "what=%s uid=%u errno=%d mailbox=%s", what,
	    fetch_current(run)->row.uid, errno, mailbox_name(run->s->box));
	run->failed = true;
	return false;
}

/* The table of the index if it is about the file as it is, or else a parse. */
static bool
make_table(struct fetch_run *run)
{
	struct fetch_message *m = fetch_current(run);
	struct stat st;
	bool changed;

	if ((run->plan->needs & FETCH_NEEDS_PARTS) == 0)
		return true;
	if (fstat(run->fd, &st) != 0)
		return note_failure(run, "stat");
	changed = (uint64_t)st.st_size != m->row.disk_bytes;
	if (!changed)
		run->mime = mime_unpack(m->parts);
	if (run->mime == NULL)
		run->mime = mime_parse_fd(run->fd);
	return run->mime != NULL || note_failure(run, "parse");
}

bool
fetch_body_open(struct fetch_run *run)
{
	enum store_err err;

	err = mailbox_message_open(run->s->box, fetch_current(run)->row.uid, &run->fd);
	if (err != STORE_OK) {
		run->fd = -1;
		if (err == STORE_NOT_FOUND)
			run->vanished = true;
		else
			run->failed = true;
		return false;
	}
	return make_table(run);
}

static void
stream_end(struct fetch_stream *st)
{
	mime_decoder_close(st->decoder);
	buf_free(&st->memory);
	*st = (struct fetch_stream){ .source = FETCH_NOTHING };
}

void
fetch_body_close(struct fetch_run *run)
{
	stream_end(&run->stream);
	mime_message_free(run->mime);
	run->mime = NULL;
	if (run->fd >= 0)
		close(run->fd);
	run->fd = -1;
}

/* --- streams ----------------------------------------------------------------------------------- */

/* The literal's head; what comes behind it is the stream's. */
static void
stream_begin(struct fetch_run *run, enum fetch_source source, uint64_t size, bool binary)
{
	imap_out_literal_head(&run->s->out, size, binary);
	run->stream.source = source;
	run->stream.left = size;
	run->stream.binary = binary;
	if (size == 0)
		stream_end(&run->stream);
}

static ssize_t
stream_read(struct fetch_stream *st, char *to, size_t max)
{
	switch (st->source) {
	case FETCH_FROM_FILE: return mime_reader_read(&st->reader, to, max);
	case FETCH_FROM_DECODER: return mime_decoder_read(st->decoder, to, max);
	case FETCH_FROM_MEMORY:
		if (max > st->memory.len - st->memory_at)
			max = st->memory.len - st->memory_at;
		memcpy(to, st->memory.data + st->memory_at, max);
		st->memory_at += max;
		return (ssize_t)max;
	case FETCH_NOTHING: break;
	}
	return 0;
}

/* --- pieces of big messages ---------------------------------------------------------------------- */

static bool
same_range(const struct mime_extent *a, const struct mime_extent *b)
{
	return a->offset == b->offset && a->size == b->size && a->virtual_size == b->virtual_size;
}

static void
remember(struct fetch_run *run)
{
	struct imap_fetch_resume *resume = &run->s->fetch_resume;

	if (run->stream.source != FETCH_FROM_FILE)
		return;
	resume->uid = fetch_current(run)->row.uid;
	resume->range = run->stream.range;
	resume->reader = run->stream.reader;
	resume->reader.fd = -1;
}

/* Goes to `offset` of the stream's range, from where the last FETCH of it stopped if that helps. */
static bool
seek(struct fetch_run *run, uint64_t offset)
{
	const struct imap_fetch_resume *resume = &run->s->fetch_resume;
	struct mime_reader *reader = &run->stream.reader;

	if (resume->uid == fetch_current(run)->row.uid && resume->reader.virtual_at <= offset &&
	    same_range(&resume->range, &run->stream.range)) {
		*reader = resume->reader;
		reader->fd = run->fd;
	}
	return mime_reader_skip(reader, offset - reader->virtual_at);
}

/* A literal must not hold NULs (literal8 may): shown as 0x80, as RFC 3516 §4.3 leaves to us and
 * other servers do. */
static void
hide_nuls(char *bytes, size_t len)
{
	for (char *p = bytes; (p = memchr(p, '\0', len - (size_t)(p - bytes))) != NULL; p++)
		*p = (char)0x80;
}

bool
fetch_body_pump(struct fetch_run *run)
{
	struct fetch_stream *st = &run->stream;
	struct buf *out = &run->s->out;

	while (st->left > 0 && !imap_out_full(run->s)) {
		size_t max =
		    st->left < MIME_READ_BUFFER_BYTES ? (size_t)st->left : MIME_READ_BUFFER_BYTES;
		ssize_t n;

		buf_reserve(out, max);
		n = stream_read(st, out->data + out->len, max);
		if (n <= 0)
			return note_failure(run, "changed-while-sent");
		if (!st->binary)
			hide_nuls(out->data + out->len, (size_t)n);
		out->len += (size_t)n;
		st->left -= (uint64_t)n;
	}
	if (st->left == 0) {
		remember(run);
		stream_end(st);
	}
	return true;
}

/* --- BODY[section] ----------------------------------------------------------------------------- */

static void
emit_nil(struct fetch_run *run)
{
	buf_adds(&run->s->out, "NIL");
}

static void
emit_extent(struct fetch_run *run, const struct fetch_section *sec, const struct mime_extent *range)
{
	uint64_t size = range->virtual_size;

	mime_reader_open(&run->stream.reader, run->fd, range);
	run->stream.range = *range;
	if (sec->has_partial) {
		size = mime_partial_size(size, sec->offset, sec->count);
		if (size > 0 && !seek(run, sec->offset)) {
			note_failure(run, "read");
			emit_nil(run);
			return;
		}
	}
	stream_begin(run, FETCH_FROM_FILE, size, false);
}

static void
emit_fields(struct fetch_run *run, const struct fetch_section *sec, const struct mime_part *part)
{
	bool negate = sec->text == FETCH_TEXT_FIELDS_NOT;
	struct fetch_stream *st = &run->stream;
	uint64_t size;

	if (!mime_header_fields(
		&st->memory, run->fd, part, sec->fields, sec->field_count, negate)) {
		note_failure(run, "read");
		emit_nil(run);
		stream_end(st);
		return;
	}
	size = st->memory.len;
	if (sec->has_partial) {
		size = mime_partial_size(size, sec->offset, sec->count);
		st->memory_at = size > 0 ? (size_t)sec->offset : 0;
	}
	stream_begin(run, FETCH_FROM_MEMORY, size, false);
}

/* The size with CRLF as the file has it now.  The index's comes from the file's name, which another
 * program may have got wrong, and an announced literal cannot be taken back; counting costs little
 * beside the encryption that follows. */
static bool
measure_whole(struct fetch_run *run, struct mime_extent *all)
{
	const struct imap_fetch_resume *resume = &run->s->fetch_resume;
	const struct message *row = &fetch_current(run)->row;
	struct mime_crlf_count count = { 0 };
	char bytes[MIME_READ_BUFFER_BYTES];
	ssize_t n;

	if (resume->uid == row->uid && resume->range.offset == 0 &&
	    resume->range.size == row->disk_bytes) {
		*all = resume->range;
		return true;
	}
	while ((n = pread(run->fd, bytes, sizeof(bytes), (off_t)count.size)) > 0)
		mime_crlf_count(&count, bytes, (size_t)n);
	*all = (struct mime_extent){ .size = count.size, .virtual_size = count.virtual_size };
	return n == 0;
}

static void
emit_whole(struct fetch_run *run, const struct fetch_section *sec)
{
	struct mime_extent all;

	if (run->mime != NULL) {
		all = mime_part_extent(run->mime->root);
	} else if (!measure_whole(run, &all)) {
		note_failure(run, "read");
		emit_nil(run);
		return;
	}
	emit_extent(run, sec, &all);
}

void
fetch_emit_section(struct fetch_run *run, const struct fetch_item *item)
{
	const struct fetch_section *sec = &item->section;
	bool of_part = sec->text == FETCH_TEXT_ALL || sec->text == FETCH_TEXT_MIME;
	const struct mime_part *part;

	if (sec->text == FETCH_TEXT_ALL && sec->number_count == 0) {
		emit_whole(run, sec);
		return;
	}
	part = of_part ? mime_find_part(run->mime, sec->numbers, sec->number_count)
		       : mime_find_message(run->mime, sec->numbers, sec->number_count);
	if (part == NULL)
		emit_nil(run);
	else if (sec->text == FETCH_TEXT_FIELDS || sec->text == FETCH_TEXT_FIELDS_NOT)
		emit_fields(run, sec, part);
	else if (sec->text == FETCH_TEXT_HEADER || sec->text == FETCH_TEXT_MIME)
		emit_extent(run, sec, &part->header);
	else
		emit_extent(run, sec, &part->body);
}

/* --- BINARY[section], RFC 9051 §6.4.5 and RFC 3516 --------------------------------------------- */

/* How many bytes from `offset` on, at most `count`, and whether there is a NUL among them. */
static bool
measure(struct fetch_run *run, const struct mime_part *part, const struct fetch_section *sec,
    uint64_t *size_out, bool *nuls_out)
{
	uint64_t from = sec->has_partial ? sec->offset : 0;
	uint64_t to =
	    !sec->has_partial || sec->count > UINT64_MAX - from ? UINT64_MAX : from + sec->count;
	struct mime_decoder *d = mime_decoder_open(run->fd, part, MIME_DECODE_CTE);
	uint64_t at = 0;
	char bytes[8192];
	ssize_t n = 0;

	*nuls_out = false;
	while (d != NULL && at < to && (n = mime_decoder_read(d, bytes, sizeof(bytes))) > 0) {
		uint64_t end = at + (uint64_t)n;
		uint64_t low = at > from ? at : from, high = end < to ? end : to;

		if (low < high && memchr(bytes + (low - at), '\0', high - low) != NULL)
			*nuls_out = true;
		at = end;
	}
	mime_decoder_close(d);
	at = at < to ? at : to;
	*size_out = at > from ? at - from : 0;
	return d != NULL && n >= 0;
}

static bool
skip_decoded(struct mime_decoder *d, uint64_t bytes)
{
	char drop[8192];

	while (bytes > 0) {
		size_t max = bytes < sizeof(drop) ? (size_t)bytes : sizeof(drop);
		ssize_t n = mime_decoder_read(d, drop, max);

		if (n <= 0)
			return false;
		bytes -= (uint64_t)n;
	}
	return true;
}

static void
emit_decoded(struct fetch_run *run, const struct mime_part *part, const struct fetch_section *sec)
{
	uint64_t size;
	bool nuls;

	if (!measure(run, part, sec, &size, &nuls)) {
		note_failure(run, "read");
		emit_nil(run);
		return;
	}
	run->stream.decoder = mime_decoder_open(run->fd, part, MIME_DECODE_CTE);
	if (size > 0 && sec->has_partial && !skip_decoded(run->stream.decoder, sec->offset)) {
		note_failure(run, "read");
		emit_nil(run);
		stream_end(&run->stream);
		return;
	}
	stream_begin(run, FETCH_FROM_DECODER, size, nuls);
	if (size == 0)
		stream_end(&run->stream);
}

static bool
encoding_known(struct fetch_run *run, const struct mime_part *part)
{
	if (part->cte != MIME_CTE_UNKNOWN)
		return true;
	run->unknown_cte = true;
	return false;
}

/* The whole message, BINARY[], has no encoding of its own: its bytes as they are. */
void
fetch_emit_binary(struct fetch_run *run, const struct fetch_item *item)
{
	const struct fetch_section *sec = &item->section;
	const struct mime_part *part;

	if (sec->number_count == 0) {
		emit_whole(run, sec);
		return;
	}
	part = mime_find_part(run->mime, sec->numbers, sec->number_count);
	if (part == NULL || !encoding_known(run, part))
		emit_nil(run);
	else
		emit_decoded(run, part, sec);
}

void
fetch_emit_binary_size(struct fetch_run *run, const struct fetch_item *item)
{
	const struct fetch_section *sec = &item->section;
	const struct mime_part *part;
	uint64_t size = 0;

	part = mime_find_part(run->mime, sec->numbers, sec->number_count);
	if (part != NULL && sec->number_count == 0)
		size = mime_part_extent(part).virtual_size;
	else if (part != NULL && encoding_known(run, part) &&
		 !mime_decoded_size(run->fd, part, &size))
		note_failure(run, "read");
	buf_printf(&run->s->out, "%llu", (unsigned long long)size);
}
