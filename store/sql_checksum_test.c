#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/sql_checksum.h"

static char dir[] = "/tmp/sql_checksum_test.XXXXXX", path[sizeof(dir) + 8];

static sqlite3 *
open_db(void)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
			     sql_checksum_vfs()),
	    SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA cache_size = 1", NULL, NULL, NULL), SQLITE_OK);
	return db;
}

/* A value that begins in the second page and ends in the third, the last; all is in the file, and the journal there, as
 * long as the connection is open. */
static sqlite3 *
make_file(void)
{
	int reserve = SQL_CHECKSUM_BYTES;
	sqlite3 *db;

	unlink(path);
	db = open_db();
	assert_int_equal(
	    sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
			     "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL;"
			     "CREATE TABLE t (v BLOB); INSERT INTO t VALUES (randomblob(5000));"
			     "PRAGMA wal_checkpoint",
			     NULL, NULL, NULL),
	    SQLITE_OK);
	return db;
}

static int
read_value(sqlite3 *db)
{
	return sqlite3_exec(db, "SELECT hex(v) FROM t", NULL, NULL, NULL);
}

static int
count_values(sqlite3 *db)
{
	sqlite3_stmt *st;
	int count = -1;

	assert_int_equal(
	    sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &st, NULL), SQLITE_OK);
	if (sqlite3_step(st) == SQLITE_ROW)
		count = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return count;
}

static void
copy_file(const char *from, const char *to)
{
	static char bytes[1 << 20];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n = read(in, bytes, sizeof(bytes));

	assert_true(n > 0 && write(out, bytes, (size_t)n) == n);
	close(in);
	close(out);
}

static void
a_changed_page_is_noticed(void **state)
{
	sqlite3 *db, *maker;
	int fd;

	(void)state;
	maker = make_file();
	db = open_db();
	assert_int_equal(read_value(db), SQLITE_OK);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "changed", 7, 2 * 4096 + 100), 7);
	close(fd);
	assert_int_equal(read_value(db), SQLITE_IOERR);
	assert_int_equal(sqlite3_extended_errcode(db), SQLITE_IOERR_DATA);
	sqlite3_close(db);
	sqlite3_close(maker);
}

/* Whoever has the file open knows how many pages it had, and must not take those that are gone for zeros. */
static void
a_page_that_is_gone_is_noticed(void **state)
{
	sqlite3 *db, *maker;

	(void)state;
	maker = make_file();
	db = open_db();
	assert_int_equal(read_value(db), SQLITE_OK);
	assert_int_equal(truncate(path, 2 * 4096), 0);
	assert_int_equal(read_value(db), SQLITE_IOERR);
	sqlite3_close(db);
	sqlite3_close(maker);
}

/* What is in the journal only is checked as well, and SQLite's own look at it after a crash finds what it wrote. */
static void
a_changed_journal_is_noticed(void **state)
{
	char wal[sizeof(path) + 4];
	sqlite3 *db, *maker;
	int fd;

	(void)state;
	snprintf(wal, sizeof(wal), "%s-wal", path);
	for (int changed = 0; changed < 2; changed++) {
		maker = make_file();
		assert_int_equal(sqlite3_exec(maker, "INSERT INTO t VALUES (randomblob(9000))",
				     NULL, NULL, NULL),
		    SQLITE_OK);
		db = open_db();
		assert_int_equal(read_value(db), SQLITE_OK);
		fd = open(wal, O_WRONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		if (changed)
			assert_int_equal(pwrite(fd, "changed", 7, 32 + 24 + 4096 + 24 + 100), 7);
		close(fd);
		assert_int_equal(read_value(db), changed ? SQLITE_IOERR : SQLITE_OK);
		sqlite3_close(db);
		sqlite3_close(maker);
	}
}

/* The journal of a writer that was killed. */
static void
a_journal_is_read_again(void **state)
{
	const char *copy = "/db2";
	char from[sizeof(path) + 8], to[sizeof(path) + 8], home[sizeof(path)];
	sqlite3 *db, *maker = make_file();

	(void)state;
	assert_int_equal(
	    sqlite3_exec(maker, "INSERT INTO t VALUES (randomblob(9000))", NULL, NULL, NULL),
	    SQLITE_OK);
	memcpy(home, path, sizeof(home));
	for (int i = 0; i < 2; i++) {
		snprintf(from, sizeof(from), "%s%s", home, i == 0 ? "" : "-wal");
		snprintf(to, sizeof(to), "%s%s%s", dir, copy, i == 0 ? "" : "-wal");
		copy_file(from, to);
	}
	snprintf(path, sizeof(path), "%s%s", dir, copy);
	db = open_db();
	assert_int_equal(count_values(db), 2);
	sqlite3_close(db);
	unlink(path);
	memcpy(path, home, sizeof(home));
	sqlite3_close(maker);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_changed_page_is_noticed),
		cmocka_unit_test(a_page_that_is_gone_is_noticed),
		cmocka_unit_test(a_changed_journal_is_noticed),
		cmocka_unit_test(a_journal_is_read_again),
	};
	int failed;

	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/db", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	snprintf(path, sizeof(path), "%s/db-wal", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/db-shm", dir);
	unlink(path);
	rmdir(dir);
	return failed;
}
