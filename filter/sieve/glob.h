/* The patterns of :matches: "*" is any text, "?" one character, "\" makes the next byte itself.
 * RFC 5228 §2.7.1; what the wildcards stood for: RFC 5229 §3.2, each "*" as short as it can be.
 *
 * A pattern is cut at its stars.  The first piece stands at the start, the last at the end, and each other
 * at the first place behind the one before: so there is no backtracking over stars. */
#ifndef FILTER_SIEVE_GLOB_H
#define FILTER_SIEVE_GLOB_H

#include "base/mem.h"
#include "base/text.h"

struct sieve_glob;

/* `utf8`: "?" is a character of UTF-8; else an octet, as i;octet and i;ascii-casemap have it.
 * The pattern's literal text is compared byte by byte: bring pattern and value into one form first. */
struct sieve_glob *sieve_glob_new(struct arena *a, struct str pattern, bool utf8);

/* Sets up to `most` spans: captures_out[0] is the whole, [n] the n-th wildcard; *count_out of them.
 * captures_out may be NULL.  A long piece with a "?" is looked for at each place of a long value: `watch` hears
 * of it, and false ends the search without a match. */
struct sieve_glob_watch {
	bool (*go_on)(void *arg, size_t bytes); /* that many have been compared */
	void *arg;
	size_t bytes; /* since it was last told */
	bool stopped;
};
bool sieve_glob_match(const struct sieve_glob *glob, struct str value, struct str *captures_out,
    size_t most, size_t *count_out, struct sieve_glob_watch *watch);

#endif
