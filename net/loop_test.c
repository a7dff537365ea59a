/* Timers, jobs, watches, names and connections of a loop; limits across processes; the sandbox. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sanitizer.h"
#include "net/limits.h"
#include "net/loop.h"
#include "net/sandbox.h"
#include "net/stream.h"
#include "net/test_util.h"

struct seen {
	struct net_loop *loop;
	unsigned timers, jobs, changes, gone;
	bool resolved, refused, permanent;
};

static void
on_timer(void *arg)
{
	struct seen *s = arg;

	s->timers++;
	net_loop_stop(s->loop);
}

static void
run_for_ms(struct seen *s, uint64_t ms)
{
	struct net_timer *t = net_timer_new(s->loop, on_timer, s);

	net_timer_start_ms(t, ms);
	net_loop_run(s->loop);
	net_timer_free(t);
}

static void
job_run(void *arg)
{
	(void)arg;
	usleep(1000);
}

static void
on_job_done(void *arg)
{
	struct seen *s = arg;

	if (++s->jobs == 20)
		net_loop_stop(s->loop);
}

static void
test_jobs(void **state)
{
	struct seen s = { .loop = net_loop_new(NULL) };

	(void)state;
	for (int i = 0; i < 20; i++)
		net_job_run(s.loop, job_run, on_job_done, &s);
	assert_int_equal(net_jobs_in_flight(s.loop), 20);
	net_loop_run(s.loop);
	assert_int_equal(s.jobs, 20);
	assert_int_equal(net_jobs_in_flight(s.loop), 0);
	net_loop_free(s.loop);
}

static void
on_change(void *arg, unsigned seen)
{
	struct seen *s = arg;

	s->changes |= seen;
	if (seen & NET_WATCH_GONE)
		s->gone++;
}

static void
test_watch(void **state)
{
	struct seen a = { .loop = net_loop_new(NULL) }, b = { 0 };
	char *dir = test_dir(), *path = mem_printf("%s/new", dir);
	struct net_watch *wa, *wb;

	(void)state;
	wa = net_watch_new(a.loop, dir, NET_WATCH_CREATE, on_change, &a);
	wb = net_watch_new(a.loop, dir, NET_WATCH_DELETE | NET_WATCH_WRITTEN, on_change, &b);
	assert_non_null(wa);
	assert_non_null(wb);
	assert_null(net_watch_new(a.loop, path, NET_WATCH_MODIFY, on_change, &a));
	test_write_file(path, "x");
	run_for_ms(&a, 50);
	assert_int_equal(a.changes, NET_WATCH_CREATE);
	assert_int_equal(b.changes, NET_WATCH_WRITTEN);
	net_watch_free(wa); /* the other one on the same directory goes on */
	unlink(path);
	run_for_ms(&a, 50);
	assert_int_equal(a.changes, NET_WATCH_CREATE);
	assert_int_equal(b.changes, NET_WATCH_WRITTEN | NET_WATCH_DELETE);
	free(path);
	test_dir_remove(dir);
	run_for_ms(&a, 50);
	assert_int_equal(b.gone, 1);
	net_watch_free(wb);
	net_loop_free(a.loop);
}

static void
on_resolved(void *arg, const struct net_ip *ips, size_t count, bool permanent, const char *error)
{
	struct seen *s = arg;

	(void)ips, (void)error;
	s->resolved = count > 0;
	s->permanent = permanent;
	net_loop_stop(s->loop);
}

static void
on_connected(void *arg, struct net_stream *st, const char *error)
{
	struct seen *s = arg;

	assert_null(st);
	assert_non_null(strstr(error, "127.0.0.1"));
	assert_non_null(strstr(error, "refused"));
	s->refused = true;
	net_loop_stop(s->loop);
}

static void
test_names(void **state)
{
	struct seen s = { .loop = net_loop_new(NULL) };
	struct net_endpoint to = { NET_TCP, "127.0.0.1", test_free_port(), "" };

	(void)state;
	net_resolve(s.loop, "localhost", on_resolved, &s);
	net_loop_run(s.loop);
	assert_true(s.resolved);
	net_connect_start(s.loop, &to, 5, on_connected, &s);
	net_loop_run(s.loop);
	assert_true(s.refused);
	net_connect_cancel(net_connect_start(s.loop, &to, 5, on_connected, &s));
	run_for_ms(&s, 20);
	net_loop_free(s.loop);
}

static void
test_limits(void **state)
{
	struct net_cidr_list relay = { 0 };
	struct net_limits_listener listener = { 10, 4, 3, &relay };
	struct net_limits_slot slots[16];
	struct net_limits *l;
	struct net_ip ip, other, relay_ip;
	int status;

	(void)state;
	net_cidr_list_add(&relay, AF_INET, (const uint8_t[]){ 10, 0, 0, 0 }, 8);
	net_ip_parse(STR("2001:db8::1"), &ip);
	net_ip_parse(STR("2001:db8::ffff"), &other); /* the same /64 */
	net_ip_parse(STR("10.0.0.1"), &relay_ip);
	l = net_limits_new(&listener, 1);
	net_limits_accepting(l, 0, true);
	net_limits_accepting(l, 1, true);
	if (fork() == 0) { /* worker 1 takes two and dies */
		net_limits_connect(l, 1, 0, &ip, &slots[0]);
		net_limits_connect(l, 1, 0, &other, &slots[1]);
		_exit(0);
	}
	wait(&status);
	assert_int_equal(net_limits_connect(l, 0, 0, &ip, &slots[0]), NET_LIMIT_OK);
	assert_int_equal(net_limits_connect(l, 0, 0, &other, &slots[1]), NET_LIMIT_ADDRESS);
	net_limits_worker_gone(l, 1);
	assert_int_equal(net_limits_connect(l, 0, 0, &other, &slots[1]), NET_LIMIT_OK);
	for (int i = 2; i < 6; i++) {
		net_limits_logged_in(l, &slots[i - 1]);
		assert_int_equal(net_limits_connect(l, 0, 0, &ip, &slots[i]), NET_LIMIT_OK);
	}
	assert_int_equal(net_limits_logged_out(l, &ip, &slots[1]), NET_LIMIT_OK); /* the third */
	assert_int_equal(net_limits_logged_out(l, &ip, &slots[1]), NET_LIMIT_OK);
	assert_int_equal(net_limits_logged_out(l, &other, &slots[2]), NET_LIMIT_ADDRESS);
	net_limits_logged_in(l, &slots[1]);
	net_limits_logged_in(l, &slots[2]);
	net_limits_logged_in(l, &slots[5]); /* 6 of 10: the rest is the relay's */
	assert_int_equal(net_limits_connect(l, 0, 0, &ip, &slots[6]), NET_LIMIT_TOTAL);
	for (int i = 6; i < 10; i++)
		assert_int_equal(net_limits_connect(l, 0, 0, &relay_ip, &slots[i]), NET_LIMIT_OK);
	assert_int_equal(net_limits_connect(l, 0, 0, &relay_ip, &slots[10]), NET_LIMIT_TOTAL);
	for (int i = 0; i < 10; i++)
		net_limits_disconnect(l, &slots[i]);
	assert_int_equal(net_limits_connections(l, 0), 0);
	net_limits_free(l);
	net_cidr_list_free(&relay);
}

static void
test_failed_logins(void **state)
{
	struct net_limits *l = net_limits_new(NULL, 0);
	struct net_ip ip;
	char password[16];

	(void)state;
	net_ip_parse(STR("192.0.2.1"), &ip);
	for (int i = 0; i < 50; i++) /* the same wrong one again and again */
		net_limits_login_failed(l, &ip, STR("ann"), STR("old"));
	assert_int_equal(net_limits_login_delay_ms(l, &ip), 0);
	for (int i = 0; i < 8; i++) {
		snprintf(password, sizeof(password), "%d", i);
		net_limits_login_failed(l, &ip, STR("ann"), str_from(password));
	}
	assert_int_equal(net_limits_login_delay_ms(l, &ip), 0); /* 9 */
	net_limits_login_failed(l, &ip, STR("ann"), STR("x"));
	assert_int_equal(net_limits_login_delay_ms(l, &ip), NET_LOGIN_DELAY_FIRST_MS);
	net_limits_login_failed(l, &ip, STR("ann"), STR("y"));
	assert_int_equal(net_limits_login_delay_ms(l, &ip), 2 * NET_LOGIN_DELAY_FIRST_MS);
	net_limits_login_ok(l, &ip, STR("eve")); /* forgives nothing of what was tried on others */
	assert_int_equal(net_limits_login_delay_ms(l, &ip), 2 * NET_LOGIN_DELAY_FIRST_MS);
	net_limits_login_failed(l, &ip, STR("eve"), STR("x"));
	assert_int_equal(net_limits_login_delay_ms(l, &ip), 4 * NET_LOGIN_DELAY_FIRST_MS);
	net_limits_login_ok(l, &ip, STR("Eve"));
	assert_int_equal(net_limits_login_delay_ms(l, &ip), 2 * NET_LOGIN_DELAY_FIRST_MS);
	net_limits_login_ok(l, &ip, STR("ann"));
	assert_int_equal(net_limits_login_delay_ms(l, &ip), 0);
	for (int i = 0; i < 50; i++) {
		snprintf(password, sizeof(password), "z%d", i);
		net_limits_login_failed(l, &ip, STR("ann"), str_from(password));
	}
	assert_int_equal(net_limits_login_delay_ms(l, &ip), NET_LOGIN_DELAY_MAX_MS);
	net_limits_login_policy(l, 3, 5000);
	assert_int_equal(net_limits_login_delay_ms(l, &ip), 5000);
	net_limits_login_policy(l, 1000, 5000);
	assert_int_equal(net_limits_login_delay_ms(l, &ip), 0);
	net_limits_free(l);
}

static bool
is_open(const char *path)
{
	char link[32], target[64];
	ssize_t n;

	for (int fd = 0; fd < 64; fd++) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		if (n > 0 && (size_t)n == strlen(path) && memcmp(target, path, strlen(path)) == 0)
			return true;
	}
	return false;
}

/* In a child: what the sandbox promises.  The exit status is the first promise that is broken. */
static int
inside_sandbox(const char *good, const char *bad, bool landlock, bool may_connect)
{
	struct seen s = { .loop = net_loop_new(NULL) };
	struct net_sandbox_path paths[] = { { good, NET_WRITE }, { "/not/there", NET_READ } };
	struct net_sandbox_spec spec = {
		.paths = paths, .path_count = 2, .may_connect = may_connect
	};
	char *from = mem_printf("%s/tmp/a", good), *to = mem_printf("%s/new/a", good);
	char *dir = mem_printf("%s/tmp", good), *dir2 = mem_printf("%s/new", good);
	char *other = mem_printf("%s/b", bad);
	int fd;

	if (!net_sandbox_enter(&spec, NULL))
		return 1;
	if (mkdir(dir, 0700) != 0 || mkdir(dir2, 0700) != 0)
		return 2;
	fd = open(from, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) != 0 || rename(from, to) != 0)
		return 3;
	if (landlock && (open(other, O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES))
		return 4;
	if (landlock && !is_open("/proc/sys")) /* else its rule goes with the kernel's caches */
		return 10;
	for (int i = 0; i < 20; i++) /* threads may still be made */
		net_job_run(s.loop, job_run, on_job_done, &s);
	net_loop_run(s.loop);
	if (s.jobs != 20 ||
	    net_sandbox_enter(&spec, NULL)) /* too late: the pool's threads are there */
		return 5;
	net_resolve(s.loop, "localhost", on_resolved, &s);
	net_loop_run(s.loop);
	if (!s.resolved)
		return 6;
#if !UNDER_SANITIZER
	if (fork() >= 0 || execl("/bin/true", "true", (char *)NULL) == 0 || errno != EPERM)
		return 7;
	if (socket(AF_PACKET, SOCK_RAW, 0) >= 0 || errno != (may_connect ? EAFNOSUPPORT : EPERM))
		return 8;
	if ((socket(AF_INET, SOCK_DGRAM, 0) >= 0) != may_connect)
		return 9;
#endif
	return 0;
}

static void
check_sandbox(bool may_connect)
{
	char *good = test_dir(), *bad = test_dir();
	int status;

	if (fork() == 0)
		_exit(inside_sandbox(
		    good, bad, syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 2, may_connect));
	wait(&status);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	test_dir_remove(good);
	test_dir_remove(bad);
}

static void
test_sandbox(void **state)
{
	(void)state;
	check_sandbox(false);
	check_sandbox(true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_failed_logins),
		cmocka_unit_test(test_sandbox),
		cmocka_unit_test(test_jobs),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
