/* Charsets to UTF-8 by iconv, with the names that mail really uses ("ks_c_5601-1987",
 * "iso-8859-8-i", "cp-1252", "unicode-1-1-utf-7", "x-sjis" …).
 *
 * Text always comes out as well-formed UTF-8: what cannot be converted becomes U+FFFD, once per bad run.
 * us-ascii is read as UTF-8 (and what is not UTF-8 in it as bad bytes).  The
 * streaming reader treats an unknown charset as us-ascii; charset_to_utf8() says it does not know. */
#ifndef STORE_CHARSET_H
#define STORE_CHARSET_H

#include "base/buf.h"
#include "base/text.h"

struct charset;
/* NULL if there is no such charset.  "" and us-ascii and utf-8 cost no iconv. */
struct charset *charset_open(struct str name);
/* Converts the next bytes; a character may be cut between calls. */
void charset_feed(struct charset *c, struct buf *out, const void *bytes, size_t len);
void charset_finish(
    struct charset *c, struct buf *out); /* what a cut character leaves; then starts anew */
void charset_close(struct charset *c);   /* NULL is fine */

/* A whole text; false (and nothing added) if the charset is not known.  SEARCH's BADCHARSET. */
bool charset_to_utf8(struct buf *out, struct str charset, struct str text);
bool charset_known(struct str name);

/* UTF-8 with each bad run as U+FFFD. */
void utf8_repair(struct buf *out, struct str text);
/* How many bytes the character at s (len > 0) has, with its code point; 0: not UTF-8;
 * -1: cut off at the end. */
int utf8_decode(const char *s, size_t len, uint32_t *code_out);
void utf8_encode(struct buf *out, uint32_t code);

#endif
