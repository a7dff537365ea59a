/* Which part of an address a test compares: RFC 5228 §2.7.4, RFC 5233. */
#ifndef FILTER_SIEVE_ADDRESS_PART_H
#define FILTER_SIEVE_ADDRESS_PART_H

#include "filter/sieve/run.h"

/* False: there is no such part (:detail of an address without one), so nothing is compared. */
bool sieve_address_part(struct sieve_run *r, const struct sieve_call *call, struct str local,
    struct str domain, struct str *part_out);

#endif
