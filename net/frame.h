/* Cuts what a client sends into commands, for the protocols of lines and literals: IMAP and ManageSieve.  Pure:
 * bytes in, events out; no session and no socket.
 *
 * A command is its lines and, in place, the literals that they announce, up to the line that announces
 * none; a client's answer within a command comes the same way.  What must not be held in memory is not: data that the
 * rules say is streamed (APPEND's) is announced to the caller, which takes the bytes itself.
 *
 * A line or literal that is too large ends the command with FRAME_REFUSED, but the bytes that the client
 * will still send for it (the rest of the line, literals nobody waits for) are skipped first, so
 * that they are never taken for commands.  Only a literal beyond drain_bytes is not worth that: FRAME_HOPELESS. */
#ifndef NET_FRAME_H
#define NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

#define FRAME_TAIL 30  /* enough for the longest announcement */
#define FRAME_KEPT 512 /* of a refused command's first line */

/* A literal's announcement: "{n}", "{n+}", "~{n}", "~{n+}", without the CRLF. */
struct frame_literal {
	uint64_t size_bytes;
	bool nonsync; /* the client does not wait for our "+": RFC 7888; always so in RFC 5804 */
	bool binary;  /* "~": literal8, may hold NULs, RFC 9051 §4.3.1 and RFC 3516 */
};

struct frame_rules {
	uint32_t line_bytes;    /* all lines of one command */
	uint32_t literal_bytes; /* all its literals */
	uint32_t nonsync_bytes; /* each literal that nobody waits for */
	uint64_t drain_bytes;   /* of one refused literal */
	/* Does `line` (without its CRLF) end in an announcement?  At *start_out it begins. */
	bool (*announces)(struct str line, struct frame_literal *lit_out, size_t *start_out);
	/* Is the literal announced behind `text` data to be streamed?  `behind`: some has been, and `text` is what came
	 * behind it.  NULL: none is. */
	bool (*streams)(struct str text, bool behind);
};

enum frame_event {
	FRAME_NEED_INPUT, /* everything is consumed */
	FRAME_COMMAND,  /* a whole command (or the rest of one after streamed data) is in `text` */
	FRAME_CONTINUE, /* send "+ …": the client waits before its literal */
	FRAME_STREAM,   /* `text` ends before the announcement `literal` of data to be streamed */
	FRAME_REFUSED,  /* too large; `text` holds how it began, `too_big` what was too large */
	FRAME_HOPELESS, /* close the connection */
};

enum frame_state { FRAME_IN_LINE, FRAME_IN_LITERAL, FRAME_SKIP_LINE, FRAME_SKIP_LITERAL };
enum frame_excess { FRAME_FITS, FRAME_LINE_TOO_LONG, FRAME_LITERAL_TOO_BIG };

/* Zero-initialise it; frame_reset() between commands. */
struct frame {
	struct buf text; /* the command so far; without the last CRLF once it is whole */
	struct frame_literal literal; /* the last one; its size shrinks while it passes by */
	enum frame_excess too_big;
	/* private, but for `streamed`: data has been announced in this command */
	enum frame_state state;
	uint32_t literal_bytes; /* of literals, in `text` */
	uint32_t line_start;    /* of the line being read, in `text` */
	bool streamed;
	unsigned char tail_len;
	char tail[FRAME_TAIL]; /* of the line being skipped */
};

/* Feeds bytes until something has happened; *consumed_out says how many were taken. */
enum frame_event frame_feed(struct frame *f, const struct frame_rules *rules, const char *bytes,
    size_t len, size_t *consumed_out);
/* After FRAME_STREAM, when the caller has taken the data: the rest of the command follows. */
void frame_resume(struct frame *f);
/* After FRAME_STREAM, refused: skips what comes of the data anyway, and then the rest of the command;
 * FRAME_REFUSED follows.  False: hopeless. */
bool frame_skip(struct frame *f, const struct frame_rules *rules, uint64_t size_bytes);
/* Ready for the next command, holding no memory; what it held is wiped, it may be a password. */
void frame_reset(struct frame *f);
static inline bool
frame_is_empty(const struct frame *f)
{
	return f->text.len == 0 && f->state == FRAME_IN_LINE && !f->streamed;
}

#endif
