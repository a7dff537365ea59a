/* For the spool's tests: a spool in a temporary directory that is removed at the end.  Failures fail the test.
 * Include it behind <cmocka.h>. */
#ifndef STORE_SPOOL_TEST_PLACE_H
#define STORE_SPOOL_TEST_PLACE_H

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/spool.h"

/* *state is the spool's path; nothing is there yet. */
static inline int
spool_place_set_up(void **state)
{
	char dir[] = "/tmp/spool-test.XXXXXX";

	assert_non_null(mkdtemp(dir));
	*state = mem_printf("%s/spool", dir);
	return 0;
}

static inline int
spool_place_tear_down(void **state)
{
	char *dir = *state, *command;

	*strrchr(dir, '/') = '\0';
	command = mem_printf("rm -rf %s", dir);
	assert_int_equal(system(command), 0);
	free(command);
	free(dir);
	return 0;
}

static inline struct spool *
spool_place_open(const char *dir, const struct spool_options *options)
{
	struct spool *spool;

	assert_int_equal(spool_open(dir, options, NULL, &spool), STORE_OK);
	spool_sweep(spool);
	return spool;
}

#endif
