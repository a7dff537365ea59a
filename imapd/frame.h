/* Cuts what a client sends into commands.  Pure: bytes in, events out; no session and no socket.
 *
 * A command is its lines and, in place, the literals that they announce, up to the line that announces
 * none.  What must not be held in memory is not: the data of APPEND is announced to the caller
 * (FRAME_APPEND), which takes the bytes itself.
 *
 * A line or literal that is too large ends the command with FRAME_REFUSED, but the bytes that the client
 * will still send for it (the rest of the line, non-synchronising literals) are skipped first, so
 * that they are never taken for commands.  Only a literal beyond IMAP_DRAIN_MAX_BYTES is not
 * worth that: FRAME_HOPELESS. */
#ifndef IMAPD_FRAME_H
#define IMAPD_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"
#include "imapd/parse.h"

#define IMAP_DRAIN_MAX_BYTES ((uint64_t)1 << 30) /* refused literals that are read and dropped */
#define IMAP_FRAME_TAIL      48                  /* enough for the longest announcement */

struct imap_frame_limits {
	size_t line_bytes;    /* all lines of one command */
	size_t literal_bytes; /* all its literals */
	size_t nonsync_bytes; /* each literal with "+" */
	bool append;          /* announce APPEND's data instead of keeping it */
};

enum imap_frame_event {
	FRAME_NEED_INPUT, /* everything is consumed */
	FRAME_COMMAND,  /* a whole command (or the rest of one after APPEND's data) is in `text` */
	FRAME_CONTINUE, /* send "+ …": the client waits before its literal */
	FRAME_APPEND,   /* `text` ends before the announcement `literal` of APPEND's data */
	FRAME_REFUSED,  /* too large; `text` begins with the tag.  `why` says it */
	FRAME_HOPELESS, /* close the connection */
};

enum imap_frame_state { FRAME_IN_LINE, FRAME_IN_LITERAL, FRAME_SKIP_LINE, FRAME_SKIP_LITERAL };

/* Zero-initialise it; imap_frame_reset() between commands. */
struct imap_frame {
	struct buf text; /* the command so far; without the last CRLF once it is whole */
	struct imap_literal literal;
	const char *why; /* FRAME_REFUSED: text for the reply */

	enum imap_frame_state state;
	bool in_append;             /* data has been announced in this command */
	uint64_t literal_left;      /* bytes still to come */
	size_t literal_bytes;       /* of literals, in `text` */
	size_t line_start;          /* of the line being read, in `text` */
	char tail[IMAP_FRAME_TAIL]; /* of the line being skipped */
	size_t tail_len;
};

/* Feeds bytes until something has happened; *consumed_out says how many were taken. */
enum imap_frame_event imap_frame_feed(struct imap_frame *f, const struct imap_frame_limits *limits,
    const char *bytes, size_t len, size_t *consumed_out);
/* After FRAME_APPEND, when the caller has taken the data: the rest of the command follows. */
void imap_frame_resume(struct imap_frame *f);
/* After FRAME_APPEND, refused: skips the data that comes anyway (a non-synchronising literal), and then
 * the rest of the command; FRAME_REFUSED follows, or FRAME_HOPELESS at once. */
bool imap_frame_skip(struct imap_frame *f);
/* Ready for the next command, holding no memory. */
void imap_frame_reset(struct imap_frame *f);
static inline bool
imap_frame_is_empty(const struct imap_frame *f)
{
	return f->text.len == 0 && f->state == FRAME_IN_LINE && !f->in_append;
}

/* The tag at the start of a command, or "*" if there is none to answer to. */
struct str imap_frame_tag(struct str text);

#endif
