/* User filters in imapd: what all sessions of a worker share, and one filter over messages that lie in a mailbox. */
#ifndef IMAPD_FILTERS_H
#define IMAPD_FILTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "filter/filter.h"
#include "sending/outgoing.h"
#include "store/err.h"

struct account;
struct filter_cache;
struct filter_cached;
struct filter_account;
struct imap_session;
struct mailbox;
struct service;
struct store_root;

struct imap_filters {
	const struct service *sv;
	struct store_root *root;
	struct filter_cache *cache;
	struct filter_settings *settings;
	char *hostname;
	char *
	    sieve_url; /* "sieve://mail.example.org", RFC 5804 §3; NULL: no ManageSieve is offered */
	struct outgoing outgoing;
	unsigned hops_max;
};
/* NULL: the mail root cannot be opened. */
struct imap_filters *imap_filters_new(const struct service *sv);
void imap_filters_free(struct imap_filters *f); /* NULL is fine */

/* --- a script ----------------------------------------------------------------------------------- */

enum imap_script_place {
	IMAP_SCRIPT_ACTIVE,   /* what delivery runs for the account; `name` is not looked at */
	IMAP_SCRIPT_PERSONAL, /* stored under that name */
	IMAP_SCRIPT_GLOBAL,   /* NAME.sieve of filter.global_dir */
	IMAP_SCRIPT_TEXT,     /* `name` is the script itself */
};
/* One filter of one account, compiled.  Ends with imap_script_close(), also after an error. */
struct imap_script {
	struct imap_filters *filters;
	const struct filter *filter;
	struct filter_cached *cached;
	char *localpart, *domain; /* of the account */
	char name[64];            /* for logs */
	struct filter_account *around;
	struct spool_sent most; /* redirects count as sent, up to this */
	struct arena arena;
};
/* STORE_NOT_FOUND: no such script.  STORE_INVALID: it does not compile, error_out says why. */
enum store_err imap_script_open(struct imap_script *script, struct imap_filters *filters,
    struct account *acct, enum imap_script_place place, struct str name,
    struct filter_error *error_out, struct filter_warnings *warnings);
void imap_script_close(struct imap_script *script);

/* --- one message -------------------------------------------------------------------------------- */

enum imap_filtered {
	IMAP_FILTERED_OK,
	IMAP_FILTERED_WARNINGS, /* done, but for what `text` says */
	IMAP_FILTERED_ERRORS,   /* the message is as it was; `text` says why */
	IMAP_FILTERED_GONE,     /* expunged meanwhile */
};

struct imap_filter_event { /* of RFC 6785; cause NULL: the user has asked for it (FILTER) */
	const char *cause, *mailbox, *changed_flags;
};

/* Runs the script over one message of `box` (of the script's account, read-write) and does what it asks for:
 *
 * 1. What can fail is prepared first: redirects in the spool's tmp, copies in the mailboxes' tmp.  Then redirects go
 *    into the spool, then copies become visible, all durable, then flags; notifications at the end.  Whatever fails leaves
 *    the message as it is; what was done before that stays done.
 * 2. A keep (implicit or not, also a fileinto where it lies already) leaves it, with the flags that the script gave it;
 *    edits are for copies and redirects only, since messages do not change (RFC 6785 §3.1, §3.7).
 * 3. Without a keep the message gets \Deleted, and stays until somebody expunges it (§2.2.4).
 * 4. Answers to the sender (vacation, reject) are not given: for events such a script does not run, otherwise they are
 *    passed over as if the message were kept.
 *
 * `text` gets lines for people. */
enum imap_filtered imap_filter_message(struct imap_session *s, const struct imap_script *script,
    struct mailbox *box, uint32_t uid, const struct imap_filter_event *event, struct buf *text);

#endif
