/* The delivery agent of one process: who is a recipient, and how a message becomes files. */
#ifndef LDA_LDA_H
#define LDA_LDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "sending/content.h"
#include "sending/outgoing.h"
#include "store/account_aliases.h"
#include "store/quota.h"

#define LDA_REFUSAL_BYTES 400 /* of a reason that a filter gives */
#define LDA_WARNINGS_MAX  16

struct filter_cache;
struct filter_settings;
struct lda_delivery;
struct lda_scripts;
struct leave;
struct service;
struct store_root;

/* How delivery to one recipient ends; reply.h says it in SMTP and in exit codes. */
enum lda_verdict {
	LDA_OK,
	LDA_NO_USER,
	LDA_INACTIVE,
	LDA_OVER_QUOTA,
	LDA_TOO_BIG,    /* for this account */
	LDA_LOOP,       /* it has been here before */
	LDA_NO_MAILBOX, /* lda -m names one that cannot be */
	LDA_REFUSED,    /* by the recipient's filter, with a reason of its own */
	LDA_NO_SPACE,   /* of the whole disk */
	LDA_TEMPORARY,
	LDA_VERDICT_COUNT
};

struct lda {
	struct service *sv;
	struct store_root *root;
	char *hostname;
	struct account_resolve_rules addresses;
	char *leave_template;      /* NULL: the built-in one */
	bool detail_mailbox;       /* mail to ann+x goes to her mailbox x, if there is one */
	const char **quota_exempt; /* NULL-terminated */
	unsigned warnings[LDA_WARNINGS_MAX]; /* percent, rising */
	size_t warning_count;
	uint64_t duplicate_window_s; /* 0: a message may come again */
	unsigned hops_max;
	bool delivered_to;           /* added, and looked for */
	bool quota_permanent;        /* over quota is refused (552) instead of put off (452) */
	bool redirect_as_account;    /* envelope sender of redirects */
	uint64_t vacation_min_s;     /* between two replies to one sender */
	struct lda_scripts *scripts; /* the administrator's filters */
	struct filter_cache *cache;
	struct filter_settings *settings;
	struct outgoing outgoing;
};

/* Opens what delivery needs beside the service; false with the reason logged. */
bool lda_open(struct lda *l, struct service *sv);
void lda_close(struct lda *l);

/* A recipient that exists. Strings live in the arena given to lda_resolve(). */
struct lda_rcpt {
	const char *localpart, *domain; /* of the account */
	const char *address;            /* envelope recipient as it came */
	const char *detail;             /* of localpart+detail; NULL: none */
	const struct leave *leave;      /* the user has left: answered and not kept; NULL: no */
	const char *orcpt;              /* DSN, "type;address", decoded; NULL: not given */
	const char *notify_text;        /* DSN, "SUCCESS,FAILURE" as given; NULL: not given */
	bool has_filter;                /* of its own; its text is read when it is run */
	struct quota_rules quota;
	uint64_t message_max_bytes;
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
	bool size_checked;   /* so is its size */
	bool answers_alone;  /* this recipient gets an answer of its own: a filter may refuse */
	bool binary;         /* BODY=BINARYMIME */
	bool smtputf8;
	bool require_tls;     /* RFC 8689: redirects take it along */
	const char *envid;    /* DSN, decoded; NULL: not given */
	const char *ret_text; /* DSN, "FULL" or "HDRS"; NULL: not given */
	/* Deliveries of the same message that are prepared already and end together with this one. */
	struct lda_delivery *const *siblings;
	size_t sibling_count;
};

/* Delivery has three steps.  All that can go wrong is tried in the first, for all recipients where they share one
 * answer: prepare runs the filters and writes copies and redirects to the disk, where nobody sees them.  On
 * LDA_OK the caller goes on with send, then finish; or ends it with abort.  All that it is given is borrowed until
 * the delivery ends. */
enum lda_verdict lda_prepare(struct lda *l, const struct lda_rcpt *rcpt,
    const struct lda_envelope *envelope, const struct content *content,
    struct lda_delivery **delivery_out);
/* Redirects are in the spool, durably.  After anything but LDA_OK: abort. */
enum lda_verdict lda_send(struct lda_delivery *d);
/* LDA_OK: durable in every mailbox the filter named, and all is said that it wanted to be said.  LDA_REFUSED:
 * refusal_out has the reason.  The delivery has ended in any case. */
enum lda_verdict lda_finish(struct lda_delivery *d, char refusal_out[LDA_REFUSAL_BYTES]);
void lda_abort(struct lda_delivery *d); /* NULL is fine */
/* The three steps at once, for a recipient with an answer of its own. */
enum lda_verdict lda_deliver(struct lda *l, const struct lda_rcpt *rcpt,
    const struct lda_envelope *envelope, const struct content *content,
    char refusal_out[LDA_REFUSAL_BYTES]);

/* Puts a message of the system's own into INBOX, whatever the quota; the filter does not see it. */
enum lda_verdict lda_deliver_system(struct lda *l, const struct lda_rcpt *rcpt, struct str message);

#endif
