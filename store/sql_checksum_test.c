#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_changed_page_is_noticed),
		cmocka_unit_test(a_page_that_is_gone_is_noticed),
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
