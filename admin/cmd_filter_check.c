/* filter check: compiles a text, and asks libsieve for a second opinion. */
#include <stdio.h>
#include <string.h>

#include "admin/commands.h"
#include "admin/filter_tools.h"
#include "admin/portable.h"

static enum admin_status
check_portable(const char *name, struct str text)
{
	struct buf why = { 0 };
	enum portable answer;

	if (strcmp(filter_text_language(text), "exim") == 0)
		return admin_refuse("%s: an Exim filter; libsieve takes Sieve only", name);
	answer = portable_check(text, &why);
	if (answer == PORTABLE_YES)
		printf("%s: a server that uses libsieve would take it\n", name);
	else if (answer != PORTABLE_UNKNOWN)
		printf(
		    "%s: a server that uses libsieve would not take it\n%s", name, buf_cstr(&why));
	else
		admin_refuse("%s: %s", name, buf_cstr(&why));
	buf_free(&why);
	return answer == PORTABLE_YES ? ADMIN_DONE : ADMIN_REFUSED;
}

static enum admin_status
check_run(struct admin *a)
{
	const char *name = a->args[0];
	struct buf buffer = { 0 };
	struct str text;
	enum admin_status status = ADMIN_REFUSED;

	if (!filter_named_text(a, name, &buffer)) {
		buf_free(&buffer);
		return ADMIN_REFUSED;
	}
	text = (struct str){ buf_cstr(&buffer), buffer.len };
	if (filter_explain(name, text)) {
		printf("%s: no errors (%s)\n", name, filter_text_language(text));
		status = ADMIN_DONE;
	}
	if (admin_option(a, "--portable") != NULL && check_portable(name, text) != ADMIN_DONE)
		status = ADMIN_REFUSED;
	buf_free(&buffer);
	return status;
}

const struct admin_command admin_cmd_filter_check = {
	.group = "filter",
	.name = "check",
	.args = "FILE|ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--portable", NULL, "also asks libsieve, as old servers use it" } },
	.summary = "Compiles a filter and says errors and warnings with their lines.",
	.help =
	    "FILE may be -.  An address that is no file: the account's active filter.  Exit status "
	    "1: an error,\nor with --portable a script that libsieve does not take.",
	.example = "mailadmin filter check --portable ann.sieve",
	.before_config = true,
	.run = check_run,
};
