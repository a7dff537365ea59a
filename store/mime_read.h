/* Reading message bytes from a file: ranges with CRLF line ends, header fields, decoded content.
 * All readers use pread within a bounded buffer and never look outside their range.  A file that is shorter
 * than its table says (another program truncated it) is a read error: -1 with errno EIO. */
#ifndef STORE_MIME_READ_H
#define STORE_MIME_READ_H

#include <sys/types.h>

#include "store/mime.h"

#define MIME_READ_BUFFER_BYTES 32768

/* --- a range in CRLF space --- */

/* Lives wherever the caller likes; nothing to free.  May be copied to remember a position (a
 * client that fetches BODY[]<0.n>, <n.n>, … then does not pay for skipping). */
struct mime_reader {
	int fd;
	const char *memory; /* NULL: the file */
	bool convert;       /* LF → CRLF while reading */
	bool last_was_cr, lf_pending;
	uint64_t at, end;    /* physical: the next byte, and behind the range */
	uint64_t virtual_at; /* given out or skipped so far */
};

void mime_reader_open(struct mime_reader *r, int fd, const struct mime_extent *range);
/* From the header's first byte to the body's last: BODY[] and nested messages. */
struct mime_extent mime_part_extent(const struct mime_part *part);
/* Passes over `bytes` of CRLF space; stops at the end of the range.  False: errno. */
bool mime_reader_skip(struct mime_reader *r, uint64_t bytes);
/* Up to len bytes; 0 at the end of the range, -1 and errno on error. */
ssize_t mime_reader_read(struct mime_reader *r, void *bytes, size_t len);

/* The CRLF size from `part` of what BODY[…]<offset.count> gives: min(count, size - offset) or 0. */
uint64_t mime_partial_size(uint64_t virtual_size, uint64_t offset, uint64_t count);

/* --- header fields: HEADER.FIELDS and HEADER.FIELDS.NOT, RFC 9051 §6.4.5.1 --- */

/* Appends the fields whose names are (`negate`: are not) among `names`, with CRLF line ends and
 * the blank line at the end (if the header has one), in the order of the header.  False and errno if reading failed. */
bool mime_header_fields(struct buf *out, int fd, const struct mime_part *part,
    const struct str *names, size_t name_count, bool negate);
/* All of a part's header with CRLF line ends (at most MIME_HEADER_MAX_BYTES are read). */
bool mime_header_read(struct buf *out, int fd, const struct mime_part *part);

/* --- decoded content --- */

enum mime_decode {
	MIME_DECODE_CTE,  /* BINARY: transfer encoding removed; line ends of text are CRLF */
	MIME_DECODE_UTF8, /* and the charset of a text part converted to UTF-8 */
};

/* A part's body without its transfer encoding.  Broken base64 and quoted-printable give what can be
 * had from them; what stands around a uuencoded text is dropped. */
struct mime_decoder;
/* NULL if the part's encoding is not known (BINARY answers NO [UNKNOWN-CTE]); for multipart and
 * message parts the bytes are the body's as they stand. */
struct mime_decoder *mime_decoder_open(int fd, const struct mime_part *part, enum mime_decode how);
/* The same for a message in memory, which must outlive the decoder. */
struct mime_decoder *mime_decoder_open_bytes(
    struct str message, const struct mime_part *part, enum mime_decode how);
ssize_t mime_decoder_read(
    struct mime_decoder *d, void *bytes, size_t len); /* as mime_reader_read */
void mime_decoder_close(struct mime_decoder *d);      /* NULL is fine */
/* BINARY.SIZE: decodes once to count.  False and errno; EILSEQ is the unknown encoding. */
bool mime_decoded_size(int fd, const struct mime_part *part, uint64_t *size_out);

#endif
