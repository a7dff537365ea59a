/* The delivery agent of one process: who is a recipient, and how a message becomes files. */
#ifndef LDA_LDA_H
#define LDA_LDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "lda/content.h"
#include "store/quota.h"

struct filter;
struct lda_delivery;
struct service;
struct store_root;

/* How delivery to one recipient ends; reply.h says it in SMTP and in exit codes. */
enum lda_verdict {
	LDA_OK,
	LDA_NO_USER,
	LDA_INACTIVE,
	LDA_OVER_QUOTA,
	LDA_NO_MAILBOX, /* lda -m names one that cannot be */
	LDA_NO_SPACE,   /* of the whole disk */
	LDA_TEMPORARY,
	LDA_VERDICT_COUNT
};

struct lda {
	struct service *sv;
	struct store_root *root;
	char *hostname;
	char detail_delimiter; /* '\0': none */
	bool exact_case;
	const char **quota_exempt;     /* NULL-terminated */
	unsigned warning_percent;      /* 0: never */
	struct filter *default_filter; /* of filter.default; NULL: the built-in one */
};

/* Opens what delivery needs beside the service; false with the reason logged. */
bool lda_open(struct lda *l, struct service *sv);
void lda_close(struct lda *l);

/* A recipient that exists. Strings live in the arena given to lda_resolve(). */
struct lda_rcpt {
	const char *localpart, *domain; /* of the account */
	const char *address;            /* envelope recipient as it came */
	const char *detail;             /* of localpart+detail; NULL: none */
	bool has_filter;                /* of its own; its text is read when it is run */
	struct quota_rules quota;
};

/* `domain` may be "" (RCPT TO:<postmaster>): then auth.default_domain is taken. */
enum lda_verdict lda_resolve(struct lda *l, struct arena *arena, const char *local,
    const char *domain, const char *address, struct lda_rcpt *rcpt_out);

/* Is there room for one more message?  LDA_OK, LDA_OVER_QUOTA, LDA_TEMPORARY. */
enum lda_verdict lda_check_quota(struct lda *l, const struct lda_rcpt *rcpt);
/* Is there room on the disk and are we not overloaded?  Cheap. */
enum lda_verdict lda_check_resources(const struct lda *l);

struct lda_envelope {
	const char *sender; /* "" for the null reverse-path */
	const char *helo;   /* NULL: lda -d */
	const char *peer, *with, *tls, *id;
	const char *mailbox; /* lda -m: there instead of where the filter says; NULL: filter */
	bool quota_checked;  /* at RCPT already: deliver whatever the usage is now */
};

/* Runs the filter and writes the message to the disk; it is not in the mailboxes yet.  On LDA_OK the
 * caller ends *delivery_out with finish or abort.  Writing several before finishing the first keeps
 * all-or-nothing for peers that get one answer for several recipients. */
enum lda_verdict lda_prepare(struct lda *l, const struct lda_rcpt *rcpt,
    const struct lda_envelope *envelope, const struct content *content,
    struct lda_delivery **delivery_out);
/* LDA_OK: durable in every mailbox the filter named. */
enum lda_verdict lda_finish(struct lda_delivery *d);
void lda_abort(struct lda_delivery *d); /* NULL is fine */

/* Puts a message of the system's own into INBOX, whatever the quota; the filter does not see it. */
enum lda_verdict lda_deliver_system(struct lda *l, const struct lda_rcpt *rcpt, struct str message);

#endif
