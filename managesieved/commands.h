/* The commands of ManageSieve: one row each.  Dispatch, state checks and doc/rfc.md read the rows.
 *
 * A command runs in jobs on a pool thread.  While a job runs it owns the session: the handler is
 * straight-line code that asks the account database and writes what stands before the reply into s->out. */
#ifndef MANAGESIEVED_COMMANDS_H
#define MANAGESIEVED_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"

struct msieve_session;
struct msieve_command;

/* Where a session stands, RFC 5804 §2; bits, so a row can name several. */
enum msieve_state {
	MSIEVE_CLEAR = 1, /* no TLS yet */
	MSIEVE_UNAUTHENTICATED = 2,
	MSIEVE_AUTHENTICATED = 4,
	MSIEVE_ENDED = 8, /* LOGOUT or BYE is said; nothing runs any more */
};
#define MSIEVE_ANY_STATE (MSIEVE_CLEAR | MSIEVE_UNAUTHENTICATED | MSIEVE_AUTHENTICATED)

enum msieve_result {
	MSIEVE_OK,
	MSIEVE_NO,
	MSIEVE_WAIT, /* not done: call again when the client has sent a line (req->line) */
};

/* One command that runs.  Everything in it lives until the reply. */
struct msieve_request {
	const struct msieve_command *command;
	struct cursor args; /* what is not parsed yet; at first the SP before the first argument */
	struct arena *arena;

	/* The handler's own between steps; NULL in the first call.  `state_free` is called once when the
	 * command ends, however it ends. */
	void *state;
	void (*state_free)(void *state);

	struct str line;  /* after MSIEVE_WAIT: what the client sent, without the last CRLF */
	const char *code; /* resp-code of the reply without its parentheses, or NULL */
	struct str text;  /* its text, perhaps of several lines; p NULL: a default */
	bool bad;         /* NO is for a command that cannot be read: such are counted */
};

struct msieve_command {
	const char *name; /* capitals */
	const char *rfc;
	unsigned states; /* enum msieve_state bits it may run in */
	bool login;      /* tries a password: waits after failed ones of its address */
	enum msieve_result (*run)(struct msieve_session *s, struct msieve_request *req);
};

extern const struct msieve_command *const MSIEVE_COMMANDS[]; /* sorted by name */
extern const size_t MSIEVE_COMMAND_COUNT;
/* The row of a name in any letter case, or NULL. */
const struct msieve_command *msieve_command_find(struct str name);

/* Arguments.  Each first takes the one SP that parts it from what went before.  On false the reply is
 * set: return MSIEVE_NO. */
bool msieve_arg_end(struct msieve_request *req); /* nothing may follow */
bool msieve_arg_string(struct msieve_request *req, struct str *text_out);
bool msieve_arg_number(struct msieve_request *req, uint32_t *n_out);
/* sieve-name: a valid script name, NUL-terminated */
bool msieve_arg_name(struct msieve_request *req, const char **name_out);

extern const struct msieve_command msieve_cmd_authenticate, msieve_cmd_capability,
    msieve_cmd_checkscript, msieve_cmd_deletescript, msieve_cmd_getscript, msieve_cmd_havespace,
    msieve_cmd_listscripts, msieve_cmd_logout, msieve_cmd_noop, msieve_cmd_putscript,
    msieve_cmd_renamescript, msieve_cmd_setactive, msieve_cmd_starttls, msieve_cmd_unauthenticate;

#endif
