#include "base/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

/* The records as "line:field|field" each, divided by blanks; what is wrong as "line!". */
static char *
read_all(struct str text)
{
	struct buf out = { 0 };
	enum csv_result result;
	struct csv csv;

	csv_begin(&csv, text);
	while ((result = csv_next(&csv)) == CSV_RECORD) {
		buf_printf(&out, "%s%zu:", out.len > 0 ? " " : "", csv.line);
		for (size_t i = 0; i < csv.count; i++) {
			buf_adds(&out, i > 0 ? "|" : "");
			buf_add(&out, csv.fields[i].p, csv.fields[i].len);
		}
	}
	if (result == CSV_BAD) {
		buf_printf(&out, "%s%zu!", out.len > 0 ? " " : "", csv.line);
		assert_true(csv.why[0] != '\0');
		assert_int_equal(csv_next(&csv), CSV_END);
	}
	csv_end(&csv);
	return buf_take(&out);
}

static void
test_reading(void **state)
{
	static const struct {
		const char *text, *want;
	} CASES[] = {
		{ "", "" },
		{ "a,b\r\n1,2\r\n", "1:a|b 2:1|2" },
		{ "a,b\n1,2", "1:a|b 2:1|2" },
		{ "\xef\xbb\xbf"
		  "a,b\n1,2\n",
		    "1:a|b 2:1|2" },
		{ "a;b\n1,5;2\n", "1:a|b 2:1,5|2" },
		{ "a\tb\n1;5\t2\n", "1:a|b 2:1;5|2" },
		{ "\"a,x\";b\n1;2\n", "1:a,x|b 2:1|2" },
		{ "a\n\n\nx\n\n", "1:a 4:x" },
		{ "a,b\n\"x\ny\",2\n3,4\n",
		    "1:a|b 2:x\ny|2 4:3|4" }, /* lines inside a field count */
		{ "a,b\n\"say \"\"hi\"\"\",\n", "1:a|b 2:say \"hi\"|" },
		{ "a,b\n\"\",\"\"\n", "1:a|b 2:|" },
		{ "a,b\n x , y \n", "1:a|b 2: x | y " }, /* spaces are part of a field */
		{ "a,b\n,\n", "1:a|b 2:|" },
		{ "a\r\nx\r", "1:a 2:x" },
		{ "a\nx\ry\n", "1:a 2:x\ry" }, /* a lone CR is text */
		{ "a,b\n1\n", "1:a|b 2!" },
		{ "a,b\n1,2,3\n", "1:a|b 2!" },
		{ "a\nx\"y\n", "1:a 2!" },
		{ "a\n\"x\"y\n", "1:a 2!" },
		{ "a\n\"x\n\nz", "1:a 2!" },
		{ "a\nb\xff\n", "1:a 2!" },
		{ "\xc3,\xa4\n", "1!" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		char *got = read_all(str_from(CASES[i].text));

		assert_string_equal(got, CASES[i].want);
		free(got);
	}
}

static void
test_limits(void **state)
{
	struct buf text = { 0 };
	char *got;

	(void)state;
	for (int i = 0; i < CSV_COLUMNS_MAX; i++)
		buf_adds(&text, "x,");
	got = read_all((struct str){ text.data, text.len });
	assert_string_equal(got, "1!");
	free(got);
	buf_reset(&text);
	buf_adds(&text, "a\n");
	for (int i = 0; i <= CSV_RECORD_MAX_BYTES; i++)
		buf_addc(&text, 'y');
	got = read_all((struct str){ text.data, text.len });
	assert_string_equal(got, "1:a 2!");
	free(got);
	got = read_all((struct str){ "a\nx\0y\n", 6 });
	assert_string_equal(got, "1:a 2!");
	free(got);
	buf_free(&text);
}

/* What is written is read again as it was. */
static void
test_writing(void **state)
{
	static const char *const FIELDS[] = { "plain", "", "a,b", "a;b", "say \"hi\"", "two\nlines",
		" blank ", "=1+1", "ä" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
		struct buf text = { 0 };
		struct csv csv;

		buf_adds(&text, "column,other\n");
		csv_add(&text, str_from(FIELDS[i]));
		buf_adds(&text, ",x\n");
		csv_begin(&csv, (struct str){ text.data, text.len });
		assert_int_equal(csv_next(&csv), CSV_RECORD);
		assert_int_equal(csv_next(&csv), CSV_RECORD);
		assert_true(str_eq(csv.fields[0], str_from(FIELDS[i])));
		csv_end(&csv);
		buf_free(&text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_writing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
