/* Brings an account's mail from another IMAP server: mailbox by mailbox what is new there, and how flags changed and what
 * was expunged there since the last run, unless it was changed here too.  What cannot be had is said and passed over; a
 * connection that is lost is made anew. */
#ifndef ADMIN_IMPORT_IMAP_H
#define ADMIN_IMPORT_IMAP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "admin/imap_client.h"
#include "base/log.h"
#include "store/account.h"

#define IMPORT_RETRIES       8  /* reconnections in a row that bring nothing: a minute */
#define IMPORT_FIRST_RETRIES 3  /* before there was any login */
#define IMPORT_PAUSE_S       30 /* the longest pause between two of them */
#define IMPORT_ERRORS_MAX    1000

struct import_imap {
	const char *address; /* the account's, for messages */
	struct imap_client_spec client;
	/* Names or patterns (fnmatch) of mailboxes there; none: all. */
	const char *const *only, *const *except;
	size_t only_count, except_count;
	bool dry_run;
	bool keep_expunged; /* what was expunged there stays here */
	bool show_progress;
	const struct log *log;
};

/* One row for each mailbox: "mailbox" (there), "local", "messages", "imported", "already", "flags", "expunged", "failed",
 * "uids" ("kept" or "new"), "note". */
struct import_report {
	json_t *rows;   /* the caller's */
	json_t *errors; /* texts; the caller's.  They were printed when they came. */
	bool failed;    /* something is missing */
};

/* True if the account has been gone through, whatever single messages lacked. */
bool import_imap(
    struct account *mail, const struct import_imap *what, struct import_report *report_out);

#endif
