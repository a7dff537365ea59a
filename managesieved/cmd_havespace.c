#include "managesieved/commands.h"
#include "managesieved/managesieved.h"
#include "managesieved/response.h"
#include "managesieved/scripts.h"
#include "managesieved/session.h"

/* HAVESPACE name size: would PUTSCRIPT of that size fit? */
static enum msieve_result
havespace_run(struct msieve_session *s, struct msieve_request *req)
{
	const struct managesieved *d = s->daemon;
	struct msieve_script old = { 0 };
	const char *name;
	uint32_t size;
	enum store_err err;

	if (!msieve_arg_name(req, &name) || !msieve_arg_number(req, &size) || !msieve_arg_end(req))
		return MSIEVE_NO;
	if (size > SCRIPT_TEXT_MAX_BYTES)
		return msieve_no(req, "QUOTA/MAXSIZE", "The script is too large");
	err = msieve_script_find(s, req->arena, name, &old);
	if (err == STORE_OK && old.exim)
		return msieve_no(req, NULL, "An Exim filter can only be read here");
	if (err == STORE_OK || err == STORE_NOT_FOUND)
		err = account_script_fits(d->accounts, s->account, name, size, &d->limits);
	return msieve_finish(req, err);
}

const struct msieve_command msieve_cmd_havespace = {
	.name = "HAVESPACE",
	.rfc = "RFC 5804 2.5",
	.states = MSIEVE_AUTHENTICATED,
	.run = havespace_run,
};
