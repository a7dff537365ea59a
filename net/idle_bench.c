/* What an idle TLS connection costs: `idle_bench [COUNT]` opens that many to a server in a child
 * process and prints the child's growth per connection, and handshakes per second. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/daemon.h"
#include "net/stream.h"
#include "net/test_util.h"
#include "net/tls.h"

struct bench {
	struct net_tls *tls;
	char *address, *pid_file;
	struct log *log;
};

static void
on_open(void *arg)
{
	struct net_stream **st = arg;
	char text[32];

	snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	net_stream_puts(*st, text);
}

static void
on_input(void *arg)
{
	struct net_stream **st = arg;
	const char *data;
	size_t len;

	net_stream_input(*st, &data, &len);
	net_stream_write(*st, data, len);
	net_stream_consume(*st, len);
}

static void
on_closed(void *arg, enum net_closed why, const char *detail)
{
	(void)why, (void)detail;
	free(arg);
}

static const struct net_stream_events EVENTS = {
	.on_open = on_open,
	.on_input = on_input,
	.on_closed = on_closed,
};

static void
on_accept(struct net_worker *w, struct net_stream *st, void *arg)
{
	struct net_stream **slot = mem_alloc(sizeof(struct net_stream *));
	struct bench *b = arg;

	(void)w;
	*slot = st;
	net_stream_begin(st, &EVENTS, slot);
	net_stream_timeout(st, 1800);
	net_stream_start_tls(st, b->tls);
}

static int
serve(struct bench *b)
{
	struct net_listener_spec listener = {
		.name = "bench", .address = b->address, .on_accept = on_accept, .arg = b
	};
	struct net_daemon_spec spec = { .name = "bench",
		.log = b->log,
		.listeners = &listener,
		.listener_count = 1,
		.workers = 1,
		.pid_file = b->pid_file,
		.arg = b };

	return net_daemon_run(&spec);
}

static long
rss_kb(long pid)
{
	char *path = mem_printf("/proc/%ld/smaps_rollup", pid), line[256];
	FILE *f = fopen(path, "re");
	long kb = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "Private_Dirty:", 14) == 0)
			kb = strtol(line + 14, NULL, 10);
	if (f != NULL)
		fclose(f);
	free(path);
	return kb;
}

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static long
open_one(SSL_CTX *ctx, uint16_t port)
{
	int fd = test_connect(port);
	SSL *ssl = fd >= 0 ? test_tls(ctx, fd, NULL, NULL) : NULL;
	char line[64] = "";

	if (ssl == NULL || !test_tls_read_line(ssl, line, sizeof(line))) {
		fprintf(stderr, "connection failed: %s\n", strerror(errno));
		exit(1);
	}
	return strtol(line, NULL, 10);
}

static void
measure(uint16_t port, int count)
{
	SSL_CTX *ctx = test_client_ctx();
	struct rlimit lim;
	long pid = 0, before_kb;
	double start;

	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
	for (int i = 0; i < 50; i++) /* what is made once */
		pid = open_one(ctx, port);
	before_kb = rss_kb(pid);
	start = now_s();
	for (int i = 0; i < count; i++)
		open_one(ctx, port);
	printf("connections=%d bytes_per_connection=%ld handshakes_per_s=%.0f\n", count,
	    (rss_kb(pid) - before_kb) * 1024 / count, count / (now_s() - start));
}

int
main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 2000;
	char *dir = test_dir(), *cert = mem_printf("%s/c", dir), *key = mem_printf("%s/k", dir);
	uint16_t port = test_free_port();
	struct net_tls_server_spec tls = {
		.certificate = cert, .key = key, .keys = net_tls_keys_new()
	};
	struct bench b = { .address = mem_printf("127.0.0.1:%u", port),
		.pid_file = mem_printf("%s/pid", dir),
		.log = log_open("bench", NULL, LOG_LEVEL_WARN) };
	pid_t pid;

	test_make_cert("bench.example.org", cert, key);
	b.tls = net_tls_server_new(&tls, b.log);
	pid = fork();
	if (pid == 0)
		_exit(serve(&b));
	while (access(b.pid_file, F_OK) != 0 && kill(pid, 0) == 0)
		usleep(1000);
	measure(port, count);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	test_dir_remove(dir);
	return 0;
}
