/* Digests and Exim's own two small hashes. */
#ifndef FILTER_EXIM_DIGESTS_H
#define FILTER_EXIM_DIGESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "filter/exim/text.h"

/* md5, sha1, sha256 …, as OpenSSL calls them, in hexadecimal. */
void exim_digest(struct exim_text *out, const char *name, struct str text, bool upper);
/* False for other algorithms than md5 and sha1, which are all that Exim has. */
bool exim_hmac(struct exim_text *out, struct str algorithm, struct str secret, struct str text);

/* ${hash: as many letters as `length`, of the first `letters` (at most 62) of the alphabet. */
void exim_hash(struct exim_text *out, struct str text, int64_t length, int64_t letters);
/* ${nhash: the sum of the bytes, each times a prime. */
uint64_t exim_nhash(struct str text);

#endif
