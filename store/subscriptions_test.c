#include "store/subscriptions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/maildir_testdir.h"

/* A file, what it names, and the file after adding "New/Sub", removing "A/B" and renaming
 * "Käse" to "Cheese". */
static const struct {
	const char *file, *names, *after;
} FILES[] = {
	{ NULL, "", "V\t2\n\nNew\tSub\n" },
	{ "V\t2\n\nA\tB\nK&AOQ-se\tx\nINBOX\n", "A/B Käse/x INBOX ",
	    "V\t2\n\nCheese\tx\nINBOX\nNew\tSub\n" },
	{ "A.B\nK&AOQ-se\ninbox\nNew.Sub\nA.B\n", "A/B Käse INBOX New/Sub ",
	    "Cheese\ninbox\nNew.Sub\n" },
	{ "V\t2\n\na.b\tc\n\xff\n", "a.b/c &=%FF ", "V\t2\n\na.b\tc\n\xff\nNew\tSub\n" },
};

static void
check_names(const struct home *home, const char *names)
{
	struct subscriptions subs;
	struct buf all = { 0 };

	assert_int_equal(subscriptions_read(home, &subs), STORE_OK);
	for (size_t i = 0; i < subs.count; i++)
		buf_printf(&all, "%s ", subs.names[i]);
	assert_string_equal(buf_cstr(&all), names);
	subscriptions_free(&subs);
	buf_free(&all);
}

static void
files(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
		struct testdir t;
		char *text;

		testdir_open(&t);
		if (FILES[i].file != NULL)
			testdir_write(t.home->fd, "subscriptions", FILES[i].file);
		check_names(t.home, FILES[i].names);
		assert_int_equal(
		    subscriptions_add(t.home, (const char *const[]){ "New/Sub" }, 1), STORE_OK);
		assert_int_equal(subscriptions_remove(t.home, "A/B"), STORE_OK);
		assert_int_equal(subscriptions_rename(t.home, "Käse", "Cheese"), STORE_OK);
		text = testdir_read(t.home->fd, "subscriptions");
		assert_string_equal(text, FILES[i].after);
		free(text);
		testdir_close(&t);
	}
}

static void
courier(void **state)
{
	struct testdir t;
	char *text;

	(void)state;
	testdir_open(&t);
	testdir_write(t.home->fd, "courierimapsubscribed", "INBOX\nINBOX.Sent\nINBOX.A.B\n");
	check_names(t.home, "INBOX Sent A/B ");
	assert_int_equal(subscriptions_remove(t.home, "Sent"), STORE_OK);
	text = testdir_read(t.home->fd, "subscriptions");
	assert_string_equal(text, "V\t2\n\nINBOX\nA\tB\n");
	free(text);
	testdir_close(&t);
}

static void
several(void **state)
{
	static const char *const NAMES[] = { "Sent", "inbox", "A/B" }, *const BAD[] = { "C",
		"a//b" };
	struct testdir t;

	(void)state;
	testdir_open(&t);
	testdir_write(t.home->fd, "subscriptions", "V\t2\n\nSent\n");
	assert_int_equal(subscriptions_add(t.home, NAMES, ARRAY_LEN(NAMES)), STORE_OK);
	check_names(t.home, "Sent INBOX A/B ");
	assert_int_equal(subscriptions_add(t.home, BAD, ARRAY_LEN(BAD)), STORE_INVALID);
	check_names(t.home, "Sent INBOX A/B "); /* all or none */
	testdir_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(files), cmocka_unit_test(courier),
		cmocka_unit_test(several) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
