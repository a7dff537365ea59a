#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <string.h>

#include "imapd/commands.h"
#include "imapd/session.h"

static void
test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < IMAP_COMMAND_COUNT; i++) {
		const struct imap_command *cmd = IMAP_COMMANDS[i];

		if (i > 0)
			assert_true(strcmp(IMAP_COMMANDS[i - 1]->name, cmd->name) < 0);
		assert_ptr_equal(imap_command_find(str_from(cmd->name)), cmd);
		assert_non_null(cmd->rfc);
		assert_non_null(cmd->run);
		assert_int_not_equal(cmd->states & IMAP_ANY_STATE, 0);
		/* In the clear: nothing but these, and what refuses itself (LOGIN, AUTHENTICATE) */
		if ((cmd->states & IMAP_CLEAR) != 0 && (cmd->flags & IMAP_CMD_LOGIN) == 0)
			assert_non_null(strstr("CAPABILITY ID LOGOUT NOOP STARTTLS", cmd->name));
	}
}

static const struct {
	const char *text, *tag, *name; /* name NULL: no such command */
	bool uid;
} TEXTS[] = {
	{ "a1 NOOP", "a1", "NOOP", false },
	{ "a1 fetch 1 ALL", "a1", "FETCH", false },
	{ "a1 UID fetch 1 ALL", "a1", "FETCH", true },
	{ "a1 UID", "a1", NULL, true },
	{ "a1 NOOPS", "a1", NULL, false },
	{ "a1 NOO", "a1", NULL, false },
	{ "a1  NOOP", "a1", "NOOP", false }, /* imapd/blanks.h */
	{ "NOOP", "*", NULL, false },
	{ "", "*", NULL, false },
	{ "* NOOP", "*", NULL, false },
	{ "+ NOOP", "*", NULL, false },
};

static void
test_command_of(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
		const struct imap_command *cmd;
		struct cursor args;
		struct str tag;
		bool uid;

		print_message("%s\n", TEXTS[i].text);
		cmd = imap_command_of(str_from(TEXTS[i].text), &tag, &uid, &args);
		assert_true(str_eq(tag, str_from(TEXTS[i].tag)));
		assert_int_equal(uid, TEXTS[i].uid);
		if (TEXTS[i].name == NULL)
			assert_null(cmd);
		else
			assert_string_equal(cmd->name, TEXTS[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_command_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
