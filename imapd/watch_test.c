#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "imapd/watch.h"
#include "net/loop.h"
#include "net/test_util.h"

#define LIMIT_S 60

struct fixture {
	struct net_loop *loop;
	struct watch *w;
	unsigned moved; /* times */
	bool late;
};

static void
on_moved(void *arg)
{
	struct fixture *f = arg;

	f->moved++;
	net_loop_stop(f->loop);
}

static void
on_late(void *arg)
{
	struct fixture *f = arg;

	f->late = true;
	net_loop_stop(f->loop);
}

/* Runs until something has moved, and takes what it was. */
static unsigned
moved(struct fixture *f)
{
	struct net_timer *limit = net_timer_new(f->loop, on_late, f);
	unsigned number = 0, other;

	net_timer_start_s(limit, LIMIT_S);
	net_loop_run(f->loop);
	net_timer_free(limit);
	assert_false(f->late);
	assert_true(watch_has_moved(f->w));
	assert_true(watch_take(f->w, &number));
	assert_false(watch_take(f->w, &other));
	assert_false(watch_has_moved(f->w));
	return number;
}

static void
write_in(const char *dir, const char *name, const char *text)
{
	char *path = mem_printf("%s/%s", dir, name);

	test_write_file(path, text);
	free(path);
}

static void
make_in(const char *dir, const char *name)
{
	char *path = mem_printf("%s/%s", dir, name);

	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
}

static void
test_kinds(void **state)
{
	struct fixture f = { .loop = net_loop_new(NULL) };
	char *dir = test_dir(), *box = mem_printf("%s/box", dir),
	     *file = mem_printf("%s/file", dir);

	(void)state;
	f.w = watch_new(f.loop, NULL, on_moved, &f);
	assert_false(watch_set(f.w, 3, WATCH_MAILBOX, box)); /* it is not there yet */
	assert_true(watch_set(f.w, 1, WATCH_TREE, dir));
	assert_false(watch_set(f.w, 1, WATCH_TREE, dir)); /* it stands already */
	assert_int_equal(mkdir(box, 0700), 0);
	make_in(box, "new");
	make_in(box, "cur");
	assert_int_equal(moved(&f), 1);
	assert_true(watch_set(f.w, 3, WATCH_MAILBOX, box));
	write_in(box, "new/1", "x");
	assert_int_equal(moved(&f), 3);
	write_in(dir, "file", "x");
	assert_int_equal(moved(&f), 1);
	watch_set(f.w, 1, WATCH_TREE, NULL);
	assert_true(watch_set(f.w, 0, WATCH_FILE, file));
	write_in(dir, "file", "xx");
	assert_int_equal(moved(&f), 0);
	/* A folder that goes away shows, and another one of its name is another. */
	assert_int_equal(rename(box, file), -1);
	watch_set(f.w, 0, WATCH_FILE, NULL);
	unlink(file);
	assert_int_equal(rename(box, file), 0);
	write_in(file, "cur/1", "x");
	assert_int_equal(moved(&f), 3);
	watch_cut(f.w, 0);
	assert_false(watch_has_moved(f.w));
	watch_free(f.w);
	test_dir_remove(dir);
	net_loop_free(f.loop);
	free(box);
	free(file);
}

/* No descriptor is left for inotify: everything is polled, and counts as watched. */
static void
test_short_of_watches(void **state)
{
	struct fixture f = { .loop = net_loop_new(NULL) };
	char *dir = test_dir();
	struct rlimit was, none;

	(void)state;
	f.w = watch_new(f.loop, NULL, on_moved, &f);
	getrlimit(RLIMIT_NOFILE, &was);
	none = (struct rlimit){ 3, was.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	assert_true(watch_set(f.w, 0, WATCH_TREE, dir));
	assert_false(watch_set(f.w, 0, WATCH_TREE, dir));
	assert_true(watch_set(f.w, 5, WATCH_MAILBOX, dir));
	setrlimit(RLIMIT_NOFILE, &was);
	watch_set(f.w, 5, WATCH_MAILBOX, NULL);
	watch_cut(f.w, 1);
	watch_free(f.w);
	test_dir_remove(dir);
	net_loop_free(f.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_short_of_watches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
