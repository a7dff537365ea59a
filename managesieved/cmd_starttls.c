#include "managesieved/commands.h"
#include "managesieved/response.h"
#include "managesieved/session.h"

/* STARTTLS: TLS begins when the reply is sent, and the capabilities follow the handshake by themselves.  What
 * the client has sent behind the command in the clear ends the connection (net/stream.h). */
static enum msieve_result
starttls_run(struct msieve_session *s, struct msieve_request *req)
{
	if (s->state == MSIEVE_UNAUTHENTICATED)
		return msieve_bad(req, "TLS is active already");
	if (!msieve_arg_end(req))
		return MSIEVE_NO;
	s->start_tls = true;
	return msieve_ok(req, NULL, "Begin TLS now");
}

const struct msieve_command msieve_cmd_starttls = {
	.name = "STARTTLS",
	.rfc = "RFC 5804 2.2",
	.states = MSIEVE_CLEAR | MSIEVE_UNAUTHENTICATED,
	.run = starttls_run,
};
