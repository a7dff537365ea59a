/* mailadmin [-c FILE] GROUP [COMMAND] …: finds the row, checks what was typed against it, runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/command.h"
#include "admin/complete.h"
#include "admin/near.h"
#include "admin/output.h"
#include "base/mem.h"
#include "store/spool.h"

#define ADMIN_UMASK 027 /* what is made here is not for others to read */

/* --- help --------------------------------------------------------------------------------------- */

static void
print_synopsis(FILE *to, const struct admin_command *c)
{
	fprintf(to, "mailadmin %s", c->group);
	if (c->name != NULL)
		fprintf(to, " %s", c->name);
	if (*c->args != '\0')
		fprintf(to, " %s", c->args);
	for (size_t i = 0; i < ADMIN_OPTIONS_MAX && c->options[i].name != NULL; i++) {
		if (c->options[i].value != NULL)
			fprintf(to, " [%s %s]", c->options[i].name, c->options[i].value);
		else
			fprintf(to, " [%s]", c->options[i].name);
	}
	fputc('\n', to);
}

static void
print_command_help(const struct admin_command *c)
{
	fputs("usage: ", stdout);
	print_synopsis(stdout, c);
	printf("\n%s\n", c->summary);
	if (c->help != NULL)
		printf("%s\n", c->help);
	if (c->options[0].name != NULL)
		putchar('\n');
	for (size_t i = 0; i < ADMIN_OPTIONS_MAX && c->options[i].name != NULL; i++) {
		const struct admin_option *o = &c->options[i];
		char *left = mem_printf("%s%s%s", o->name, o->value != NULL ? " " : "",
		    o->value != NULL ? o->value : "");

		printf("  %-28s %s\n", left, o->help);
		free(left);
	}
	printf("\nexample: %s\n", c->example);
}

/* All commands, or those of one group. */
static void
print_commands(const char *group)
{
	for (size_t i = 0; i < ADMIN_COMMANDS_COUNT; i++) {
		const struct admin_command *c = ADMIN_COMMANDS[i];
		char *left;

		if (group != NULL && strcmp(c->group, group) != 0)
			continue;
		left = mem_printf("%s%s%s%s%s", c->group, c->name != NULL ? " " : "",
		    c->name != NULL ? c->name : "", *c->args != '\0' ? " " : "", c->args);
		printf("  %-35s  %s\n", left, c->summary);
		free(left);
	}
}

static void
print_help(void)
{
	puts("usage: mailadmin [-c FILE] COMMAND [ARGUMENT]... [OPTION]...\n");
	print_commands(NULL);
	puts(
	    "\n  -c FILE   the configuration, default " CONFIG_DEFAULT_PATH "; see sanger.conf(5)\n"
	    "  --help    after a command: what it does, with an example\n"
	    "\nExit status: 0 done, 1 refused with the reason on standard error, 64 wrong usage.");
}

/* --- what was typed ----------------------------------------------------------------------------- */

static const struct admin_command *
find_command(const char *group, const char *name)
{
	for (size_t i = 0; i < ADMIN_COMMANDS_COUNT; i++) {
		const struct admin_command *c = ADMIN_COMMANDS[i];

		if (strcmp(c->group, group) == 0 &&
		    (c->name == NULL || (name != NULL && strcmp(c->name, name) == 0)))
			return c;
	}
	return NULL;
}

static bool
is_group(const char *group)
{
	for (size_t i = 0; i < ADMIN_COMMANDS_COUNT; i++)
		if (strcmp(ADMIN_COMMANDS[i]->group, group) == 0)
			return true;
	return false;
}

static enum admin_status
unknown_option(struct admin *a, const char *word, size_t len)
{
	char *typed = mem_strndup(word, len);
	struct near meant = { .typed = typed };
	enum admin_status status;

	for (size_t i = 0; i < ADMIN_OPTIONS_MAX && a->command->options[i].name != NULL; i++)
		near_offer(&meant, a->command->options[i].name);
	status = meant.best != NULL
		     ? admin_bad_usage(a, "unknown option %s; did you mean %s?", typed, meant.best)
		     : admin_bad_usage(a, "unknown option %s", typed);
	free(typed);
	return status;
}

/* Takes one option, "--name value" or "--name=value", at argv[*at]. */
static enum admin_status
take_option(struct admin *a, char **argv, int argc, int *at)
{
	const char *word = argv[*at], *equals = strchr(word, '=');
	size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);

	for (size_t i = 0; i < ADMIN_OPTIONS_MAX && a->command->options[i].name != NULL; i++) {
		const struct admin_option *o = &a->command->options[i];

		if (strlen(o->name) != len || memcmp(o->name, word, len) != 0)
			continue;
		if (a->values[i] != NULL && !admin_option_is_many(o))
			return admin_bad_usage(a, "%s stands twice", o->name);
		if (admin_option_is_many(o) && a->many_count == ADMIN_ARGS_MAX)
			return admin_bad_usage(a, "%s stands too often", o->name);
		if (o->value == NULL && equals != NULL)
			return admin_bad_usage(a, "%s takes no value", o->name);
		if (o->value == NULL)
			a->values[i] = "";
		else if (equals != NULL)
			a->values[i] = equals + 1;
		else if (*at + 1 < argc)
			a->values[i] = argv[++*at];
		else
			return admin_bad_usage(a, "%s needs %s", o->name, o->value);
		if (admin_option_is_many(o)) {
			a->many[a->many_count].option = o->name;
			a->many[a->many_count++].value = a->values[i];
		}
		if (strcmp(o->name, "--json") == 0)
			a->json = true;
		return ADMIN_DONE;
	}
	return unknown_option(a, word, len);
}

static enum admin_status
take_words(struct admin *a, char **argv, int argc)
{
	bool options = true;

	for (int i = 0; i < argc; i++) {
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
			enum admin_status status = take_option(a, argv, argc, &i);

			if (status != ADMIN_DONE)
				return status;
		} else if (a->arg_count < a->command->args_most) {
			a->args[a->arg_count++] = argv[i];
		} else {
			return admin_bad_usage(a, "one argument too many: %s", argv[i]);
		}
	}
	if (a->arg_count < a->command->args_least)
		return admin_bad_usage(a, "an argument is missing; it takes: %s", a->command->args);
	return ADMIN_DONE;
}

static bool
wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

/* --- running ------------------------------------------------------------------------------------ */

static void
close_all(struct admin *a)
{
	spool_close(a->spool);
	if (a->store != NULL)
		store_close(a->store);
	account_db_close(a->accounts);
	config_free(a->config);
	log_close(a->log);
}

static enum admin_status
run(struct admin *a)
{
	enum admin_status status = ADMIN_REFUSED;

	umask(ADMIN_UMASK);
	output_setup();
	a->log = log_open("mailadmin", NULL, LOG_LEVEL_WARN);
	if (a->command->before_config || admin_start(a))
		status = a->command->run(a);
	close_all(a);
	return status;
}

/* -c FILE in front; returns the index of the first word behind, -1 for wrong usage. */
static int
take_config_path(struct admin *a, int argc, char **argv)
{
	int at = 1;

	while (at < argc && strncmp(argv[at], "-c", 2) == 0) {
		if (argv[at][2] != '\0') {
			a->config_path = argv[at] + 2;
		} else if (++at < argc) {
			a->config_path = argv[at];
		} else {
			admin_bad_usage(a, "-c needs a file");
			return -1;
		}
		at++;
	}
	return at;
}

/* What was meant instead of a group or, where `group` is not NULL, a command of it. */
static enum admin_status
no_such_word(struct admin *a, const char *group, const char *word)
{
	struct near meant = { .typed = word };

	for (size_t i = 0; i < ADMIN_COMMANDS_COUNT; i++) {
		const struct admin_command *c = ADMIN_COMMANDS[i];

		if (group == NULL)
			near_offer(&meant, c->group);
		else if (strcmp(c->group, group) == 0)
			near_offer(&meant, c->name);
	}
	if (group == NULL && meant.best == NULL)
		return admin_bad_usage(a, "there is no command %s", word);
	if (group == NULL)
		return admin_bad_usage(
		    a, "there is no command %s; did you mean %s?", word, meant.best);
	if (meant.best == NULL)
		return admin_bad_usage(a, "%s has no command %s", group, word);
	return admin_bad_usage(
	    a, "%s has no command %s; did you mean %s %s?", group, word, group, meant.best);
}

/* There is no such row: what is wrong, or the list of the group's commands. */
static enum admin_status
no_command(struct admin *a, int argc, char **argv)
{
	if (!is_group(argv[0]))
		return no_such_word(a, NULL, argv[0]);
	if (wants_help(argc, argv)) {
		print_commands(argv[0]);
		return ADMIN_DONE;
	}
	if (argc == 1)
		return admin_bad_usage(a, "%s needs a command", argv[0]);
	return no_such_word(a, argv[0], argv[1]);
}

/* For the shell that asks while somebody types: nothing is said but candidates. */
static enum admin_status
complete(struct admin *a, const char *line)
{
	enum admin_status status;

	a->log = log_open("mailadmin", NULL, LOG_LEVEL_ERROR);
	status = complete_run(a, line);
	close_all(a);
	return status;
}

static enum admin_status
dispatch(struct admin *a, int argc, char **argv)
{
	enum admin_status status;
	int words;

	if (argc == 0)
		return admin_bad_usage(a, "what to do?");
	if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 ||
	    strcmp(argv[0], "help") == 0) {
		print_help();
		return ADMIN_DONE;
	}
	if (strcmp(argv[0], "--complete") == 0 && argc == 2)
		return complete(a, argv[1]);
	a->command = find_command(argv[0], argc > 1 ? argv[1] : NULL);
	if (a->command == NULL)
		return no_command(a, argc, argv);
	words = a->command->name != NULL ? 2 : 1;
	if (wants_help(argc - words, argv + words)) {
		print_command_help(a->command);
		return ADMIN_DONE;
	}
	status = take_words(a, argv + words, argc - words);
	return status == ADMIN_DONE ? run(a) : status;
}

int
main(int argc, char **argv)
{
	struct admin a = { 0 };
	int at = take_config_path(&a, argc, argv);

	return at < 0 ? ADMIN_USAGE : (int)dispatch(&a, argc - at, argv + at);
}
