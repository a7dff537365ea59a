#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/addr.h"
#include "net/metrics_file.h"
#include "net/metrics_read.h"

static const struct metric COUNT = { "test_things", METRIC_COUNTER, "", "kind", "Things." };
static const struct metric LEVEL = { "test_level", METRIC_GAUGE, "", "", "A level." };
static const struct metric TIME = { "test_seconds", METRIC_HISTOGRAM, "seconds", "", "A time." };

struct place {
	char dir[64];
	char *path;
	struct metrics *m;
	uint32_t good, bad, level, time;
};

static int
set_up(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));
	const char *good = "good", *bad = "bad\"\n";

	strcpy(p->dir, "/tmp/sanger-metrics-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->path = mem_printf("%s/test.metrics", p->dir);
	p->m = metrics_new(p->path, "testd", getuid(), getgid(), NULL);
	assert_non_null(p->m);
	p->good = metrics_series(p->m, &COUNT, &good);
	p->bad = metrics_series(p->m, &COUNT, &bad);
	p->level = metrics_series(p->m, &LEVEL, NULL);
	p->time = metrics_series(p->m, &TIME, NULL);
	*state = p;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *p = *state;

	metrics_free(p->m);
	assert_int_equal(rmdir(p->dir), 0);
	free(p->path);
	free(p);
	return 0;
}

static struct metrics_reading *
reading(const struct place *p)
{
	const char *why;
	struct metrics_reading *r = metrics_read(p->path, time(NULL), &why);

	if (r == NULL)
		fail_msg("%s", why);
	return r;
}

/* Adds in a child, as a worker of that row. */
static void
as_worker(struct place *p, unsigned row, void (*work)(struct place *p))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		metrics_worker_begin(p->m, row);
		work(p);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
count_some(struct place *p)
{
	static const uint64_t TIMES[] = { 0, 100000, 100001, 1000000000, UINT64_C(400000000000) };

	metrics_add(p->m, p->good, 3);
	metrics_add(p->m, p->bad, 1);
	metrics_change(p->m, p->level, 5);
	metrics_change(p->m, p->level, -2);
	for (size_t i = 0; i < ARRAY_LEN(TIMES); i++)
		metrics_time_ns(p->m, p->time, TIMES[i]);
}

static void
test_sum_of_workers(void **state)
{
	struct place *p = *state;
	struct metrics_reading *r;
	const char *why;

	assert_null(metrics_read(p->path, time(NULL), &why)); /* not published */
	metrics_publish(p->m);
	metrics_add(p->m, p->good, 1000); /* the parent counts nothing */
	as_worker(p, 0, count_some);
	as_worker(p, 7, count_some);
	r = reading(p);
	assert_string_equal(r->daemon, "testd");
	assert_int_equal(r->pid, getpid());
	assert_true(r->alive);
	assert_int_equal(r->value_count, 4);
	assert_int_equal(r->values[0].count, 6);
	assert_string_equal(r->values[0].label_values[0], "good");
	assert_string_equal(r->values[1].label_values[0], "bad\"?"); /* a line break does no harm */
	assert_int_equal(r->values[2].level, 6);
	assert_int_equal(r->values[3].count, 10);
	assert_int_equal(r->values[3].buckets[0], 4); /* bounds belong to their bucket */
	assert_int_equal(r->values[3].buckets[1], 2);
	assert_int_equal(r->values[3].buckets[METRICS_BUCKETS], 2);
	assert_int_equal(r->values[3].sum_ns, 2 * UINT64_C(401000200001));
	metrics_reading_free(r);
}

/* A dead worker's connections are gone, what it counted is not. */
static void
test_worker_gone(void **state)
{
	struct place *p = *state;
	struct metrics_reading *r;

	metrics_publish(p->m);
	as_worker(p, 1, count_some);
	as_worker(p, 2, count_some);
	metrics_worker_gone(p->m, 1);
	r = reading(p);
	assert_int_equal(r->values[0].count, 6);
	assert_int_equal(r->values[2].level, 3);
	metrics_reading_free(r);
}

static void
test_same_series(void **state)
{
	struct place *p = *state;
	const char *good = "good", *new = "new";

	assert_int_equal(metrics_series(p->m, &COUNT, &good), p->good);
	assert_int_not_equal(metrics_series(p->m, &COUNT, &new), p->good);
	assert_int_equal(metrics_series(NULL, &COUNT, &good), METRICS_NONE);
	metrics_add(p->m, METRICS_NONE, 1);
	metrics_add(NULL, p->good, 1);
}

static void
test_full(void **state)
{
	struct place *p = *state;
	uint32_t last = 0;
	char name[16];

	for (unsigned i = 0; i < METRICS_SERIES_MAX + 10; i++) {
		const char *value = name;

		snprintf(name, sizeof(name), "k%u", i);
		last = metrics_series(p->m, &COUNT, &value);
	}
	assert_int_equal(last, METRICS_NONE);
	metrics_publish(p->m);
	metrics_reading_free(reading(p));
}

static void *
add_many(void *arg)
{
	struct place *p = arg;

	for (int i = 0; i < 100000; i++)
		metrics_add(p->m, p->good, 1);
	return NULL;
}

static void
threads_add(struct place *p)
{
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		if (pthread_create(&threads[i], NULL, add_many, p) != 0)
			_exit(1);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
}

static void
test_threads(void **state)
{
	struct place *p = *state;
	struct metrics_reading *r;

	metrics_publish(p->m);
	as_worker(p, 0, threads_add);
	r = reading(p);
	assert_int_equal(r->values[0].count, 400000);
	metrics_reading_free(r);
}

static void
fail_logins(struct place *p)
{
	struct net_ip ip;

	net_ip_parse(STR("192.0.2.1"), &ip);
	for (int i = 0; i < 3; i++)
		metrics_login_failed(p->m, &ip);
	net_ip_parse(STR("2001:db8::1"), &ip);
	metrics_login_failed(p->m, &ip);
	metrics_login_failed(p->m, NULL);
}

static void
test_sources(void **state)
{
	struct place *p = *state;
	struct metrics_reading *r;
	const char *why;
	char text[NET_IP_TEXT_BYTES];

	metrics_publish(p->m);
	as_worker(p, 0, fail_logins);
	r = reading(p);
	assert_int_equal(r->failure_count, 2);
	net_ip_text(&r->failures[0].ip, text);
	assert_string_equal(text, "192.0.2.1");
	assert_int_equal(r->failures[0].hours[0] + r->failures[0].hours[1], 3);
	metrics_reading_free(r);
	r = metrics_read(p->path, time(NULL) + 25 * 3600, &why); /* a day later */
	assert_non_null(r);
	assert_int_equal(r->failure_count, 0);
	metrics_reading_free(r);
}

/* More sources than places: the newest stay. */
static void
fail_many(struct place *p)
{
	for (unsigned i = 0; i < 1000; i++) {
		struct net_ip ip = { .b = {
					 0x20, 1, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i } };

		metrics_login_failed(p->m, &ip);
	}
}

static void
test_many_sources(void **state)
{
	struct place *p = *state;
	struct metrics_reading *r;

	metrics_publish(p->m);
	as_worker(p, 0, fail_many);
	r = reading(p);
	assert_int_equal(r->failure_count, METRICS_SOURCES_MAX);
	metrics_reading_free(r);
}

/* Each is a byte of a good file that is changed; all are refused, none does harm. */
static void
test_damage(void **state)
{
	static const struct {
		size_t at;
		const char *bytes;
		size_t len;
	} CASES[] = {
		{ 0, "x", 1 },
		{ offsetof(struct metrics_file, version), "\xff", 1 },
		{ offsetof(struct metrics_file, size), "\0\0\0\0", 4 },
		{ offsetof(struct metrics_file, series_count), "\xff\xff\xff\xff", 4 },
		{ offsetof(struct metrics_file, rows_top), "\xff\xff\xff\xff", 4 },
		{ offsetof(struct metrics_file, daemon), "\n", 1 },
		{ offsetof(struct metrics_file, series[0].name), "9", 1 },
		{ offsetof(struct metrics_file, series[0].type), "\x09", 1 },
		{ offsetof(struct metrics_file, series[0].cell), "\xff\xff\xff\xff", 4 },
		{ offsetof(struct metrics_file, series[0].cell), "\0\x10\0\0", 4 },
		{ offsetof(struct metrics_file, series[0].label_names[1]), "{", 1 },
		{ offsetof(struct metrics_file, series[0].label_names[3]), "x", 1 }, /* a gap */
		{ offsetof(struct metrics_file, series[0].label_values[0]), "\x1b", 1 },
	};
	struct place *p = *state;
	int fd;

	metrics_publish(p->m);
	fd = open(p->path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		const char *why = NULL;
		char old[8];

		assert_int_equal(pread(fd, old, CASES[i].len, (off_t)CASES[i].at), CASES[i].len);
		assert_int_equal(
		    pwrite(fd, CASES[i].bytes, CASES[i].len, (off_t)CASES[i].at), CASES[i].len);
		if (metrics_read(p->path, time(NULL), &why) != NULL || why == NULL)
			fail_msg("case %zu was read", i);
		assert_int_equal(pwrite(fd, old, CASES[i].len, (off_t)CASES[i].at), CASES[i].len);
	}
	metrics_reading_free(reading(p));
	close(fd);
}

/* Cut short, empty, a directory, not there. */
static void
test_foreign(void **state)
{
	struct place *p = *state;
	const char *why = NULL;
	char *other = mem_printf("%s/other", p->dir);
	int fd = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_null(metrics_read(other, time(NULL), &why));
	assert_string_equal(why, "too short");
	assert_int_equal(ftruncate(fd, sizeof(struct metrics_file)), 0);
	assert_null(metrics_read(other, time(NULL), &why));
	assert_string_equal(why, "no file of metrics");
	assert_null(metrics_read(p->dir, time(NULL), &why));
	assert_string_equal(why, "no regular file");
	close(fd);
	unlink(other);
	assert_null(metrics_read(other, time(NULL), &why));
	free(other);
}

/* What counting costs; printed, for it depends on the machine. */
static void
cost(struct place *p)
{
	const int rounds = 2000000;
	uint64_t start = metrics_now_ns(), add, times;

	for (int i = 0; i < rounds; i++)
		metrics_add(p->m, p->good, 1);
	add = metrics_now_ns() - start;
	start = metrics_now_ns();
	for (int i = 0; i < rounds; i++)
		metrics_time_ns(p->m, p->time, (uint64_t)i * 100);
	times = metrics_now_ns() - start;
	printf(
	    "counter %.1f ns, histogram %.1f ns\n", (double)add / rounds, (double)times / rounds);
	fflush(stdout);
}

static void
test_cost(void **state)
{
	as_worker(*state, 0, cost);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sum_of_workers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_worker_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_same_series, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sources, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_sources, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_foreign, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cost, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
