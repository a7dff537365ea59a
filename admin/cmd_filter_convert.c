/* filter convert: from the Exim filter language to Sieve. */
#include <stdio.h>

#include "admin/commands.h"
#include "admin/filter_tools.h"
#include "filter/exim/convert.h"

static enum admin_status
convert(const char *name, struct str text)
{
	struct buf sieve = { 0 }, problems = { 0 };
	struct filter_error error = { 0 };
	struct cursor lines;
	struct str line;
	enum admin_status status = ADMIN_DONE;

	if (!exim_convert(text, &sieve, &problems, &error)) {
		fprintf(stderr, "%s:%u: %s\n", name, error.line, error.text);
		status = admin_refuse("the filter cannot be converted");
	} else {
		lines = cursor_from((struct str){ buf_cstr(&problems), problems.len });
		fwrite(sieve.data != NULL ? sieve.data : "", 1, sieve.len, stdout);
		while (cursor_take_line(&lines, &line))
			fprintf(stderr, "%s: %.*s\n", name, (int)line.len, line.p);
		if (problems.len > 0)
			status = admin_refuse("the script above lacks what these lines name");
	}
	buf_free(&sieve);
	buf_free(&problems);
	return fflush(stdout) == 0 ? status : admin_refuse("cannot write the output");
}

static enum admin_status
convert_run(struct admin *a)
{
	struct buf text = { 0 };
	enum admin_status status = ADMIN_REFUSED;

	if (filter_named_text(a, a->args[0], &text))
		status = convert(a->args[0], (struct str){ buf_cstr(&text), text.len });
	buf_free(&text);
	return status;
}

const struct admin_command admin_cmd_filter_convert = {
	.group = "filter",
	.name = "convert",
	.args = "FILE|ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.summary = "Turns an Exim filter into a Sieve script that does the same.",
	.help = "The script goes to standard output; what has no equivalent is named on standard "
		"error, a line\neach, and the exit status is 1.",
	.example = "mailadmin filter convert ann.filter >ann.sieve",
	.before_config = true,
	.run = convert_run,
};
