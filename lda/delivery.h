/* One message on its way to one recipient: what the parts of delivery share.  Nobody else includes it.
 *   filtering.c      which filters it meets and what they ask for
 *   copies.c         copies in mailboxes
 *   redirects.c      copies that go on to another address
 *   replies.c        answers and notifications
 *   filter_report.c  what the account is told of its filter's mistakes
 *   deliver.c        the order of it all */
#ifndef LDA_DELIVERY_H
#define LDA_DELIVERY_H

#include "filter/sequence.h"
#include "filter/view.h"
#include "lda/lda.h"
#include "sending/pour.h"
#include "sending/redirect.h"
#include "store/err.h"
#include "store/record.h"
#include "store/root.h"

#define DELIVERY_TROUBLES_MAX 8

struct account;
struct append;
struct filter_account;
struct filter_cached;
struct maildir_delivery;
struct state;

/* Who decided: for log lines. */
struct decision {
	const char *language; /* "sieve", "exim", "keep" */
	const char *script;   /* "own", "default", or the file of one of the administrator's */
	unsigned line;        /* 0: nobody wrote it */
	const char *place;    /* "before", "user", "default", "after"; NULL: no filter was asked */
};

/* One copy on its way into one mailbox. */
struct copy {
	const char *mailbox;
	const char *special_use; /* of the mailbox, if it has to be made; NULL: none */
	unsigned flags;          /* MESSAGE_… */
	const char **keywords;
	size_t keyword_count;
	const struct filter_edit *edit; /* NULL: as it came */
	struct decision by;
	/* While it is written: `append` where there are keywords, which need the mailbox's list of names. */
	struct maildir_delivery *file;
	struct account *acct;
	struct append *append;
	uint64_t size_bytes;
	uint32_t uid;   /* if APPEND gave one; 0: not known */
	uint64_t inode; /* 0: not known */
};

/* One copy on its way to another address. */
struct redirect {
	const struct filter_redirect *to;
	const struct filter_edit *edit;
	struct decision by;
	struct redirect_draft draft;
	const char *key; /* of what is remembered of it */
};

/* A mistake in the account's filter that its owner shall hear of. */
struct trouble {
	const char *kind; /* as in state.h */
	unsigned line;
	const char *text;
	bool
	    whole; /* the filter has failed and asked for nothing; else one of its actions was not possible */
};

struct lda_delivery {
	struct lda *lda;
	const struct lda_rcpt *rcpt;
	const struct lda_envelope *envelope;
	const struct content *content;
	struct arena arena;
	const char *account; /* localpart@domain */
	int64_t now;
	uint64_t begun_ns; /* metrics_now_ns() */
	struct home *home;
	struct quota_usage before;
	uint64_t stored_bytes; /* that count towards quota */

	struct {
		int fd;                /* the lock; -1: none */
		const char *key;       /* in state.db; NULL: not looked at */
		const char *ended_key; /* the same of one that did not only go on */
		struct state *state;
		bool is_duplicate; /* taken, and nothing comes of it */
	} once;                    /* see duplicates.h */

	struct filter_message message;
	struct view view;
	bool view_is_open;
	char digest[POUR_DIGEST_BYTES]; /* "" until it is asked for */

	struct filter_step steps[FILTER_SEQUENCE_MAX];
	size_t step_count;
	struct filter_error own_error; /* where the own filter does not compile */
	const char *own_language;
	struct filter_cached *cached;
	struct filter_account *around;
	struct filter_sequence_result found;

	struct copy copies[FILTER_ACTIONS_MAX];
	size_t copy_count;
	struct redirect redirects[FILTER_ACTIONS_MAX];
	size_t redirect_count;
	const struct filter_action *reject; /* NULL: not refused */
	size_t reject_number;               /* of it among the actions */
	bool refused; /* in the dialogue, with these words; else by a message */
	char refusal[LDA_REFUSAL_BYTES];
	struct trouble troubles[DELIVERY_TROUBLES_MAX];
	size_t trouble_count;

	struct record record;     /* see delivery_record.h */
	enum lda_verdict verdict; /* LDA_VERDICT_COUNT: given up with another recipient */
};

enum lda_verdict delivery_verdict(enum store_err err);
/* NULL: it cannot be read. */
const struct view *delivery_view(struct lda_delivery *d);
/* The same for the same message whenever it comes.  NULL: it cannot be read. */
const char *delivery_digest(struct lda_delivery *d);
/* The account's memory; NULL with the reason logged: try again later. */
struct state *delivery_state(struct lda_delivery *d);
/* An action that is not possible as the filter asks for it.  Nothing is noted if it was not the account's own filter that
 * did: its owner cannot mend the administrator's.  Strings are copied; the ninth is dropped. */
void delivery_trouble(struct lda_delivery *d, struct decision by, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The account's own filter has failed as a whole. */
void delivery_failure(struct lda_delivery *d, const char *kind, const struct filter_error *error);
/* For `filter=%s script=%s line=%u`. */
struct decision delivery_decision(const struct lda_delivery *d, size_t action);

#endif
