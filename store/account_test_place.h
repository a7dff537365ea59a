/* An account database in a temporary directory, for the tests of what lies in it.  Failures fail the test. */
#ifndef STORE_ACCOUNT_TEST_PLACE_H
#define STORE_ACCOUNT_TEST_PLACE_H

#include "store/account_db.h"

struct place {
	char *dir, *path;      /* DIR, DIR/user.db */
	struct account_db *db; /* with place_set_up_db(): open for writing; else NULL */
	int64_t ann, bob;      /* Ann@example.org, bob@example.org; with place_set_up_db() */
};

/* For cmocka; *state is the place. */
int place_set_up(void **state);
int place_set_up_db(void **state);
int place_tear_down(void **state); /* with whatever lies in the directory */

/* An active account; its id. */
int64_t place_add(
    struct account_db *db, const char *localpart, const char *domain, const char *password);
void place_run_sql(const char *path, const char *text);

#endif
