/* What an account's mail tree holds at one moment, for a backup of it while servers and clients go on.
 *
 * 1. All is as it was at one moment between the call and its return: no message is missed because it was just moved from a
 *    folder that comes later to one that came before, and each folder's small files (sanger-mailbox, dovecot-uidlist,
 *    keywords) are those of the same moment, so no U= in a name is at or above the lease.
 * 2. Folders are listed without a lock.  Then the account's writer lock is held for comparing their time stamps, for
 *    listing again the few that changed meanwhile, and for reading the small files: a millisecond, or where a folder is changed all
 *    the time as long as it takes to list it (some 100 ms for 100 000 messages).
 * 3. Deliveries, which take no lock, go on; one that comes meanwhile may or may not be in the view.
 * 4. Names are what was there; a message may be renamed (flags), moved or expunged as soon as this returns. */
#ifndef STORE_ACCOUNT_VIEW_H
#define STORE_ACCOUNT_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/account.h"

#define VIEW_FILE_MAX_BYTES (256u * 1024 * 1024) /* a small file; dovecot-uidlist is the largest */

struct view_folder {
	const char *path;          /* below the account's directory: "" for INBOX, else ".A.B/" */
	const char **cur, **fresh; /* names in cur/ and in new/ */
	size_t cur_count, fresh_count;
	bool has_marker; /* maildirfolder */
};
struct view_file {
	const char *path; /* below the account's directory */
	struct str bytes;
	int64_t mtime_ns;
	uint64_t inode;
};
struct account_view {
	struct arena arena; /* all that the others point to */
	struct view_folder *folders;
	size_t folder_count;
	struct view_file *files;
	size_t file_count;
	int64_t taken_s;
	uint64_t locked_us; /* how long the writer lock was held */
	/* The inside: */
	struct account *held; /* whose lock is still held; NULL: none */
	bool held_with_index;
};

/* With `hold` the writer lock stays until account_view_free(): then nothing is moved or expunged meanwhile.  It is for who has
 * tried without and was too slow for what goes on there.
 * STORE_BUSY: somebody held the lock for longer than STORE_LOCK_WAIT_S.  STORE_IO, STORE_LIMIT (a small file that is
 * none).  Zero-initialise *view_out; it ends with account_view_free(), also after an error. */
enum store_err account_view_take(struct account *acct, bool hold, struct account_view *view_out);
void account_view_free(struct account_view *view);

/* Is it a file of an account's directory that a view has (and a backup keeps)?  Not caches, locks and what is being written. */
bool account_view_wants(const char *name);

#endif
