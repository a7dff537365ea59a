/* What the parts of state.db share; nobody else includes it.
 *   state.c            the file, transactions; once, memory, errors
 *   state_metadata.c   METADATA
 *   state_login.c      logins, and when app passwords were used */
#ifndef STORE_STATE_INTERNAL_H
#define STORE_STATE_INTERNAL_H

#include "store/sql.h"
#include "store/state.h"

typedef enum store_err (*state_fn)(struct sql *sql, void *arg);

/* Runs `fn` in a transaction.  It may run twice.  NOT_FOUND is an answer, so what was changed before it stays. */
enum store_err state_run(struct state *st, state_fn fn, void *arg);
/* From now on this handle's changes are not synced: a crash of the machine (not of a process) may take back the last
 * of them, and nothing else. */
enum store_err state_relax(struct state *st);

#endif
