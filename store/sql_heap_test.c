/* What SQLite gets from its heap, in all sizes and by several threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sanitizer.h"
#include "store/sql_heap.h"

#define PIECES  400
#define ROUNDS  20000
#define THREADS 4

static int
any_size(unsigned *seed)
{
	static const int MOST[] = { 64, 300, 5000, 9000, 200000 };

	return 1 + rand_r(seed) % MOST[rand_r(seed) % (int)ARRAY_LEN(MOST)];
}

/* Each piece is filled with a byte of its own: none may reach into another. */
struct pieces {
	unsigned char *at[PIECES];
	int bytes[PIECES];
};

static bool
is_whole(const struct pieces *p, int i, int bytes)
{
	for (int k = 0; k < bytes; k++)
		if (p->at[i][k] != (unsigned char)i)
			return false;
	return true;
}

static void
change_one(struct pieces *p, unsigned *seed)
{
	int i = rand_r(seed) % PIECES, bytes = any_size(seed), kept;

	if (p->at[i] != NULL && rand_r(seed) % 2 == 0) {
		sqlite3_free(p->at[i]);
		p->at[i] = NULL;
		return;
	}
	kept = p->at[i] == NULL ? 0 : bytes < p->bytes[i] ? bytes : p->bytes[i];
	p->at[i] = p->at[i] == NULL ? sqlite3_malloc(bytes) : sqlite3_realloc(p->at[i], bytes);
	if (p->at[i] == NULL || (uintptr_t)p->at[i] % 8 != 0 ||
	    sqlite3_msize(p->at[i]) < (sqlite3_uint64)bytes || !is_whole(p, i, kept))
		abort();
	memset(p->at[i], i, (size_t)bytes);
	p->bytes[i] = bytes;
}

static void *
work(void *arg)
{
	struct pieces *p = mem_zalloc(sizeof(*p));
	unsigned seed = *(unsigned *)arg;

	for (int round = 0; round < ROUNDS; round++)
		change_one(p, &seed);
	for (int i = 0; i < PIECES; i++) {
		if (p->at[i] != NULL && !is_whole(p, i, p->bytes[i]))
			abort();
		sqlite3_free(p->at[i]);
	}
	free(p);
	return NULL;
}

static void
test_pieces(void **state)
{
	pthread_t threads[THREADS];
	unsigned seeds[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		seeds[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, work, &seeds[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void
test_sizes(void **state)
{
	(void)state;
	for (int bytes = 1; bytes < 20000; bytes++) {
		void *p = sqlite3_malloc(bytes);

		assert_true(sqlite3_msize(p) >= (sqlite3_uint64)bytes);
		assert_true(sqlite3_msize(p) <= (sqlite3_uint64)bytes * 5 / 4 + 4096);
		memset(p, 1, (size_t)bytes);
		sqlite3_free(p);
	}
}

#if !UNDER_SANITIZER
static size_t
resident_kb(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

/* What lies between SQLite's pieces does not keep their pages. */
static void
test_goes_back(void **state)
{
	enum { COUNT = 20000, BYTES = 1000 };
	void **theirs = mem_alloc(COUNT * sizeof(void *)),
	     **ours = mem_alloc(COUNT * sizeof(void *));
	size_t before, full;

	(void)state;
	before = resident_kb();
	for (int i = 0; i < COUNT; i++) {
		theirs[i] = memset(sqlite3_malloc(BYTES), 1, BYTES);
		ours[i] = mem_zalloc(16);
	}
	full = resident_kb();
	for (int i = 0; i < COUNT; i++)
		sqlite3_free(theirs[i]);
	assert_true(full > before + COUNT * BYTES / 1024 * 9 / 10);
	assert_true(resident_kb() < before + COUNT * BYTES / 1024 / 5);
	for (int i = 0; i < COUNT; i++)
		free(ours[i]);
	free(theirs);
	free(ours);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_pieces),
#if !UNDER_SANITIZER
		cmocka_unit_test(test_goes_back),
#endif
	};

	sql_heap_use();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
