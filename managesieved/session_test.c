#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "managesieved/test_world.h"

static void
test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < MSIEVE_COMMAND_COUNT; i++) {
		const struct msieve_command *cmd = MSIEVE_COMMANDS[i];

		if (i > 0)
			assert_true(strcmp(MSIEVE_COMMANDS[i - 1]->name, cmd->name) < 0);
		assert_ptr_equal(msieve_command_find(str_from(cmd->name)), cmd);
		assert_non_null(cmd->rfc);
		/* In the clear nothing but these, and what refuses itself */
		if ((cmd->states & MSIEVE_CLEAR) != 0 && !cmd->login)
			assert_non_null(strstr("CAPABILITY LOGOUT NOOP STARTTLS", cmd->name));
	}
	assert_null(msieve_command_find(STR("NOOPS")));
	assert_null(msieve_command_find(STR("")));
}

/* What is asked and said, in order, in one account; a reply may be cut at "…". */
struct line {
	const char *ask, *say;
};

#define NOT_STORED "NO (NONEXISTENT) \"There is no script of that name\"\r\n"

static const struct line CLEAR[] = {
	{ "noop\r\n", "OK \"NOOP completed\"\r\n" },
	{ "NOOP \"STARTTLS-SYNC-42\"\r\n", "OK (TAG \"STARTTLS-SYNC-42\") \"Done\"\r\n" },
	{ "NOOP {3+}\r\na\nb\r\n", "OK (TAG {3}\r\na\nb) \"Done\"\r\n" },
	{ "LISTSCRIPTS\r\n", "NO \"STARTTLS first\"\r\n" },
	{ "UNAUTHENTICATE\r\n", "NO \"STARTTLS first\"\r\n" },
	{ "AUTHENTICATE \"PLAIN\" \"x\"\r\n", "NO (ENCRYPT-NEEDED) \"STARTTLS first\"\r\n" },
	{ "HELLO\r\n", "NO \"Unknown command\"\r\n" }, { "\r\n", "NO \"Unknown command\"\r\n" },
	{ "NOOP x\r\n", "NO \"A string is expected\"\r\n" },
	{ "NOOP  \"x\"\r\n", "NO \"A string is expected\"\r\n" },
	{ "NOOP \"x\" \"y\"\r\n", "NO \"Too many arguments\"\r\n" },
	{ "LOGOUT now\r\n", "NO \"Too many arguments\"\r\n" },
	{ "LOGOUT\r\nNOOP\r\n", "OK \"Logged out\"\r\n" }, /* nothing is heard any more */
};

static const struct line LOGIN[] = {
	{ "STARTTLS\r\n", "NO \"TLS is active already\"\r\n" },
	{ "LISTSCRIPTS\r\n", "NO \"Log in first\"\r\n" },
	{ "AUTHENTICATE \"GSSAPI\"\r\n", "NO \"No such mechanism\"\r\n" },
	{ "AUTHENTICATE\r\n", "NO \"An argument is missing\"\r\n" },
	{ "AUTHENTICATE PLAIN\r\n", "NO \"A string is expected\"\r\n" },
	{ "AUTHENTICATE \"PLAIN\" \"!\"\r\n", "NO \"Not a valid answer of this mechanism\"\r\n" },
	{ "AUTHENTICATE \"PLAIN\" \"\"\r\n", "NO …" },
	{ "AUTHENTICATE \"PLAIN\"\r\n", "\"\"\r\n" },
	{ "\"*\"\r\n", "NO \"Cancelled\"\r\n" },
	{ "AUTHENTICATE \"PLAIN\"\r\n", "\"\"\r\n" },
	{ "NOOP\r\n", "NO \"Not a valid answer of this mechanism\"\r\n" },
	/* wrong password; then the right one as an answer */
	{ "AUTHENTICATE \"PLAIN\" \"AGFubkBleGFtcGxlLm9yZwB4\"\r\n",
	    "NO \"Wrong user name or password\"\r\n" },
	{ "AUTHENTICATE \"plain\"\r\n", "\"\"\r\n" },
	{ "{36+}\r\nAGFubkBleGFtcGxlLm9yZwBzZWNyZXQtUHcx\r\n", "OK \"Logged in\"\r\n" },
	{ "AUTHENTICATE \"PLAIN\" \"x\"\r\n", "NO \"You are logged in already\"\r\n" },
	{ "STARTTLS\r\n", "NO \"You are logged in already\"\r\n" },
	{ "UNAUTHENTICATE x\r\n", "NO \"Too many arguments\"\r\n" },
	{ "UNAUTHENTICATE\r\n", "OK \"You are nobody again\"\r\n" },
	{ "UNAUTHENTICATE\r\n", "NO \"Log in first\"\r\n" },
	/* LOGIN begins with a challenge: an initial response is not allowed */
	{ "AUTHENTICATE \"LOGIN\" \"YW5uQGV4YW1wbGUub3Jn\"\r\n",
	    "NO \"This mechanism begins with a challenge\"\r\n" },
	{ "AUTHENTICATE \"LOGIN\"\r\n", "\"VXNlcm5hbWU6\"\r\n" },
	{ "\"YW5uQGV4YW1wbGUub3Jn\"\r\n", "\"UGFzc3dvcmQ6\"\r\n" },
	{ "\"c2VjcmV0LVB3MQ==\"\r\n", "OK \"Logged in\"\r\n" },
};

static const struct line SCRIPTS[] = {
	{ "LISTSCRIPTS\r\n", "OK\r\n" },
	{ "HAVESPACE \"a\" 5\r\n", "OK\r\n" },
	{ "HAVESPACE \"a\" 1048577\r\n", "NO (QUOTA/MAXSIZE) \"The script is too large\"\r\n" },
	{ "HAVESPACE \"a\" 4294967296\r\n", "NO \"A number is expected\"\r\n" },
	{ "HAVESPACE \"a\" \"5\"\r\n", "NO \"A number is expected\"\r\n" },
	{ "HAVESPACE \"\" 5\r\n", "NO \"This cannot be the name of a script\"\r\n" },
	{ "CHECKSCRIPT \"keep;\"\r\n", "OK\r\n" },
	{ "CHECKSCRIPT {13+}\r\nkeep;\r\nkeep!\r\n\r\n", "NO \"line 2: …" },
	{ "CHECKSCRIPT \"\"\r\n", "NO \"The script is empty\"\r\n" },
	{ "PUTSCRIPT \"a\" {5+}\r\nkeep;\r\n", "OK\r\n" },
	{ "PUTSCRIPT \"a\" \"kept;\"\r\n", "NO \"line 1: …" }, /* what was there stays */
	{ "GETSCRIPT \"a\"\r\n", "{5}\r\nkeep;\r\nOK\r\n" },
	{ "PUTSCRIPT \"b\x01\" \"keep;\"\r\n", "NO \"This cannot be the name of a script\"\r\n" },
	{ "PUTSCRIPT \"# Exim\" {20+}\r\n# Exim filter\r\nseen\n\r\n",
	    "NO \"line 1: This is an Exim filter, and here only Sieve can be written\"\r\n" },
	{ "PUTSCRIPT {7+}\r\nclever\" \"stop;\"\r\n", "OK\r\n" },
	{ "SETACTIVE \"a\"\r\n", "OK\r\n" },
	{ "LISTSCRIPTS\r\n", "\"a\" ACTIVE\r\n\"clever\\\"\"\r\nOK\r\n" },
	{ "SETACTIVE \"a\"\r\n", "OK\r\n" },
	{ "SETACTIVE \"x\"\r\n", NOT_STORED },
	{ "GETSCRIPT \"x\"\r\n", NOT_STORED },
	{ "DELETESCRIPT \"x\"\r\n", NOT_STORED },
	{ "RENAMESCRIPT \"x\" \"y\"\r\n", NOT_STORED },
	{ "DELETESCRIPT \"a\"\r\n", "NO (ACTIVE) \"The active script cannot be deleted\"\r\n" },
	{ "RENAMESCRIPT \"a\" \"clever\\\"\"\r\n",
	    "NO (ALREADYEXISTS) \"There is a script of that name already\"\r\n" },
	{ "RENAMESCRIPT \"a\" \"a\"\r\n", "OK\r\n" },
	{ "RENAMESCRIPT \"a\" \"c\"\r\n", "OK\r\n" },
	{ "LISTSCRIPTS\r\n", "\"c\" ACTIVE\r\n\"clever\\\"\"\r\nOK\r\n" },
	{ "PUTSCRIPT \"c\" \"discard;\"\r\n", "OK\r\n" },
	{ "SETACTIVE \"clever\\\"\"\r\n", "OK\r\n" },
	{ "DELETESCRIPT \"c\"\r\n", "OK\r\n" },
	{ "SETACTIVE \"\"\r\n", "OK\r\n" },
	{ "SETACTIVE \"\"\r\n", "OK\r\n" }, /* nothing to do is no error */
	{ "LISTSCRIPTS\r\n", "\"clever\\\"\"\r\nOK\r\n" },
	/* five scripts are allowed here */
	{ "PUTSCRIPT \"2\" \"keep;\"\r\nPUTSCRIPT \"3\" \"keep;\"\r\nPUTSCRIPT \"4\" \"keep;\"\r\n"
	  "PUTSCRIPT \"5\" \"keep;\"\r\n",
	    "OK\r\nOK\r\nOK\r\nOK\r\n" },
	{ "HAVESPACE \"5\" 5\r\n", "OK\r\n" },
	{ "HAVESPACE \"6\" 5\r\n",
	    "NO (QUOTA/MAXSCRIPTS) \"There are as many scripts as you may have\"\r\n" },
	{ "PUTSCRIPT \"6\" \"keep;\"\r\n",
	    "NO (QUOTA/MAXSCRIPTS) \"There are as many scripts as you may have\"\r\n" },
};

static void
converse(struct world *w, const struct line *lines, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *say = lines[i].say, *cut = strstr(say, "…");
		struct buf out = { 0 };

		print_message("C: %s", lines[i].ask);
		world_converse(w, str_from(lines[i].ask), 1000000, &out);
		if (cut != NULL)
			assert_memory_equal(buf_cstr(&out), say, (size_t)(cut - say));
		else
			assert_string_equal(buf_cstr(&out), say);
		buf_free(&out);
	}
}

static void
test_dialogues(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	world_session(&w, MSIEVE_CLEAR);
	converse(&w, CLEAR, ARRAY_LEN(CLEAR));
	assert_int_equal(w.s.state, MSIEVE_ENDED);
	world_session(&w, MSIEVE_UNAUTHENTICATED);
	converse(&w, LOGIN, ARRAY_LEN(LOGIN));
	assert_int_equal(w.s.state, MSIEVE_AUTHENTICATED);
	world_session(&w, MSIEVE_AUTHENTICATED);
	converse(&w, SCRIPTS, ARRAY_LEN(SCRIPTS));
	world_close(&w);
}

static void
set_filter(struct world *w, const char *text)
{
	assert_int_equal(
	    account_db_set_filter(w->daemon.accounts, w->ann.id, text, strlen(text)), STORE_OK);
}

#define EXIM      "# Exim filter\nseen finish\n"
#define READ_ONLY "NO \"An Exim filter can only be read here\"\r\n"

/* A filter that somebody set without a name. */
static const struct line EXIM_ACTIVE[] = {
	{ "LISTSCRIPTS\r\n", "\"exim-filter\" ACTIVE\r\nOK\r\n" },
	{ "GETSCRIPT \"exim-filter\"\r\n", "{26}\r\n" EXIM "\r\nOK\r\n" },
	{ "PUTSCRIPT \"exim-filter\" \"keep;\"\r\n", "NO \"An Exim filter can only be read …" },
	{ "HAVESPACE \"exim-filter\" 5\r\n", READ_ONLY },
	{ "RENAMESCRIPT \"exim-filter\" \"x\"\r\n", READ_ONLY },
	{ "DELETESCRIPT \"exim-filter\"\r\n", "NO (ACTIVE) …" },
	{ "SETACTIVE \"exim-filter\"\r\n", "OK\r\n" },
	{ "PUTSCRIPT \"a\" \"keep;\"\r\n", "OK\r\n" },
	{ "RENAMESCRIPT \"a\" \"exim-filter\"\r\n", "NO (ALREADYEXISTS) …" },
	{ "LISTSCRIPTS\r\n", "\"a\"\r\n\"exim-filter\" ACTIVE\r\nOK\r\n" },
	{ "SETACTIVE \"a\"\r\n", "OK\r\n" },
	{ "LISTSCRIPTS\r\n", "\"a\" ACTIVE\r\nOK\r\n" },
	{ "RENAMESCRIPT \"a\" \"exim-filter\"\r\n", "OK\r\n" },
};

static const struct line EXIM_AGAIN[] = {
	{ "LISTSCRIPTS\r\n", "\"exim-filter\"\r\n\"exim-filter-2\" ACTIVE\r\nOK\r\n" },
	{ "SETACTIVE \"\"\r\n", "OK\r\n" },
	{ "LISTSCRIPTS\r\n", "\"exim-filter\"\r\nOK\r\n" },
	{ "DELETESCRIPT \"exim-filter\"\r\n", "OK\r\n" },
};

static const struct line SIEVE_ACTIVE[] = {
	{ "LISTSCRIPTS\r\n", "\"sieve-filter\" ACTIVE\r\nOK\r\n" },
	{ "DELETESCRIPT \"sieve-filter\"\r\n", "NO (ACTIVE) …" },
	{ "PUTSCRIPT \"sieve-filter\" \"discard;\"\r\n", "OK\r\n" },
	{ "LISTSCRIPTS\r\n", "\"sieve-filter\" ACTIVE\r\nOK\r\n" },
	{ "SETACTIVE \"\"\r\n", "OK\r\n" },
	{ "DELETESCRIPT \"sieve-filter\"\r\n", "OK\r\n" },
};

static const struct line SIEVE_RENAMED[] = {
	{ "RENAMESCRIPT \"sieve-filter\" \"mine\"\r\n", "OK\r\n" },
	{ "LISTSCRIPTS\r\n", "\"mine\" ACTIVE\r\nOK\r\n" },
};

static void
test_unnamed(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	world_session(&w, MSIEVE_AUTHENTICATED);
	set_filter(&w, EXIM);
	converse(&w, EXIM_ACTIVE, ARRAY_LEN(EXIM_ACTIVE));
	set_filter(&w, EXIM);
	converse(&w, EXIM_AGAIN, ARRAY_LEN(EXIM_AGAIN));
	set_filter(&w, "keep;\n");
	converse(&w, SIEVE_ACTIVE, ARRAY_LEN(SIEVE_ACTIVE));
	set_filter(&w, "keep;\n");
	converse(&w, SIEVE_RENAMED, ARRAY_LEN(SIEVE_RENAMED));
	world_close(&w);
}

/* A script of a megabyte fits, and one byte more is refused without losing the thread. */
static void
test_sizes(void **state)
{
	struct buf ask = { 0 }, out = { 0 };
	struct world w;

	(void)state;
	world_open(&w);
	for (size_t more = 0; more < 2; more++) {
		size_t size = SCRIPT_TEXT_MAX_BYTES + more;

		world_session(&w, MSIEVE_AUTHENTICATED);
		buf_printf(&ask, "PUTSCRIPT \"a\" {%zu+}\r\n#", size);
		buf_reserve(&ask, size);
		memset(ask.data + ask.len, 'x', size - 1);
		ask.len += size - 1;
		buf_adds(&ask, "\r\nNOOP\r\n");
		world_converse(&w, (struct str){ ask.data, ask.len }, 4096, &out);
		assert_string_equal(
		    buf_cstr(&out), more == 0 ? "OK\r\nOK \"NOOP completed\"\r\n"
					      : "NO (QUOTA/MAXSIZE) \"The script is too large\"\r\n"
						"OK \"NOOP completed\"\r\n");
		buf_reset(&ask);
		buf_reset(&out);
	}
	buf_free(&ask);
	buf_free(&out);
	world_close(&w);
}

/* A client that cannot speak is sent away; one that can may go on for ever. */
static void
test_bad_commands(void **state)
{
	struct buf out = { 0 };
	struct world w;

	(void)state;
	world_open(&w);
	world_session(&w, MSIEVE_AUTHENTICATED);
	for (unsigned i = 0; i < 100; i++)
		world_converse(&w, STR("FOO\r\nNOOP\r\n"), 100, &out);
	assert_int_equal(w.s.state, MSIEVE_AUTHENTICATED);
	buf_reset(&out);
	for (unsigned i = 0; i < 100; i++)
		world_converse(&w, STR("FOO\r\n"), 100, &out);
	assert_int_equal(w.s.state, MSIEVE_ENDED);
	assert_non_null(strstr(buf_cstr(&out), "BYE \"Too many bad commands\"\r\n"));
	buf_free(&out);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_unnamed),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_bad_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
