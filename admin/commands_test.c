/* What holds for every row of the table of commands, whoever wrote it; and what is made of rows: completion and the
 * command that was meant by a mistyped one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/complete.h"
#include "admin/near.h"
#include "base/mem.h"

#define SUMMARY_MAX 100

static char *
name_of(const struct admin_command *c)
{
	return mem_printf(
	    "%s%s%s", c->group, c->name != NULL ? " " : "", c->name != NULL ? c->name : "");
}

static bool
has_option(const struct admin_command *c, const char *name)
{
	for (size_t i = 0; i < ADMIN_OPTIONS_MAX && c->options[i].name != NULL; i++)
		if (strcmp(c->options[i].name, name) == 0)
			return true;
	return false;
}

static bool
is_one_of(const char *word, const char *const *words)
{
	for (; word != NULL && *words != NULL; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

/* Says which row it is before it fails. */
static void
must(bool holds, const struct admin_command *c, const char *what)
{
	if (!holds)
		fail_msg("mailadmin %s %s: %s", c->group, c->name != NULL ? c->name : "", what);
}

static void
check_row(const struct admin_command *c)
{
	char *name = name_of(c), *call = mem_printf(" %s", name);
	const char *found = strstr(c->example, call);
	size_t summary_len = strlen(c->summary);

	must(summary_len > 10 && summary_len <= SUMMARY_MAX, c, "summary: one line");
	must(c->summary[summary_len - 1] == '.', c, "summary: a sentence");
	must(strncmp(c->example, "mailadmin ", 10) == 0, c, "example: as it is typed");
	must(found != NULL && strchr(" ", found[strlen(call)]) != NULL, c, "example: of it");
	must(c->args_least <= c->args_most && c->args_most <= ADMIN_ARGS_MAX, c, "args_most");
	must((c->args_most > 0) == (*c->args != '\0'), c, "args");
	free(name);
	free(call);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ADMIN_COMMANDS_COUNT; i++) {
		const struct admin_command *c = ADMIN_COMMANDS[i];

		if (c->run == NULL || c->args == NULL || c->summary == NULL || c->example == NULL)
			must(false, c, "is not whole");
		else
			check_row(c);
	}
}

/* Whoever looks for a command by its group finds all of them together, and none twice. */
static void
test_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < ADMIN_COMMANDS_COUNT; i++) {
		const struct admin_command *c = ADMIN_COMMANDS[i];
		bool left = false;

		for (size_t k = i + 1; k < ADMIN_COMMANDS_COUNT; k++) {
			const struct admin_command *other = ADMIN_COMMANDS[k];
			bool same = strcmp(c->group, other->group) == 0;

			must(!same || !left, other, "stands apart from its group");
			must(!same || (c->name != NULL && other->name != NULL &&
					  strcmp(c->name, other->name) != 0),
			    other, "stands there twice");
			left = left || !same;
		}
	}
}

static void
test_options(void **state)
{
	(void)state;
	for (size_t i = 0; i < ADMIN_COMMANDS_COUNT; i++) {
		const struct admin_command *c = ADMIN_COMMANDS[i];

		for (size_t k = 0; k < ADMIN_OPTIONS_MAX && c->options[k].name != NULL; k++) {
			const struct admin_option *o = &c->options[k];

			must(strncmp(o->name, "--", 2) == 0 && o->name[2] != '\0' &&
				 strspn(o->name, "abcdefghijklmnopqrstuvwxyz0123456789-") ==
				     strlen(o->name),
			    c, o->name);
			must(o->help != NULL && *o->help != '\0', c, o->name);
			must(strcmp(o->name, "--json") != 0 || o->value == NULL, c,
			    "--json stands alone");
			must(strcmp(o->name, "--dry-run") != 0 || o->value == NULL, c,
			    "--dry-run stands alone");
			for (size_t other = 0; other < k; other++)
				must(strcmp(c->options[other].name, o->name) != 0, c, o->name);
		}
	}
}

/* What lists or shows has --json; what removes has --dry-run. */
static void
test_promises(void **state)
{
	static const char *const SHOWING[] = { "list", "show", "history", "logins", NULL };
	static const char *const REMOVING[] = { "delete", "remove", "clear", "purge", "prune",
		"expire", "cleanup", "revoke", NULL };

	(void)state;
	for (size_t i = 0; i < ADMIN_COMMANDS_COUNT; i++) {
		const struct admin_command *c = ADMIN_COMMANDS[i];

		if (is_one_of(c->name, SHOWING) || strncmp(c->summary, "Lists ", 6) == 0 ||
		    strncmp(c->summary, "Shows ", 6) == 0)
			must(has_option(c, "--json"), c, "lists without --json");
		if (is_one_of(c->name, REMOVING) ||
		    (c->name == NULL && is_one_of(c->group, REMOVING)))
			must(c->removes, c, "removes, and its row does not say so");
		if (c->removes)
			must(has_option(c, "--dry-run"), c, "removes without --dry-run");
	}
}

/* --- completion --------------------------------------------------------------------------------- */

static bool
is_known(struct str word)
{
	if (word.len == 0)
		return false;
	if (ascii_lower(*word.p) == *word.p)
		return true; /* stands for itself */
	for (size_t i = 0; i < COMPLETE_WORDS_COUNT; i++)
		if (str_eq(word, str_from(COMPLETE_WORDS[i].word)))
			return true;
	return false;
}

static void
check_words(const struct admin_command *c, const char *words)
{
	while (*words != '\0') {
		size_t len = strcspn(words, " []|");

		if (len > 0 && strcmp(words, "...") != 0 && strncmp(words, "... ", 4) != 0) {
			size_t bare =
			    len > 3 && memcmp(words + len - 3, "...", 3) == 0 ? len - 3 : len;

			if (!is_known((struct str){ words, bare }))
				fail_msg("mailadmin %s %s: complete.c does not know the word %s",
				    c->group, c->name != NULL ? c->name : "", words);
		}
		words += len + (words[len] != '\0');
	}
}

/* So that completion knows what to offer for each argument and each option's value. */
static void
test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < ADMIN_COMMANDS_COUNT; i++) {
		const struct admin_command *c = ADMIN_COMMANDS[i];

		check_words(c, c->args);
		for (size_t k = 0; k < ADMIN_OPTIONS_MAX && c->options[k].name != NULL; k++)
			if (c->options[k].value != NULL)
				check_words(c, c->options[k].value);
	}
}

/* What complete_run() says; the caller's. */
static char *
completed(const char *line)
{
	struct admin a = { .config_path = "/nonexistent/sanger.conf" };
	FILE *file = tmpfile();
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
	struct buf text = { 0 };
	int c;

	assert_non_null(file);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	assert_non_null(freopen("/dev/null", "w", stderr));
	assert_int_equal(complete_run(&a, line), ADMIN_DONE);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	rewind(file);
	while ((c = getc(file)) != EOF)
		buf_addc(&text, (char)c);
	fclose(file);
	config_free(a.config);
	return buf_take(&text);
}

static const struct {
	const char *line, *said;
} COMPLETIONS[] = {
	{ "mailadmin acc", "acc\naccount\n" },
	{ "/opt/bin/mailadmin 'acc", "acc\naccount\n" }, /* an open quote */
	{ "mailadmin nonsense", "nonsense\n" },
	{ "mailadmin nonsense x", "x\n" },
	{ "mailadmin -", "-\n-c\n--help\n" },
	{ "mailadmin -c", "-c\n-c\n" },
	{ "mailadmin -c ", "\n:files\n" },
	{ "mailadmin -c /x/y.conf doc", "doc\ndoctor\n" },
	{ "mailadmin -c/x/y.conf doc", "doc\ndoctor\n" },
	{ "mailadmin account sh", "sh\nshow\n" },
	{ "mailadmin account show", "show\nshow\n" },
	{ "mailadmin account show -", "-\n--json\n--help\n" },
	{ "mailadmin account show --json --j", "--j\n" }, /* once is enough */
	{ "mailadmin account show ann@example.org ", "\n--json\n--help\n" },
	{ "mailadmin account show ann@example.org more", "more\n" },
	{ "mailadmin account set ann@example.org --active ", "\nyes\nno\n" },
	{ "mailadmin account set ann@example.org --active=n", "--active=n\n--active=no\n" },
	{ "mailadmin account set ann@example.org --quota ", "\n" }, /* nobody can know */
	{ "mailadmin account set ann@example.org --nonsense=", "--nonsense=\n" },
	{ "mailadmin queue list --summary d", "d\ndomain\n" },
	{ "mailadmin mailbox create ann@example.org Stars --special-use F", "F\nFlagged\n" },
	{ "mailadmin filter set ann@example.org ", "\n:files\n" },
	{ "mailadmin filter put ann@example.org x \"a b", "a b\n:files\n" },
	{ "mailadmin filter put ann@example.org x a\\ b", "a b\n:files\n" },
	{ "mailadmin filter put ann@example.org x a\\ b ", "\n--help\n" },
	{ "mailadmin publish ", "\n:directories\n" },
};

static void
test_completion(void **state)
{
	char *text;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(COMPLETIONS); i++) {
		text = completed(COMPLETIONS[i].line);
		assert_string_equal(text, COMPLETIONS[i].said);
		free(text);
	}
	text = completed("mailadmin ");
	assert_non_null(strstr(text, "\naccount\n"));
	assert_non_null(strstr(text, "\ndoctor\n"));
	assert_null(strstr(strstr(text, "\naccount\n") + 1, "\naccount\n"));
	free(text);
}

/* --- what was meant ----------------------------------------------------------------------------- */

static const struct {
	const char *a, *b;
	size_t distance;
} DISTANCES[] = {
	{ "", "", 0 },
	{ "list", "list", 0 },
	{ "lst", "list", 1 },
	{ "liist", "list", 1 },
	{ "lisp", "list", 1 },
	{ "lsit", "list", 1 },
	{ "ilts", "list", 2 },
	{ "", "list", 4 },
	{ "nonsense", "list", 7 },
	{ "--qouta", "--quota", 1 },
};

static void
test_distance(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(DISTANCES); i++) {
		assert_int_equal(
		    near_distance(DISTANCES[i].a, DISTANCES[i].b), DISTANCES[i].distance);
		assert_int_equal(
		    near_distance(DISTANCES[i].b, DISTANCES[i].a), DISTANCES[i].distance);
	}
}

static const struct {
	const char *typed, *meant;
} NEAR[] = {
	{ "acount", "account" },
	{ "acc", "account" },
	{ "mailbxo", "mailbox" },
	{ "dcotor", "doctor" },
	{ "quote", "quota" },
	{ "nonsense", NULL },
	{ "", NULL },
	{ "x", NULL },
	{ "a-word-that-is-much-longer-than-any-command-could-be", NULL },
};

static void
test_near(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(NEAR); i++) {
		struct near n = { .typed = NEAR[i].typed };

		for (size_t k = 0; k < ADMIN_COMMANDS_COUNT; k++)
			near_offer(&n, ADMIN_COMMANDS[k]->group);
		if (NEAR[i].meant == NULL)
			assert_null(n.best);
		else
			assert_string_equal(n.best, NEAR[i].meant);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_promises),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_completion),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
