/* What scripts may ask of the account: RFC 5490, RFC 6609, RFC 8579, RFC 9042, RFC 6134. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

/* --- an account of tables --------------------------------------------------------------------- */

static const struct {
	const char *name, *id, *use;
} MAILBOXES[] = {
	{ "INBOX", "F1", NULL },
	{ "Lists", "F2", NULL },
	{ "Spam", "F3", "\\Junk" },
};

static const struct {
	const char *mailbox, *entry, *value;
} ANNOTATIONS[] = {
	{ "Lists", "/private/comment", "all of them" },
	{ NULL, "/shared/motd", "hello" },
};

static const struct {
	enum filter_script_place place;
	const char *name, *text;
} SCRIPTS[] = {
	{ FILTER_PERSONAL, "file", "require \"fileinto\"; fileinto \"Lists\";" },
	{ FILTER_GLOBAL, "file", "require \"fileinto\"; fileinto \"Spam\";" },
	{ FILTER_PERSONAL, "stop", "stop;" },
	{ FILTER_PERSONAL, "return",
	    "require [\"include\", \"fileinto\"]; return; fileinto \"no\";" },
	{ FILTER_PERSONAL, "self", "require \"include\"; include \"self\";" },
	{ FILTER_PERSONAL, "broken", "what is this" },
	{ FILTER_PERSONAL, "sets",
	    "require [\"include\", \"variables\"]; global \"a\"; set \"a\" \"${a}+\"; set \"b\" "
	    "\"own\";" },
	{ FILTER_PERSONAL, "spaced",
	    "require [\"include\", \"variables\"]; set \"global.a\" \"${global.a}!\";" },
};

static enum filter_answer
mailbox_exists(void *arg, const char *mailbox)
{
	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(MAILBOXES); i++)
		if (strcmp(MAILBOXES[i].name, mailbox) == 0)
			return FILTER_YES;
	return strcmp(mailbox, "trouble") == 0 ? FILTER_FAILED : FILTER_NO;
}

static enum filter_answer
mailbox_by_use(void *arg, struct arena *a, const char *use, const char **mailbox_out)
{
	(void)arg, (void)a;
	for (size_t i = 0; i < ARRAY_LEN(MAILBOXES); i++)
		if (MAILBOXES[i].use != NULL && strcmp(MAILBOXES[i].use, use) == 0) {
			*mailbox_out = MAILBOXES[i].name;
			return FILTER_YES;
		}
	return FILTER_NO;
}

static enum filter_answer
mailbox_by_id(void *arg, struct arena *a, const char *id, const char **mailbox_out)
{
	(void)arg, (void)a;
	for (size_t i = 0; i < ARRAY_LEN(MAILBOXES); i++)
		if (strcmp(MAILBOXES[i].id, id) == 0) {
			*mailbox_out = MAILBOXES[i].name;
			return FILTER_YES;
		}
	return FILTER_NO;
}

static enum filter_answer
metadata(
    void *arg, struct arena *a, const char *mailbox, const char *annotation, struct str *value_out)
{
	(void)arg, (void)a;
	for (size_t i = 0; i < ARRAY_LEN(ANNOTATIONS); i++) {
		const char *owner = ANNOTATIONS[i].mailbox;
		bool same = owner == NULL || mailbox == NULL ? owner == mailbox
							     : strcmp(owner, mailbox) == 0;

		if (same && strcmp(ANNOTATIONS[i].entry, annotation) == 0) {
			*value_out = str_from(ANNOTATIONS[i].value);
			return FILTER_YES;
		}
	}
	return FILTER_NO;
}

static struct filter *compiled[ARRAY_LEN(SCRIPTS)];

static enum filter_answer
script(void *arg, struct arena *a, enum filter_script_place place, const char *name,
    const struct filter **filter_out, const char **why_out)
{
	struct filter_error error;

	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(SCRIPTS); i++) {
		if (SCRIPTS[i].place != place || strcmp(SCRIPTS[i].name, name) != 0)
			continue;
		if (compiled[i] == NULL && filter_compile(str_from(SCRIPTS[i].text), &compiled[i],
					       &error, NULL) != FILTER_OK)
			*why_out = arena_strdup(a, error.text);
		*filter_out = compiled[i];
		return FILTER_YES;
	}
	return FILTER_NO;
}

static enum filter_answer
list_exists(void *arg, const char *list)
{
	(void)arg;
	return strcmp(list, "friends") == 0 ? FILTER_YES : FILTER_NO;
}

static enum filter_answer
list_has(void *arg, const char *list, struct str value)
{
	(void)arg;
	return strcmp(list, "friends") == 0 && str_eq_nocase(value, STR("sender@example.org"))
		   ? FILTER_YES
		   : FILTER_NO;
}

static const struct filter_surroundings AROUND = {
	.mailbox_exists = mailbox_exists,
	.mailbox_by_use = mailbox_by_use,
	.mailbox_by_id = mailbox_by_id,
	.metadata = metadata,
	.script = script,
	.list_exists = list_exists,
	.list_has = list_has,
};

/* --- cases ------------------------------------------------------------------------------------ */

#define REQUIRE                                                                                    \
	"require [\"mailbox\", \"mboxmetadata\", \"servermetadata\", \"special-use\", "            \
	"\"mailboxid\", \"fileinto\", \"extlists\", \"envelope\"];\n"

/* A test, and whether it is true. */
static const struct {
	const char *test;
	bool truth;
} TESTS[] = {
	{ "mailboxexists \"Lists\"", true },
	{ "mailboxexists [\"Lists\", \"Spam\", \"INBOX\"]", true },
	{ "mailboxexists [\"Lists\", \"None\"]", false },
	{ "mailboxidexists \"F2\"", true },
	{ "mailboxidexists [\"F2\", \"F9\"]", false },
	{ "specialuse_exists \"\\\\Junk\"", true },
	{ "specialuse_exists [\"\\\\Junk\", \"\\\\Sent\"]", false },
	{ "specialuse_exists \"Spam\" \"\\\\Junk\"", true },
	{ "specialuse_exists \"Lists\" \"\\\\Junk\"", false },
	{ "metadata :contains \"Lists\" \"/private/comment\" \"of them\"", true },
	{ "metadata :is \"Lists\" \"/private/comment\" \"other\"", false },
	{ "metadata :contains \"Lists\" \"/private/none\" \"\"", false },
	{ "metadata :contains \"None\" \"/private/comment\" \"\"", false },
	{ "metadataexists \"Lists\" \"/private/comment\"", true },
	{ "metadataexists \"Lists\" [\"/private/comment\", \"/private/x\"]", false },
	{ "servermetadata \"/shared/motd\" \"hello\"", true },
	{ "servermetadata \"/private/comment\" \"all of them\"", false },
	{ "servermetadataexists \"/shared/motd\"", true },
	{ "servermetadataexists \"/shared/none\"", false },
	{ "valid_ext_list \"friends\"", true },
	{ "valid_ext_list [\"friends\", \"foes\"]", false },
	{ "envelope :list \"from\" \"friends\"", true },
	{ "envelope :list \"from\" \"foes\"", false },
	{ "envelope :list \"to\" \"friends\"", false },
};

static void
truths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(TESTS); i++) {
		char *text =
		    mem_printf("%sif %s { keep; } else { discard; }", REQUIRE, TESTS[i].test);

		sieve_test_expect(&(struct sieve_test){ .script = text,
		    .around = &AROUND,
		    .expect = TESTS[i].truth ? "keep" : "discard" });
		free(text);
		/* Without an account nothing exists, and nothing fails. */
		text = mem_printf("%sif %s { keep; } else { discard; }", REQUIRE, TESTS[i].test);
		sieve_test_expect(&(struct sieve_test){ .script = text, .expect = "discard" });
		free(text);
	}
}

static const struct sieve_test SPECIAL[] = {
	{ .script = REQUIRE "if mailboxexists \"trouble\" { keep; }",
	    .around = &AROUND,
	    .expect = "tempfail line 2: ",
	    .error_begins = true },
	{ .script = REQUIRE "fileinto :specialuse \"\\\\Junk\" \"Other\";",
	    .around = &AROUND,
	    .expect = "fileinto \"Spam\" special-use=\\Junk" },
	{ .script = REQUIRE "fileinto :specialuse \"\\\\Sent\" :create \"Out\";",
	    .around = &AROUND,
	    .expect = "fileinto \"Out\" create special-use=\\Sent" },
	{ .script = REQUIRE "fileinto :mailboxid \"F2\" \"Other\";",
	    .around = &AROUND,
	    .expect = "fileinto \"Lists\"" },
	{ .script = REQUIRE "fileinto :mailboxid \"F9\" \"Other\";",
	    .around = &AROUND,
	    .expect = "fileinto \"Other\"" },
};

#define INCLUDE "require [\"include\", \"variables\", \"fileinto\"];\n"

static const struct sieve_test INCLUDES[] = {
	{ .script = INCLUDE "include \"file\";",
	    .around = &AROUND,
	    .expect = "fileinto \"Lists\"" },
	{ .script = INCLUDE "include :global \"file\"; include :personal \"file\";",
	    .around = &AROUND,
	    .expect = "fileinto \"Spam\"\nfileinto \"Lists\"" },
	{ .script = INCLUDE "include \"stop\"; fileinto \"no\";",
	    .around = &AROUND,
	    .expect = "keep implicit" },
	{ .script = INCLUDE "include \"return\"; fileinto \"yes\";",
	    .around = &AROUND,
	    .expect = "fileinto \"yes\"" },
	{ .script = INCLUDE "fileinto \"yes\"; return; fileinto \"no\";",
	    .around = &AROUND,
	    .expect = "fileinto \"yes\"" },
	{ .script = INCLUDE "include \"none\";",
	    .around = &AROUND,
	    .expect = "run error line 2: ",
	    .error_begins = true },
	{ .script = INCLUDE "include :optional \"none\"; discard;",
	    .around = &AROUND,
	    .expect = "discard" },
	{ .script = INCLUDE "include \"broken\";",
	    .around = &AROUND,
	    .expect = "run error line 2: ",
	    .error_begins = true },
	{ .script = INCLUDE "include :optional \"broken\";",
	    .around = &AROUND,
	    .expect = "run error line 2: ",
	    .error_begins = true },
	{ .script = INCLUDE "include \"self\";",
	    .around = &AROUND,
	    .expect = "run error line 1: ",
	    .error_begins = true },
	{ .script = INCLUDE "include \"a/b\";",
	    .around = &AROUND,
	    .expect = "compile error line 2: ",
	    .error_begins = true },
	{ .script = INCLUDE "include :global :personal \"file\";",
	    .around = &AROUND,
	    .expect = "compile error line 2: ",
	    .error_begins = true },
	{ .script = INCLUDE
	    "global \"a\"; set \"a\" \"x\"; set \"b\" \"mine\"; include \"sets\"; include \"sets\";"
	    "fileinto \"${a}/${b}\";",
	    .around = &AROUND,
	    .expect = "fileinto \"x++/mine\"" },
	{ .script = INCLUDE
	    "global \"a\"; include :once \"sets\"; include :once \"sets\"; fileinto \"${a}\";",
	    .around = &AROUND,
	    .expect = "fileinto \"+\"" },
	{ .script = INCLUDE "set \"global.a\" \"y\"; include \"spaced\"; fileinto \"${global.a}\";",
	    .around = &AROUND,
	    .expect = "fileinto \"y!\"" },
	{ .script = INCLUDE "set \"a\" \"x\"; global \"a\";",
	    .around = &AROUND,
	    .expect = "compile error line 2: ",
	    .error_begins = true },
	{ .script = "require \"include\"; global \"a\";",
	    .around = &AROUND,
	    .expect = "compile error line 1: ",
	    .error_begins = true },
};

static void
special(void **state)
{
	(void)state;
	sieve_test_expect_all(SPECIAL, ARRAY_LEN(SPECIAL));
}

static void
includes(void **state)
{
	(void)state;
	sieve_test_expect_all(INCLUDES, ARRAY_LEN(INCLUDES));
	for (size_t i = 0; i < ARRAY_LEN(compiled); i++) {
		filter_free(compiled[i]);
		compiled[i] = NULL;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(truths),
		cmocka_unit_test(special),
		cmocka_unit_test(includes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
