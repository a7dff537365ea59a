/* Accounts out of a copy of the database, and copies of databases that are in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/account_aliases.h"
#include "store/account_restore.h"
#include "store/account_test_place.h"
#include "store/file_copy.h"
#include "store/sql_copy.h"

/* All that hangs on Ann, in a copy; then she is deleted. */
static char *
copy_with_ann(struct place *p)
{
	char *copy = mem_printf("%s/copy.db", p->dir);
	char *sql =
	    mem_printf("INSERT INTO script (account, name, text, active, created, changed) VALUES "
		       "(%d, 'work', 'keep;', 0, 1, 2);"
		       "INSERT INTO filter_history (account, set_at, who, text) VALUES (%d, 1, "
		       "'x', 'one'), (%d, 2, 'x', 'two');"
		       "INSERT INTO list (id, account, name) VALUES (77, %d, 'friends');"
		       "INSERT INTO list_member VALUES (77, 'a@b.example'), (77, 'c@d.example');"
		       "INSERT INTO alias VALUES ('info', 'example.org', %d), ('sales', "
		       "'example.org', %d), ('boss', 'example.org', %d);"
		       "INSERT INTO account_limit (account, messages_max) VALUES (%d, 5);"
		       "INSERT INTO app_password (account, label, password, created) VALUES (%d, "
		       "'phone', '{PLAIN}x', 3);",
		(int)p->ann, (int)p->ann, (int)p->ann, (int)p->ann, (int)p->ann, (int)p->ann,
		(int)p->ann, (int)p->ann, (int)p->ann);

	place_run_sql(p->path, sql);
	assert_int_equal(sql_copy(p->path, copy, NULL), STORE_OK);
	assert_int_equal(account_db_delete(p->db, p->ann), STORE_OK);
	free(sql);
	return copy;
}

static void
comes_back_whole(void **state)
{
	struct place *p = *state;
	char *copy = copy_with_ann(p);
	struct account_restored done;
	struct account_row row = { 0 };

	place_add(p->db, "carol", "example.org", "{PLAIN}y"); /* her id may be Ann's old one */
	place_add(p->db, "boss", "example.org", "{PLAIN}y");  /* what was her alias */
	place_run_sql(p->path, "INSERT INTO alias SELECT 'sales', 'example.org', id FROM account"
			       " WHERE localpart = 'carol'");
	assert_int_equal(
	    account_restore(p->path, copy, STR("ann"), STR("example.org"), NULL, &done), STORE_OK);
	assert_int_equal(done.aliases_taken, 2);
	assert_int_equal(account_db_find(p->db, STR("ann"), STR("example.org"), &row), STORE_OK);
	place_run_sql(p->path,
	    "CREATE TEMP TABLE t (x CHECK (x)); INSERT INTO t SELECT"
	    " (SELECT count(*) FROM script WHERE name = 'work' AND account = a.id) = 1"
	    " AND (SELECT group_concat(text) FROM filter_history WHERE account = a.id) = 'one,two'"
	    " AND (SELECT count(*) FROM list_member JOIN list ON list.id = list_member.list"
	    "      WHERE list.account = a.id AND list.name = 'friends') = 2"
	    " AND (SELECT group_concat(localpart) FROM alias WHERE account = a.id) = 'info'"
	    " AND (SELECT messages_max FROM account_limit WHERE account = a.id) = 5"
	    " AND (SELECT label FROM app_password WHERE account = a.id) = 'phone'"
	    " FROM account AS a WHERE localpart = 'ann' COLLATE NOCASE");
	account_row_free(&row);
	free(copy);
}

static void
refuses(void **state)
{
	struct place *p = *state;
	char *copy = mem_printf("%s/copy.db", p->dir);
	struct account_restored done;

	assert_int_equal(sql_copy(p->path, copy, NULL), STORE_OK);
	assert_int_equal(
	    account_restore(p->path, copy, STR("ann"), STR("example.org"), NULL, &done),
	    STORE_EXISTS);
	assert_int_equal(
	    account_restore(p->path, copy, STR("eve"), STR("example.org"), NULL, &done),
	    STORE_NOT_FOUND);
	assert_int_equal(account_db_delete(p->db, p->ann), STORE_OK);
	place_run_sql(p->path, "INSERT INTO alias SELECT 'ann', 'example.org', id FROM account");
	assert_int_equal(
	    account_restore(p->path, copy, STR("ann"), STR("example.org"), NULL, &done),
	    STORE_EXISTS);
	free(copy);
}

/* A file of version 0, of other software, has nothing but the table account. */
static void
takes_old_copies(void **state)
{
	struct place *p = *state;
	char *copy = mem_printf("%s/old.db", p->dir), **names;
	struct account_restored done;
	size_t count;

	place_run_sql(copy,
	    "CREATE TABLE account (id INTEGER PRIMARY KEY, localpart VARCHAR(128) NOT NULL COLLATE "
	    "NOCASE,"
	    " domain VARCHAR(128) NOT NULL COLLATE NOCASE, password VARCHAR NOT NULL);"
	    "INSERT INTO account VALUES (9, 'old', 'example.org', '{PLAIN}z');");
	assert_int_equal(
	    account_restore(p->path, copy, STR("old"), STR("example.org"), NULL, &done), STORE_OK);
	assert_int_equal(account_restore_list(copy, NULL, &names, &count), STORE_OK);
	assert_int_equal(count, 2);
	assert_string_equal(names[0], "old");
	free(names[0]);
	free(names[1]);
	free(names);
	free(copy);
}

/* The same rows give the same bytes; a damaged copy is found out. */
static void
copies(void **state)
{
	struct place *p = *state;
	char *a = mem_printf("%s/a.db", p->dir), *b = mem_printf("%s/b.db", p->dir);
	struct file_digest x, y;
	struct buf problems = { 0 };
	uint64_t size;
	int fd;

	assert_int_equal(sql_copy(p->path, a, NULL), STORE_OK);
	assert_int_equal(sql_copy(p->path, b, NULL), STORE_OK);
	assert_int_equal(sql_copy("/nowhere/x.db", b, NULL), STORE_NOT_FOUND);
	assert_int_equal(sql_copy(p->path, b, NULL), STORE_EXISTS);
	fd = open(a, O_RDONLY);
	assert_int_equal(file_digest_fd(fd, &size, &x), STORE_OK);
	close(fd);
	fd = open(b, O_RDWR);
	assert_int_equal(file_digest_fd(fd, &size, &y), STORE_OK);
	assert_true(file_digest_eq(&x, &y));
	assert_int_equal(sql_check_file(b, NULL, &problems), STORE_OK);
	assert_int_equal(problems.len, 0);
	assert_int_equal(ftruncate(fd, 5000), 0);
	close(fd);
	sql_check_file(b, NULL, &problems);
	assert_true(problems.len > 0);
	buf_free(&problems);
	free(a);
	free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(comes_back_whole, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(refuses, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(takes_old_copies, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(copies, place_set_up_db, place_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
