/* METADATA, RFC 5464: annotations of an account's mailboxes and of the server, in the account's state.db.
 *
 * 1. A mailbox is known by its MAILBOXID (RFC 8474), so that renaming it keeps what is noted of it; NULL is the server.
 * 2. Entries ("/private/comment") are compared without ASCII case, and kept in lower case.
 * 3. What is set is durable when the function returns, all of one call or nothing.
 * 4. Each change has a number of its own, which only grow: whoever remembers the last one hears what came since. */
#ifndef STORE_STATE_METADATA_H
#define STORE_STATE_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/err.h"

#define STATE_METADATA_MAX         100                /* entries of a mailbox, or of the server */
#define STATE_METADATA_BYTES_MAX   (32 * 1024)        /* of one value */
#define STATE_METADATA_TOTAL_BYTES (64 * 1024 * 1024) /* of all values of an account */
#define STATE_METADATA_CHANGES_MAX 2000               /* that are remembered */
#define STATE_ENTRY_MAX_BYTES      512                /* of an entry's name */

struct log;
struct state;

/* RFC 5464 §3.2: "/private/" or "/shared/", components that are not empty, ASCII without controls, '*' and '%'; below
 * "vendor" at least four of them. */
bool state_metadata_entry_is_valid(struct str entry);

/* STORE_NOT_FOUND */
enum store_err state_metadata_get(struct state *st, struct arena *a, const char *mailbox_id,
    const char *entry, struct str *value_out);
/* Each entry of the mailbox, sorted, until `each` says false; no calls into the state from it. */
enum store_err state_metadata_list(struct state *st, const char *mailbox_id,
    bool (*each)(void *arg, const char *entry, struct str value), void *arg);

/* Does anything have this entry, be it a mailbox or the server? */
enum store_err state_metadata_any(struct state *st, const char *entry, bool *any_out);

struct state_metadata_entry {
	const char *name;
	struct str value; /* p NULL removes it */
};
/* In the order given, all or none.  STORE_INVALID: no possible name; STORE_LIMIT: a value that is too large, or too many.
 * *first_out, *last_out (NULL is fine): the numbers of these changes; 0: nothing has changed. */
enum store_err state_metadata_set_all(struct state *st, const char *mailbox_id,
    const struct state_metadata_entry *entries, size_t count, uint64_t *first_out,
    uint64_t *last_out);
enum store_err state_metadata_set(
    struct state *st, const char *mailbox_id, const char *entry, struct str value);
enum store_err state_metadata_drop(struct state *st, const char *mailbox_id); /* it was deleted */
/* The same without a handle: nothing is to be done where there is no state.db. */
enum store_err state_metadata_forget(int home_fd, const char *mailbox_id, const struct log *log);
/* The other mailbox gets them too. */
enum store_err state_metadata_copy(struct state *st, const char *from_id, const char *to_id);

/* The number of the last change; 0: there was none. */
enum store_err state_metadata_last(struct state *st, uint64_t *last_out);
/* Changes after `since`, each entry once, by their numbers, until `each` says false; mailbox_id "" is the server.  What is
 * forgotten does not come. */
enum store_err state_metadata_changes(struct state *st, uint64_t since,
    bool (*each)(void *arg, uint64_t number, const char *mailbox_id, const char *entry), void *arg);

#endif
