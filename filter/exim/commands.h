/* The commands of the language, a row each. */
#ifndef FILTER_EXIM_COMMANDS_H
#define FILTER_EXIM_COMMANDS_H

#include <stdbool.h>

#include "filter/exim/tree.h"

struct exim_parser;
struct exim_run;

struct exim_verb {
	const char *name;
	bool (*parse)(struct exim_parser *p, struct exim_command *command);
	bool (*run)(struct exim_run *x, const struct exim_command *command);
	bool significant; /* cancels normal delivery unless `unseen` */
	bool no_prefix;   /* seen, unseen and noerror must not stand before it */
};

/* NULL: there is no such command. */
const struct exim_verb *exim_verb_find(struct str name);

/* --- one function per command, in parse.c … --- */
bool exim_parse_argument(struct exim_parser *p, struct exim_command *command);
bool exim_parse_add(struct exim_parser *p, struct exim_command *command);
bool exim_parse_deliver(struct exim_parser *p, struct exim_command *command);
bool exim_parse_finish(struct exim_parser *p, struct exim_command *command);
bool exim_parse_headers(struct exim_parser *p, struct exim_command *command);
bool exim_parse_if(struct exim_parser *p, struct exim_command *command);
bool exim_parse_mail(struct exim_parser *p, struct exim_command *command);
bool exim_parse_save(struct exim_parser *p, struct exim_command *command);
bool exim_parse_vacation(struct exim_parser *p, struct exim_command *command);
bool exim_parse_disabled(struct exim_parser *p, struct exim_command *command);

/* --- … and in run.c, act.c and mail.c --- */
bool exim_run_add(struct exim_run *x, const struct exim_command *command);
bool exim_run_deliver(struct exim_run *x, const struct exim_command *command);
bool exim_run_finish(struct exim_run *x, const struct exim_command *command);
bool exim_run_headers(struct exim_run *x, const struct exim_command *command);
bool exim_run_if(struct exim_run *x, const struct exim_command *command);
bool exim_run_logfile(struct exim_run *x, const struct exim_command *command);
bool exim_run_logwrite(struct exim_run *x, const struct exim_command *command);
bool exim_run_mail(struct exim_run *x, const struct exim_command *command);
bool exim_run_pipe(struct exim_run *x, const struct exim_command *command);
bool exim_run_save(struct exim_run *x, const struct exim_command *command);
bool exim_run_testprint(struct exim_run *x, const struct exim_command *command);

#endif
