/* Comparators, RFC 4790: i;octet, i;ascii-casemap, i;ascii-numeric (§9), i;unicode-casemap (RFC 5051). */
#ifndef FILTER_SIEVE_COMPARATOR_H
#define FILTER_SIEVE_COMPARATOR_H

#include "base/mem.h"
#include "filter/sieve/capability.h"

struct sieve_comparator {
	const char *name;
	enum sieve_cap cap;
	bool substrings; /* can do :contains and :matches */
	/* The form in which equal texts are the same bytes; NULL: as they are. */
	struct str (*normal)(struct arena *a, struct str s);
	/* <0, 0, >0 of two normal forms. */
	int (*compare)(struct str a, struct str b);
	/* Of the bytes as they are, where that is cheaper than normal forms; NULL: no. */
	bool (*equal)(struct str a, struct str b);
	bool fold_ascii; /* bytes are compared with ASCII letters in one case */
};

const struct sieve_comparator *sieve_comparator_find(struct str name); /* NULL: unknown */
extern const struct sieve_comparator SIEVE_ASCII_CASEMAP; /* the default, RFC 5228 §2.7.3 */
extern const struct sieve_comparator SIEVE_OCTET;

#endif
