/* The base subject of RFC 5256 §2.1: what is left of a Subject without "Re:", "Fwd:", "[list]", "(fwd)" and
 * "[fwd: …]", by exactly the algorithm that clients use when they sort themselves. */
#ifndef STORE_BASE_SUBJECT_H
#define STORE_BASE_SUBJECT_H

#include <stdbool.h>

#include "base/text.h"

/* `text` is decoded and its runs of white space are single blanks (base_subject_normal()).  The result is a part of it.
 * *reply_out: something was removed that makes the message a reply or forward (a subj-refwd, "(fwd)", "[fwd: …]"; not
 * a "[list]").  Linear time. */
struct str base_subject(struct str text, bool *reply_out);

/* The whole of step 1 for the value of a Subject field as it stands in the header: unfolded, encoded words decoded
 * (RFC 2047), runs of white space made one blank. */
void base_subject_normal(struct buf *out, struct str value);

#endif
