#include "managesieved/commands.h"
#include "managesieved/response.h"

/* NOOP ["tag"]: the tag comes back in the response code. */
static enum msieve_result
noop_run(struct msieve_session *s, struct msieve_request *req)
{
	struct buf code = { 0 };
	struct str tag;

	(void)s;
	if (cursor_at_end(&req->args))
		return msieve_ok(req, NULL, "NOOP completed");
	if (!msieve_arg_string(req, &tag) || !msieve_arg_end(req))
		return MSIEVE_NO;
	buf_adds(&code, "TAG ");
	msieve_write_string(&code, tag);
	msieve_ok(req, buf_cstr(&code), "Done");
	buf_free(&code);
	return MSIEVE_OK;
}

const struct msieve_command msieve_cmd_noop = {
	.name = "NOOP",
	.rfc = "RFC 5804 2.13",
	.states = MSIEVE_ANY_STATE,
	.run = noop_run,
};
