#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "managesieved/response.h"

static void
expect(struct buf *out, const char *want)
{
	assert_string_equal(buf_cstr(out), want);
	buf_reset(out);
}

static void
test_strings(void **state)
{
	struct buf out = { 0 };
	char long_text[1025];

	(void)state;
	msieve_write_string(&out, STR(""));
	expect(&out, "\"\"");
	msieve_write_string(&out, STR("a\"b\\c"));
	expect(&out, "\"a\\\"b\\\\c\"");
	msieve_write_string(&out, STR("a\r\nb"));
	expect(&out, "{4}\r\na\r\nb");
	msieve_write_string(&out, STR("\xff"));
	expect(&out, "{1}\r\n\xff");
	memset(long_text, 'x', sizeof(long_text));
	msieve_write_string(&out, (struct str){ long_text, 1024 });
	assert_int_equal(out.len, 1026);
	buf_reset(&out);
	msieve_write_string(&out, (struct str){ long_text, 1025 }); /* too long to be quoted */
	assert_memory_equal(buf_cstr(&out), "{1025}\r\n", 8);
	buf_reset(&out);
	long_text[0] = '"';
	msieve_write_string(&out, (struct str){ long_text, 1024 });
	assert_memory_equal(buf_cstr(&out), "{1024}\r\n", 8);
	buf_free(&out);
}

static void
test_replies(void **state)
{
	struct buf out = { 0 };

	(void)state;
	msieve_write_reply(&out, "OK", NULL, (struct str){ 0 });
	expect(&out, "OK\r\n");
	msieve_write_reply(&out, "NO", "QUOTA/MAXSIZE", STR("Too much"));
	expect(&out, "NO (QUOTA/MAXSIZE) \"Too much\"\r\n");
	msieve_write_reply(&out, "NO", NULL, STR("line 1: a\nline 2: b\n"));
	expect(&out, "NO {20}\r\nline 1: a\r\nline 2: b\r\n");
	msieve_write_reply(&out, "NO", NULL, STR("line 1: \xff\xfe is odd"));
	expect(&out, "NO \"line 1: ?? is odd\"\r\n");
	msieve_write_reply(&out, "OK", "TAG {3}\r\na\nb", STR("Done"));
	expect(&out, "OK (TAG {3}\r\na\nb) \"Done\"\r\n");
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
