/* The transparency of DATA, RFC 5321 §4.5.2, both ways.
 *
 * Reading: data ends with CRLF "." CRLF (or "." CRLF at its very beginning) and with nothing else.  A line
 * begins behind a CRLF only: "LF . CRLF", "CR . CR LF" and their like are text, so that nobody can hide a
 * second message from the hop before us.  One dot at the beginning of a line is taken off.
 * Line ends are passed on as they came; lone CRs and LFs are noted. */
#ifndef NET_SMTP_DOTS_H
#define NET_SMTP_DOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum smtp_dots_state {
	SMTP_DOTS_LINE_START,
	SMTP_DOTS_TEXT,
	SMTP_DOTS_CR,
	SMTP_DOTS_DOT,
	SMTP_DOTS_DOT_CR,
	SMTP_DOTS_END,
};
struct smtp_dots { /* zero-initialise per message */
	enum smtp_dots_state state;
	bool bare_newline; /* a lone LF or CR was seen */
};

/* Appends the text in `in` to out; returns the bytes used, less than len only at the end of data (then
 * d->state is SMTP_DOTS_END and what follows are commands). */
size_t smtp_dots_decode(struct smtp_dots *d, const char *in, size_t len, struct buf *out);

/* The same look for lone line ends for data that needs no transparency (BDAT). */
void smtp_dots_check(struct smtp_dots *d, const char *in, size_t len);

/* Writing: LF and CRLF become CRLF, a dot at the beginning of a line is doubled (`stuff`).  A lone CR becomes
 * CRLF too: it may not be sent (RFC 5321 §2.3.8). */
struct smtp_stuff {   /* zero-initialise per message */
	bool cr;      /* the last byte was a CR, its line end is not written yet */
	bool in_line; /* not at the beginning of a line */
};
void smtp_stuff_encode(
    struct smtp_stuff *st, bool stuff, const char *in, size_t len, struct buf *out);
/* Ends the last line if it has no end, and for DATA (`stuff`) adds the dot. */
void smtp_stuff_end(struct smtp_stuff *st, bool stuff, struct buf *out);

#endif
