/* One IMAP session: what a command's job works on.
 *
 * The loop thread frames a connection's input into commands (connection.h); a job on a pool thread
 * runs one at a time and in order, so what a client pipelines cannot be ambiguous (RFC 9051 §5.5).
 * From the start of a job to its return the session belongs to the job. */
#ifndef IMAPD_SESSION_H
#define IMAPD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "imapd/commands.h"
#include "imapd/metadata.h"
#include "store/mime_read.h"
#include "store/uidset.h"

struct account;
struct mailbox;
struct uidset;
struct imap_news;
struct imap_notify;
struct imapd;
struct context;
struct login_event;
struct sasl_channel;

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
	IMAP_ENABLED_QRESYNC = 4, /* RFC 7162 §3.2.3: VANISHED instead of EXPUNGE; with CONDSTORE */
	IMAP_ENABLED_UTF8 = 8,    /* RFC 6855: UTF-8 in names, quoted strings and headers */
	IMAP_ENABLED_UIDONLY = 16,  /* RFC 9586: nothing is named by its number, either way */
	IMAP_ENABLED_METADATA = 32, /* RFC 5464 §4.1: is told what others change */
};

/* Where the last FETCH of a part of a message stopped: a client that fetches a big one in pieces,
 * BODY[]<0.65536>, BODY[]<65536.65536> …, then does not make us read it from the start each time. */
struct imap_fetch_resume {
	uint32_t uid; /* in the selected mailbox; 0: nothing */
	struct mime_extent range;
	struct mime_reader reader; /* its descriptor is closed */
};

/* The batches of the selected mailbox that UIDBATCHES has been asked for, and what has changed since; RFC 10022 §3.1.1. */
struct imap_batches_asked {
	uint32_t size;         /* messages of one; 0: none yet */
	struct uidset batches; /* their numbers */
	uint32_t arrived, expunged;
};

struct imap_session {
	struct imapd *imapd;
	struct log *log; /* carries s=… */
	enum imap_state state;
	unsigned enabled; /* enum imap_enabled */

	const char *peer;             /* address as text, "local" for a UNIX socket */
	struct sasl_channel *channel; /* what TLS knows, for SASL; NULL after login */
	char *user;                   /* address of the account; NULL before login */
	char *tenure; /* of that address at login, store/account_tenure.h; NULL before */
	uint64_t tenure_looked_ns; /* when that was last looked at by a command */
	uint64_t tenure_seen;      /* account_db_generation() when it was last looked at */
	char *client;              /* what it said by ID before login; or NULL */
	struct login_event *event; /* its login, until ID says who the client is; or NULL */
	bool login_delayed;        /* the last login waited, because others had failed before */
	struct account *acct;      /* open from login to logout */
	struct account **others;   /* other_count of them: imapd/place.h */
	size_t other_count;

	/* The selected mailbox: SELECT and EXAMINE set it, imap_deselect() ends it.  The view that the
	 * client has of it (sequence numbers, what it was told) is the mailbox handle's. */
	struct mailbox *box;      /* perhaps of another account: mailbox_account(), never s->acct */
	unsigned rights;          /* enum acl_right bits on it */
	bool read_only;           /* EXAMINE, or no right to change anything */
	struct context *contexts; /* whose changes are told, imapd/context.h */
	struct uidset *search_saved; /* "$", RFC 9051 §6.4.4.1; NULL is empty */
	/* STORE with .SILENT sets it: the next imap_send_updates() reports this view's own changes with
	 * MODSEQ only (CONDSTORE) or not at all, and clears it. */
	bool silent_store;
	bool
	    own_expunge; /* the next imap_send_updates() tells expunges even if NOTIFY left them out */
	/* HIGHESTMODSEQ has to be said at the end of these updates, since expunges are told by them or held back; RFC 7162 §6.
	 * `in_tagged`: the tagged reply will say it. */
	bool modseq_due, modseq_in_tagged;
	struct imap_fetch_resume fetch_resume;
	struct imap_batches_asked batches_asked;
	struct imap_sieve *sieve; /* imapd/imapsieve.h; NULL: no script was ever due */
	struct imap_metadata_seen metadata_seen; /* with IMAP_ENABLED_METADATA */
	struct imap_metadata_other *metadata_others;
	size_t metadata_other_count;
	struct imap_news *news;     /* FETCH of new messages (imapd/news.h); or NULL */
	struct imap_notify *notify; /* what it is told unasked (imapd/notify.h); NULL: no NOTIFY */

	struct buf out; /* what the client is to read; the loop sends it when the job returns */
	/* Sends a whole line, which it takes over, while the job goes on; NULL: nothing can. */
	void (*tell)(void *arg, char *line);
	void *tell_arg;

	bool start_compress; /* COMPRESS is granted: the loop begins when the reply is written */
	/* The reply is the last that is packed: the loop ends the compression behind it, RFC 8437 §4.1. */
	bool end_compress;
	bool compressed; /* RFC 4978; the loop keeps it */

	bool start_tls; /* STARTTLS is granted: the loop begins when the reply is sent */
	/* FETCH cannot complete a literal it announced: nothing more is written and the connection ends. */
	bool broken;
	bool watch; /* IDLE: call again (IMAP_WAIT) when the selected mailbox moves */
	bool
	    verify; /* NOOP: compare index and folder when the reply is out and nothing else has come */
	unsigned bad_commands; /* in a row */
};

/* Closes the selected mailbox without expunging and goes back to IMAP_AUTHENTICATED; does nothing
 * where none is selected. */
void imap_deselect(struct imap_session *s);
void imap_batches_forget(struct imap_session *s);
/* "* BYE [code] text"; the connection closes when the command is done.  code may be NULL. */
void imap_bye(struct imap_session *s, const char *code, const char *text);
/* Lets go of everything: mailbox, accounts, memory.  Blocks, as the store does. */
void imap_session_clear(struct imap_session *s);
/* The same, but the connection goes on, as after its TLS handshake: nothing of the user stays.  The loop then gives it a new
 * channel. */
void imap_session_unauthenticate(struct imap_session *s);

static inline bool
imap_enabled(const struct imap_session *s, unsigned bit)
{
	return (s->enabled & bit) != 0;
}

static inline bool
imap_rev2(const struct imap_session *s)
{
	return (s->enabled & IMAP_ENABLED_REV2) != 0;
}

/* Are mailbox names UTF-8 on the wire (RFC 9051 §5.1, RFC 6855 §3), not modified UTF-7? */
static inline bool
imap_utf8_names(const struct imap_session *s)
{
	return imap_enabled(s, IMAP_ENABLED_REV2 | IMAP_ENABLED_UTF8);
}

/* --- the command in hand: called by the connection, in jobs ---
 * Zero-initialise it.  begin and step return IMAP_MORE or IMAP_WAIT as the handler said; anything
 * else means that the tagged reply stands in s->out and the command is over. */
struct imap_run {
	struct imap_request req;
	struct arena arena;
	enum imap_result result; /* of the handler */
	bool settling;           /* the handler is done, updates are being written */
	uint64_t worked_ns;      /* in the jobs that are over */
	uint64_t since_ns;       /* when the job in hand began */
};
/* The row a framed command asks for, NULL if none; *uid_out: with the prefix UID.  Takes the cursor
 * behind the name.  Any thread. */
const struct imap_command *imap_command_of(
    struct str text, struct str *tag_out, bool *uid_out, struct cursor *args_out);
/* May the request's command run now?  IMAP_OK, otherwise the reply; looks at the rights on the selected mailbox anew. */
enum imap_result imap_command_allowed(struct imap_session *s, struct imap_request *req);
enum imap_result imap_run_begin(struct imap_session *s, struct imap_run *run, struct str text);
enum imap_result imap_run_step(struct imap_session *s, struct imap_run *run);
/* The handler's result came another way (APPEND's data): updates and the tagged reply. */
enum imap_result imap_run_settle(
    struct imap_session *s, struct imap_run *run, enum imap_result result);
/* Ends it without a reply: the connection is gone. */
void imap_run_abort(struct imap_run *run);

#endif
