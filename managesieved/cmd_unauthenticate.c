#include "managesieved/commands.h"
#include "managesieved/response.h"
#include "managesieved/session.h"

/* UNAUTHENTICATE: back to before the login; TLS stays. */
static enum msieve_result
unauthenticate_run(struct msieve_session *s, struct msieve_request *req)
{
	if (!msieve_arg_end(req))
		return MSIEVE_NO;
	log_info(s->log, "unauthenticated", "user=%s", s->user);
	msieve_forget_user(s);
	s->state = MSIEVE_UNAUTHENTICATED;
	return msieve_ok(req, NULL, "You are nobody again");
}

const struct msieve_command msieve_cmd_unauthenticate = {
	.name = "UNAUTHENTICATE",
	.rfc = "RFC 5804 2.14.1",
	.states = MSIEVE_AUTHENTICATED,
	.run = unauthenticate_run,
};
