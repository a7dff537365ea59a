#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/output.h"
#include "base/buf.h"
#include "base/mem.h"

static const struct {
	const char *in, *out;
} STRINGS[] = {
	{ "", "" }, { "ann@example.org", "ann@example.org" },
	{ "Gr\xc3\xbc\xc3\x9f"
	  "e \xf0\x9f\x98\x80",
	    "Gr\xc3\xbc\xc3\x9f"
	    "e \xf0\x9f\x98\x80" },
	{ "caf\xe9", "caf\xef\xbf\xbd" },                           /* Latin-1 */
	{ "\xc3", "\xef\xbf\xbd" },                                 /* cut short */
	{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* overlong */
	{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* a surrogate */
};

static void
test_strings(void **state)
{
	json_t *value;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(STRINGS); i++) {
		value = output_string(STRINGS[i].in);
		assert_non_null(value);
		assert_string_equal(json_string_value(value), STRINGS[i].out);
		json_decref(value);
	}
	assert_true(json_is_null(output_string(NULL)));
}

/* --- what is printed ---------------------------------------------------------------------------- */

static const struct output_column COLUMNS[] = {
	{ "name", "NAME", OUTPUT_TEXT },
	{ "held", "HELD", OUTPUT_YESNO },
	{ "quota", "QUOTA", OUTPUT_KB },
	{ "size", "SIZE", OUTPUT_BYTES },
	{ "when", "WHEN", OUTPUT_TIME },
};

static json_t *
sample(void)
{
	return json_pack("[{ss sb si sI si} {so sb si si sn} {}]", "name", "\xc3\xa4nn", "held", 1,
	    "quota", 512000, "size", (json_int_t)1 << 40, "when", 86400, "name",
	    output_string("a\x1b[31mb\xc2\x9b\x7f\xe2\x80\xae"), "held", 0, "quota", 0, "size",
	    1536, "when");
}

/* What `list` puts on stdout; the caller's. */
static char *
printed(bool json)
{
	FILE *file = tmpfile();
	int out = dup(STDOUT_FILENO);
	struct buf text = { 0 };
	bool ok;
	int c;

	assert_non_null(file);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	ok = output_list(sample(), COLUMNS, ARRAY_LEN(COLUMNS), json);
	dup2(out, STDOUT_FILENO);
	close(out);
	assert_true(ok);
	rewind(file);
	while ((c = getc(file)) != EOF)
		buf_addc(&text, (char)c);
	fclose(file);
	return buf_take(&text);
}

/* Columns are counted in characters, and nothing from outside reaches the terminal as a command. */
static void
test_table(void **state)
{
	char *text;

	(void)state;
	setenv("TZ", "UTC", 1);
	text = printed(false);
	assert_string_equal(text, "NAME           HELD  QUOTA  SIZE  WHEN\n"
				  "\xc3\xa4nn            yes   500M   1.0T  1970-01-02 00:00:00\n"
				  "a?[31mb??????  no    none   1.5K  -\n"
				  "-              -     -      -     -\n");
	free(text);
}

/* Terminals obey C1 controls too, whether as UTF-8 or as single bytes; a lone CR hides what stands before it. */
static const struct {
	const char *in, *out;
} LINES[] = {
	{ "a\tb\r\nc\n", "a\tb\r\nc\n" },
	{ "redirect \"e@v\"; #\rkeep;", "redirect \"e@v\"; #?keep;" },
	{ "\r", "?" },
	{ "a\xc2\x9b[31mb\x9b", "a??[31mb?" },        /* CSI */
	{ "x\xe2\x80\xaey\xe2\x81\xa9", "x???y???" }, /* right to left */
	{ "\xe2\x80\xa8", "???" },                    /* LINE SEPARATOR */
	{ "\x1b]0;t\x07", "?]0;t?" },
	{ "Gr\xc3\xbc\xc3\x9f\xe2\x82\xac", "Gr\xc3\xbc\xc3\x9f\xe2\x82\xac" },
};

static void
test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(LINES); i++) {
		struct buf text = { 0 };

		output_add_lines(&text, LINES[i].in, strlen(LINES[i].in));
		assert_string_equal(buf_cstr(&text), LINES[i].out);
		buf_free(&text);
	}
}

static void
test_json(void **state)
{
	char *text = printed(true);
	json_t *want = sample(), *got = json_loads(text, 0, NULL);

	(void)state;
	assert_non_null(got);
	assert_true(json_equal(want, got));
	assert_non_null(strstr(text, "a\\u001B[31mb\\u009b\\u007f\\u202e"));
	assert_non_null(strstr(text, "\xc3\xa4nn"));
	json_decref(want);
	json_decref(got);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_json),
	};

	output_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
