#include "filter/exim/commands.h"

static const struct exim_verb VERBS[] = {
	{ .name = "add", .parse = exim_parse_add, .run = exim_run_add, .no_prefix = true },
	{ .name = "defer", .parse = exim_parse_disabled },
	{ .name = "deliver",
	    .parse = exim_parse_deliver,
	    .run = exim_run_deliver,
	    .significant = true },
	{ .name = "fail", .parse = exim_parse_disabled },
	{ .name = "finish", .parse = exim_parse_finish, .run = exim_run_finish },
	{ .name = "freeze", .parse = exim_parse_disabled },
	{ .name = "headers",
	    .parse = exim_parse_headers,
	    .run = exim_run_headers,
	    .no_prefix = true },
	{ .name = "if", .parse = exim_parse_if, .run = exim_run_if, .no_prefix = true },
	{ .name = "logfile", .parse = exim_parse_save, .run = exim_run_logfile },
	{ .name = "logwrite", .parse = exim_parse_argument, .run = exim_run_logwrite },
	{ .name = "mail", .parse = exim_parse_mail, .run = exim_run_mail },
	{ .name = "pipe", .parse = exim_parse_argument, .run = exim_run_pipe, .significant = true },
	{ .name = "save", .parse = exim_parse_save, .run = exim_run_save, .significant = true },
	{ .name = "testprint", .parse = exim_parse_argument, .run = exim_run_testprint },
	{ .name = "vacation", .parse = exim_parse_vacation, .run = exim_run_mail },
};

const struct exim_verb *
exim_verb_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(VERBS); i++)
		if (str_eq(name, str_from(VERBS[i].name)))
			return &VERBS[i];
	return NULL;
}
