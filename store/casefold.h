/* Text made comparable: i;unicode-casemap (RFC 5051): every character to its titlecase form, then
 * fully decomposed.  Two texts match as IMAP's SEARCH wants if the normal form of one holds the other's.
 * Input that is not UTF-8 gives U+FFFD, once per bad run. */
#ifndef STORE_CASEFOLD_H
#define STORE_CASEFOLD_H

#include "base/buf.h"
#include "base/text.h"

struct casefold {    /* start with { 0 } */
	char cut[4]; /* the start of a character cut between two calls */
	unsigned char cut_len;
	bool bad;
};

void casefold_feed(struct casefold *cf, struct buf *out, const void *bytes, size_t len);
void casefold_finish(struct casefold *cf, struct buf *out);
void casefold_all(struct buf *out, struct str text);
bool casefold_eq(struct str a, struct str b);

#endif
