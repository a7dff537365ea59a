/* The tags of RFC 5703 §4: tests that look at the header of a MIME part. */
#ifndef FILTER_SIEVE_EXT_MIME_H
#define FILTER_SIEVE_EXT_MIME_H

#include "filter/sieve/match.h"
#include "filter/sieve/run.h"

extern const struct sieve_tag_spec SIEVE_MIME_TAGS[]; /* :mime :anychild */
extern const struct sieve_tag_spec
    SIEVE_MIME_OPTION_TAGS[]; /* :type :subtype :contenttype :param */

/* For the check of a row with these tags: :anychild and the options need :mime. */
bool sieve_mime_check(struct sieve_check *c, struct sieve_call *call);

/* Has the call such an option?  Then its values are not the field's text but what follows. */
bool sieve_mime_has_option(const struct sieve_call *call);
/* Compares what the option takes from the field: true if the match needs no more. */
bool sieve_mime_match(
    struct sieve_matcher *m, const struct sieve_call *call, const struct sieve_field *field);

#endif
