/* Blanks that the grammar has no place for: RFC 9051 §9 puts exactly one SP between arguments and none within
 * parentheses' ends, but clients double them or leave some at the end of a line, and servers have always taken that. */
#ifndef IMAPD_BLANKS_H
#define IMAPD_BLANKS_H

#include "base/mem.h"
#include "base/text.h"

/* `text` of a framed command with one blank for several, and none behind "(", before ")" and at the end.  Quoted
 * strings and literals stay as they are.  Gives back `text` itself where there is nothing to do. */
struct str imap_squeeze_blanks(struct arena *arena, struct str text);

#endif
