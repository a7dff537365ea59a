#include "managesieved/commands.h"
#include "managesieved/response.h"
#include "managesieved/session.h"

/* LOGOUT; what follows it is ignored. */
static enum msieve_result
logout_run(struct msieve_session *s, struct msieve_request *req)
{
	if (!msieve_arg_end(req))
		return MSIEVE_NO;
	s->state = MSIEVE_ENDED;
	return msieve_ok(req, NULL, "Logged out");
}

const struct msieve_command msieve_cmd_logout = {
	.name = "LOGOUT",
	.rfc = "RFC 5804 2.3",
	.states = MSIEVE_ANY_STATE,
	.run = logout_run,
};
