/* Header blocks and header text: fields, unfolding, encoded words.
 * RFC 5322 §2.2, RFC 2047, RFC 6532 (UTF-8 in headers). */
#ifndef STORE_HEADER_H
#define STORE_HEADER_H

#include "base/buf.h"
#include "base/text.h"

struct header_field {
	struct str name;  /* without the blanks that may stand before the colon */
	struct str value; /* raw, from behind the colon, folds within, without the last line end */
	struct str raw;   /* the whole field with its last line end */
};
/* The next field; false at the blank line or the end of the block.  A line without a colon is a
 * field whose name is the line.  Lines end in LF or CRLF. */
bool header_next(struct cursor *c, struct header_field *field_out);
/* False for a line without a colon, which is no field even if it reads like the name of one. */
static inline bool
header_has_colon(const struct header_field *field)
{
	return field->value.p != field->raw.p;
}
/* The first field of that name in a block (letter case does not matter). */
bool header_find(struct str block, const char *name, struct header_field *field_out);

/* The value on one line: line ends are dropped, the blank that follows each stays, blanks
 * at both ends go. */
void header_unfold(struct buf *out, struct str value);

/* A field's text as UTF-8: unfolded (with a blank where a folded line begins with a tab), encoded words decoded (RFC 2047), raw 8-bit kept
 * if it is UTF-8 and otherwise repaired.  White space between two encoded words goes; a character cut between
 * two words of one charset is whole again; lower-case q and b, blanks within Q, missing padding are accepted;
 * a word in an unknown charset, or that is no encoded word, stays as it is. */
void header_decode(struct buf *out, struct str value);

/* [CFWS] of a structured field, RFC 5322 §3.2.2: blanks, line ends and nested comments.  A comment that is
 * not closed goes to the end. */
void header_skip_cfws(struct cursor *c);

#endif
