#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/role.h"

static void
test_text(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		enum role_kind kind;
	} ROWS[] = {
		{ "sanger-role 1\nrole primary\nboot x\nsince 5\nend\n", true, ROLE_PRIMARY },
		{ "sanger-role 1\nrole retired\nboot \nsince 5\nnews of tomorrow\nend\n", true,
		    ROLE_RETIRED },
		{ "sanger-role 1\nrole promoting\nend\n", true, ROLE_PROMOTING },
		{ "sanger-role 1\nrole none\nend\n", false, 0 },
		{ "sanger-role 1\nrole king\nend\n", false, 0 },
		{ "sanger-role 1\nboot x\nend\n", false, 0 },
		{ "sanger-role 1\nrole primary\nboot x\n", false, 0 }, /* cut short */
		{ "sanger-role 1\nrole primary\nsince -5\nend\n", false, 0 },
		{ "sanger-role 2\nrole primary\nend\n", false, 0 },
		{ "", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		struct role role;

		if (role_parse(str_from(ROWS[i].text), &role) != ROWS[i].ok)
			fail_msg("%s", ROWS[i].text);
		if (ROWS[i].ok)
			assert_int_equal(role.kind, ROWS[i].kind);
	}
}

static void
put(const char *root, const char *text)
{
	char *path = mem_printf("%s/" ROLE_FILE, root);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	free(path);
}

static void
test_guard(void **state)
{
	char root[] = "/tmp/role_test.XXXXXX", *path;
	struct role role;

	(void)state;
	assert_non_null(mkdtemp(root));
	assert_null(role_problem(root)); /* no pair */
	assert_null(role_problem("/nonexistent"));
	assert_int_equal(role_write(root, ROLE_PRIMARY), STORE_OK);
	assert_null(role_problem(root));
	assert_int_equal(role_read(root, &role), STORE_OK);
	assert_int_equal(role.kind, ROLE_PRIMARY);
	assert_true(role_is_of_this_boot(&role));
	put(root, "sanger-role 1\nrole primary\nboot another\nsince 5\nend\n");
	assert_non_null(role_problem(root));
	assert_int_equal(role_write(root, ROLE_PROMOTING), STORE_OK);
	assert_non_null(role_problem(root));
	assert_int_equal(role_write(root, ROLE_RETIRED), STORE_OK);
	assert_non_null(role_problem(root));
	put(root, "nonsense"); /* better no server than two */
	assert_non_null(role_problem(root));
	path = mem_printf("%s/" ROLE_FILE, root);
	unlink(path);
	free(path);
	rmdir(root);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_guard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
