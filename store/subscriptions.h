/* The account's subscribed mailboxes: Dovecot's `subscriptions` (version 1: one name per line, levels
 * split by '.', modified UTF-7; version 2: a header, levels split by TAB), and, as long as there
 * is no such file, Courier's `courierimapsubscribed` ("INBOX.Sub.Name").
 * Changes go to `subscriptions`, in the version it has (new ones: version 2), atomically and durably,
 * under Dovecot's lock.  Lines that name nothing we understand are kept. */
#ifndef STORE_SUBSCRIPTIONS_H
#define STORE_SUBSCRIPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/text.h"
#include "store/err.h"
#include "store/root.h"

#define SUBSCRIPTIONS_MAX_BYTES (4u * 1024 * 1024)

struct subscriptions {
	char **names; /* UTF-8, levels by '/', in the file's order, each once */
	size_t count;
};

/* No file is STORE_OK with none.  The caller ends it with subscriptions_free(). */
enum store_err subscriptions_read(const struct home *home, struct subscriptions *subs_out);
void subscriptions_free(struct subscriptions *subs);
bool subscriptions_has(const struct subscriptions *subs, const char *name);

/* STORE_OK also if nothing had to change.  STORE_BUSY, STORE_INVALID, STORE_IO.  All names or none. */
enum store_err subscriptions_add(const struct home *home, const char *const *names, size_t count);
enum store_err subscriptions_remove(const struct home *home, const char *name);
/* Moves subscriptions of `from` and all below it, for clients that expect it; one write. */
enum store_err subscriptions_rename(const struct home *home, const char *from, const char *to);

/* The text forms, for tests and fuzzing. */
void subscriptions_parse(struct str text, struct subscriptions *subs_out);
void subscriptions_parse_courier(struct str text, struct subscriptions *subs_out);

#endif
