/* METADATA, RFC 5464: annotations of mailboxes and of the server, as GETMETADATA, SETMETADATA and LIST's return option
 * (RFC 9590) use them.  Values are in state.db (store/state_metadata.h):
 *
 *	/shared/… of a mailbox    in its owner's: whoever may use the mailbox sees the same
 *	/private/… of a mailbox   in the user's own, whoever owns the mailbox
 *	/private/… of the server  in the user's own
 *	/shared/… of the server   /shared/admin and /shared/comment are the administrator's (imapd.server_admin,
 *	                          imapd.server_comment); all others are the account's own, for nobody may write what all
 *	                          others would read
 */
#ifndef IMAPD_METADATA_H
#define IMAPD_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"
#include "imapd/commands.h"
#include "store/err.h"
#include "store/state.h"

#define IMAP_METADATA_ENTRIES_MAX 100     /* in one command */
#define IMAP_METADATA_MAXSIZE     "32768" /* STATE_METADATA_BYTES_MAX, as it is said */

struct account;
struct imap_place;

/* entry = astring.  False: BAD, with the reason in *why_out. */
bool imap_parse_metadata_entry(
    struct cursor *c, struct arena *a, const char **entry_out, const char **why_out);
/* "(" entry *(SP entry) ")", into an array of IMAP_METADATA_ENTRIES_MAX; also one entry without parentheses. */
bool imap_parse_metadata_entries(
    struct cursor *c, struct arena *a, const char **entries, size_t *count_out);

/* SP mailbox, where the empty name stands for the server: *place_out is then NULL, else `room`. */
bool imap_arg_metadata_place(struct imap_session *s, struct imap_request *req,
    struct imap_place *room, const struct imap_place **place_out);
bool imap_metadata_is_shared(const char *entry);

/* What is annotated: a mailbox, or (place NULL) the server.  Zero-initialise it otherwise; ends with
 * imap_metadata_close(). */
struct imap_metadata {
	struct imap_session *s;
	const struct imap_place *place;
	const char *mailbox_id; /* in `arena`; NULL: the server */
	struct arena *arena;
	struct state *own, *owner; /* opened when first needed; the same for an own mailbox */
};
/* Rights (RFC 5464 §3.3) are the caller's: imap_metadata_may().  STORE_NOT_FOUND. */
enum store_err imap_metadata_open(struct imap_metadata *m, struct imap_session *s,
    struct arena *arena, const struct imap_place *place);
void imap_metadata_close(struct imap_metadata *m);
/* Where that kind of entry is kept: STORE_NOT_FOUND if there is no file yet and it is not to be made. */
enum store_err imap_metadata_state(
    struct imap_metadata *m, bool shared, bool create, struct state **st_out);
/* One of the administrator's?  Then its value (p NULL: none). */
bool imap_metadata_is_computed(
    const struct imap_metadata *m, const char *entry, struct str *value_out);
/* l and one of r, s, w, i, p; to set what is shared one that changes something (s, w, i, p), and for the script of IMAP
 * events, which runs as the owner, a.  False: *result_out is the reply. */
bool imap_metadata_may(struct imap_request *req, const struct imap_place *place, bool sets,
    const char *entry, enum imap_result *result_out);

#define IMAP_METADATA_DEPTH_INFINITY UINT32_MAX

struct imap_metadata_query {
	const char **entries;
	size_t entry_count;
	uint32_t depth;
	bool has_max;
	uint64_t max_bytes;
};
struct imap_metadata_value {
	const char *entry;
	struct str value; /* p NULL: it has none */
};
struct imap_metadata_answer {
	struct imap_metadata_value *values; /* in the arena */
	size_t count, cap;
	uint64_t longest_bytes; /* of what was longer than max_bytes; 0: nothing was */
};
enum store_err imap_metadata_get(struct imap_metadata *m, const struct imap_metadata_query *query,
    struct imap_metadata_answer *answer_out);
/* "* METADATA name (…)" from value *at on, as many as the output takes; true: all are said. */
bool imap_metadata_send(struct imap_session *s, const struct imap_place *place,
    const struct imap_metadata_answer *answer, size_t *at);

/* The value of one shared entry of a mailbox of `acct` (mailbox NULL: of the server), in the arena.  STORE_NOT_FOUND. */
enum store_err imap_metadata_shared(struct account *acct, const char *mailbox, const char *entry,
    struct arena *a, struct str *value_out);

/* RFC 5464 §4.1: annotations of a mailbox that is deleted go, those of INBOX are copied when it is renamed. */
void imap_metadata_deleted(struct imap_session *s, const struct imap_place *place, const char *id);
void imap_metadata_inbox_renamed(struct imap_session *s, struct account *acct, const char *to);

/* --- changes by others, §4.4.2 ------------------------------------------------------------------ */

/* What a session that has enabled METADATA was told of an account: its own, and each other one that it has open
 * (imapd/place.h), of which it hears what is shared and what it may read. */
struct imap_metadata_seen {
	bool begun;
	uint64_t last;                /* number of the change */
	uint64_t own_first, own_last; /* this session's own after that; 0: none */
	struct state_stamp stamp;     /* of state.db before the last look */
};
struct imap_metadata_other {
	const struct account *acct; /* only compared */
	struct imap_metadata_seen seen;
};
/* Says what others have changed since the last time, or since METADATA was enabled; the first call only begins. */
void imap_metadata_report(struct imap_session *s);
/* This session's own changes, in that account, are not said. */
void imap_metadata_own(
    struct imap_session *s, const struct account *acct, uint64_t first, uint64_t last);
void imap_metadata_report_end(struct imap_session *s);

/* Says that an entry of another user's mailbox has changed, if it is shared and this user may read it (§3.3). */
void imap_metadata_say_others(
    struct imap_session *s, const struct account *owner, const char *mailbox, const char *entry);

/* For NOTIFY (RFC 5465 §5.7): entries of an account that have changed after *since, which is moved on; each with the name of
 * its mailbox, NULL for the server's, but for changes numbered skip_first to skip_last.  Watch the file state.db-wal of
 * the account for when to ask. */
void imap_metadata_changes(struct account *acct, uint64_t *since, uint64_t skip_first,
    uint64_t skip_last, void (*each)(void *arg, const char *mailbox, const char *entry), void *arg);
/* The number of an account's last change, to begin with. */
uint64_t imap_metadata_last(struct account *acct);

#endif
