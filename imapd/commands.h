/* The commands: one row each, one file each.  Dispatch, state checks, counting and the table in
 * doc/rfc.md all read the rows.
 *
 * A command runs in jobs on a pool thread.  While a job runs it owns the session: the handler is
 * straight-line code that calls the store and writes its untagged answers into s->out. */
#ifndef IMAPD_COMMANDS_H
#define IMAPD_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"

struct imap_session;
struct imap_command;

/* Where a session stands, RFC 9051 §3; bits, so a row can name several. */
enum imap_state {
	IMAP_CLEAR = 1, /* no TLS yet */
	IMAP_UNAUTHENTICATED = 2,
	IMAP_AUTHENTICATED = 4,
	IMAP_SELECTED = 8,
	IMAP_LOGOUT = 16, /* BYE is said; nothing runs any more */
};
#define IMAP_ANY_STATE (IMAP_CLEAR | IMAP_UNAUTHENTICATED | IMAP_AUTHENTICATED | IMAP_SELECTED)

enum imap_result {
	IMAP_OK,
	IMAP_NO,
	IMAP_BAD,
	/* Not done: s->out has grown to NET_OUTPUT_HIGH_BYTES (imap_out_full()).  Call again when the
	 * client has taken it. */
	IMAP_MORE,
	/* Not done: call again when the client has sent a line (req->line) or s->wake fired (IDLE). */
	IMAP_WAIT,
};

/* One command that runs.  Everything in it lives until the tagged reply. */
struct imap_request {
	struct str tag;
	const struct imap_command *command;
	bool uid;            /* said with the prefix UID */
	struct cursor args;  /* what is not parsed yet; at first the SP before the first argument */
	struct arena *arena; /* reset when the command ends */

	/* The handler's own between steps; NULL in the first call.  Allocate it in the arena; what it
	 * holds beyond memory (an open message) is let go by `state_free`, which is called once when the
	 * command ends, however it ends. */
	void *state;
	void (*state_free)(void *state);

	/* UID SEARCH with sequence numbers among its keys: as IMAP_CMD_KEEPS_NUMBERS, RFC 7162 §3.2.10.2. */
	bool keeps_numbers;
	/* Something was expunged by this command: with QRESYNC the tagged OK says HIGHESTMODSEQ, as it is
	 * after the VANISHED that stands before it, RFC 7162 §3.2.7. */
	bool expunged;

	/* Only the messages with the highest UIDs were taken, down to this one; 0: all.  The reply says so, RFC 9738 §3.1. */
	uint32_t limited_uid;

	const char *
	    mailbox_written; /* the last mailbox name among the arguments before it was normalised */

	struct str line;  /* with IMAP_WAIT: the line that came, without CRLF; p NULL: none came */
	const char *code; /* resp-text-code of the tagged reply without brackets, or NULL */
	const char *text; /* its text; NULL: a default */
	uint64_t progress_due_ns; /* when the client hears how far it is; imap_progress() */
};

enum imap_command_flag {
	IMAP_CMD_UID = 1, /* may be said with the prefix UID */
	/* No EXPUNGE may be sent while it runs without UID: FETCH, STORE, SEARCH; RFC 9051 §7.5.1 */
	IMAP_CMD_KEEPS_NUMBERS = 4,
	IMAP_CMD_NO_UPDATES = 8, /* nothing of the selected mailbox is reported at its end */
	/* Without UID it names no message by its number either (EXPUNGE): so it may run once UIDONLY is
	 * enabled.  All others with IMAP_CMD_UID must be said with UID then, RFC 9586 §3. */
	IMAP_CMD_NUMBERLESS = 32,
	/* The compression may end behind it: what follows is not unpacked before it is done, RFC 8437 §4.1. */
	IMAP_CMD_MAY_UNPACK = 64,
	IMAP_CMD_LOGIN = 16, /* tries a password: waits after failed ones of its address */
};

struct imap_command {
	const char *name; /* capitals */
	const char *rfc;
	unsigned states; /* enum imap_state bits it may run in */
	unsigned flags;  /* enum imap_command_flag */
	enum imap_result (*run)(struct imap_session *s, struct imap_request *req);
	/* Of a command whose literals are messages (append.h): what stands before the first one.  IMAP_WAIT: go on. */
	enum imap_result (*begin)(struct imap_session *s, struct imap_request *req);
};

extern const struct imap_command *const IMAP_COMMANDS[]; /* sorted by name */
extern const size_t IMAP_COMMAND_COUNT;
/* The row of a name in any letter case, or NULL. */
const struct imap_command *imap_command_find(struct str name);

/* Arguments.  Each first takes the one SP that parts it from what went before.  On false the
 * handler returns IMAP_BAD; the reply's text then says which argument was wrong. */
bool imap_arg_sp(struct imap_request *req);
bool imap_arg_end(struct imap_request *req); /* nothing may follow */
bool imap_arg_atom(struct imap_request *req, struct str *atom_out);
bool imap_arg_astring(struct imap_request *req, struct str *text_out);
/* astring as a NUL-terminated string of at most max_bytes, without NULs */
bool imap_arg_cstring(struct imap_request *req, size_t max_bytes, char **text_out);
/* UTF-8 name in the arena, in normalisation form C; the session decides between modified UTF-7 and UTF-8.  A string that is no
 * name passes too: imap_parse_mailbox(). */
bool imap_arg_mailbox(struct imap_session *s, struct imap_request *req, char **name_out);

/* the rows: before and after login, mailbox tree */
extern const struct imap_command imap_cmd_deleteacl, imap_cmd_getacl, imap_cmd_listrights,
    imap_cmd_myrights, imap_cmd_setacl; /* access control lists */
extern const struct imap_command imap_cmd_append, imap_cmd_authenticate, imap_cmd_capability,
    imap_cmd_create, imap_cmd_delete, imap_cmd_enable, imap_cmd_esearch, imap_cmd_getquota,
    imap_cmd_getquotaroot, imap_cmd_id, imap_cmd_idle, imap_cmd_list, imap_cmd_login,
    imap_cmd_logout, imap_cmd_lsub, imap_cmd_namespace, imap_cmd_noop, imap_cmd_notify,
    imap_cmd_rename, imap_cmd_setquota, imap_cmd_starttls, imap_cmd_status, imap_cmd_subscribe,
    imap_cmd_unauthenticate, imap_cmd_unsubscribe;
/* the rows: annotations, scripts */
extern const struct imap_command imap_cmd_filter, imap_cmd_getmetadata, imap_cmd_setmetadata;
/* the row: the connection itself */
extern const struct imap_command imap_cmd_compress;
/* the row: batches of the selected mailbox */
extern const struct imap_command imap_cmd_uidbatches;
/* the rows: the selected mailbox and its messages */
extern const struct imap_command imap_cmd_check, imap_cmd_close, imap_cmd_copy, imap_cmd_examine,
    imap_cmd_expunge, imap_cmd_fetch, imap_cmd_move, imap_cmd_replace, imap_cmd_search,
    imap_cmd_select, imap_cmd_cancelupdate, imap_cmd_sort, imap_cmd_thread, imap_cmd_store,
    imap_cmd_unselect;

#endif
