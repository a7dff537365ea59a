/* What a log line makes of values from outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"

static const struct {
	const char *value, *written;
} VALUES[] = {
	{ "ann@example.org", "ann@example.org" },
	{ "", "\"\"" },
	{ "a b", "\"a b\"" },
	{ "a\" level=error x=\"y", "\"a\\\" level=error x=\\\"y\"" },
	{ "a\nerror lda forged", "\"a\\nerror lda forged\"" },
	{ "a\r\tb\x7f", "\"a\\x0d\\x09b\\x7f\"" },
	{ "Gr\xc3\xbc\xc3\x9f", "Gr\xc3\xbc\xc3\x9f" },
	/* what only some readers take for the end of a line or for a command */
	{ "a\xc2\x85\xc2\x9b"
	  "31m",
	    "\"a\\xc2\\x85\\xc2\\x9b31m\"" },
	{ "a\xe2\x80\xa8\xe2\x80\xae", "\"a\\xe2\\x80\\xa8\\xe2\\x80\\xae\"" },
	{ "a\x9b\xff\xc3", "\"a\\x9b\\xff\\xc3\"" },
};

static void
test_values(void **state)
{
	char path[] = "/tmp/sanger-log-test-XXXXXX", line[512], want[512];
	int fd = mkstemp(path);
	struct log *log;
	FILE *file;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	log = log_open("lda", path, LOG_LEVEL_INFO);
	assert_non_null(log);
	for (size_t i = 0; i < ARRAY_LEN(VALUES); i++)
		log_info(log, "event", "value=%s end=1", VALUES[i].value);
	log_close(log);
	file = fopen(path, "r");
	assert_non_null(file);
	for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
		assert_non_null(fgets(line, sizeof(line), file));
		snprintf(want, sizeof(want), "info lda event value=%s end=1\n", VALUES[i].written);
		assert_non_null(strchr(line, ' '));
		assert_string_equal(strchr(line, ' ') + 1, want); /* behind the time */
	}
	assert_null(fgets(line, sizeof(line), file));
	fclose(file);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_values) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
