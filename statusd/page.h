/* The status page: one page of HTML without scripts, for a phone and for a screen. */
#ifndef STATUSD_PAGE_H
#define STATUSD_PAGE_H

#include "base/buf.h"
#include "statusd/facts.h"

extern const char PAGE_STYLE[]; /* its style sheet, /style.css */

/* `token` goes into the forms; `notice` (NULL: none) is said on top. */
void page_write(const struct facts *f, const char *token, const char *notice, struct buf *out);

/* For people: "3 minutes", "2 days"; "1.4 GB". */
void page_duration(struct buf *out, int64_t seconds);
void page_size(struct buf *out, uint64_t bytes);

#endif
