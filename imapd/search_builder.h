/* Keeps search.db up to date for the mailboxes that are in use, when a worker has time for it: one slice of work after
 * the other, each a job of its own with a pause behind it, so that all this takes one thread at most, however many
 * sessions there are.  Where a slice has waited, since others want the processors or the disk too, the pause is longer
 * by as much: so it takes less than its share then. */
#ifndef IMAPD_SEARCH_BUILDER_H
#define IMAPD_SEARCH_BUILDER_H

struct account;
struct net_loop;
struct search_builder;
struct store;

#define SEARCH_BUILD_DELAY_MS  500 /* from the wish to the first slice: the session goes first */
#define SEARCH_BUILD_SLICE_MS  250
#define SEARCH_BUILD_PAUSE_MS  30
#define SEARCH_BUILD_BUSY_MS   2000 /* another process is at it; and the longest pause */
#define SEARCH_BUILD_QUEUE_MAX 1000 /* mailboxes; more have to ask again */

/* From now on searches that miss search.db make it, store_on_search_wanted(). */
struct search_builder *search_builder_new(struct store *st, struct net_loop *loop);
void search_builder_stop(
    struct search_builder *b); /* no slice begins any more; the loop's thread */
void search_builder_free(struct search_builder *b); /* after the loop; NULL is fine */

/* A mailbox is in use, or has got mail: it is looked at if its account's search.db is kept.  Any thread; NULL does
 * nothing. */
void search_builder_look(struct search_builder *b, struct account *acct, const char *mailbox);

struct imap_session;
void imap_search_look(struct imap_session *s); /* at the selected mailbox */

#endif
