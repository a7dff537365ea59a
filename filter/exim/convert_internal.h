/* Shared by the two halves of the converter: commands and conditions. */
#ifndef FILTER_EXIM_CONVERT_INTERNAL_H
#define FILTER_EXIM_CONVERT_INTERNAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/mem.h"
#include "filter/exim/tree.h"

enum sieve_needs { /* capabilities that the script must require */
	NEEDS_FILEINTO = 1,
	NEEDS_COPY = 2,
	NEEDS_MAILBOX = 4,
	NEEDS_ENVELOPE = 8,
	NEEDS_REGEX = 16,
	NEEDS_VACATION = 32,
	NEEDS_VACATION_SECONDS = 64,
	NEEDS_VARIABLES = 128,
	NEEDS_SUBADDRESS = 256,
};

struct conversion {
	struct arena arena;
	struct buf *problems;
	unsigned needs;
	bool personal; /* the script must know whose it is */
};

/* A problem, on a line; always false. */
bool convert_problem(struct conversion *c, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The text that a value always expands to; false if it depends on the message. */
bool convert_literal(struct conversion *c, struct str value, struct str *out);
void convert_string(struct buf *out, struct str s); /* quoted */

/* Appends a test; false, with the problem said, if there is none that does the same. */
bool convert_condition(struct conversion *c, struct buf *out, const struct exim_condition *cond);

#endif
