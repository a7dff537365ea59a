/* One ManageSieve session: what a command's job works on.
 *
 * The loop thread frames a connection's input into commands (connection.h); a job on a pool thread runs one
 * at a time and in order, so a client may pipeline them (RFC 5804 §2).  From the start of a job to its
 * return the session belongs to the job. */
#ifndef MANAGESIEVED_SESSION_H
#define MANAGESIEVED_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "filter/filter.h"
#include "managesieved/commands.h"
#include "net/sasl.h"
#include "store/account_scripts.h"

/* A command without its literals; long enough for an AUTHENTICATE with all in one quoted string, and so more
 * than the 1024 octets that RFC 5804 §4 grants one. */
#define MSIEVE_LINE_MAX_BYTES (SASL_LINE_MAX_BYTES + 1024)
/* All literals of one command, before login (an answer of SASL's) and after it (a script and its name). */
#define MSIEVE_LITERAL_LOGIN_MAX_BYTES SASL_LINE_MAX_BYTES
#define MSIEVE_LITERAL_MAX_BYTES       (SCRIPT_TEXT_MAX_BYTES + 2 * SCRIPT_NAME_MAX_BYTES)
/* A refused literal is read and dropped up to here. */
#define MSIEVE_DRAIN_LOGIN_MAX_BYTES (1024 * 1024)
#define MSIEVE_DRAIN_MAX_BYTES       (64 * 1024 * 1024)
#define MSIEVE_BAD_COMMANDS_MAX      20 /* in a row, before BYE */

struct managesieved;

struct msieve_session {
	struct managesieved *daemon;
	struct log *log; /* carries s=… */
	enum msieve_state state;

	const char *peer;             /* address as text, "local" for a UNIX socket */
	struct sasl_channel *channel; /* what TLS knows, for SASL; NULL in the clear */
	char *user;                   /* address of the account; NULL before login */
	char *localpart, *domain;     /* its halves */
	int64_t account;              /* account_row.id */
	char *tenure;                 /* of the address at login: store/account_tenure.h */
	bool login_delayed;           /* the last login waited, because others had failed before */

	struct buf out; /* what the client is to read; the loop sends it when the job returns */
	bool start_tls; /* STARTTLS is granted: the loop begins when the reply is sent */
	unsigned bad_commands; /* in a row */
};

/* BYE ["(" code ")"] text; the connection closes when it is sent.  code may be NULL. */
void msieve_bye(struct msieve_session *s, const char *code, const char *text);
/* Forgets who it was (UNAUTHENTICATE, the end). */
void msieve_forget_user(struct msieve_session *s);
/* Lets go of everything. */
void msieve_session_clear(struct msieve_session *s);

/* --- the command in hand: called by the connection, in jobs ---
 * Zero-initialise it.  MSIEVE_WAIT: the client is to send another line (SASL); anything else means that
 * the reply stands in s->out and the command is over. */
struct msieve_run {
	struct msieve_request req;
	struct arena arena;
};
/* The row of a framed command, NULL if none; takes the cursor behind the name.  Any thread. */
const struct msieve_command *msieve_command_of(struct str text, struct cursor *args_out);
enum msieve_result msieve_run_begin(
    struct msieve_session *s, struct msieve_run *run, struct str text);
enum msieve_result msieve_run_step(
    struct msieve_session *s, struct msieve_run *run, struct str line);
/* Ends it without a reply: the connection is gone, or the command was too large. */
void msieve_run_abort(struct msieve_run *run);
/* The reply to a command that was too large to be kept; `text` is its beginning. */
void msieve_refuse(struct msieve_session *s, struct str text, bool literal);

#endif
