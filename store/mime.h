/* The structure of a message: a tree of MIME parts (RFC 2045, 2046, 5322), learnt in one pass over
 * the bytes as they lie on disk, whatever their line ends (LF, CRLF or mixed), and what IMAP shows of it
 * (ENVELOPE, BODY, BODYSTRUCTURE; RFC 9051 §7.5.2).
 *
 * Nothing is ever an error: broken mail gets the structure that a tolerant reader sees.  Beyond
 * the bounds below the rest is opaque: part of the body of the part where the bound was met.
 *
 * Sizes come twice: physical (bytes in the file) and virtual (with every line end as CRLF, which is
 * what IMAP shows).  A part's body does not include the line end before the boundary that ends it.
 *
 * Numbers of lines count LFs. */
#ifndef STORE_MIME_H
#define STORE_MIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

#define MIME_DEPTH_MAX        100           /* levels of parts */
#define MIME_PARTS_MAX        10000         /* parts of one message */
#define MIME_HEADER_MAX_BYTES (1024 * 1024) /* of one part's header that are looked at */

enum mime_cte {            /* Content-Transfer-Encoding, RFC 2045 §6 */
	MIME_CTE_IDENTITY, /* none, 7bit, 8bit, binary; and always for multipart */
	MIME_CTE_QP,
	MIME_CTE_BASE64,
	MIME_CTE_UUENCODE, /* x-uuencode, uuencode, x-uue, uue */
	MIME_CTE_UNKNOWN,
};

#define MIME_PART_MULTIPART 1u /* children are the parts */
#define MIME_PART_MESSAGE   2u /* message/rfc822 or message/global: the one child is the message */
#define MIME_PART_TEXT      4u /* text/anything, also by default */
#define MIME_PART_NULS      8u /* header or body has NUL bytes (RFC 9051: needs BINARY) */

struct mime_extent {
	uint64_t offset;       /* in the file */
	uint64_t size;         /* physical bytes */
	uint64_t virtual_size; /* the same with CRLF line ends; == size: no conversion needed */
	uint64_t lines;
};

struct mime_param {
	struct str name, value;
};

/* What only a parse knows, and BODYSTRUCTURE shows.  Values are unfolded; RFC 2231 pieces are
 * joined but (name*) still percent-encoded, the way clients expect to get them from IMAP. */
struct mime_info {
	struct mime_param *params, *disposition_params;
	size_t param_count, disposition_param_count;
	struct str id, description, encoding, md5, disposition, location; /* p NULL: not there */
	struct str *languages;
	size_t language_count;
};

/* The fields of ENVELOPE, unfolded and undecoded; p NULL: the field is not there.  NULs in them are
 * U+FFFD.  Of several DATE, SUBJECT… the last one counts; several FROM, TO… are all kept, with a NUL
 * between their values. */
enum mime_envelope_field {
	MIME_DATE,
	MIME_SUBJECT,
	MIME_FROM,
	MIME_SENDER,
	MIME_REPLY_TO,
	MIME_TO,
	MIME_CC,
	MIME_BCC,
	MIME_IN_REPLY_TO,
	MIME_MESSAGE_ID,
	MIME_ENVELOPE_FIELDS
};
struct mime_fields {
	struct str field[MIME_ENVELOPE_FIELDS];
	struct str references; /* for threading */
};

struct mime_part {
	struct mime_part *parent, *first_child, *next;
	uint32_t child_count;
	unsigned flags; /* MIME_PART_… */
	enum mime_cte cte;
	struct str type, subtype;  /* as written; "text", "plain" by default */
	struct str charset;        /* of a text part; len 0: none given */
	struct mime_extent header; /* with the blank line that ends it */
	struct mime_extent body;
	/* The next two are NULL in an unpacked table. */
	struct mime_info *info;
	struct mime_fields *fields; /* only of the top part and of a child of message/rfc822 */
};

/* A parsed or unpacked message; owns all that hangs off it. */
struct mime_message {
	struct arena arena;
	struct mime_part *root;
	uint32_t part_count;
	bool opaque; /* a bound was met, so some of the structure is not shown */
};
void mime_message_free(struct mime_message *m); /* NULL is fine */

/* The virtual size and header+body extents of the whole message. */
uint64_t mime_message_size(const struct mime_message *m);
uint64_t mime_message_virtual_size(const struct mime_message *m);

/* --- parsing --- */

struct mime_parser;
struct mime_parser *mime_parser_new(void);
/* The next bytes; the result is the same however the message is cut. */
void mime_parser_feed(struct mime_parser *p, const void *bytes, size_t len);
/* Ends the message and the parser.  Never NULL; the caller frees it with mime_message_free(). */
struct mime_message *mime_parser_finish(struct mime_parser *p);
void mime_parser_free(struct mime_parser *p); /* a parser that was not finished; NULL is fine */

/* The whole file from offset 0 to its end through a bounded buffer, with pread.  NULL and errno
 * if it cannot be read. */
struct mime_message *mime_parse_fd(int fd);
/* The same, and shows all bytes to `seen` as they go by. */
struct mime_message *mime_parse_fd_with(
    int fd, void (*seen)(void *arg, const void *bytes, size_t len), void *arg);
struct mime_message *mime_parse(struct str bytes);

/* --- what FETCH shows, ready to send; needs info and fields, so a parse --- */

/* "(" env-date SP … ")" of a part with `fields` (normally m->root); a literal where quoting is not allowed. */
void mime_envelope(struct buf *out, const struct mime_part *part);
void mime_body(struct buf *out, const struct mime_message *m);          /* BODY */
void mime_bodystructure(struct buf *out, const struct mime_message *m); /* with extension data */

/* Any bytes as nstring of RFC 9051 §9: NIL for p NULL, else quoted or a literal. */
void mime_nstring(struct buf *out, struct str s);

/* A parameter's value in UTF-8, after RFC 2231 (and, for senders who do not know it, RFC 2047);
 * false if `name` is not there. */
bool mime_param_utf8(
    const struct mime_param *params, size_t count, const char *name, struct buf *out);

/* --- the part table: what FETCH BODY[1.2.MIME], BINARY[] and SEARCH need, without a parse --- */

#define MIME_PACK_VERSION 1
void mime_pack(struct buf *out, const struct mime_message *m);
/* NULL for a blob that is damaged or of another version: then parse again.  Extents are checked to
 * lie within each other, so that an unpacked table is as safe as a parsed one. */
struct mime_message *mime_unpack(struct str blob);

/* The part that IMAP's section-part numbers name (RFC 9051 §6.4.5.1); NULL if there is none.  n == 0
 * is the whole message.  Part 1 of a message that is not multipart is its body; of a multipart
 * without parts it is empty, as BODY says.
 *
 *   BODY[n.m]         the found part's body             BODY[n.m.MIME]   its header
 *   BODY[n.m.HEADER]  only if it has MIME_PART_MESSAGE: its first_child's header
 *   BODY[n.m.TEXT]    likewise its first_child's body   (n == 0: HEADER and TEXT of the part itself)
 *
 * mime_find_message() gives the part that HEADER and TEXT mean, or NULL. */
const struct mime_part *mime_find_part(
    const struct mime_message *m, const uint32_t *numbers, size_t n);
const struct mime_part *mime_find_message(
    const struct mime_message *m, const uint32_t *numbers, size_t n);

/* --- counting the CRLF size of bytes that stream by (the W= of a file name) --- */

struct mime_crlf_count {
	uint64_t size, virtual_size, lines;
	bool last_was_cr;
};
void mime_crlf_count(
    struct mime_crlf_count *c, const void *bytes, size_t len); /* start with { 0 } */

#endif
