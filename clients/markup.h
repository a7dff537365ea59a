/* Text into XML and HTML. */
#ifndef CLIENTS_MARKUP_H
#define CLIENTS_MARKUP_H

#include "base/buf.h"

/* With & < > " ' as references, which is right between tags and inside quotes.  What XML 1.0 §2.2 forbids (control
 * characters, broken UTF-8) becomes U+FFFD. */
void markup_text(struct buf *out, const char *text);

/* "<name>text</name>\n", indented by so many tabs. */
void markup_element(struct buf *out, unsigned indent, const char *name, const char *text);

/* printf for markup: a %s is escaped, %S is not (markup made here), %u is a number, %% a percent sign. */
void markup_printf(struct buf *out, const char *fmt, ...);

#endif
