/* What the commands that send a message share (vacation, notify): who writes, and where a copy goes. */
#ifndef FILTER_SIEVE_REPLY_H
#define FILTER_SIEVE_REPLY_H

#include "filter/sieve/sieve.h"

/* One mailbox of RFC 5322 §3.4, with or without a name, and nothing else. */
bool sieve_reply_is_mailbox(struct str text);
/* For the `check` of a tag :from: a constant must be one mailbox. */
bool sieve_reply_check_from(
    struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg);

/* :fcc and what may stand beside it, RFC 8580.  Join SIEVE_STORE_TAGS too: it has :flags, :create … */
extern const struct sieve_tag_spec SIEVE_FCC_TAGS[];
/* For `check` of such a command: tags of a store without :fcc say nothing, so they are an error. */
bool sieve_fcc_check(struct sieve_check *c, const struct sieve_call *call);
/* Where the copy goes; *fcc_out NULL: there is to be none.  False: the run has ended. */
bool sieve_fcc(struct sieve_run *r, const struct sieve_call *call, struct filter_store **fcc_out);

#endif
