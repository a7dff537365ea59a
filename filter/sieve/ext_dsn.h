/* Delivery status notifications and deliver-by in Sieve, RFC 6009: what envelope can look at, what redirect
 * can ask for. */
#ifndef FILTER_SIEVE_EXT_DSN_H
#define FILTER_SIEVE_EXT_DSN_H

#include "filter/sieve/sieve.h"

/* A part of the envelope that is no address; a table ends with a row without a name. */
struct sieve_envelope_part {
	const char *name;
	enum sieve_cap cap;
	bool (*match)(struct sieve_matcher *m); /* its values; true: no more are needed */
};
extern const struct sieve_envelope_part SIEVE_DSN_PARTS[];
/* :zone of envelope, for "bytimeabsolute" (§5). */
extern const struct sieve_tag_spec SIEVE_DSN_ENVELOPE_TAGS[];

/* :notify :ret :bytimerelative :bytimeabsolute :bymode :bytrace (§4, §6). */
extern const struct sieve_tag_spec SIEVE_DSN_REDIRECT_TAGS[];
/* Fills what these tags of a call say.  False: the run has ended. */
bool sieve_dsn_redirect(
    struct sieve_run *r, const struct sieve_call *call, struct filter_redirect *redirect);

#endif
