#include "store/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define YEAR_S (365 * 24 * 60 * 60)

static char dir[64];

static int
set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/record-test.XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int
tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* --- one line ----------------------------------------------------------------------------------- */

static const struct {
	const char *value, *json;
} VALUES[] = {
	{ "", "\"\"" }, { "ann@a.test", "\"ann@a.test\"" }, { "a\"b\\c", "\"a\\\"b\\\\c\"" },
	{ "line\nline\t\x7F", "\"line\\u000aline\\u0009\\u007f\"" },
	{ "caf\xC3\xA9 \xF0\x9F\x98\x80", "\"caf\xC3\xA9 \xF0\x9F\x98\x80\"" },
	{ "\xFF\xC3", "\"\xEF\xBF\xBD\xEF\xBF\xBD\"" }, { "\xC3(", "\"\xEF\xBF\xBD(\"" },
	{ "\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"" }, /* a surrogate */
};

static void
values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
		struct record r;
		char *want = mem_printf(",\"event\":\"x\",\"v\":%s", VALUES[i].json);

		record_begin(&r, "x");
		record_text(&r, "v", VALUES[i].value);
		assert_string_equal(strstr(buf_cstr(&r.text), ",\"event\""), want);
		free(want);
		records_add(NULL, &r);
	}
}

static bool
keep_line(void *arg, char *line, size_t len)
{
	json_t *lines = arg, *object;

	line = record_line_start(line, len);
	object = json_loads(line, 0, NULL);
	if (object != NULL)
		json_array_append_new(lines, object);
	return true;
}

static json_t *
read_all(int64_t since)
{
	json_t *lines = json_array();

	assert_true(records_read(dir, since, keep_line, lines));
	return lines;
}

static void
nested(void **state)
{
	struct records *rs = records_open(dir, YEAR_S, 1 << 20, NULL);
	json_t *lines, *line;
	struct record r;

	(void)state;
	record_begin(&r, "delivery");
	record_text(&r, "none", NULL);
	record_array(&r, "actions");
	record_object(&r, NULL);
	record_text(&r, "did", "copy");
	record_end(&r);
	record_object(&r, NULL);
	record_number(&r, "line", 12);
	record_end(&r);
	record_text(&r, NULL, "word");
	record_end(&r);
	record_flag(&r, "yes", true);
	record_flag(&r, "no", false);
	record_array(&r, "empty"); /* what is left open is closed */
	records_add(rs, &r);
	records_close(rs);

	lines = read_all(0);
	assert_int_equal(json_array_size(lines), 1);
	line = json_array_get(lines, 0);
	assert_true(json_is_number(json_object_get(line, "time")));
	assert_null(json_object_get(line, "none"));
	assert_null(json_object_get(line, "no"));
	assert_true(json_is_true(json_object_get(line, "yes")));
	assert_int_equal(json_array_size(json_object_get(line, "empty")), 0);
	line = json_object_get(line, "actions");
	assert_int_equal(json_array_size(line), 3);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(line, 1), "line")), 12);
	json_decref(lines);
}

/* However much a peer gives, a line stays one, and whole. */
static void
too_much(void **state)
{
	struct records *rs = records_open(dir, YEAR_S, 64 << 20, NULL);
	char *large = mem_alloc(5000);
	struct record r;
	json_t *lines;

	(void)state;
	memset(large, 'a', 5000);
	record_begin(&r, "delivery");
	record_array(&r, "list");
	for (int i = 0; i < 1000; i++) {
		record_object(&r, NULL);
		record_text_of(&r, "key", large, 5000);
		record_array(&r, "inner");
		record_end(&r);
		record_end(&r);
	}
	record_end(&r);
	record_text(&r, "last", "dropped");
	records_add(rs, &r);
	records_close(rs);
	lines = read_all(0);
	assert_int_equal(json_array_size(lines), 1);
	assert_in_range(
	    json_array_size(json_object_get(json_array_get(lines, 0), "list")), 100, 140);
	json_decref(lines);
	free(large);
}

/* --- files -------------------------------------------------------------------------------------- */

static void
add_lines(struct records *rs, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct record r;

		record_begin(&r, "delivery");
		record_number(&r, "number", i);
		record_text(
		    &r, "filling", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
		records_add(rs, &r);
	}
}

static unsigned
count_files(uint64_t *bytes_out)
{
	DIR *d = opendir(dir);
	unsigned count = 0;
	struct dirent *e;
	struct stat st;

	*bytes_out = 0;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		assert_int_equal(fstatat(dirfd(d), e->d_name, &st, 0), 0);
		*bytes_out += (uint64_t)st.st_size;
		count++;
	}
	closedir(d);
	return count;
}

static void
bounded(void **state)
{
	struct records *rs = records_open(dir, YEAR_S, 1 << 20, NULL);
	uint64_t bytes;
	json_t *lines;

	(void)state;
	add_lines(rs, 20000); /* some 2.5 MB */
	records_close(rs);
	assert_in_range(count_files(&bytes), 14, 18);
	assert_in_range(bytes, 900 * 1024, (1 << 20) + 65 * 1024);
	lines = read_all(0);
	assert_int_equal(json_integer_value(json_object_get(
			     json_array_get(lines, json_array_size(lines) - 1), "number")),
	    19999);
	json_decref(lines);
}

static void
make_file(const char *name, const char *text, int64_t age_s)
{
	char *path = mem_printf("%s/%s", dir, name);
	struct timespec times[2] = { { .tv_sec = time(NULL) - age_s },
		{ .tv_sec = time(NULL) - age_s } };
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	utimensat(AT_FDCWD, path, times, 0);
	free(path);
}

static void
aged(void **state)
{
	uint64_t bytes;
	json_t *lines;

	(void)state;
	make_file("20200101-000001.jsonl", "{\"time\":1,\"n\":1}\n", 1000);
	make_file("20200102-000001.jsonl", "{\"time\":1,\"n\":2}\n", 10);
	make_file("README", "not ours", 1000);
	lines = read_all(time(NULL) - 100);
	assert_int_equal(json_array_size(lines), 1);
	json_decref(lines);
	records_close(records_open(dir, 100, 1 << 20, NULL));
	assert_int_equal(count_files(&bytes), 3); /* README, 20200102 and today's */
	assert_null(records_open(dir, 0, 1 << 20, NULL));
}

/* A killed process left a piece; somebody put a directory and a FIFO where files should be. */
static void
damaged(void **state)
{
	char *path = mem_printf("%s/20200103-000001.jsonl", dir);
	json_t *lines;

	(void)state;
	make_file("20200101-000001.jsonl",
	    "{\"time\":1,\"event\":\"del{\"time\":2,\"event\":\"x\\\"{\\\"time\\\":\"}"
	    "\n\xFF\x01garbage\n\n"
	    "{\"time\":3}\n{\"time\":4,",
	    0);
	mkdir(path, 0700);
	free(path);
	path = mem_printf("%s/20200104-000001.jsonl", dir);
	mkfifo(path, 0600);
	free(path);
	lines = read_all(0);
	assert_int_equal(json_array_size(lines), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 0), "time")), 2);
	json_decref(lines);
}

static void
nowhere(void **state)
{
	struct records *rs;

	(void)state;
	rs = records_open("/proc/no/such", YEAR_S, 1 << 20, NULL);
	add_lines(rs, 3);
	records_close(rs);
	assert_false(records_read("/proc/no/such", 0, keep_line, NULL));
}

/* Several processes write the same files while they are changed: no line is lost or mixed up. */
static void
together(void **state)
{
	json_t *lines;

	(void)state;
	for (int i = 0; i < 4; i++) {
		if (fork() == 0) {
			struct records *rs = records_open(dir, YEAR_S, 64 << 20, NULL);

			rs == NULL ? _exit(1) : add_lines(rs, 3000);
			records_close(rs);
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++)
		wait(NULL);
	lines = read_all(0);
	assert_int_equal(json_array_size(lines), 12000);
	json_decref(lines);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test_setup_teardown(nested, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_much, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(aged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged, set_up, tear_down),
		cmocka_unit_test(nowhere),
		cmocka_unit_test_setup_teardown(together, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
