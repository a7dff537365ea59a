#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/import_ledger.h"
#include "store/mailbox.h"

/* What is read, as it is written. */
static const struct {
	const char *text, *again;
} CASES[] = {
	{ "sanger-imported 1\n", "sanger-imported 1\n" },
	{ "sanger-imported 1\n5 9 7 FS b,S=1 $Label1 two%20words\n0 0 0 - a\n",
	    "sanger-imported 1\n0 0 0 - a\n5 9 7 FS b,S=1 $Label1 two%20words\n" },
	/* the last line of a stem counts; one without its end too */
	{ "sanger-imported 1\n1 1 1 - a\n2 2 2 S a", "sanger-imported 1\n2 2 2 S a\n" },
	/* damage */
	{ "sanger-imported 1\nx\n1 2\n1 2 3 Q a\n1 2 3 S\n1 2 3 S %zz\n1 2 3 S a  b\n"
	  "4294967296 1 1 - a\n1 1 1 S ok\n",
	    "sanger-imported 1\n1 1 1 S ok\n" },
	{ "sanger-imported 2\n", NULL },
	{ "", NULL },
};

static void
test_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct import_ledger ledger;
		struct buf out = { 0 };
		bool ok = import_ledger_parse(str_from(CASES[i].text), &ledger);

		assert_int_equal(ok, CASES[i].again != NULL);
		if (ok) {
			import_ledger_format(&out, &ledger);
			assert_string_equal(buf_cstr(&out), CASES[i].again);
		}
		import_ledger_free(&ledger);
		buf_free(&out);
	}
}

static void
test_entries(void **state)
{
	static const char *const WORDS[] = { "$Label1", "100%" };
	struct import_ledger ledger;
	struct import_entry *e, new = { .stem = "a b",
		.uid = 3,
		.source_uidvalidity = 5,
		.source_uid = 4,
		.flags = MESSAGE_SEEN };
	struct buf out = { 0 };

	(void)state;
	assert_true(import_ledger_parse(STR("sanger-imported 1\n1 1 1 - x\n"), &ledger));
	import_ledger_add(&ledger, &new);
	e = import_ledger_find(&ledger, "x");
	assert_non_null(e);
	assert_null(import_ledger_find(&ledger, "y"));
	import_ledger_set_keywords(&ledger, e, WORDS, 2);
	import_ledger_format(&out, &ledger);
	assert_string_equal(
	    buf_cstr(&out), "sanger-imported 1\n1 1 1 - x $Label1 100%25\n3 5 4 S a%20b\n");
	buf_free(&out);
	import_ledger_free(&ledger);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
