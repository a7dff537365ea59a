/* Cuts what a client sends into commands.  Pure: bytes in, events out; no session and no socket.
 *
 * A command is its lines and, in place, the literals they announce, up to the line that announces none;
 * the client's answers within AUTHENTICATE come the same way.  Nobody waits for a go-ahead in this
 * protocol, so what is too large must be read and dropped: FRAME_REFUSED comes when all of the command has
 * passed by, and nothing of it is ever taken for another command.  A literal that is not worth that is
 * FRAME_HOPELESS. */
#ifndef MANAGESIEVED_FRAME_H
#define MANAGESIEVED_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

#define MSIEVE_FRAME_TAIL 32  /* enough for the longest announcement */
#define MSIEVE_FRAME_KEPT 512 /* of a refused command's first line */

struct msieve_frame_limits {
	size_t line_bytes;    /* all lines of one command */
	size_t literal_bytes; /* all its literals */
	uint64_t drain_bytes; /* of one refused literal */
};

enum msieve_frame_event {
	FRAME_NEED_INPUT, /* everything is consumed */
	FRAME_COMMAND,    /* a whole command is in `text` */
	FRAME_REFUSED,    /* too large; `text` holds how it began, `too_big` what was too large */
	FRAME_HOPELESS,   /* close the connection */
};

enum msieve_frame_state { FRAME_IN_LINE, FRAME_IN_LITERAL, FRAME_SKIP_LINE, FRAME_SKIP_LITERAL };
enum msieve_frame_excess { FRAME_LINE_TOO_LONG, FRAME_LITERAL_TOO_BIG };

/* Zero-initialise it; msieve_frame_reset() between commands. */
struct msieve_frame {
	struct buf text;
	enum msieve_frame_excess too_big;
	/* private */
	enum msieve_frame_state state;
	uint64_t literal_left;
	size_t literal_bytes; /* of literals, in `text` */
	size_t line_start;    /* of the line being read, in `text` */
	char tail[MSIEVE_FRAME_TAIL];
	size_t tail_len;
	bool refused;
};

/* Feeds bytes until something has happened; *consumed_out says how many were taken. */
enum msieve_frame_event msieve_frame_feed(struct msieve_frame *f,
    const struct msieve_frame_limits *limits, const char *bytes, size_t len, size_t *consumed_out);
/* Ready for the next command, holding no memory; what it held is wiped, it may be a password. */
void msieve_frame_reset(struct msieve_frame *f);
static inline bool
msieve_frame_is_empty(const struct msieve_frame *f)
{
	return f->text.len == 0 && f->state == FRAME_IN_LINE;
}

#endif
