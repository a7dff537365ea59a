/* The text of an HTML page, as a reader would search it: no tags, scripts, styles or comments, entities as
 * characters.  A tag divides words.  Anything goes in; the result is UTF-8 if the page was. */
#ifndef STORE_HTML_TEXT_H
#define STORE_HTML_TEXT_H

#include "base/buf.h"
#include "base/text.h"

void html_text(struct buf *out, struct str html);

#endif
