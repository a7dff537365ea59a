/* Comparators, RFC 4790: i;octet, i;ascii-casemap, i;ascii-numeric (§9), i;unicode-casemap (RFC 5051). */
#ifndef FILTER_SIEVE_COMPARATOR_H
#define FILTER_SIEVE_COMPARATOR_H

#include "base/buf.h"
#include "filter/sieve/capability.h"

struct sieve_comparator {
	const char *name;
	enum sieve_cap cap;
	bool substrings; /* can do :contains and :matches */
	bool ignores_case;
	bool same_length; /* a normal form has the same bytes at the same places, but for case */
	/* Appends the form that is compared by its bytes; NULL: the text itself. */
	void (*normal)(struct buf *out, struct str s);
	int (*compare)(struct str a, struct str b); /* <0, 0, >0 of two normal forms */
	bool (*equal)(struct str a, struct str b);  /* of texts as they are; NULL: by `compare` */
};

extern const struct sieve_comparator SIEVE_ASCII_CASEMAP; /* the default, RFC 5228 §2.7.3 */
const struct sieve_comparator *sieve_comparator_find(struct str name); /* NULL: unknown */

#endif
