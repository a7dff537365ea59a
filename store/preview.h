/* The beginning of a message's text for lists of messages, RFC 8970: what PREVIEW shows.
 *
 * Of the first text part (in multipart/alternative the plain one), decoded, HTML as text, blanks and line ends as one
 * blank, control characters gone, cut behind PREVIEW_MAX_CHARS characters.  Lines that quote (">", <blockquote>) are left out
 * if anything else is there; where all is quoted, ">" stands in front.  Encrypted mail and mail without text: "". */
#ifndef STORE_PREVIEW_H
#define STORE_PREVIEW_H

#include "store/mime.h"

#define PREVIEW_MAX_CHARS 200 /* RFC 8970 §3.3: should be; 256 are the most */
#define PREVIEW_MAX_BYTES (4 * PREVIEW_MAX_CHARS)

/* Appends the preview of the file that `m` was learnt from.  What cannot be read is as if it were not there. */
void preview_make(struct buf *out, int fd, const struct mime_message *m);
/* The same of text in UTF-8 that was decoded already; for tests and fuzzing. */
void preview_of_text(struct buf *out, struct str text, bool html);

#endif
