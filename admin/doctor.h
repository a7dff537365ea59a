/* What mailadmin doctor looks at.  Each check is one function in the file of its subject; it changes
 * nothing that matters, runs as server.user, and notes what it found.  A finding that is not
 * fine says what to do. */
#ifndef ADMIN_DOCTOR_H
#define ADMIN_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>

#include "admin/command.h"

#define DOCTOR_SAMPLE_ACCOUNTS 200 /* accounts whose folders are read; all are opened */

struct doctor {
	struct admin *a;
	json_t *findings; /* {check, status: ok|warn|fail, text, hint} */
	bool failed;
	bool accounts_ok; /* the account database can be read */
};

#define DOCTOR_PRINTF(n) __attribute__((format(printf, n, (n) + 1)))
void doctor_ok(struct doctor *d, const char *check, const char *fmt, ...) DOCTOR_PRINTF(3);
/* Works, but will not for long, or not as it should. */
void doctor_warn(struct doctor *d, const char *check, const char *hint, const char *fmt, ...)
    DOCTOR_PRINTF(4);
/* Mail or users are stopped by it, or read by others. */
void doctor_fail(struct doctor *d, const char *check, const char *hint, const char *fmt, ...)
    DOCTOR_PRINTF(4);

void doctor_paths(struct doctor *d);    /* doctor_paths.c: permissions and owners */
void doctor_tls(struct doctor *d);      /* doctor_tls.c: certificates and keys */
void doctor_accounts(struct doctor *d); /* doctor_accounts.c: the account database */
void doctor_mail(struct doctor *d);     /* doctor_mail.c: the mail tree; needs accounts_ok */
void doctor_filters(struct doctor *d);  /* doctor_filters.c; needs accounts_ok */
void doctor_spool(struct doctor *d);    /* doctor_spool.c */
void doctor_doors(struct doctor *d);    /* doctor_doors.c: do our daemons answer? */
void doctor_clients(struct doctor *d); /* doctor_clients.c: what they look for; needs accounts_ok */
void doctor_relay(struct doctor *d);   /* doctor_relay.c */
void doctor_publish(struct doctor *d); /* doctor_publish.c: what the relay knows */
void doctor_backup(struct doctor *d);  /* doctor_backup.c: is there one, and how old? */
void doctor_cleanup(struct doctor *d); /* doctor_cleanup.c: does the daily clean-up run? */
void doctor_standby(struct doctor *d); /* doctor_standby.c: does the standby get its copies? */
void doctor_system(struct doctor *d);  /* doctor_system.c: disk space, kernel */

#endif
