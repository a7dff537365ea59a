/* `maildirsize`: an account's usage in bytes and messages, by the Maildir++ quota rules, shared with
 * other programs.  First line the limits ("10485760S,1000C"), then one "<bytes> <count>" per change;
 * usage is the sum.  Each change is one short O_APPEND write; nothing is synced: the file is a cache
 * of what the folders hold.
 * It is counted anew when it is missing, damaged, for other limits, larger than 5120 bytes, or over
 * the limit and older than 15 minutes.
 * Mail in the excluded folders (Trash) is not counted.  Messages flagged T (\Deleted) are, as Dovecot
 * counts them: they fill the disk until they are expunged.
 * A count that runs while others deliver can be off by what they have under way; the next count
 * mends it. Our own processes lose no change: they append under a shared lock and the count is put
 * in place under an exclusive one.
 */
#ifndef STORE_QUOTA_H
#define STORE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "store/err.h"
#include "store/root.h"

#define QUOTA_FILE_MAX_BYTES 5120
#define QUOTA_RECOUNT_AGE_S  (15 * 60)
#define QUOTA_KILOBYTE_BYTES 1024

/* What one account may.  0: unlimited. */
struct quota_limits {
	uint64_t bytes, messages; /* together, in what counts */
	uint64_t message_bytes;   /* of one message that comes in, whatever mailbox it goes to */
	uint64_t mailboxes;       /* that count, INBOX too */
};

struct quota_rules {
	uint64_t limit_bytes;    /* 0: unlimited */
	uint64_t limit_messages; /* 0: unlimited */
	const char *const
	    *excluded; /* mailbox names, NULL-terminated, borrowed; children with them */
};
struct quota_usage {
	uint64_t bytes;
	uint64_t count;
};

/* The usage now; counts anew if the rules say so.  Costs one small read else. */
enum store_err quota_usage(
    const struct home *home, const struct quota_rules *rules, struct quota_usage *usage_out);
/* Notes that messages came (positive) or went (negative) in mailbox `name`; nothing is written for
 * an excluded one, or while there is no file (the next quota_usage() makes it).  An error is logged
 * and otherwise harmless: a later count mends it. */
enum store_err quota_add(const struct home *home, const struct quota_rules *rules, const char *name,
    int64_t bytes, int64_t count);
/* Counts all folders by names (a stat only for those without S=) and replaces the file. */
enum store_err quota_recount(
    const struct home *home, const struct quota_rules *rules, struct quota_usage *usage_out);

bool quota_excludes(const struct quota_rules *rules, const char *name);
/* May a message come in?  Yes while usage is below the limit, however large the message is; so the
 * limit is crossed at most by one message, also where many come at once (struct quota_room).  Of messages there are never more than the limit, but for deliveries that come
 * at the same moment. */
static inline bool
quota_allows(const struct quota_rules *rules, const struct quota_usage *usage)
{
	return (rules->limit_bytes == 0 || usage->bytes < rules->limit_bytes) &&
	       (rules->limit_messages == 0 || usage->count < rules->limit_messages);
}
static inline bool
quota_is_limited(const struct quota_rules *rules)
{
	return rules->limit_bytes > 0 || rules->limit_messages > 0;
}
/* What messages that come together may still take. */
struct quota_room {
	struct quota_rules rules;
	struct quota_usage usage; /* with those that were let in */
	bool limited;
};
/* The room in mailbox `name`; no end of it where that is not counted, or the usage cannot be read (which is logged). */
void quota_room(const struct home *home, const struct quota_rules *rules, const char *name,
    struct quota_room *room_out);
/* Lets one more message of that size in; false: quota_allows() does not. */
bool quota_room_take(struct quota_room *room, uint64_t bytes);
/* How full, in percent of whichever limit is nearer; 0 where there is none.  100 and more: full. */
uint64_t quota_percent(const struct quota_rules *rules, const struct quota_usage *usage);

/* The file's text, for tests and fuzzing: false if damaged. */
bool quota_parse(struct str text, struct quota_limits *limits_out, struct quota_usage *usage_out);

#endif
