/* What an account may submit: under whose addresses, how much in an hour and in a day, how large.
 * RFC 6409 §6.1 (permissions), §8.1 (Sender); RFC 5321 §4.5.3 (limits).
 *
 * Numbers are the account's (store/account_limits.h), or those of the configuration.  What an account has
 * sent is counted in the spool, for all processes and over restarts: at MAIL, to say no early, and once
 * more where the message's row is written, so that any number of connections at once stay within the
 * limit (spool_commit()).  An account that was switched off may send nothing from then on. */
#ifndef SUBMITD_POLICY_H
#define SUBMITD_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "store/account_limits.h"
#include "store/spool.h"
#include "submitd/from.h"

struct log;
struct service;
struct smtp_mail;
struct smtp_reply;

/* Of one transaction: what policy_begin() found.  Zero-initialise; end with policy_end(). */
struct policy {
	struct service *sv;
	const struct log *log;
	const char *login;
	struct account_row account;
	struct spool_sent most; /* the limits, 0: none; also for spool_commit() */
	struct spool_sent sent; /* as of MAIL */
	uint64_t recipients_max;
	uint64_t message_max_bytes; /* 0: as the server */
	bool sent_copy;
	bool logged; /* that a limit is reached: "rate-exceeded" */
};

/* At MAIL, with the address of who logged in and its tenure then (store/account_tenure.h): reads limits and counts, and judges the sender, the announced
 * size, and whether another message may be sent at all.  False with the refusal in `r`.  Service, log and
 * login are borrowed until policy_end(), which is due after a refusal too. */
bool policy_begin(struct policy *p, struct service *sv, const struct log *log, const char *login,
    const char *tenure, const struct smtp_mail *mail, struct smtp_reply *r);
/* At RCPT, with the number of recipients so far; never waits.  False with the refusal. */
bool policy_rcpt(struct policy *p, size_t recipient_count, struct smtp_reply *r);
/* More bytes than the account may send in one message?  Then the refusal is in `r`. */
bool policy_is_too_large(const struct policy *p, uint64_t size_bytes, struct smtp_reply *r);
/* The answer where spool_commit() found a limit reached meanwhile. */
void policy_refuse_rate(struct policy *p, size_t recipient_count, struct smtp_reply *r);
/* Is it the account's address, an alias, or either with a detail? */
bool policy_is_own(const struct policy *p, struct str address);
/* submitd.from_policy with the account's addresses, for header.h; good as long as `p`. */
struct from_check policy_from_check(struct policy *p);
void policy_end(struct policy *p);

#endif
