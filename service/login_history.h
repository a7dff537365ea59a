/* The login history that a worker collects and writes into the accounts' state.db (store/state_login.h).
 *
 * No login waits for it: what happened is counted in memory, and a job writes the sums, one unsynced transaction for
 * each account, LOGIN_HISTORY_FIRST_S after the first and then every LOGIN_HISTORY_EVERY_S at most, and when the
 * worker ends.  A client that logs in each second costs as much as one that logs in each quarter of a minute.  Workers
 * know nothing of each other: their sums are added up in the file.  A worker that is killed loses the last ones.
 *
 * Accounts that do not exist leave nothing, and so do those that have no mail tree. */
#ifndef SERVICE_LOGIN_HISTORY_H
#define SERVICE_LOGIN_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/state_login.h"

#define LOGIN_HISTORY_FIRST_S 2
#define LOGIN_HISTORY_EVERY_S 15
#define LOGIN_HISTORY_PENDING_MAX                                                                  \
	4096 /* kinds of logins that wait to be written; what comes beyond is not counted */

struct login_history;

/* NULL with a log line if mail_root cannot be opened.  The log is borrowed. */
struct login_history *login_history_new(const char *mail_root, const struct log *log);
void login_history_free(struct login_history *h); /* writes what is pending; NULL is fine */

/* Counts `login` (which is copied) for the account.  Any thread. */
void login_history_add(struct login_history *h, const char *localpart, const char *domain,
    const struct state_login *login);
/* Is it time to write?  Any thread. */
bool login_history_is_due(struct login_history *h);
void login_history_write(
    struct login_history *h); /* waits for the disk: a pool thread; one at a time */

#endif
