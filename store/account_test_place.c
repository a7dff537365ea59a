#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/account_test_place.h"

int
place_set_up(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));

	p->dir = mem_strdup("/tmp/account-test-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->path = mem_printf("%s/user.db", p->dir);
	*state = p;
	return 0;
}

int
place_set_up_db(void **state)
{
	struct place *p;

	place_set_up(state);
	p = *state;
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_WRITE, NULL, &p->db), STORE_OK);
	p->ann = place_add(p->db, "Ann", "example.org", "{PLAIN}x");
	p->bob = place_add(p->db, "bob", "example.org", "{PLAIN}x");
	return 0;
}

int
place_tear_down(void **state)
{
	struct place *p = *state;
	char *command = mem_printf("rm -r %s", p->dir);

	account_db_close(p->db);
	assert_int_equal(system(command), 0);
	free(command);
	free(p->dir);
	free(p->path);
	free(p);
	return 0;
}

int64_t
place_add(struct account_db *db, const char *localpart, const char *domain, const char *password)
{
	struct account_row row = { .localpart = mem_strdup(localpart),
		.domain = mem_strdup(domain),
		.password = mem_strdup(password),
		.active = true };
	int64_t id;

	assert_int_equal(account_db_add(db, &row, NULL), STORE_OK);
	id = row.id;
	account_row_free(&row);
	return id;
}

void
place_run_sql(const char *path, const char *text)
{
	sqlite3 *db;
	char *error = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s", error);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}
