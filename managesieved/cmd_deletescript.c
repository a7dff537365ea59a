#include "managesieved/commands.h"
#include "managesieved/managesieved.h"
#include "managesieved/response.h"
#include "managesieved/scripts.h"
#include "managesieved/session.h"

/* DELETESCRIPT name: not the active one. */
static enum msieve_result
deletescript_run(struct msieve_session *s, struct msieve_request *req)
{
	struct msieve_script script = { 0 };
	const char *name;
	enum store_err err;

	if (!msieve_arg_name(req, &name) || !msieve_arg_end(req))
		return MSIEVE_NO;
	err = msieve_script_find(s, req->arena, name, &script);
	if (err == STORE_OK && script.active)
		return msieve_no(req, "ACTIVE", "The active script cannot be deleted");
	if (err == STORE_OK)
		err = account_script_delete(s->daemon->accounts, s->account, name);
	if (err == STORE_OK)
		log_info(s->log, "script-deleted", "user=%s name=%s", s->user, name);
	return msieve_finish(req, err);
}

const struct msieve_command msieve_cmd_deletescript = {
	.name = "DELETESCRIPT",
	.rfc = "RFC 5804 2.10",
	.states = MSIEVE_AUTHENTICATED,
	.run = deletescript_run,
};
