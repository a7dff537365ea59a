/* LIST's selection: which names of an account answer a list of patterns, and with what attributes.
 * LIST and LSUB are two ways of asking. */
#ifndef IMAPD_LIST_H
#define IMAPD_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/account.h"

struct imap_request;
struct imap_session;

#define IMAP_LIST_PATTERNS_MAX 100

/* list-select-opts, RFC 9051 §6.3.9.1 and RFC 6154 §5.2; bits */
enum list_select {
	LIST_SUBSCRIBED = 1,
	LIST_REMOTE = 2, /* there are no remote mailboxes */
	LIST_RECURSIVEMATCH = 4,
	LIST_SPECIAL_USE = 8,
};
/* return-options, RFC 9051 §6.3.9.2, RFC 6154 §5.2, RFC 5819; bits */
enum list_return {
	LIST_RETURN_SUBSCRIBED = 1,
	LIST_RETURN_CHILDREN = 2,
	LIST_RETURN_SPECIAL_USE = 4,
};

struct list_query {
	const char *const *patterns; /* UTF-8, the reference in front */
	size_t pattern_count;
	unsigned select; /* enum list_select */
};

struct list_item {
	const char *name;
	enum special_use use;
	unsigned attributes; /* enum mailbox_attribute */
	bool selected;       /* meets the selection itself, not only by what is below it */
	bool childinfo;      /* something below it meets the selection */
};

/* A return option whose answer is a response of its own behind the LIST line; rows in cmd_list.c. */
struct list_extra {
	struct str name;
	/* What follows the option's name, into *arg_out (in the request's arena); false: bad syntax. */
	bool (*parse)(struct imap_session *s, struct imap_request *req, void **arg_out);
	/* For each mailbox that exists and meets the selection itself.  What cannot be found out is left out. */
	void (*send)(struct imap_session *s, struct imap_request *req, const struct list_item *item,
	    void *arg);
	void (*end)(void *arg); /* when the command ends; NULL: nothing to let go of */
};
#define LIST_EXTRA_MAX 4

/* The answer in the order of account_list(), names that exist only as parents of subscribed ones
 * behind it.  Items live in the arena, names in it or in `list`. */
void imap_list_select(const struct mailbox_list *list, const struct list_query *query,
    struct arena *a, struct list_item **items_out, size_t *count_out);

#endif
