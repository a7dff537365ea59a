/* mailto URIs, RFC 6068, as a notification's method: RFC 5436 §2. */
#ifndef FILTER_SIEVE_MAILTO_H
#define FILTER_SIEVE_MAILTO_H

#include "base/mem.h"
#include "base/text.h"

#define MAILTO_RECIPIENTS_MAX 8 /* with those of "cc" and "bcc"; as many as lda sends to */

/* A header field of the URI; text is decoded. */
struct mailto_field {
	struct str name, value;
	struct mailto_field *next;
};

struct mailto {
	const char **to; /* localpart@domain of the path and of "to" fields, each once */
	size_t to_count;
	size_t recipient_count;      /* of all fields */
	struct mailto_field *fields; /* the others that a notification may have, each name once */
	const char *ignored; /* the name of one that it may not have, or has already; NULL: none */
};

/* All memory is the arena's.  False: *why_out says what is wrong. */
bool mailto_parse(
    struct arena *arena, struct str uri, struct mailto *mailto_out, const char **why_out);

#endif
