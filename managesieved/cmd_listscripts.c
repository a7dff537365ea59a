#include "managesieved/commands.h"
#include "managesieved/response.h"
#include "managesieved/scripts.h"
#include "managesieved/session.h"

/* LISTSCRIPTS; if the active filter has failed at mail, the OK tells it. */
static enum msieve_result
listscripts_run(struct msieve_session *s, struct msieve_request *req)
{
	struct msieve_script *scripts;
	size_t count;
	enum store_err err;
	const char *error;

	if (!msieve_arg_end(req))
		return MSIEVE_NO;
	err = msieve_scripts_list(s, req->arena, &scripts, &count);
	if (err != STORE_OK)
		return msieve_finish(req, err);
	for (size_t i = 0; i < count; i++) {
		msieve_write_string(&s->out, str_from(scripts[i].name));
		buf_adds(&s->out, scripts[i].active ? " ACTIVE\r\n" : "\r\n");
	}
	error = msieve_filter_error(s, req->arena);
	return error != NULL ? msieve_ok(req, "WARNINGS", error) : MSIEVE_OK;
}

const struct msieve_command msieve_cmd_listscripts = {
	.name = "LISTSCRIPTS",
	.rfc = "RFC 5804 2.7",
	.states = MSIEVE_AUTHENTICATED,
	.run = listscripts_run,
};
