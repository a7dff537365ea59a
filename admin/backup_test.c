/* Names and facts of snapshots, which of them stay, and the status file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/backup_prune.h"
#include "admin/backup_status.h"
#include "admin/snapshot.h"
#include "base/buf.h"
#include "base/mem.h"

static void
names(void **state)
{
	static const struct {
		const char *name;
		int64_t when; /* -1: none */
	} CASES[] = {
		{ "1970-01-02T0001Z", 86460 },
		{ "2026-11-21T0230Z", 1795228200 },
		{ "2026-11-21T0230Z-2", 1795228200 },
		{ "2026-11-21T0230Z-1", -1 }, /* the first has no number */
		{ "2026-11-21T0230Z-", -1 },
		{ "2026-11-21T0230Z.partial", -1 },
		{ "2026-11-21T0230", -1 },
		{ "2026-11-21", -1 },
		{ "", -1 },
		{ "lock", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		int64_t when = -1;

		assert_int_equal(snapshot_name_parse(CASES[i].name, &when), CASES[i].when >= 0);
		assert_int_equal(when, CASES[i].when);
	}
	assert_true(snapshot_name_compare("2026-11-21T0230Z", "2026-11-21T0230Z-2") < 0);
	assert_true(snapshot_name_compare("2026-11-21T0230Z-10", "2026-11-21T0230Z-9") > 0);
	assert_true(snapshot_name_compare("2026-11-21T0231Z", "2026-11-21T0230Z-9") > 0);
}

/* One that was removed leaves no place in front of a newer one, which would then be the older. */
static void
names_of_a_minute(void **state)
{
	static const char *const STEPS[] = { /* what is made first; the name behind it */
		NULL, "2026-11-21T0230Z", "2026-11-21T0230Z-2",
		"2026-11-21T0230Z-3", /* the first is there no more */
		"2026-11-21T0230Z-3.partial", "2026-11-21T0230Z-4", "2026-11-21T0231Z-7",
		"2026-11-21T0230Z-4"
	};
	char path[] = "/tmp/sanger-backup-XXXXXX", name[SNAPSHOT_NAME_BYTES];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(path));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_LEN(STEPS); i += 2) {
		if (STEPS[i] != NULL)
			assert_return_code(mkdirat(fd, STEPS[i], 0700), errno);
		snapshot_name_make(fd, 1795228200, name);
		assert_string_equal(name, STEPS[i + 1]);
	}
	for (size_t i = 2; i < ARRAY_LEN(STEPS); i += 2)
		unlinkat(fd, STEPS[i], AT_REMOVEDIR);
	close(fd);
	assert_return_code(rmdir(path), errno);
}

static void
facts(void **state)
{
	struct snapshot_facts f = { .began_s = 5,
		.ended_s = 9,
		.accounts = 2,
		.messages = 3,
		.bytes = 1u << 31,
		.copied_files = 4,
		.copied_bytes = 7,
		.problems = 1,
		.manifest_server.bytes[0] = 0xab },
			      again;
	struct buf text = { 0 };

	(void)state;
	snapshot_facts_format(&text, &f);
	assert_true(snapshot_facts_parse((struct str){ text.data, text.len }, &again));
	assert_memory_equal(&f, &again, sizeof(f));
	for (size_t len = 0; len + 1 < text.len; len++) /* cut off anywhere it is damaged */
		assert_false(snapshot_facts_parse((struct str){ text.data, len }, &again));
	buf_free(&text);
}

/* Snapshots at so many days before 2026-11-21 (a Saturday), the oldest first. */
static struct snapshot_list
list_of(const char *const *listed, size_t count)
{
	struct snapshot_list list = { mem_zalloc(count * sizeof(struct snapshot)), count };

	for (size_t i = 0; i < count; i++) {
		snprintf(list.items[i].name, SNAPSHOT_NAME_BYTES, "%.*s",
		    (int)strcspn(listed[i], "!"), listed[i]);
		list.items[i].facts.problems = strchr(listed[i], '!') != NULL;
	}
	return list;
}

#define NAMES_MAX 20
/* '!' behind a name: it has problems.  '+' in `kept`: stays. */
static const struct {
	struct prune_rules rules;
	const char *names[NAMES_MAX];
	const char *kept;
} PLANS[] = {
	{ { 0, 0, 0 }, { "2026-11-19T0230Z", "2026-11-20T0230Z", "2026-11-21T0230Z" }, "--+" },
	{ { 2, 0, 0 }, { "2026-11-19T0230Z", "2026-11-20T0230Z", "2026-11-21T0230Z" }, "-++" },
	/* of a day the newest; days without any do not count */
	{ { 2, 0, 0 }, { "2026-10-01T0230Z", "2026-11-21T0130Z", "2026-11-21T0230Z" }, "+-+" },
	/* weeks begin on Monday: the 15th is a Sunday, the 16th a Monday */
	{ { 0, 2, 0 },
	    { "2026-11-09T0230Z", "2026-11-15T0230Z", "2026-11-16T0230Z", "2026-11-21T0230Z" },
	    "-+-+" },
	{ { 0, 0, 2 },
	    { "2025-11-30T0230Z", "2026-10-01T0230Z", "2026-10-31T0230Z", "2026-11-21T0230Z" },
	    "--++" },
	{ { 1, 2, 3 },
	    { "2026-08-31T0230Z", "2026-09-30T0230Z", "2026-10-31T0230Z", "2026-11-15T0230Z",
		"2026-11-20T0230Z", "2026-11-21T0230Z" },
	    "-+++-+" },
	/* the newest good one stays, however many bad ones come behind it */
	{ { 1, 0, 0 },
	    { "2026-11-18T0230Z", "2026-11-19T0230Z", "2026-11-20T0230Z!", "2026-11-21T0230Z!" },
	    "-+-+" },
	/* of a day the good one goes before a newer bad one */
	{ { 2, 0, 0 },
	    { "2026-11-20T0130Z", "2026-11-20T0230Z!", "2026-11-21T0130Z", "2026-11-21T0230Z!" },
	    "+-++" },
	{ { 5, 5, 5 }, { NULL }, "" },
};

static void
plans(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PLANS); i++) {
		size_t count = strlen(PLANS[i].kept);
		struct snapshot_list list = list_of(PLANS[i].names, count);
		bool keep[NAMES_MAX];
		char kept[NAMES_MAX + 1] = "";

		prune_plan(&list, &PLANS[i].rules, keep);
		for (size_t k = 0; k < count; k++)
			kept[k] = keep[k] ? '+' : '-';
		assert_string_equal(kept, PLANS[i].kept);
		snapshot_list_free(&list);
	}
}

/* Three years, a snapshot each night, pruned each time: so many stay, and the newest always. */
static void
years(void **state)
{
	const struct prune_rules rules = { 7, 5, 12 };
	struct snapshot_list list = { mem_zalloc(64 * sizeof(struct snapshot)), 0 };

	(void)state;
	for (int64_t day = 0; day < 3 * 365; day++) {
		bool keep[64];
		size_t kept = 0;
		time_t when = 1700000000 + day * 86400;
		struct tm tm;

		gmtime_r(&when, &tm);
		list.items[list.count] = (struct snapshot){ 0 };
		strftime(list.items[list.count++].name, SNAPSHOT_NAME_BYTES, "%Y-%m-%dT%H%MZ", &tm);
		prune_plan(&list, &rules, keep);
		for (size_t i = 0; i < list.count; i++)
			if (keep[i])
				list.items[kept++] = list.items[i];
		list.count = kept;
		assert_true(kept <= 7 + 5 + 12);
	}
	assert_true(list.count >= 7 + 3 + 10);
	snapshot_list_free(&list);
}

static void
status(void **state)
{
	char dir[] = "/tmp/backup-test-XXXXXX";
	struct backup_status s;
	char *command;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	backup_status_read(fd, &s);
	assert_int_equal(s.events[BACKUP_SUCCEEDED].at, 0);
	backup_status_free(&s);
	backup_status_note(fd, BACKUP_BEGAN, "one");
	backup_status_note(fd, BACKUP_FAILED, "the disk\nis full");
	backup_status_note(fd, BACKUP_DAMAGED, "one");
	backup_status_read(fd, &s);
	assert_string_equal(s.events[BACKUP_FAILED].what, "the disk is full");
	assert_string_equal(s.events[BACKUP_BEGAN].what, "one");
	backup_status_free(&s);
	backup_status_note(fd, BACKUP_SUCCEEDED, "two"); /* ends the failure, not the damage */
	backup_status_read(fd, &s);
	assert_int_equal(s.events[BACKUP_FAILED].at, 0);
	assert_string_equal(s.events[BACKUP_DAMAGED].what, "one");
	backup_status_free(&s);
	backup_status_note(fd, BACKUP_VERIFIED, "two");
	backup_status_read(fd, &s);
	assert_int_equal(s.events[BACKUP_DAMAGED].at, 0);
	backup_status_free(&s);
	close(fd);
	command = mem_printf("rm -r %s", dir);
	assert_int_equal(system(command), 0);
	free(command);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(names_of_a_minute),
		cmocka_unit_test(facts),
		cmocka_unit_test(plans),
		cmocka_unit_test(years),
		cmocka_unit_test(status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
