/* The plan as text, and the archive as every tar reads it. */
#include "admin/bayes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/tar.h"
#include "base/mem.h"

static void
round_trip(void **state)
{
	struct bayes_plan plan = { 0 }, again;
	struct buf text = { 0 }, second = { 0 };
	struct bayes_item *item;

	(void)state;
	item = bayes_plan_add(&plan, "ann b@example.org", TRAINING_SPAM);
	item->mailbox = mem_strdup("Bayes Spam/x");
	item->uidvalidity = 4294967295U;
	uidset_add_range(&item->uids, 3, 9);
	uidset_add(&item->uids, 12);
	bayes_plan_add(&plan, "bob@example.org", TRAINING_HAM)->name = mem_strdup("8589934592");
	bayes_plan_format(&plan, &text);
	assert_string_equal(buf_cstr(&text),
	    "sanger-bayes 1\n"
	    "mailbox\tspam\tann b@example.org\t4294967295\t3:9,12\tBayes Spam/x\n"
	    "collected\tham\tbob@example.org\t8589934592\n"
	    "end\n");
	assert_true(bayes_plan_parse((struct str){ text.data, text.len }, &again));
	assert_int_equal(again.count, 2);
	assert_string_equal(again.items[0].mailbox, "Bayes Spam/x");
	assert_int_equal(uidset_count(&again.items[0].uids), 8);
	bayes_plan_format(&again, &second);
	assert_string_equal(buf_cstr(&second), buf_cstr(&text));
	bayes_plan_free(&again);
	bayes_plan_free(&plan);
	buf_free(&text);
	buf_free(&second);
}

static const char *const DAMAGED[] = {
	"",
	"sanger-bayes 1\n", /* without its end */
	"sanger-bayes 2\nend\n",
	"sanger-bayes 1\nmailbox\tspam\ta@b\t1\t1:2\tX\n",
	"sanger-bayes 1\nmailbox\tspam\ta@b\t1\t1:x\tX\nend\n",
	"sanger-bayes 1\nmailbox\tspam\ta@b\t4294967296\t1\tX\nend\n",
	"sanger-bayes 1\nmailbox\tspam\ta@b\t1\t1\t\nend\n",
	"sanger-bayes 1\nmailbox\teggs\ta@b\t1\t1\tX\nend\n",
	"sanger-bayes 1\nremove\tspam\ta@b\t1\t1\tX\nend\n",
	"sanger-bayes 1\ncollected\tspam\ta@b\nend\n",
	"sanger-bayes 1\ncollected\tspam\t\t12\nend\n",
};

static void
damaged(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(DAMAGED); i++) {
		struct bayes_plan plan;

		assert_false(bayes_plan_parse(str_from(DAMAGED[i]), &plan));
		assert_int_equal(plan.count, 0);
	}
}

static void
archive(void **state)
{
	char path[] = "/tmp/bayes-test.XXXXXX", command[128], out[200] = "";
	char long_name[TAR_NAME_MAX + 2];
	struct tar t = { .fd = mkstemp(path) };
	FILE *content = tmpfile(), *listing;
	size_t len;

	(void)state;
	for (int i = 0; i < 1000; i++)
		fputs("0123456789", content);
	fflush(content);
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[TAR_NAME_MAX + 1] = '\0';
	assert_false(tar_file(&t, long_name, 1, fileno(content), 1));
	long_name[TAR_NAME_MAX] = '\0'; /* fills its field */
	assert_true(tar_directory(&t, "spam/", 1700000000));
	assert_true(tar_file(&t, "spam/a", 1700000000, fileno(content), 10000));
	assert_true(tar_file(&t, "spam/b", -5, fileno(content), 512));
	assert_true(tar_file(&t, "spam/empty", 1, fileno(content), 0));
	assert_true(tar_file(&t, long_name, 1, fileno(content), 1));
	assert_true(tar_end(&t));
	assert_int_equal(t.bytes % 512, 0);
	assert_false(tar_file(&t, "short", 1, fileno(content), 10001)); /* fewer than said */
	close(t.fd);
	fclose(content);
	snprintf(command, sizeof(command), "tar -xOf %s spam/a spam/b spam/empty | cksum", path);
	listing = popen(command, "r");
	len = fread(out, 1, sizeof(out) - 1, listing);
	out[len] = '\0';
	assert_int_equal(pclose(listing), 0);
	assert_non_null(strstr(out, " 10512\n"));
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(damaged),
		cmocka_unit_test(archive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
