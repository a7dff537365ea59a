#include "filter/filter.h"
#include "managesieved/commands.h"
#include "managesieved/managesieved.h"
#include "managesieved/response.h"
#include "managesieved/scripts.h"
#include "managesieved/session.h"

/* sieve-script = string: one that could be stored here.  On false the reply is set. */
static bool
take_script(struct msieve_session *s, struct msieve_request *req, struct str *text_out)
{
	if (!msieve_arg_string(req, text_out) || !msieve_arg_end(req))
		return false;
	if (text_out->len == 0)
		msieve_no(req, NULL, "The script is empty");
	else if (text_out->len > SCRIPT_TEXT_MAX_BYTES)
		msieve_no(req, req->command == &msieve_cmd_putscript ? "QUOTA/MAXSIZE" : NULL,
		    "The script is too large");
	else if (strcmp(filter_text_language(*text_out), "exim") == 0)
		msieve_no(req, NULL,
		    "line 1: This is an Exim filter, and here only Sieve can be written");
	else
		return msieve_check_text(s, req, *text_out);
	return false;
}

static enum store_err
put(struct msieve_session *s, struct msieve_request *req, const struct msieve_script *old,
    const char *name, struct str text)
{
	const struct managesieved *d = s->daemon;
	const char *who = msieve_who(s, req->arena);

	if (old->unnamed)
		return account_filter_set(d->accounts, s->account, name, text, &d->limits, who);
	return account_script_put(d->accounts, s->account, name, text, &d->limits, who);
}

/* PUTSCRIPT name script.  Replacing the active script changes what delivery does at once. */
static enum msieve_result
putscript_run(struct msieve_session *s, struct msieve_request *req)
{
	struct msieve_script old = { 0 };
	const char *name;
	struct str text;
	enum store_err err;

	if (!msieve_arg_name(req, &name) || !take_script(s, req, &text))
		return MSIEVE_NO;
	err = msieve_script_find(s, req->arena, name, &old);
	if (err == STORE_OK && old.exim)
		return msieve_no(req, NULL,
		    "An Exim filter can only be read here: choose another name for the script");
	if (err == STORE_OK || err == STORE_NOT_FOUND)
		err = put(s, req, &old, name, text);
	if (err != STORE_OK)
		return msieve_finish(req, err);
	if (old.active)
		msieve_filter_errors_clear(s);
	log_info(s->log, "script-put", "user=%s name=%s bytes=%zu active=%d", s->user, name,
	    text.len, (int)old.active);
	return MSIEVE_OK;
}

/* CHECKSCRIPT script: no quota counts. */
static enum msieve_result
checkscript_run(struct msieve_session *s, struct msieve_request *req)
{
	struct str text;

	return take_script(s, req, &text) ? MSIEVE_OK : MSIEVE_NO;
}

const struct msieve_command msieve_cmd_putscript = {
	.name = "PUTSCRIPT",
	.rfc = "RFC 5804 2.6",
	.states = MSIEVE_AUTHENTICATED,
	.run = putscript_run,
};

const struct msieve_command msieve_cmd_checkscript = {
	.name = "CHECKSCRIPT",
	.rfc = "RFC 5804 2.12",
	.states = MSIEVE_AUTHENTICATED,
	.run = checkscript_run,
};
