/* state.db: what an account's servers have learnt and must not forget, and what is neither mail nor cache: whom a
 * vacation has answered, which messages were seen, which errors its filter had, METADATA (store/state_metadata.h),
 * logins (store/state_login.h).
 * SQLite in the account's directory, each change durable when the function returns.  doc/formats.md has the tables.
 *
 * Any number of processes use it at once; a handle serves one thread at a time.  A damaged file is set aside as
 * state.db.damaged-<time> with a log line and begun anew: it never stands in the way of mail.
 * Expired rows go as new ones come; each table is bounded, the oldest go first. */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "store/err.h"

#define STATE_VERSION        4
#define STATE_BUSY_MS        5000
#define STATE_ONCE_MAX       20000 /* rows of an account */
#define STATE_MEMORY_MAX     20000
#define STATE_ERRORS_MAX     50
#define STATE_REPORT_PAUSE_S (24 * 60 * 60) /* between two reports of one error */

struct state;

/* `home_fd` is the account's directory (home->fd, account_dir_fd()), needed only during the call.  `create` false: STORE_NOT_FOUND
 * if there is none.  STORE_BUSY, STORE_FULL, STORE_IO, STORE_VERSION (a newer one). */
enum store_err state_open(
    int home_fd, bool create, const struct log *log, struct state **state_out);
void state_close(struct state *st); /* NULL is fine */

/* Differs once anybody has changed something in state.db: to be compared with one taken before the last look.  False:
 * not to be relied on, as it was changed just now. */
struct state_stamp {
	uint64_t words[6];
};
bool state_stamp(int home_fd, struct state_stamp *stamp_out);

/* --- once: vacation, Exim's `once` ------------------------------------------------------------- */

/* May `key` be done for `recipient` now?  If so it is claimed in the same transaction: of two processes that ask at
 * once only one hears true.  It is true again after `seconds` (0: never again).  A shorter `seconds` than that of the
 * claim counts from the claim's time.  Recipients are compared without ASCII case. */
enum store_err state_once(struct state *st, const char *key, const char *recipient,
    uint64_t seconds, int64_t now, bool *may_out);
/* What was claimed was not done after all (the spool was full). */
enum store_err state_once_undo(struct state *st, const char *key, const char *recipient);

/* --- memory: duplicate, RFC 7352 --------------------------------------------------------------- */

/* Remembers for `seconds` from now, also where it was remembered already. */
enum store_err state_remember(struct state *st, const char *key, uint64_t seconds, int64_t now);
enum store_err state_remembered(struct state *st, const char *key, int64_t now, bool *is_out);

/* --- quota warnings ---------------------------------------------------------------------------- */

/* Which of `thresholds` (percent, rising) the account is to be told of now.  `percent` says how full it is; it is asked
 * inside the transaction, so what others have put in or taken out is counted in one order with what they say here:
 * of several deliveries that cross a threshold together just one hears of it.  A threshold that usage is below is
 * forgotten, and due again the next time.  *due_out: the highest that was crossed; 0: none. */
enum store_err state_warnings(struct state *st, const unsigned *thresholds, size_t count,
    bool (*percent)(void *arg, uint64_t *percent_out), void *arg, unsigned *due_out);
/* It could not be told: due again. */
enum store_err state_warning_undo(struct state *st, unsigned threshold);

/* --- errors of the account's filter ------------------------------------------------------------ */

struct state_error {
	char *kind; /* "compile", "runtime", "syntax", "expand", "forbidden" */
	unsigned line;
	char *text;
	int64_t first_s, last_s, reported_s; /* reported_s 0: not yet */
	uint64_t count;
};
/* Notes an error (same kind, line and text: the same one).  *report_due_out: its owner is to be told now; at most once in
 * STATE_REPORT_PAUSE_S per error, and that is noted too. */
enum store_err state_error_add(struct state *st, const char *kind, unsigned line, const char *text,
    int64_t now, bool *report_due_out);
/* The newest first; the caller's, free with state_errors_free(). */
enum store_err state_errors(struct state *st, struct state_error **errors_out, size_t *count_out);
void state_errors_free(struct state_error *errors, size_t count);
enum store_err state_errors_clear(struct state *st); /* a new filter was set */

/* For doctor: PRAGMA integrity_check; findings one per line. */
enum store_err state_check(struct state *st, struct buf *problems);

#endif
