#include "managesieved/commands.h"
#include "managesieved/response.h"
#include "managesieved/scripts.h"
#include "managesieved/session.h"

/* GETSCRIPT: the bytes as they were put. */
static enum msieve_result
getscript_run(struct msieve_session *s, struct msieve_request *req)
{
	struct msieve_script script;
	const char *name;
	enum store_err err;

	if (!msieve_arg_name(req, &name) || !msieve_arg_end(req))
		return MSIEVE_NO;
	err = msieve_script_find(s, req->arena, name, &script);
	if (err != STORE_OK)
		return msieve_finish(req, err);
	msieve_write_literal(&s->out, script.text);
	buf_adds(&s->out, "\r\n");
	return MSIEVE_OK;
}

const struct msieve_command msieve_cmd_getscript = {
	.name = "GETSCRIPT",
	.rfc = "RFC 5804 2.9",
	.states = MSIEVE_AUTHENTICATED,
	.run = getscript_run,
};
