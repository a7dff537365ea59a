/* A load generator for the benchmarks: simple clients in threads, so that the client costs less than
 * the server it measures.  Prints one number per run; see usage(). */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>

#define LINE_BYTES   65536
#define BUFFER_BYTES 65536
#define THREADS_MAX  256
#define STACK_BYTES  (512 * 1024)

struct client {
	int fd;
	SSL *ssl; /* NULL: in the clear */
	char in[BUFFER_BYTES];
	size_t at, len;
};

static SSL_CTX *tls;

static void
die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct client *
client_open(unsigned port, bool use_tls)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct client *c = calloc(1, sizeof(*c));
	int one = 1;

	if (c == NULL)
		die("memory");
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (use_tls) {
		c->ssl = SSL_new(tls);
		SSL_set_fd(c->ssl, c->fd);
		if (SSL_connect(c->ssl) != 1)
			die("TLS handshake");
	}
	return c;
}

static void
client_close(struct client *c)
{
	if (c->ssl != NULL)
		SSL_free(c->ssl);
	close(c->fd);
	free(c);
}

static void
say(struct client *c, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t done =
		    c->ssl != NULL ? SSL_write(c->ssl, bytes, (int)len) : write(c->fd, bytes, len);
		if (done <= 0)
			die("write");
		bytes += done;
		len -= (size_t)done;
	}
}

static void
says(struct client *c, const char *text)
{
	say(c, text, strlen(text));
}

static size_t
fill(struct client *c)
{
	ssize_t got = c->ssl != NULL ? SSL_read(c->ssl, c->in, BUFFER_BYTES)
				     : read(c->fd, c->in, BUFFER_BYTES);
	if (got <= 0)
		die("read");
	c->at = 0;
	c->len = (size_t)got;
	return c->len;
}

/* One line without its end; longer ones are cut.  Returns the bytes that came. */
static size_t
hear(struct client *c, char line[LINE_BYTES])
{
	size_t n = 0, came = 0;

	for (;;) {
		char b;

		if (c->at == c->len)
			fill(c);
		b = c->in[c->at++];
		came++;
		if (b == '\n')
			break;
		if (n < LINE_BYTES - 1)
			line[n++] = b;
	}
	if (n > 0 && line[n - 1] == '\r')
		n--;
	line[n] = '\0';
	return came;
}

/* An SMTP reply; ends the program unless it begins with `good`. */
static void
expect_smtp(struct client *c, char good)
{
	static _Thread_local char line[LINE_BYTES];

	do
		hear(c, line);
	while (line[3] == '-');
	if (line[0] != good) {
		fprintf(stderr, "load: unexpected: %s\n", line);
		exit(1);
	}
}

/* Reads untagged lines, literals too, up to "<tag> OK"; returns the bytes that came. */
static size_t
expect_tagged(struct client *c, const char *tag)
{
	static _Thread_local char line[LINE_BYTES];
	size_t came = 0, tag_len = strlen(tag);

	for (;;) {
		char *open;
		unsigned long size;

		came += hear(c, line);
		if (strncmp(line, tag, tag_len) == 0 && line[tag_len] == ' ') {
			if (strncmp(line + tag_len, " OK", 3) == 0)
				return came;
			fprintf(stderr, "load: unexpected: %s\n", line);
			exit(1);
		}
		open = strrchr(line, '{');
		if (open == NULL || line[strlen(line) - 1] != '}')
			continue;
		for (size = strtoul(open + 1, NULL, 10); size > 0;) {
			size_t have = c->len - c->at;

			if (have == 0)
				have = fill(c);
			if (have > size)
				have = size;
			c->at += have;
			came += have;
			size -= have;
		}
	}
}

/* --- runs --------------------------------------------------------------------------------------- */

struct run {
	unsigned port, lmtp_port;
	const char *user, *password;
	const char *command, *mailbox;
	long count;
	size_t size;
	atomic_long left;
	atomic_ullong bytes;
};

static char *
message_of(const struct run *r, size_t *len_out)
{
	size_t room = r->size + 1024, n;
	char *m = malloc(room);

	if (m == NULL)
		die("memory");
	n = (size_t)snprintf(m, room,
	    "From: load@example.net\r\nTo: %s\r\nSubject: load\r\nMessage-ID: <%ld@load>\r\n"
	    "Date: Mon, 2 Mar 2026 10:20:30 +0100\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n\r\n",
	    r->user, random());
	while (n + 72 < r->size) {
		memset(m + n, 'x', 70);
		memcpy(m + n + 70, "\r\n", 2);
		n += 72;
	}
	memcpy(m + n, ".\r\n", 3);
	*len_out = n + 3;
	return m;
}

static void *
run_lmtp(void *arg)
{
	struct run *r = arg;
	struct client *c = client_open(r->port, false);
	char envelope[1024];
	size_t len;
	char *message = message_of(r, &len);

	snprintf(envelope, sizeof(envelope),
	    "MAIL FROM:<load@example.net>\r\nRCPT TO:<%s>\r\nDATA\r\n", r->user);
	expect_smtp(c, '2');
	says(c, "LHLO load\r\n");
	expect_smtp(c, '2');
	while (atomic_fetch_sub(&r->left, 1) > 0) {
		says(c, envelope);
		expect_smtp(c, '2');
		expect_smtp(c, '2');
		expect_smtp(c, '3');
		say(c, message, len);
		expect_smtp(c, '2');
	}
	client_close(c);
	free(message);
	return NULL;
}

static struct client *
login(const struct run *r)
{
	static _Thread_local char line[LINE_BYTES];
	struct client *c = client_open(r->port, true);
	char command[1024];

	hear(c, line);
	snprintf(command, sizeof(command), "a LOGIN \"%s\" \"%s\"\r\n", r->user, r->password);
	says(c, command);
	expect_tagged(c, "a");
	return c;
}

static void *
run_login(void *arg)
{
	struct run *r = arg;

	while (atomic_fetch_sub(&r->left, 1) > 0) {
		struct client *c = login(r);

		says(c, "b LOGOUT\r\n");
		expect_tagged(c, "b");
		client_close(c);
	}
	return NULL;
}

static void
select_mailbox(struct client *c, const char *mailbox)
{
	char command[1024];

	snprintf(command, sizeof(command), "s SELECT \"%s\"\r\n", mailbox);
	says(c, command);
	expect_tagged(c, "s");
}

/* The command once to warm up, then count times; returns the seconds of the latter. */
static double
repeat_command(struct run *r)
{
	struct client *c = login(r);
	char command[4096];
	double start = 0;

	select_mailbox(c, r->mailbox);
	snprintf(command, sizeof(command), "c %s\r\n", r->command);
	for (long i = 0; i <= r->count; i++) {
		size_t came;

		says(c, command);
		came = expect_tagged(c, "c");
		if (i == 0)
			start = now_s();
		else
			atomic_fetch_add(&r->bytes, came);
	}
	return now_s() - start;
}

static double
run_threads(struct run *r, void *(*run)(void *), unsigned threads)
{
	pthread_t ids[THREADS_MAX];
	pthread_attr_t attr;
	double start;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	atomic_store(&r->left, r->count);
	start = now_s();
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&ids[i], &attr, run, r) != 0)
			die("thread");
	for (unsigned i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	return now_s() - start;
}

static void
idle_sessions(struct run *r)
{
	struct client **c = calloc((size_t)r->count, sizeof(struct client *));
	static char line[LINE_BYTES];

	if (c == NULL)
		die("memory");
	for (long i = 0; i < r->count; i++) {
		c[i] = login(r);
		select_mailbox(c[i], r->mailbox);
		says(c[i], "i IDLE\r\n");
		do
			hear(c[i], line);
		while (line[0] != '+');
	}
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	for (long i = 0; i < r->count; i++)
		client_close(c[i]);
	free(c);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Median of the time from LMTP's 250 to the EXISTS that an IDLE client hears (0: before it). */
static double
idle_latency(struct run *r)
{
	static char line[LINE_BYTES];
	struct client *imap = login(r), *lmtp = client_open(r->lmtp_port, false);
	double *times = calloc((size_t)r->count, sizeof(double));
	char envelope[1024];
	double median;
	size_t len;
	char *message = message_of(r, &len);

	if (times == NULL)
		die("memory");
	snprintf(envelope, sizeof(envelope),
	    "MAIL FROM:<load@example.net>\r\nRCPT TO:<%s>\r\nDATA\r\n", r->user);
	select_mailbox(imap, r->mailbox);
	says(imap, "i IDLE\r\n");
	do
		hear(imap, line);
	while (line[0] != '+');
	expect_smtp(lmtp, '2');
	says(lmtp, "LHLO load\r\n");
	expect_smtp(lmtp, '2');
	for (long i = 0; i < r->count; i++) {
		double answered;

		says(lmtp, envelope);
		expect_smtp(lmtp, '2');
		expect_smtp(lmtp, '2');
		expect_smtp(lmtp, '3');
		say(lmtp, message, len);
		expect_smtp(lmtp, '2');
		answered = now_s();
		do
			hear(imap, line);
		while (strstr(line, "EXISTS") == NULL);
		times[i] = now_s() - answered;
	}
	qsort(times, (size_t)r->count, sizeof(double), compare);
	median = times[r->count / 2];
	client_close(imap);
	client_close(lmtp);
	free(message);
	free(times);
	return median;
}

static void
usage(void)
{
	fputs("usage: load lmtp PORT RCPT COUNT CONNECTIONS SIZE        deliveries per second\n"
	      "       load login PORT USER PASSWORD COUNT CONNECTIONS    logins per second\n"
	      "       load command PORT USER PASSWORD MAILBOX COMMAND COUNT   seconds each, bytes "
	      "each\n"
	      "       load idle PORT USER PASSWORD COUNT     sessions in IDLE until standard input "
	      "ends\n"
	      "       load latency PORT USER PASSWORD COUNT LMTP-PORT    seconds from 250 to "
	      "EXISTS\n",
	    stderr);
	exit(64);
}

static int
run_mode(int argc, char **argv)
{
	struct run r = {
		.port = (unsigned)atoi(argv[2]), .user = argv[3], .mailbox = "INBOX", .size = 4096
	};
	const char *mode = argv[1];
	double took;

	if (strcmp(mode, "lmtp") == 0 && argc == 7) {
		r.count = atol(argv[4]);
		r.size = (size_t)atol(argv[6]);
		took = run_threads(&r, run_lmtp, (unsigned)atoi(argv[5]));
		printf("%.1f\n", (double)r.count / took);
	} else if (strcmp(mode, "login") == 0 && argc == 7) {
		r.password = argv[4];
		r.count = atol(argv[5]);
		took = run_threads(&r, run_login, (unsigned)atoi(argv[6]));
		printf("%.1f\n", (double)r.count / took);
	} else if (strcmp(mode, "command") == 0 && argc == 8) {
		r.password = argv[4];
		r.mailbox = argv[5];
		r.command = argv[6];
		r.count = atol(argv[7]);
		took = repeat_command(&r);
		printf("%.9f %llu\n", took / (double)r.count,
		    (unsigned long long)r.bytes / (unsigned long long)r.count);
	} else if (strcmp(mode, "idle") == 0 && argc == 6) {
		r.password = argv[4];
		r.count = atol(argv[5]);
		idle_sessions(&r);
	} else if (strcmp(mode, "latency") == 0 && argc == 7) {
		r.password = argv[4];
		r.count = atol(argv[5]);
		r.lmtp_port = (unsigned)atoi(argv[6]);
		printf("%.9f\n", idle_latency(&r));
	} else {
		usage();
	}
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc < 4)
		usage();
	tls = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
	return run_mode(argc, argv);
}
