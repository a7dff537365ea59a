/* One IMAP connection.
 *
 * The loop thread frames its input into commands; a job on a pool thread runs one at a time and in
 * order, so what a client pipelines cannot be ambiguous (RFC 9051 §5.5).  Between on-job and
 * after-job the session belongs to the job; the fields below are what handlers use, the rest of
 * the connection is the loop's and hidden in session.c. */
#ifndef IMAPD_SESSION_H
#define IMAPD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "imapd/commands.h"

struct account;
struct mailbox;
struct uidset;
struct imapd; /* the process, main.c and imapd.h */

#define IMAP_LINE_MAX_BYTES       (64 * 1024) /* a command without its literals; RFC 7162 §4: 8192 */
#define IMAP_LINE_LOGIN_MAX_BYTES (8 * 1024)  /* the same before login */
#define IMAP_LITERAL_MAX_BYTES    (64 * 1024) /* all literals of one command, APPEND's data aside */
#define IMAP_LITERAL_MINUS_BYTES  4096        /* non-synchronising before login, RFC 7888 §5 */
#define IMAP_AUTOLOGOUT_S         (30 * 60) /* silence before logout; RFC 9051 §5.4: at least 30 */
#define IMAP_LOGIN_S              60        /* from the connection to a successful login */
#define IMAP_BAD_COMMANDS_MAX     20        /* in a row, before BYE */

/* What ENABLE or a CONDSTORE-enabling command has switched on; bits. */
enum imap_enabled {
	IMAP_ENABLED_REV2 = 1, /* RFC 9051: UTF-8 names, ESEARCH instead of SEARCH, no RECENT */
	IMAP_ENABLED_CONDSTORE = 2, /* RFC 7162 §3.1: MODSEQ in every FETCH response */
};

struct imap_session {
	struct imapd *imapd;
	struct log *log; /* carries s=…; user=… after login */
	enum imap_state state;
	unsigned enabled; /* enum imap_enabled */

	char *user;           /* address of the account; NULL before login */
	struct account *acct; /* open from login to logout */

	/* The selected mailbox: SELECT and EXAMINE set it, imap_deselect() ends it.  The view that the
	 * client has of it (sequence numbers, what it was told) is the mailbox handle's. */
	struct mailbox *box;
	bool read_only;              /* EXAMINE */
	struct uidset *search_saved; /* "$", RFC 9051 §6.4.4.1; NULL is empty */

	/* STORE with .SILENT sets it: the next imap_send_updates() reports this view's own changes with
	 * MODSEQ only (CONDSTORE) or not at all, and clears it. */
	bool silent_store;

	struct buf out; /* what the client is to read; the loop sends it when the job returns */
};

/* Closes the selected mailbox without expunging and goes back to IMAP_AUTHENTICATED; does nothing
 * where none is selected. */
void imap_deselect(struct imap_session *s);

static inline bool
imap_rev2(const struct imap_session *s)
{
	return (s->enabled & IMAP_ENABLED_REV2) != 0;
}

#endif
