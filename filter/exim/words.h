/* Encoded words, RFC 2047, as Exim's expansion makes and reads them. */
#ifndef FILTER_EXIM_WORDS_H
#define FILTER_EXIM_WORDS_H

#include "filter/exim/text.h"

/* Decodes into `charset`; NULL: no conversion, the bytes as they were encoded.  White space between two
 * words vanishes, NUL becomes `?`, what is broken stays as it is, and in an unknown charset unconverted. */
void exim_words_decode(struct exim_text *out, struct str text, const char *charset);
/* Q encoding, if there is anything that must be encoded. */
void exim_words_encode(struct exim_text *out, struct str text, const char *charset);

#endif
