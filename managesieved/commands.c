#include "managesieved/commands.h"

#include "managesieved/parse.h"
#include "managesieved/response.h"
#include "store/account_scripts.h"

const struct msieve_command *const MSIEVE_COMMANDS[] = {
	&msieve_cmd_authenticate,
	&msieve_cmd_capability,
	&msieve_cmd_checkscript,
	&msieve_cmd_deletescript,
	&msieve_cmd_getscript,
	&msieve_cmd_havespace,
	&msieve_cmd_listscripts,
	&msieve_cmd_logout,
	&msieve_cmd_noop,
	&msieve_cmd_putscript,
	&msieve_cmd_renamescript,
	&msieve_cmd_setactive,
	&msieve_cmd_starttls,
	&msieve_cmd_unauthenticate,
};
const size_t MSIEVE_COMMAND_COUNT = ARRAY_LEN(MSIEVE_COMMANDS);

const struct msieve_command *
msieve_command_find(struct str name)
{
	for (size_t i = 0; i < MSIEVE_COMMAND_COUNT; i++)
		if (str_eq_nocase(name, str_from(MSIEVE_COMMANDS[i]->name)))
			return MSIEVE_COMMANDS[i];
	return NULL;
}

bool
msieve_arg_end(struct msieve_request *req)
{
	if (cursor_at_end(&req->args))
		return true;
	msieve_bad(req, "Too many arguments");
	return false;
}

static bool
take_sp(struct msieve_request *req)
{
	if (cursor_at_end(&req->args))
		msieve_bad(req, "An argument is missing");
	else if (!msieve_parse_sp(&req->args))
		msieve_bad(req, "One space is expected between arguments");
	else
		return true;
	return false;
}

bool
msieve_arg_string(struct msieve_request *req, struct str *text_out)
{
	if (!take_sp(req))
		return false;
	if (msieve_parse_string(&req->args, req->arena, text_out))
		return true;
	msieve_bad(req, "A string is expected");
	return false;
}

bool
msieve_arg_number(struct msieve_request *req, uint32_t *n_out)
{
	if (!take_sp(req))
		return false;
	if (msieve_parse_number(&req->args, n_out))
		return true;
	msieve_bad(req, "A number is expected");
	return false;
}

bool
msieve_arg_name(struct msieve_request *req, const char **name_out)
{
	struct str text;

	if (!msieve_arg_string(req, &text))
		return false;
	if (!account_script_name_is_valid(text)) {
		msieve_no(req, NULL, "This cannot be the name of a script");
		return false;
	}
	*name_out = arena_strndup(req->arena, text.p, text.len);
	return true;
}
