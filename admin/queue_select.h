/* Which messages of the queue a command means: by ids, by what they are, or both.  Read page by page, so the queue
 * may be long. */
#ifndef ADMIN_QUEUE_SELECT_H
#define ADMIN_QUEUE_SELECT_H

#include "admin/command.h"
#include "store/spool.h"

#define QUEUE_PAGE 500 /* messages read at a time */

/* The options that choose, for the rows of commands. */
#define QUEUE_OPTIONS                                                                              \
	{ "--from", "GLOB", "sender; <> is the empty one" },                                       \
	    { "--to", "GLOB", "one of the recipients that still wait" },                           \
	    { "--account", "GLOB", "who submitted it" },                                           \
	    { "--relay", "GLOB", "the relay that answered last, or that it was given" },           \
	    { "--older-than", "TIME", "submitted longer ago, as in 30m, 4h, 2d" },                 \
	    { "--held", NULL, "held or parked" },                                                  \
	{                                                                                          \
		"--parked", NULL, "parked: a bounce that could not be returned"                    \
	}
#define QUEUE_OPTIONS_HELP                                                                         \
	"A GLOB is an address with * and ? in it, letter case aside; all that is asked for must "  \
	"hold."

struct queue_filter {
	const char *from, *to, *account, *relay;
	int64_t received_before; /* 0: whenever */
	bool held, parked;
	bool any; /* something is asked for */
};

/* Reads the options; false after saying what is wrong with them. */
bool queue_filter_read(const struct admin *a, struct queue_filter *filter_out);
bool queue_filter_matches(const struct queue_filter *filter, const struct spool_message *m);

/* Calls back with the messages that match, oldest first, page by page; those named by the arguments from `first_arg` on
 * where there are some.  A name that is not there is said, and the status is ADMIN_REFUSED in the end.  The callback gets
 * 1 to QUEUE_PAGE messages, which are freed behind it; anything but ADMIN_DONE from it ends the walk. */
typedef enum admin_status queue_page_fn(
    struct admin *a, void *arg, struct spool_message *const *messages, size_t count);
/* `doing`: what progress says on a terminal; NULL where the callback prints to it. */
enum admin_status queue_each(struct admin *a, const struct queue_filter *filter, size_t first_arg,
    const char *doing, queue_page_fn *page, void *arg);

#endif
