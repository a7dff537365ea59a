#include "managesieved/commands.h"
#include "managesieved/managesieved.h"
#include "managesieved/response.h"
#include "managesieved/scripts.h"
#include "managesieved/session.h"

/* An unnamed filter gets the new name, and stays active as all renamed scripts do. */
static enum store_err
rename_to(struct msieve_session *s, struct msieve_request *req, const struct msieve_script *script,
    const char *new_name)
{
	const struct managesieved *d = s->daemon;

	if (!script->unnamed)
		return account_script_rename(d->accounts, s->account, script->name, new_name);
	return account_filter_set(
	    d->accounts, s->account, new_name, script->text, &d->limits, msieve_who(s, req->arena));
}

/* RENAMESCRIPT old new. */
static enum msieve_result
renamescript_run(struct msieve_session *s, struct msieve_request *req)
{
	struct msieve_script script, other;
	const char *name, *new_name;
	enum store_err err;

	if (!msieve_arg_name(req, &name) || !msieve_arg_name(req, &new_name) ||
	    !msieve_arg_end(req))
		return MSIEVE_NO;
	err = msieve_script_find(s, req->arena, name, &script);
	if (err != STORE_OK)
		return msieve_finish(req, err);
	if (script.exim)
		return msieve_no(req, NULL, "An Exim filter can only be read here");
	if (strcmp(name, new_name) == 0)
		return MSIEVE_OK;
	err = msieve_script_find(s, req->arena, new_name, &other);
	if (err == STORE_OK)
		err = STORE_EXISTS;
	else if (err == STORE_NOT_FOUND)
		err = rename_to(s, req, &script, new_name);
	if (err == STORE_OK)
		log_info(
		    s->log, "script-renamed", "user=%s name=%s to=%s", s->user, name, new_name);
	return msieve_finish(req, err);
}

const struct msieve_command msieve_cmd_renamescript = {
	.name = "RENAMESCRIPT",
	.rfc = "RFC 5804 2.11",
	.states = MSIEVE_AUTHENTICATED,
	.run = renamescript_run,
};
