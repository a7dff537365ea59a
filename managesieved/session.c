#include "managesieved/session.h"

#include <stdlib.h>

#include "managesieved/managesieved.h"
#include "managesieved/parse.h"
#include "managesieved/response.h"
#include "store/account_tenure.h"

void
msieve_bye(struct msieve_session *s, const char *code, const char *text)
{
	if (s->state != MSIEVE_ENDED)
		msieve_write_reply(&s->out, "BYE", code, str_from(text));
	s->state = MSIEVE_ENDED;
}

void
msieve_forget_user(struct msieve_session *s)
{
	free(s->user);
	free(s->localpart);
	free(s->domain);
	free(s->tenure);
	s->user = s->localpart = s->domain = s->tenure = NULL;
	s->account = 0;
}

void
msieve_session_clear(struct msieve_session *s)
{
	msieve_forget_user(s);
	free(s->channel);
	s->channel = NULL;
	buf_free(&s->out);
}

const struct msieve_command *
msieve_command_of(struct str text, struct cursor *args_out)
{
	struct cursor c = cursor_from(text);
	struct str name;

	if (!msieve_parse_atom(&c, &name))
		return NULL;
	*args_out = c;
	return msieve_command_find(name);
}

/* May it run now?  NULL if so, else why not. */
static const char *
state_problem(const struct msieve_session *s, const struct msieve_command *cmd)
{
	if (cmd == NULL)
		return "Unknown command";
	if ((cmd->states & s->state) != 0)
		return NULL;
	if (s->state == MSIEVE_AUTHENTICATED)
		return "You are logged in already";
	if ((cmd->states & MSIEVE_AUTHENTICATED) != 0)
		return s->state == MSIEVE_CLEAR ? "STARTTLS first" : "Log in first";
	return "Not now";
}

static void
count_bad(struct msieve_session *s, bool bad)
{
	s->bad_commands = bad ? s->bad_commands + 1 : 0;
	if (s->bad_commands >= MSIEVE_BAD_COMMANDS_MAX)
		msieve_bye(s, NULL, "Too many bad commands");
}

static enum msieve_result
settle(struct msieve_session *s, struct msieve_run *run, enum msieve_result result)
{
	const struct msieve_request *req = &run->req;
	bool bad = req->bad;

	if (result == MSIEVE_WAIT)
		return result;
	log_debug(s->log, "command", "name=%s result=%s",
	    req->command != NULL ? req->command->name : "?", result == MSIEVE_OK ? "OK" : "NO");
	msieve_write_reply(&s->out, result == MSIEVE_OK ? "OK" : "NO", req->code, req->text);
	msieve_run_abort(run);
	count_bad(s, bad);
	return result;
}

/* Who gets the address, or even the account's number, later is somebody else, whose filter this is not.  STORE_NOT_FOUND:
 * the account is gone. */
static enum store_err
find_account(struct msieve_session *s)
{
	enum store_err err;
	bool lasts;

	if (s->state != MSIEVE_AUTHENTICATED)
		return STORE_OK;
	err = account_tenure_lasts(s->daemon->accounts, str_from(s->user), s->tenure, &lasts);
	return err == STORE_OK && !lasts ? STORE_NOT_FOUND : err;
}

enum msieve_result
msieve_run_begin(struct msieve_session *s, struct msieve_run *run, struct str text)
{
	struct msieve_request *req = &run->req;
	const char *problem;

	req->arena = &run->arena;
	req->command = msieve_command_of(text, &req->args);
	problem = state_problem(s, req->command);
	if (problem != NULL)
		return settle(s, run, msieve_bad(req, problem));
	switch (find_account(s)) {
	case STORE_OK: return settle(s, run, req->command->run(s, req));
	case STORE_NOT_FOUND:
		msieve_bye(s, NULL, "The account is gone");
		msieve_run_abort(run);
		return MSIEVE_NO;
	default:
		return settle(s, run, msieve_no(req, "TRYLATER", "The account cannot be read now"));
	}
}

enum msieve_result
msieve_run_step(struct msieve_session *s, struct msieve_run *run, struct str line)
{
	run->req.line = line;
	return settle(s, run, run->req.command->run(s, &run->req));
}

void
msieve_run_abort(struct msieve_run *run)
{
	if (run->req.state_free != NULL && run->req.state != NULL)
		run->req.state_free(run->req.state);
	arena_free(&run->arena);
	*run = (struct msieve_run){ 0 };
}

void
msieve_refuse(struct msieve_session *s, struct str text, bool literal)
{
	struct cursor args;
	const struct msieve_command *cmd = msieve_command_of(text, &args);
	bool put = cmd == &msieve_cmd_putscript && s->state == MSIEVE_AUTHENTICATED;

	msieve_write_reply(&s->out, "NO", literal && put ? "QUOTA/MAXSIZE" : NULL,
	    !literal                                ? STR("Command line too long")
	    : put || cmd == &msieve_cmd_checkscript ? STR("The script is too large")
						    : STR("Literal too big"));
	count_bad(s, !put);
}
