/* A real daemon in a child process, and clients against it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sanitizer.h"
#include "base/text.h"
#include "net/daemon.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/test_util.h"
#include "net/tls.h"

#define HELLO_TRIES    2000
#define HELLO_PAUSE_US 10000
#define LINE_BYTES     256

/* --- the daemon: one word per line, see COMMANDS --- */

struct service {
	char *dir, *cert, *key, *sni, *pid_file, *unix_path, *plain_address, *tls_address;
	uint16_t plain_port, tls_port;
	struct net_tls *tls;
	struct net_tls_keys *keys;
	struct log *log;
	unsigned generation, drain_s;
	pid_t pid;
};

struct session {
	struct session *next, **prev;
	struct service *service;
	struct net_stream *st;
	struct net_worker *worker;
	size_t big_left; /* bytes of "big" that are still to be written */
	bool in_job, gone, eof;
};

static void
session_free(struct session *s)
{
	*s->prev = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	free(s);
}

static void
reply(struct session *s, const char *text)
{
	net_stream_puts(s->st, text);
	net_stream_puts(s->st, "\n");
}

static void
job_run(void *arg)
{
	(void)arg;
	usleep(400 * 1000);
}

static void
on_job_done(void *arg)
{
	struct session *s = arg;

	s->in_job = false;
	if (s->gone) {
		session_free(s);
		return;
	}
	reply(s, "done");
	net_stream_resume(s->st);
	if (net_worker_draining(s->worker))
		net_stream_close(s->st);
}

static void
write_big(struct session *s)
{
	char bytes[4096];

	memset(bytes, 'x', sizeof(bytes));
	while (s->big_left > 0 && net_stream_pending(s->st) < NET_OUTPUT_HIGH_BYTES) {
		size_t n = s->big_left < sizeof(bytes) ? s->big_left : sizeof(bytes);

		net_stream_write(s->st, bytes, n);
		s->big_left -= n;
	}
}

static void
cmd_facts(struct session *s)
{
	struct buf exporter = { 0 }, endpoint = { 0 }, text = { 0 };

	net_stream_tls_binding(s->st, NET_BINDING_EXPORTER, &exporter);
	net_stream_tls_binding(s->st, NET_BINDING_SERVER_ENDPOINT, &endpoint);
	buf_printf(&text, "%s %s sni=%s resumed=%d ", net_stream_tls_version(s->st),
	    net_stream_peer(s->st), net_stream_tls_sni(s->st), net_stream_tls_resumed(s->st));
	hex_encode(&text, exporter.data, exporter.len);
	buf_addc(&text, ' ');
	hex_encode(&text, endpoint.data, endpoint.len);
	reply(s, buf_cstr(&text));
	buf_free(&exporter);
	buf_free(&endpoint);
	buf_free(&text);
}

static void
run_line(struct session *s, const char *line)
{
	char text[LINE_BYTES];

	if (strncmp(line, "echo ", 5) == 0) {
		reply(s, line + 5);
	} else if (strcmp(line, "pid") == 0) {
		snprintf(text, sizeof(text), "%ld", (long)getpid());
		reply(s, text);
	} else if (strcmp(line, "generation") == 0) {
		snprintf(text, sizeof(text), "%u", s->service->generation);
		reply(s, text);
	} else if (strcmp(line, "starttls") == 0) {
		reply(s, "go");
		net_stream_start_tls(s->st, s->service->tls);
	} else if (strcmp(line, "facts") == 0) {
		cmd_facts(s);
	} else if (strcmp(line, "job") == 0) {
		reply(s, "begun");
		s->in_job = true;
		net_stream_pause(s->st);
		net_job_run(net_stream_loop(s->st), job_run, on_job_done, s);
	} else if (strcmp(line, "silence") == 0) {
		net_stream_timeout(s->st, 1);
		reply(s, "ok");
	} else if (strncmp(line, "big ", 4) == 0) {
		s->big_left = strtoul(line + 4, NULL, 10);
		write_big(s);
	} else if (strcmp(line, "login") == 0) {
		net_stream_logged_in(s->st);
		reply(s, "ok");
	} else if (strcmp(line, "reload_certificates") == 0) {
		reply(s, net_tls_server_reload(s->service->tls) ? "ok" : "broken");
	} else if (strcmp(line, "hang") == 0) {
		net_stream_pause(s->st);
	} else if (strcmp(line, "die") == 0) {
		kill(getpid(), SIGKILL);
	} else {
		reply(s, "bye");
		net_stream_close(s->st);
	}
}

static void
on_open(void *arg)
{
	reply(arg, "welcome");
}

static void
on_input(void *arg)
{
	struct session *s = arg;
	char line[LINE_BYTES];
	const char *data, *lf;
	size_t len;

	while (!s->in_job) {
		net_stream_input(s->st, &data, &len);
		lf = len > 0 ? memchr(data, '\n', len) : NULL;
		if (lf == NULL || (size_t)(lf - data) >= sizeof(line))
			break;
		memcpy(line, data, (size_t)(lf - data));
		line[lf - data] = '\0';
		net_stream_consume(s->st, (size_t)(lf - data) + 1);
		run_line(s, line);
	}
}

static void
on_drained(void *arg)
{
	write_big(arg);
}

static void
on_timeout(void *arg)
{
	struct session *s = arg;

	reply(s, "too quiet");
	net_stream_close(s->st);
}

static void
on_eof(void *arg)
{
	struct session *s = arg;

	s->eof = true;
	net_stream_close(s->st);
}

static void
on_closed(void *arg, enum net_closed why, const char *detail)
{
	struct session *s = arg;

	log_info(s->service->log, "closed", "why=%d detail=%s", (int)why, detail);
	s->gone = true;
	if (!s->in_job)
		session_free(s);
}

static const struct net_stream_events EVENTS = {
	on_open,
	on_input,
	on_drained,
	on_timeout,
	on_eof,
	on_closed,
};

static struct session *
session_new(struct net_worker *w, struct net_stream *st, struct service *service)
{
	struct session **list = net_worker_data(w), *s = mem_zalloc(sizeof(*s));

	s->service = service;
	s->worker = w;
	s->st = st;
	s->next = *list;
	s->prev = list;
	if (s->next != NULL)
		s->next->prev = &s->next;
	*list = s;
	net_stream_begin(st, &EVENTS, s);
	return s;
}

static void
on_accept_plain(struct net_worker *w, struct net_stream *st, void *arg)
{
	reply(session_new(w, st, arg), "hello");
}

static void
on_accept_tls(struct net_worker *w, struct net_stream *st, void *arg)
{
	struct service *service = arg;

	session_new(w, st, service);
	net_stream_start_tls(st, service->tls);
}

static bool
worker_start(struct net_worker *w, void *arg)
{
	struct service *service = arg;

	if (service->generation == 99) {
		log_error(service->log, "test", "error=%s", "this generation does not start");
		return false;
	}
	net_worker_set_data(w, mem_zalloc(sizeof(struct session *)));
	return true;
}

static void
worker_drain(struct net_worker *w, enum net_drain how, void *arg)
{
	struct session **list = net_worker_data(w);

	(void)arg;
	for (struct session *s = *list; how == NET_DRAIN_END && s != NULL; s = s->next) {
		if (s->in_job)
			continue;
		reply(s, "shutting down");
		net_stream_close(s->st);
	}
}

static void
worker_stop(struct net_worker *w, void *arg)
{
	(void)arg;
	free(net_worker_data(w));
}

/* Is this reload to go wrong so?  A file asks for it; that it is gone tells that it was seen. */
static bool
is_asked(const struct service *s, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	return unlink(path) == 0;
}

static bool
reload(void *arg, unsigned *workers)
{
	struct service *service = arg;

	if (is_asked(service, "refuse"))
		return false;
	service->generation = is_asked(service, "broken") ? 99 : service->generation + 1;
	*workers = 2;
	return true;
}

static int
run_daemon(struct service *s)
{
	struct net_listener_spec listeners[] = {
		{ .name = "plain",
		    .address = s->plain_address,
		    .on_accept = on_accept_plain,
		    .arg = s,
		    .limits = { .per_address_max = 6 },
		    .refusal = "too many\n" },
		{ .name = "tls", .address = s->tls_address, .on_accept = on_accept_tls, .arg = s },
		{ .name = "unix",
		    .address = s->unix_path,
		    .on_accept = on_accept_plain,
		    .arg = s,
		    .unix_mode = 0660 },
	};
	struct net_daemon_spec spec = { .name = "test",
		.log = s->log,
		.listeners = listeners,
		.listener_count = ARRAY_LEN(listeners),
		.workers = 2,
		.threads = 2,
		.pid_file = s->pid_file,
		.drain_s = s->drain_s,
		.reload_drain_s = 30,
		.tls_keys = s->keys,
		.worker_start = worker_start,
		.worker_drain = worker_drain,
		.worker_stop = worker_stop,
		.reload = reload,
		.arg = s };

	return net_daemon_run(&spec);
}

/* --- starting and stopping it --- */

static void
start_daemon(struct service *s)
{
	fflush(NULL);
	s->pid = fork();
	if (s->pid == 0)
		_exit(run_daemon(s));
}

static int
wait_daemon(struct service *s)
{
	int status = 0;

	waitpid(s->pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool
is_ready(const struct service *s)
{
	return access(s->pid_file, F_OK) == 0;
}

static struct service *
service_new(void)
{
	struct service *s = mem_zalloc(sizeof(*s));
	char *log_path;

	s->dir = test_dir();
	s->cert = mem_printf("%s/default.crt", s->dir);
	s->key = mem_printf("%s/default.key", s->dir);
	s->sni = mem_printf("%s/sni", s->dir);
	s->pid_file = mem_printf("%s/pid", s->dir);
	s->unix_path = mem_printf("%s/socket", s->dir);
	log_path = mem_printf("%s/log", s->dir);
	s->log = log_open("test", log_path, LOG_LEVEL_DEBUG);
	free(log_path);
	s->plain_port = test_free_port();
	s->tls_port = test_free_port();
	s->plain_address = mem_printf("127.0.0.1:%u", s->plain_port);
	s->tls_address = mem_printf("localhost:%u", s->tls_port);
	s->drain_s = 5;
	s->generation = 1;
	return s;
}

static void
make_certs(struct service *s)
{
	char *dir = mem_printf("%s/two.example.org", s->sni);
	char *paths[] = { mem_printf("%s/one.example.org.crt", s->sni),
		mem_printf("%s/one.example.org.key", s->sni), mem_printf("%s/fullchain.pem", dir),
		mem_printf("%s/privkey.pem", dir), mem_printf("%s/*.wild.example.org.crt", s->sni),
		mem_printf("%s/*.wild.example.org.key", s->sni) };

	assert_int_equal(mkdir(s->sni, 0700), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	test_make_cert("default.example.org", s->cert, s->key);
	test_make_cert("one.example.org", paths[0], paths[1]);
	test_make_cert("two.example.org", paths[2], paths[3]);
	test_make_cert("*.wild.example.org", paths[4], paths[5]);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		free(paths[i]);
	free(dir);
}

static int
setup(void **state)
{
	struct service *s = service_new();
	struct net_tls_server_spec tls;

	make_certs(s);
	s->keys = net_tls_keys_new();
	tls = (struct net_tls_server_spec){
		.certificate = s->cert, .key = s->key, .sni_dir = s->sni, .keys = s->keys
	};
	s->tls = net_tls_server_new(&tls, s->log);
	assert_non_null(s->tls);
	start_daemon(s);
	test_wait_until(is_ready(s));
	*state = s;
	return 0;
}

static void
service_free(struct service *s)
{
	net_tls_free(s->tls);
	net_tls_keys_free(s->keys);
	log_close(s->log);
	free(s->cert);
	free(s->key);
	free(s->sni);
	free(s->pid_file);
	free(s->unix_path);
	free(s->plain_address);
	free(s->tls_address);
	test_dir_remove(s->dir);
	free(s);
}

static void
print_log(const struct service *s)
{
	char *command = mem_printf("cat %s/log >&2", s->dir);

	if (system(command) != 0)
		perror(command);
	free(command);
}

static int
teardown(void **state)
{
	struct service *s = *state;
	int status;

	kill(s->pid, SIGTERM);
	status = wait_daemon(s);
	if (status != 0)
		print_log(s);
	assert_int_equal(status, 0);
	assert_false(is_ready(s));
	assert_int_not_equal(access(s->unix_path, F_OK), 0);
	service_free(s);
	return 0;
}

/* --- clients --- */

static void
say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void
expect(int fd, const char *want)
{
	char line[LINE_BYTES];

	if (!test_read_line(fd, line, sizeof(line)) || strcmp(line, want) != 0)
		fail_msg("got \"%s\", not \"%s\"", line, want);
}

/* A connection that was welcomed.  Places of connections that were closed a moment ago may still be
 * counted: such a refusal is tried again, for a generous time. */
static int
hello(const struct service *s)
{
	char line[LINE_BYTES] = "";
	int fd;

	for (int tries = 0; tries < HELLO_TRIES; tries++) {
		fd = test_connect(s->plain_port);
		assert_true(fd >= 0);
		if (test_read_line(fd, line, sizeof(line)) && strcmp(line, "hello\n") == 0)
			return fd;
		close(fd);
		usleep(HELLO_PAUSE_US);
	}
	fail_msg("got \"%s\", not a welcome", line);
	return -1;
}

static long
ask_number(int fd, const char *command)
{
	char line[LINE_BYTES];

	say(fd, command);
	assert_true(test_read_line(fd, line, sizeof(line)));
	return strtol(line, NULL, 10);
}

static void
expect_end(int fd)
{
	char byte;

	assert_true(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
}

static void
test_echo(void **state)
{
	struct service *s = *state;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = hello(s);

	say(fd, "echo one\necho two\nec"); /* pipelined, and cut in a word */
	expect(fd, "one\n");
	expect(fd, "two\n");
	say(fd, "ho three\nquit\n");
	expect(fd, "three\n");
	expect(fd, "bye\n");
	expect_end(fd);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", s->unix_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	expect(fd, "hello\n");
	close(fd);
}

static void
test_job(void **state)
{
	int fd = hello(*state);

	say(fd, "job\necho after\n"); /* the second line waits for the job */
	expect(fd, "begun\n");
	expect(fd, "done\n");
	expect(fd, "after\n");
	close(fd);
}

static void
test_silence(void **state)
{
	int fd = hello(*state);

	say(fd, "silence\n");
	expect(fd, "ok\n");
	expect(fd, "too quiet\n");
	expect_end(fd);
}

static SSL *
tls_hello(const struct service *s, SSL_CTX *ctx, const char *sni, SSL_SESSION *resume)
{
	int fd = test_connect(s->tls_port);
	char line[LINE_BYTES];
	SSL *ssl;

	assert_true(fd >= 0);
	ssl = test_tls(ctx, fd, sni, resume);
	assert_non_null(ssl);
	assert_true(test_tls_read_line(ssl, line, sizeof(line)));
	assert_string_equal(line, "welcome\n");
	return ssl;
}

static void
tls_ask(SSL *ssl, const char *command, char line[static LINE_BYTES])
{
	assert_int_equal(SSL_write(ssl, command, (int)strlen(command)), strlen(command));
	assert_true(test_tls_read_line(ssl, line, LINE_BYTES));
}

static void
tls_bye(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

static const struct {
	const char *asked, *shown;
} NAMES[] = {
	{ NULL, "default.example.org" },
	{ "one.example.org", "one.example.org" },
	{ "ONE.Example.org", "one.example.org" },
	{ "two.example.org", "two.example.org" },
	{ "a.wild.example.org", "*.wild.example.org" },
	{ "a.b.wild.example.org", "default.example.org" }, /* a wildcard is one label */
	{ "unknown.example.org", "default.example.org" },
};

static void
test_sni(void **state)
{
	SSL_CTX *ctx = test_client_ctx();
	char name[LINE_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
		SSL *ssl = tls_hello(*state, ctx, NAMES[i].asked, NULL);

		test_tls_peer_name(ssl, name, sizeof(name));
		assert_string_equal(name, NAMES[i].shown);
		tls_bye(ssl);
	}
	SSL_CTX_free(ctx);
}

static void
exporter_hex(SSL *ssl, struct buf *hex)
{
	unsigned char key[32];

	assert_int_equal(SSL_export_keying_material(ssl, key, sizeof(key),
			     "EXPORTER-Channel-Binding", 24, (const unsigned char *)"", 0, 1),
	    1);
	hex_encode(hex, key, sizeof(key));
}

/* Both ends see the same bindings; a second connection resumes, whichever worker has it. */
static void
check_resumption(struct service *s, int version)
{
	SSL_CTX *ctx = test_client_ctx();
	char line[LINE_BYTES], again[LINE_BYTES];
	SSL *ssl;
	SSL_SESSION *session;
	struct buf hex = { 0 };

	SSL_CTX_set_max_proto_version(ctx, version);
	ssl = tls_hello(s, ctx, "one.example.org", NULL);
	tls_ask(ssl, "facts\n", line);
	exporter_hex(ssl, &hex);
	assert_non_null(strstr(line, buf_cstr(&hex)));
	assert_non_null(strstr(line, "sni=one.example.org resumed=0"));
	session = SSL_get1_session(ssl);
	tls_bye(ssl);
	for (int i = 0; i < 6; i++) {
		ssl = tls_hello(s, ctx, "one.example.org", session);
		if (SSL_session_reused(ssl) != 1)
			fail_msg("%s, connection %d", SSL_get_version(ssl), i);
		tls_ask(ssl, "facts\n", again);
		assert_non_null(strstr(again, "sni=one.example.org resumed=1"));
		/* tls-server-end-point is still that certificate's */
		assert_string_equal(strrchr(again, ' '), strrchr(line, ' '));
		SSL_SESSION_free(session); /* of TLS 1.3 each is used once */
		session = SSL_get1_session(ssl);
		tls_bye(ssl);
	}
	SSL_SESSION_free(session);
	SSL_CTX_free(ctx);
	buf_free(&hex);
}

static void
test_resumption(void **state)
{
	check_resumption(*state, TLS1_3_VERSION);
	check_resumption(*state, TLS1_2_VERSION);
}

static void
expect_name(struct service *s, const char *want)
{
	SSL_CTX *ctx = test_client_ctx();
	SSL *ssl = tls_hello(s, ctx, NULL, NULL);
	char name[LINE_BYTES];

	test_tls_peer_name(ssl, name, sizeof(name));
	assert_string_equal(name, want);
	tls_bye(ssl);
	SSL_CTX_free(ctx);
}

static void
ask_reload(struct service *s, const char *want)
{
	long seen[2] = { 0 }, pid;
	int fd, fds[64], n = 0;

	/* until both workers have done it */
	for (; n < 64 && seen[1] == 0; n++) {
		fd = fds[n] = hello(s);
		say(fd, "login\n");
		expect(fd, "ok\n");
		pid = ask_number(fd, "pid\n");
		if (pid == seen[0])
			continue;
		seen[seen[0] != 0] = pid;
		say(fd, "reload_certificates\n");
		expect(fd, want);
	}
	while (n > 0)
		close(fds[--n]);
	assert_int_not_equal(seen[1], 0);
}

static void
test_certificate_reload(void **state)
{
	struct service *s = *state;

	test_write_file(s->cert, "-----BEGIN CERTIFICATE-----\nnot one\n");
	ask_reload(s, "broken\n");
	expect_name(s, "default.example.org"); /* the old one stays */
	test_make_cert("renewed.example.org", s->cert, s->key);
	ask_reload(s, "ok\n");
	expect_name(s, "renewed.example.org");
}

static void
test_starttls(void **state)
{
	SSL_CTX *ctx = test_client_ctx();
	int fd = hello(*state);
	char line[LINE_BYTES];
	SSL *ssl;

	say(fd, "starttls\n");
	expect(fd, "go\n");
	ssl = test_tls(ctx, fd, NULL, NULL);
	assert_non_null(ssl);
	assert_true(test_tls_read_line(ssl, line, sizeof(line)));
	tls_ask(ssl, "echo secret\n", line);
	assert_string_equal(line, "secret\n");
	tls_bye(ssl);
	SSL_CTX_free(ctx);
}

static void
test_starttls_injection(void **state)
{
	int fd = hello(*state);
	char line[LINE_BYTES];

	say(fd, "starttls\necho injected\n");
	while (test_read_line(fd, line, sizeof(line)))
		assert_null(strstr(line, "injected"));
	close(fd);

	fd = hello(*state); /* behind the go-ahead it is no TLS record */
	say(fd, "starttls\n");
	expect(fd, "go\n");
	say(fd, "echo injected\n");
	while (test_read_line(fd, line, sizeof(line)))
		assert_null(strstr(line, "injected"));
	close(fd);
}

/* How much a worker may grow under an attack.  ASan keeps up to 256 MiB of what is freed. */
#if UNDER_SANITIZER
#define GROWTH_MAX_KB (320 * 1024)
#else
#define GROWTH_MAX_KB (32 * 1024)
#endif

static long
memory_kb(long pid)
{
	char *path = mem_printf("/proc/%ld/status", pid), line[LINE_BYTES];
	FILE *f = fopen(path, "re");
	long kb = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmRSS:", 6) == 0)
			kb = strtol(line + 6, NULL, 10);
	if (f != NULL)
		fclose(f);
	free(path);
	return kb;
}

/* 64 MB for a client that does not read: the worker holds a bounded part of it and goes on. */
static void
test_slow_reader(void **state)
{
	enum { BIG = 64 * 1024 * 1024 };
	SSL_CTX *ctx = test_client_ctx();
	SSL *ssl = tls_hello(*state, ctx, NULL, NULL);
	static char bytes[65536], line[LINE_BYTES];
	long pid, before_kb;
	size_t got = 0;
	int n;

	tls_ask(ssl, "pid\n", line);
	pid = strtol(line, NULL, 10);
	before_kb = memory_kb(pid);
	snprintf(line, sizeof(line), "big %d\n", BIG);
	assert_true(SSL_write(ssl, line, (int)strlen(line)) > 0);
	usleep(300 * 1000);
	assert_in_range(memory_kb(pid), 0, before_kb + 32 * 1024); /* ASan keeps what is freed */
	while (got < BIG && (n = SSL_read(ssl, bytes, sizeof(bytes))) > 0)
		got += (size_t)n;
	assert_int_equal(got, BIG);
	tls_ask(ssl, "echo still here\n", line);
	assert_string_equal(line, "still here\n");
	tls_bye(ssl);
	SSL_CTX_free(ctx);
}

/* Each KeyUpdate asks for one in answer (RFC 8446 §4.6.3): who sends them and never reads is cut off,
 * and others are served meanwhile. */
static void
test_key_update_flood(void **state)
{
	SSL_CTX *ctx = test_client_ctx();
	SSL *ssl = tls_hello(*state, ctx, NULL, NULL), *other;
	int updates = 0;
	char line[LINE_BYTES];
	long pid, before_kb;

	tls_ask(ssl, "pid\n", line);
	pid = strtol(line, NULL, 10);
	before_kb = memory_kb(pid);
	while (updates < 2000000 && SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 &&
	       SSL_do_handshake(ssl) == 1)
		if (++updates == 1000) {
			other = tls_hello(*state, ctx, NULL, NULL);
			tls_ask(other, "echo served\n", line);
			assert_string_equal(line, "served\n");
			tls_bye(other);
		}
	assert_in_range(updates, 1000, 1999999);
	assert_in_range(memory_kb(pid), 0, before_kb + GROWTH_MAX_KB);
	close(SSL_get_fd(ssl));
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

/* Input that nobody consumes stops being read. */
static void
test_input_backpressure(void **state)
{
	static char bytes[65536];
	int fd = hello(*state);
	size_t sent = 0;
	ssize_t n;

	say(fd, "silence\n");
	expect(fd, "ok\n");
	memset(bytes, 'y', sizeof(bytes)); /* no LF: never a line */
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int quiet = 0; quiet < 20;) {
		n = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
		if (n > 0) {
			sent += (size_t)n;
			quiet = 0;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		quiet++;
		usleep(10 * 1000);
	}
	assert_in_range(sent, 65536, 32 * 1024 * 1024); /* our limit and the kernel's buffers */
	fcntl(fd, F_SETFL, 0);
	expect(fd, "too quiet\n"); /* nothing moves: the time limit still holds */
	close(fd);
}

static void
test_address_limit(void **state)
{
	struct service *s = *state;
	int fds[6], fd;

	for (int i = 0; i < 6; i++)
		fds[i] = hello(s);
	fd = test_connect(s->plain_port);
	expect(fd, "too many\n");
	expect_end(fd);
	say(fds[0], "login\n"); /* gives its place back */
	expect(fds[0], "ok\n");
	fd = hello(s);
	close(fd);
	for (int i = 0; i < 6; i++)
		close(fds[i]);
	close(hello(s));
}

static bool
both_answer(struct service *s)
{
	long first = 0;

	for (int i = 0; i < 20; i++) {
		int fd = hello(s);
		long pid = ask_number(fd, "pid\n");

		close(fd);
		if (first != 0 && pid != first)
			return true;
		first = pid;
	}
	return false;
}

static void
test_worker_killed(void **state)
{
	struct service *s = *state;
	char line[LINE_BYTES];
	int fds[2], fd;

	fds[0] = hello(s);
	fds[1] = hello(s);
	for (int round = 0; round < 5; round++) { /* more often than connections could leak */
		fd = hello(s);
		say(fd, "die\n");
		expect_end(fd);
		fd = test_connect(s->plain_port); /* the other worker, or the new one */
		assert_true(fd >= 0);
		assert_true(test_read_line(fd, line, sizeof(line)));
		close(fd);
		usleep(50 * 1000);
	}
	close(fds[0]);
	close(fds[1]);
	test_wait_until(both_answer(s)); /* which takes longer each time */
}

static long
generation_of_new(struct service *s)
{
	int fd = hello(s);
	long generation = ask_number(fd, "generation\n");

	close(fd);
	return generation;
}

/* For a moment after a reload both generations accept. */
static bool
new_are_all(struct service *s, long generation)
{
	for (int i = 0; i < 50; i++)
		if (generation_of_new(s) != generation)
			return false;
	return true;
}

/* Reloads, and it is to go wrong so. */
static void
reload_badly(struct service *s, const char *name)
{
	char *path = mem_printf("%s/%s", s->dir, name);

	test_write_file(path, "");
	kill(s->pid, SIGHUP);
	test_wait_until(access(path, F_OK) != 0);
	free(path);
}

static void
test_reload(void **state)
{
	struct service *s = *state;
	int old = hello(s);

	assert_int_equal(ask_number(old, "generation\n"), 1);
	kill(s->pid, SIGHUP);
	test_wait_until(new_are_all(s, 2));
	say(old, "echo the old session goes on\n");
	expect(old, "the old session goes on\n");
	assert_int_equal(ask_number(old, "generation\n"), 1);
	close(old);

	reload_badly(s, "refuse");
	assert_true(new_are_all(s, 2));
	reload_badly(s, "broken"); /* the new workers do not start: the old ones stay */
	for (int i = 0; i < 10; i++) {
		assert_true(new_are_all(s, 2));
		usleep(30 * 1000);
	}
}

static void
test_graceful_end(void **state)
{
	struct service *s = *state;
	int idle = hello(s), busy = hello(s);

	say(busy, "job\n");
	expect(busy, "begun\n");
	kill(s->pid, SIGTERM);
	expect(idle, "shutting down\n");
	expect_end(idle);
	expect(busy, "done\n"); /* the job in hand is finished and answered */
	expect_end(busy);
	assert_int_equal(wait_daemon(s), 0);
	assert_int_equal(test_connect(s->plain_port), -1);
	start_daemon(s); /* at once, on the same ports and socket */
	test_wait_until(is_ready(s));
	close(hello(s));
}

static void
test_drain_is_bounded(void **state)
{
	struct service *s = *state;
	int fd = hello(s);

	(void)fd;
	kill(s->pid, SIGTERM);
	assert_int_equal(wait_daemon(s), 0);
	close(fd);
	s->drain_s = 1;
	start_daemon(s);
	test_wait_until(is_ready(s));
	fd = hello(s);
	say(fd, "big 50000000\n"); /* and never read it: the session cannot end by itself */
	usleep(100 * 1000);
	kill(s->pid, SIGTERM);
	assert_int_equal(wait_daemon(s), 0);
	close(fd);
	start_daemon(s);
	test_wait_until(is_ready(s));
}

static bool
nobody_listens(const struct service *s)
{
	int fd = test_connect(s->plain_port);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static void
test_parent_killed(void **state)
{
	struct service *s = *state;
	int fd = hello(s), status;
	long worker = ask_number(fd, "pid\n");

	kill(s->pid, SIGKILL);
	waitpid(s->pid, &status, 0);
	expect(fd, "shutting down\n"); /* workers do not outlive it */
	expect_end(fd);
	test_wait_until(kill((pid_t)worker, 0) != 0 || memory_kb(worker) == 0);
	test_wait_until(nobody_listens(s)); /* the other worker too */
	unlink(s->pid_file);
	start_daemon(s); /* over the stale UNIX socket */
	test_wait_until(is_ready(s));
	close(hello(s));
}

static bool
log_has(const struct service *s, const char *text)
{
	char *path = mem_printf("%s/log", s->dir), line[1024];
	FILE *f = fopen(path, "re");
	bool found = false;

	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = strstr(line, text) != NULL;
	if (f != NULL)
		fclose(f);
	free(path);
	return found;
}

static void
test_port_taken(void **state)
{
	struct service *s = *state, *second = service_new();
	struct net_tls_server_spec tls = { .certificate = s->cert, .key = s->key };

	second->tls = net_tls_server_new(&tls, second->log);
	free(second->plain_address);
	second->plain_address = mem_strdup(s->plain_address);
	start_daemon(second);
	assert_int_equal(wait_daemon(second), EX_UNAVAILABLE);
	assert_true(log_has(second, "listener=plain"));
	assert_true(log_has(second, second->plain_address));
	assert_true(log_has(second, "Address already in use"));
	assert_false(is_ready(second));
	second->generation = 99; /* nor is it ready when its workers do not start */
	free(second->plain_address);
	second->plain_address = mem_printf("127.0.0.1:%u", second->plain_port);
	start_daemon(second);
	assert_int_equal(wait_daemon(second), EX_CONFIG);
	assert_false(is_ready(second));
	service_free(second);
}

static void
test_bad_tls_files(void **state)
{
	struct service *s = *state;
	char *missing = mem_printf("%s/missing", s->dir);
	struct net_tls_server_spec spec = { .certificate = missing, .key = s->key };

	assert_null(net_tls_server_new(&spec, s->log));
	spec = (struct net_tls_server_spec){ .certificate = s->key, .key = s->cert }; /* swapped */
	assert_null(net_tls_server_new(&spec, s->log));
	free(missing);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_job),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_sni),
		cmocka_unit_test(test_resumption),
		cmocka_unit_test(test_certificate_reload),
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_starttls_injection),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_key_update_flood),
		cmocka_unit_test(test_input_backpressure),
		cmocka_unit_test(test_address_limit),
		cmocka_unit_test(test_worker_killed),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_graceful_end),
		cmocka_unit_test(test_drain_is_bounded),
		cmocka_unit_test(test_parent_killed),
		cmocka_unit_test(test_port_taken),
		cmocka_unit_test(test_bad_tls_files),
	};

	signal(SIGPIPE, SIG_IGN); /* a client that is cut off may still be writing */
	return cmocka_run_group_tests(tests, setup, teardown);
}
