/* match_domain, match_local_part, match_address and match_ip: lists of literal names, wildcards at the start
 * (`*.example.org`), patterns (`^…`) and IP networks; `!` turns one round.  What would look into a
 * file, a database or the server's configuration is refused. */
#ifndef FILTER_EXIM_MATCH_H
#define FILTER_EXIM_MATCH_H

#include "filter/exim/run.h"

bool exim_match_domain(struct exim_run *x, struct str subject, struct str list, bool *out);
bool exim_match_local_part(struct exim_run *x, struct str subject, struct str list, bool *out);
bool exim_match_address(struct exim_run *x, struct str subject, struct str list, bool *out);
bool exim_match_ip(struct exim_run *x, struct str subject, struct str list, bool *out);

#endif
