/* What an account may submit: under whose addresses, how much in an hour and in a day, how large.
 * RFC 6409 §6.1 (permissions), §8.1 (Sender); RFC 5321 §4.5.3 (limits).
 *
 * Numbers are the account's (store/account_limits.h), or those of the configuration.  What an account has
 * sent is counted in the spool, for all processes and over restarts: by policy_begin() to say no early, at MAIL
 * and RCPT, and once more where the message's row is written, so that any number of connections
 * at once stay within the limit (spool_commit()). */
#ifndef SUBMITD_POLICY_H
#define SUBMITD_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "store/account_limits.h"
#include "store/spool.h"

struct log;
struct service;
struct smtp_mail;
struct smtp_path;
struct smtp_reply;

/* Of one transaction: what policy_begin() found.  Zero-initialise; end with policy_end(). */
struct policy {
	struct service *sv;
	const struct log *log;
	struct account_row account;
	struct spool_sent most; /* the limits, 0: none; also for spool_commit() */
	struct spool_sent sent; /* as of MAIL */
	uint64_t recipients_max;
	uint64_t message_max_bytes; /* 0: as the server */
	bool sent_copy;
};

/* At MAIL, with the address of who logged in: reads limits and counts, and judges the sender, the announced
 * size, and whether another message may be sent at all.  False with the refusal in `r`.  The service and the
 * log are borrowed until policy_end(). */
bool policy_begin(struct policy *p, struct service *sv, const struct log *log, const char *login,
    const struct smtp_mail *mail, struct smtp_reply *r);
/* At RCPT, with the number of recipients so far; never waits.  False with the refusal. */
bool policy_rcpt(const struct policy *p, size_t recipient_count, struct smtp_reply *r);
/* More bytes than the account may send in one message?  Then the refusal is in `r`, for the end of the data. */
bool policy_is_too_large(const struct policy *p, uint64_t size_bytes, struct smtp_reply *r);
/* The answer where spool_commit() found the limit reached meanwhile. */
void policy_refuse_rate(const struct policy *p, size_t recipient_count, struct smtp_reply *r);
/* Is it the account's address, an alias, or either with a detail? */
bool policy_is_own(const struct policy *p, struct str address);
void policy_end(struct policy *p);

#endif
