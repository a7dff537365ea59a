/* A mailbox and the account's search.db (store/search_index.h): proposals for searches, and the making of it in slices.
 *
 * Whatever is wrong with search.db (not there yet, damaged, locked, full), a search goes on without it and finds the
 * same.  Nothing here takes the account's writer lock. */
#ifndef STORE_MAILBOX_SEARCH_H
#define STORE_MAILBOX_SEARCH_H

#include <stdbool.h>

#include "store/mailbox.h"
#include "store/search_text.h"

#define MAILBOX_INDEX_SLICE_MESSAGES 1000

/* What search.db proposes for searches in this mailbox; good as long as the box is open. */
struct search_candidates mailbox_candidates(struct mailbox *box);

/* Calls back, in any thread, when a search has met messages of a mailbox that search.db does not know, and should.
 * Set once, before accounts are used. */
void store_on_search_wanted(
    struct store *st, void (*cb)(void *arg, struct account *acct, const char *mailbox), void *arg);

/* Is it worth looking whether all of the account's mail is in search.db?  By the store's options, and for
 * STORE_SEARCH_SEARCHED by whether there is one. */
bool account_search_is_kept(const struct account *acct);

/* Some `budget_ms` of work on bringing search.db up to date with a mailbox, making it if need be; forgets what is gone.
 * *done_out: nothing is left to be done, or can be for now.  STORE_BUSY: another process is at it. */
enum store_err account_search_build(
    struct account *acct, const char *mailbox, int budget_ms, bool *done_out);

/* Looks at search.db, without the account's other files: what is not fine is removed, as account_search_drop() does, and made
 * anew when somebody searches. */
enum account_search {
	ACCOUNT_SEARCH_NONE, /* also of another version */
	ACCOUNT_SEARCH_FINE,
	ACCOUNT_SEARCH_DAMAGED,
	ACCOUNT_SEARCH_STALE, /* too much or too old is what it has of mail that is gone */
	ACCOUNT_SEARCH_LARGE, /* much larger than the store's options allow */
};
/* *bytes_out is its size; above `most_bytes` it is not read through. */
enum account_search account_search_check(
    struct account *acct, uint64_t most_bytes, uint64_t *bytes_out);

/* Removes search.db, if no process writes it just then (STORE_BUSY). */
enum store_err account_search_drop(struct account *acct);

#endif
