/* What senders to users who have left are told. */
#include "lda/leave.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/actions.h"

static const struct {
	const char *text, *name, *template;
	bool whole;
	const char *subject, *body, *from;
} CASES[] = {
	{ "Ask bob@example.org.", "Ann Smith",
	    "${name}|${address}|${localpart}|${domain}|${text}|\n", false, NULL,
	    "Ann Smith|ann@example.org|ann|example.org|Ask bob@example.org.|\n",
	    "\"Ann Smith\" <ann@example.org>" },
	{ "x", NULL, "${name}\n", false, NULL, "ann@example.org\n", NULL },
	{ "x", "", "${name}\n", false, NULL, "ann@example.org\n", NULL },
	/* a text may use the others, but not itself; values are not looked at again */
	{ "At ${domain}: ${text}", NULL, "${text}\n", false, NULL, "At example.org: ${text}\n",
	    NULL },
	{ "x", "${text}", "${name}\n", false, NULL, "${text}\n", "\"${text}\" <ann@example.org>" },
	{ "x", NULL, "$ ${ ${nothing} ${ADDRESS} 5$\n", false, NULL,
	    "$ ${ ${nothing} ${ADDRESS} 5$\n", NULL },
	/* whole: it is the template */
	{ "Gone, ${name}.${text}\n", "Ann", "no\n", true, NULL, "Gone, Ann.\n",
	    "\"Ann\" <ann@example.org>" },
	/* a subject in front */
	{ "x", "Ann", "Subject: ${name} has left\r\n\r\nHello\r\n", false, "Ann has left",
	    "Hello\n", "\"Ann\" <ann@example.org>" },
	{ "x", NULL, "subject:  \nHello\n", false, NULL, "Hello\n", NULL },
	{ "x", NULL, "Subject: only", false, "only", "", NULL },
	/* no gap where there is no text */
	{ "", NULL, "One\n\n${text}\n\nTwo\n", false, NULL, "One\n\nTwo\n", NULL },
	/* a name cannot make a field or an address */
	{ "x", "A \"B\\\r\nBcc: c@d", "x\n", false, NULL, "x\n",
	    "\"A \\\"B\\\\  Bcc: c@d\" <ann@example.org>" },
};

static void
expect(size_t i, const char *what, const char *got, const char *wanted)
{
	if ((got == NULL) != (wanted == NULL) || (got != NULL && strcmp(got, wanted) != 0))
		fail_msg("%zu %s: <%s> instead of <%s>", i, what, got != NULL ? got : "NULL",
		    wanted != NULL ? wanted : "NULL");
}

static void
test_reply(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		const struct leave leave = { CASES[i].text, CASES[i].whole, "ann@example.org",
			"ann", "example.org", CASES[i].name };
		struct filter_reply reply = { 0 };
		struct arena arena = { 0 };

		leave_reply(&leave, CASES[i].template, &arena, &reply);
		expect(i, "subject", reply.subject, CASES[i].subject);
		expect(i, "body", reply.body, CASES[i].body);
		expect(i, "from", reply.from, CASES[i].from);
		assert_non_null(reply.key);
		arena_free(&arena);
	}
}

static void
test_default(void **state)
{
	const struct leave leave = { "Ask Bob.", false, "ann@example.org", "ann", "example.org",
		"Ann" };
	struct filter_reply reply = { 0 };
	struct arena arena = { 0 };

	(void)state;
	leave_reply(&leave, NULL, &arena, &reply);
	assert_non_null(
	    strstr(reply.body, "Ann no longer reads mail at ann@example.org.\n\nAsk Bob.\n\n"));
	assert_null(strstr(reply.body, "${"));
	arena_free(&arena);
}

/* The example that is shipped is what is built in. */
static void
test_example(void **state)
{
	char *example = leave_template_read("lda/left-template.txt", NULL);

	(void)state;
	assert_non_null(example);
	assert_string_equal(example, LEAVE_DEFAULT_TEMPLATE);
	free(example);
}

static void
expect_read(const char *bytes, size_t len, const char *wanted)
{
	char path[] = "/tmp/leave_test.XXXXXX", *got;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	close(fd);
	got = leave_template_read(path, NULL);
	if (wanted == NULL)
		assert_null(got);
	else
		assert_string_equal(got, wanted);
	free(got);
	unlink(path);
}

static void
test_read(void **state)
{
	char *large = mem_zalloc(LEAVE_TEMPLATE_MAX_BYTES + 2);

	(void)state;
	memset(large, 'x', LEAVE_TEMPLATE_MAX_BYTES + 1);
	expect_read("Höhe\n", 6, "Höhe\n");
	expect_read("", 0, NULL);
	expect_read("a\0b", 3, NULL);
	expect_read("\xff", 1, NULL);
	expect_read(large, LEAVE_TEMPLATE_MAX_BYTES + 1, NULL);
	large[LEAVE_TEMPLATE_MAX_BYTES] = '\0';
	expect_read(large, LEAVE_TEMPLATE_MAX_BYTES, large);
	assert_null(leave_template_read(NULL, NULL));
	assert_null(leave_template_read("/nowhere/at/all", NULL));
	assert_null(leave_template_read("/", NULL));
	free(large);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
