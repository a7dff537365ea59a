#include "managesieved/commands.h"
#include "managesieved/managesieved.h"
#include "managesieved/response.h"
#include "managesieved/scripts.h"
#include "managesieved/session.h"

/* SETACTIVE "": the default filter counts again.  Nothing to do is no error. */
static enum msieve_result
deactivate(struct msieve_session *s, struct msieve_request *req)
{
	const struct managesieved *d = s->daemon;
	struct account_filter filter = { 0 };
	enum store_err err = account_filter_get(d->accounts, s->account, &filter);
	bool set = filter.text != NULL;

	account_filter_clear(&filter);
	if (err == STORE_OK && set)
		err = account_filter_set(d->accounts, s->account, NULL, (struct str){ 0 },
		    &d->limits, msieve_who(s, req->arena));
	if (err != STORE_OK)
		return msieve_finish(req, err);
	if (set) {
		msieve_filter_errors_clear(s);
		log_info(s->log, "filter-cleared", "user=%s", s->user);
	}
	return MSIEVE_OK;
}

static enum msieve_result
already_active(struct msieve_session *s, struct msieve_request *req)
{
	const char *error = msieve_filter_error(s, req->arena);

	return error != NULL ? msieve_ok(req, "WARNINGS", error) : MSIEVE_OK;
}

static enum msieve_result
activate(struct msieve_session *s, struct msieve_request *req, const char *name)
{
	struct msieve_script script;
	enum store_err err = msieve_script_find(s, req->arena, name, &script);

	if (err != STORE_OK)
		return msieve_finish(req, err);
	if (script.active)
		return already_active(s, req);
	if (!msieve_check_text(s, req, script.text))
		return MSIEVE_NO;
	err = account_script_activate(
	    s->daemon->accounts, s->account, name, msieve_who(s, req->arena));
	if (err != STORE_OK)
		return msieve_finish(req, err);
	msieve_filter_errors_clear(s);
	log_info(s->log, "script-activated", "user=%s name=%s", s->user, name);
	return MSIEVE_OK;
}

/* SETACTIVE name-or-"".  What was active before stays in the filter's history. */
static enum msieve_result
setactive_run(struct msieve_session *s, struct msieve_request *req)
{
	struct cursor at_name = req->args;
	const char *name;
	struct str text;

	if (!msieve_arg_string(req, &text) || !msieve_arg_end(req))
		return MSIEVE_NO;
	if (text.len == 0)
		return deactivate(s, req);
	req->args = at_name;
	return msieve_arg_name(req, &name) ? activate(s, req, name) : MSIEVE_NO;
}

const struct msieve_command msieve_cmd_setactive = {
	.name = "SETACTIVE",
	.rfc = "RFC 5804 2.8",
	.states = MSIEVE_AUTHENTICATED,
	.run = setactive_run,
};
