/* A standby host and its copy; doc/failover.md tells the whole.
 *
 * On the standby, STANDBY (standby.dir) holds what admin/standby-sync sends there:
 *
 *     current            a link to the last whole copy; it changes in one step
 *     copy.TIME/         a snapshot as admin/snapshot.h has it: mail/, user.db, config/, spool/, complete
 *     incoming/          one that is being sent
 *     promoted           since then nothing may be sent any more: this host is the primary
 *     lock               locked (flock) by who changes `current`, or moves what it leads to */
#ifndef ADMIN_STANDBY_H
#define ADMIN_STANDBY_H

#include <jansson.h>

#include "admin/command.h"
#include "admin/snapshot.h"

#define STANDBY_CURRENT  "current"
#define STANDBY_PROMOTED "promoted"
#define STANDBY_LOCK     "lock"

char *standby_dir(
    const struct config *config); /* standby.dir, or what stands for it; the caller's */
/* The copy's directory; -1 if there is none.  *facts_out is zeroed where it is not whole. */
int standby_open_copy(const char *dir, struct snapshot_facts *facts_out);

/* promote_checks.c: what is looked at before a copy becomes the mail. */
struct promotion {
	struct admin *a;
	char *dir; /* STANDBY */
	int copy_fd;
	struct snapshot_facts facts;
	bool resumed;     /* an earlier promotion was stopped half-way */
	json_t *findings; /* {check, status: ok|warn|fail|done, text} */
	bool failed;
};
void promote_note(struct promotion *p, const char *status, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void promote_check(struct promotion *p);

#endif
