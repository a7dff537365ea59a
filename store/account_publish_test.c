/* The relay's copy: what is in it, what is not, and that it stays as it is where nothing changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/account_aliases.h"
#include "store/account_publish.h"

struct place {
	char dir[32], *db_path, *copy_path;
	int dir_fd;
	struct account_db *db;
};

static int64_t
add(struct account_db *db, const char *localpart, const char *domain, uint64_t quota_kb)
{
	struct account_row row = { .localpart = (char *)localpart,
		.domain = (char *)domain,
		.password = (char *)"{PLAIN}secret-password",
		.realname = (char *)"A Name",
		.active = true,
		.quota_kb = quota_kb };

	assert_int_equal(account_db_add(db, &row, NULL), STORE_OK);
	return row.id;
}

static int
set_up(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));

	strcpy(p->dir, "/tmp/publish-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->dir_fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p->db_path = mem_printf("%s/store.db", p->dir);
	p->copy_path = mem_printf("%s/%s", p->dir, ACCOUNT_PUBLISH_FILE);
	assert_int_equal(account_db_open(p->db_path, ACCOUNT_DB_WRITE, NULL, &p->db), STORE_OK);
	*state = p;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	char *command = mem_printf("rm -r %s", p->dir);

	account_db_close(p->db);
	close(p->dir_fd);
	assert_int_equal(system(command), 0);
	free(command);
	free(p->db_path);
	free(p->copy_path);
	free(p);
	return 0;
}

static bool
publish(struct place *p)
{
	const char *columns[] = { "quota" };
	bool changed;

	assert_int_equal(
	    account_publish(p->db_path, p->dir_fd, columns, 1, NULL, &changed), STORE_OK);
	return changed;
}

/* The query's rows, values parted by '|', rows by ' '. */
static char *
ask(struct place *p, const char *query)
{
	struct buf out = { 0 };
	sqlite3 *db;
	sqlite3_stmt *stmt;

	assert_int_equal(sqlite3_open_v2(p->copy_path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, query, -1, &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(stmt); i++) {
			const char *text = (const char *)sqlite3_column_text(stmt, i);

			buf_printf(&out, "%s%s",
			    i > 0         ? "|"
			    : out.len > 0 ? " "
					  : "",
			    text != NULL ? text : "NULL");
		}
	}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return buf_take(&out);
}

static void
assert_rows(struct place *p, const char *query, const char *want)
{
	char *got = ask(p, query);

	assert_string_equal(got, want);
	free(got);
}

static void
test_content(void **state)
{
	struct place *p = *state;
	int64_t ann = add(p->db, "ann", "example.org", 500);
	int64_t bob = add(p->db, "Bob", "example.org", 0),
		eve = add(p->db, "eve", "example.com", 0);
	char *all;

	assert_int_equal(account_db_set_active(p->db, bob, false), STORE_OK);
	assert_int_equal(account_db_set_active(p->db, eve, false), STORE_OK);
	assert_int_equal(account_db_set_leave_text(p->db, eve, "Gone."), STORE_OK);
	assert_int_equal(
	    account_alias_add(p->db, ann, str_from("info"), str_from("example.org")), STORE_OK);
	assert_int_equal(
	    account_alias_add(p->db, ann, str_from(""), str_from("example.net")), STORE_OK);
	assert_int_equal(
	    account_alias_add(p->db, bob, str_from("old"), str_from("example.org")), STORE_OK);
	assert_true(publish(p));
	assert_rows(p,
	    "SELECT localpart, domain, active, leaving, quota FROM account ORDER BY localpart",
	    "ann|example.org|1|0|500 Bob|example.org|0|0|NULL eve|example.com|0|1|NULL");
	assert_rows(p, "SELECT * FROM alias ORDER BY localpart",
	    "|example.net|ann|example.org info|example.org|ann|example.org "
	    "old|example.org|Bob|example.org");
	assert_rows(p, "SELECT localpart, domain FROM recipient ORDER BY 1",
	    "|example.net ann|example.org eve|example.com info|example.org");
	assert_rows(p,
	    "SELECT active FROM account WHERE localpart = 'BOB' AND domain = 'EXAMPLE.ORG'", "0");
	assert_rows(p, "PRAGMA user_version", "1");
	all = ask(p, "SELECT group_concat(sql) FROM sqlite_schema");
	assert_null(strstr(all, "password"));
	assert_null(strstr(all, "filter"));
	assert_null(strstr(all, "realname"));
	free(all);
}

static void
test_unchanged(void **state)
{
	struct place *p = *state;
	struct stat first, second, third;
	int64_t ann = 0;
	char name[20];

	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "user%d", i * 7919 % 500);
		ann = add(p->db, name, "example.org", (uint64_t)i);
	}
	assert_true(publish(p));
	assert_int_equal(stat(p->copy_path, &first), 0);
	assert_int_equal(first.st_mode & 0777, 0644);
	assert_false(publish(p));
	assert_int_equal(/* of no concern to the relay */
	    account_db_set_filter(p->db, ann, "keep;", 5), STORE_OK);
	assert_false(publish(p));
	assert_int_equal(stat(p->copy_path, &second), 0);
	assert_int_equal(second.st_ino, first.st_ino);
	assert_int_equal(second.st_mtime, first.st_mtime);
	assert_int_equal(account_db_set_quota(p->db, ann, 77777), STORE_OK);
	assert_true(publish(p));
	assert_int_equal(stat(p->copy_path, &third), 0);
	assert_int_not_equal(third.st_ino, first.st_ino);
}

/* What a killed run leaves does not matter, and one that runs is not disturbed. */
static void
test_leftovers(void **state)
{
	struct place *p = *state;
	const char *twice[] = { "quota", "quota" }, *secret[] = { "password" };
	char *path = mem_printf("%s/.user.db.new", p->dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	bool changed;

	assert_int_equal(write(fd, "half of it", 10), 10);
	close(fd);
	add(p->db, "ann", "example.org", 0);
	assert_true(publish(p));
	assert_int_not_equal(access(path, F_OK), 0);
	fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(
	    account_publish(p->db_path, p->dir_fd, NULL, 0, NULL, &changed), STORE_BUSY);
	close(fd);
	assert_int_equal(
	    account_publish(p->db_path, p->dir_fd, twice, 2, NULL, &changed), STORE_INVALID);
	assert_int_equal(
	    account_publish(p->db_path, p->dir_fd, secret, 1, NULL, &changed), STORE_INVALID);
	assert_int_equal(
	    account_publish(p->db_path, p->dir_fd, ACCOUNT_PUBLISH_COLUMNS, 2, NULL, &changed),
	    STORE_OK);
	assert_rows(p, "SELECT realname FROM account", "A Name");
	free(path);
}

/* Rows of another program's making that are nobody's at the store. */
static void
test_bad_names(void **state)
{
	struct place *p = *state;
	sqlite3 *db;

	add(p->db, "ann", "example.org", 0);
	assert_int_equal(sqlite3_open(p->db_path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
			     "INSERT INTO account (localpart, domain, password) VALUES ('../x', "
			     "'example.org', ''), ('', 'example.org', ''), ('ok', '..', '')",
			     NULL, NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
	assert_true(publish(p));
	assert_rows(p, "SELECT localpart FROM account", "ann");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_content, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unchanged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_leftovers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_names, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
