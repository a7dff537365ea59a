/* A load generator for the benchmarks: simple clients in threads, so that the client costs less than
 * the server it measures.  Prints the figures of one run on one line; see usage(). */
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
#define NAME_BYTES   256

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
	const char *user, *password; /* a '#' in user is each connection's number */
	const char *mailbox;
	long count;
	size_t size; /* of a message */
	atomic_long left;
};

struct worker { /* a thread of a run, with one connection */
	struct run *run;
	unsigned number;
};

static const char *
user_of(const struct run *r, unsigned number, char name[static NAME_BYTES])
{
	const char *hash = strchr(r->user, '#');

	if (hash == NULL)
		return r->user;
	snprintf(name, NAME_BYTES, "%.*s%u%s", (int)(hash - r->user), r->user, number, hash + 1);
	return name;
}

/* Lines of text up to r->size bytes in all. */
static char *
message_of(const struct run *r, size_t *len_out)
{
	size_t room = r->size + 1024, n;
	char *m = malloc(room);

	if (m == NULL)
		die("memory");
	n = (size_t)snprintf(m, room,
	    "From: load@example.net\r\nTo: you@example.org\r\nSubject: load\r\n"
	    "Message-ID: <%ld@load>\r\nDate: Mon, 2 Mar 2026 10:20:30 +0100\r\nMIME-Version: "
	    "1.0\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n\r\n",
	    random());
	while (n + 72 < r->size) {
		memset(m + n, 'x', 70);
		memcpy(m + n + 70, "\r\n", 2);
		n += 72;
	}
	*len_out = n;
	return m;
}

static struct client *
lmtp_open(unsigned port)
{
	struct client *c = client_open(port, false);

	expect_smtp(c, '2');
	says(c, "LHLO load\r\n");
	expect_smtp(c, '2');
	return c;
}

static void
lmtp_deliver(struct client *c, const char *rcpt, const char *message, size_t len)
{
	char envelope[1024];

	snprintf(envelope, sizeof(envelope),
	    "MAIL FROM:<load@example.net>\r\nRCPT TO:<%s>\r\nDATA\r\n", rcpt);
	says(c, envelope);
	expect_smtp(c, '2');
	expect_smtp(c, '2');
	expect_smtp(c, '3');
	say(c, message, len);
	says(c, ".\r\n");
	expect_smtp(c, '2');
}

static void *
run_lmtp(void *arg)
{
	struct worker *w = arg;
	struct run *r = w->run;
	struct client *c = lmtp_open(r->port);
	char name[NAME_BYTES];
	size_t len;
	char *message = message_of(r, &len);

	while (atomic_fetch_sub(&r->left, 1) > 0)
		lmtp_deliver(c, user_of(r, w->number, name), message, len);
	client_close(c);
	free(message);
	return NULL;
}

static struct client *
login(const struct run *r, unsigned number)
{
	static _Thread_local char line[LINE_BYTES];
	struct client *c = client_open(r->port, true);
	char command[1024], name[NAME_BYTES];

	hear(c, line);
	snprintf(command, sizeof(command), "a LOGIN \"%s\" \"%s\"\r\n", user_of(r, number, name),
	    r->password);
	says(c, command);
	expect_tagged(c, "a");
	return c;
}

static void *
run_login(void *arg)
{
	struct worker *w = arg;

	while (atomic_fetch_sub(&w->run->left, 1) > 0) {
		struct client *c = login(w->run, w->number);

		says(c, "b LOGOUT\r\n");
		expect_tagged(c, "b");
		client_close(c);
	}
	return NULL;
}

static size_t
command(struct client *c, const char *text)
{
	char line[4096];

	snprintf(line, sizeof(line), "c %s\r\n", text);
	says(c, line);
	return expect_tagged(c, "c");
}

static void
select_mailbox(struct client *c, const char *mailbox)
{
	char text[1024];

	snprintf(text, sizeof(text), "SELECT \"%s\"", mailbox);
	command(c, text);
}

static void *
run_append(void *arg)
{
	static _Thread_local char line[LINE_BYTES];
	struct worker *w = arg;
	struct run *r = w->run;
	struct client *c = login(r, w->number);
	char text[1024];
	size_t len;
	char *message = message_of(r, &len);

	snprintf(text, sizeof(text), "c APPEND \"%s\" (\\Seen) {%zu}\r\n", r->mailbox, len);
	while (atomic_fetch_sub(&r->left, 1) > 0) {
		says(c, text);
		do
			hear(c, line);
		while (line[0] != '+');
		say(c, message, len);
		says(c, "\r\n");
		expect_tagged(c, "c");
	}
	client_close(c);
	free(message);
	return NULL;
}

/* The commands in turn, warm times before the clock runs and count times after. */
static void
repeat_commands(struct run *r, long warm, char **commands, long command_count)
{
	struct client *c = login(r, 0);
	unsigned long long bytes = 0;
	double start = now_s();

	select_mailbox(c, r->mailbox);
	for (long i = -warm; i < r->count; i++) {
		size_t came;

		if (i <= 0)
			start = now_s();
		came = command(c, commands[(i + warm) % command_count]);
		if (i >= 0)
			bytes += came;
	}
	printf("%.9f %llu\n", (now_s() - start) / (double)r->count,
	    bytes / (unsigned long long)r->count);
}

static double
run_threads(struct run *r, void *(*run)(void *), unsigned threads)
{
	struct worker workers[THREADS_MAX];
	pthread_t ids[THREADS_MAX];
	pthread_attr_t attr;
	double start;

	if (threads > THREADS_MAX)
		threads = THREADS_MAX;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	atomic_store(&r->left, r->count);
	start = now_s();
	for (unsigned i = 0; i < threads; i++) {
		workers[i] = (struct worker){ r, i };
		if (pthread_create(&ids[i], &attr, run, &workers[i]) != 0)
			die("thread");
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	return now_s() - start;
}

static void
idle_begin(struct client *c, const char *mailbox)
{
	static char line[LINE_BYTES];

	select_mailbox(c, mailbox);
	says(c, "i IDLE\r\n");
	do
		hear(c, line);
	while (line[0] != '+');
}

/* COMPRESS, RFC 4978, and IDLE as a stored block of DEFLATE, so that no compressor is needed here. */
static void
idle_compressed(struct client *c, const char *mailbox)
{
	static const char IDLE[] = "\0\x08\0\xf7\xff"
				   "i IDLE\r\n";
	static const char FLUSH[] = "\0\0\0\xff\xff";

	select_mailbox(c, mailbox);
	command(c, "COMPRESS DEFLATE");
	say(c, IDLE, sizeof(IDLE) - 1);
	say(c, FLUSH, sizeof(FLUSH) - 1);
	fill(c); /* "+ idling", packed */
}

static void
idle_sessions(struct run *r, void (*begin)(struct client *c, const char *mailbox))
{
	for (long i = 0; i < r->count; i++)
		begin(login(r, (unsigned)i), r->mailbox);
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Median and worst. */
static void
print_times(double *times, long count)
{
	qsort(times, (size_t)count, sizeof(double), compare);
	printf("%.9f %.9f\n", times[count / 2], times[count - 1]);
}

static double *
times_new(long count)
{
	double *times = calloc((size_t)count, sizeof(double));

	if (times == NULL)
		die("memory");
	return times;
}

/* Each time one connection makes a change, then another says the command. */
static void
command_after(struct run *r, const char *text, char **changes, long change_count)
{
	struct client *changer = login(r, 0), *asker = login(r, 0);
	double *times = times_new(r->count);

	select_mailbox(changer, r->mailbox);
	select_mailbox(asker, r->mailbox);
	for (long i = 0; i < r->count; i++) {
		double start;

		command(changer, changes[i % change_count]);
		start = now_s();
		command(asker, text);
		times[i] = now_s() - start;
	}
	print_times(times, r->count);
}

/* From LMTP's 250 to the EXISTS that an IDLE client hears (0: before it). */
static void
idle_latency(struct run *r)
{
	static char line[LINE_BYTES];
	struct client *imap = login(r, 0), *lmtp = lmtp_open(r->lmtp_port);
	double *times = times_new(r->count);
	size_t len;
	char *message = message_of(r, &len);

	idle_begin(imap, r->mailbox);
	for (long i = 0; i < r->count; i++) {
		double answered;

		lmtp_deliver(lmtp, r->user, message, len);
		answered = now_s();
		do
			hear(imap, line);
		while (strstr(line, "EXISTS") == NULL);
		times[i] = now_s() - answered;
	}
	print_times(times, r->count);
	free(message);
}

static void
usage(void)
{
	fputs(
	    "usage: load lmtp PORT RCPT COUNT CONNECTIONS SIZE                deliveries per "
	    "second\n"
	    "       load login PORT USER PASSWORD COUNT CONNECTIONS           logins per second\n"
	    "       load append PORT USER PASSWORD MAILBOX COUNT CONNECTIONS SIZE  per second\n"
	    "       load command PORT USER PASSWORD MAILBOX WARM COUNT COMMAND...  seconds and\n"
	    "            bytes of each, after WARM ones that do not count\n"
	    "       load after PORT USER PASSWORD MAILBOX COUNT COMMAND CHANGE...  seconds of "
	    "COMMAND\n"
	    "            right after another connection's CHANGE, median and worst\n"
	    "       load idle PORT USER PASSWORD COUNT          sessions in IDLE until end of "
	    "input\n"
	    "       load idle-compressed PORT USER PASSWORD COUNT   the same behind COMPRESS\n"
	    "       load latency PORT USER PASSWORD COUNT LMTP-PORT   seconds from 250 to EXISTS,\n"
	    "            median and worst\n"
	    "A # in RCPT or USER is the number of the connection.\n",
	    stderr);
	exit(64);
}

/* --- modes: argv begins behind the port --- */

static void
mode_lmtp(struct run *r, char **argv, int argc)
{
	(void)argc;
	r->user = argv[0];
	r->count = atol(argv[1]);
	r->size = (size_t)atol(argv[3]);
	printf("%.1f\n", (double)r->count / run_threads(r, run_lmtp, (unsigned)atoi(argv[2])));
}

static void
mode_login(struct run *r, char **argv, int argc)
{
	(void)argc;
	r->count = atol(argv[2]);
	printf("%.1f\n", (double)r->count / run_threads(r, run_login, (unsigned)atoi(argv[3])));
}

static void
mode_append(struct run *r, char **argv, int argc)
{
	(void)argc;
	r->mailbox = argv[2];
	r->count = atol(argv[3]);
	r->size = (size_t)atol(argv[5]);
	printf("%.1f\n", (double)r->count / run_threads(r, run_append, (unsigned)atoi(argv[4])));
}

static void
mode_command(struct run *r, char **argv, int argc)
{
	r->mailbox = argv[2];
	r->count = atol(argv[4]);
	repeat_commands(r, atol(argv[3]), argv + 5, argc - 5);
}

static void
mode_after(struct run *r, char **argv, int argc)
{
	r->mailbox = argv[2];
	r->count = atol(argv[3]);
	command_after(r, argv[4], argv + 5, argc - 5);
}

static void
mode_idle(struct run *r, char **argv, int argc)
{
	(void)argc;
	r->count = atol(argv[2]);
	idle_sessions(r, idle_begin);
}

static void
mode_idle_compressed(struct run *r, char **argv, int argc)
{
	(void)argc;
	r->count = atol(argv[2]);
	idle_sessions(r, idle_compressed);
}

static void
mode_latency(struct run *r, char **argv, int argc)
{
	(void)argc;
	r->count = atol(argv[2]);
	r->lmtp_port = (unsigned)atoi(argv[3]);
	idle_latency(r);
}

static const struct {
	const char *name;
	int least, most; /* arguments behind the port */
	void (*run)(struct run *r, char **argv, int argc);
} MODES[] = {
	{ "lmtp", 4, 4, mode_lmtp },
	{ "login", 4, 4, mode_login },
	{ "append", 6, 6, mode_append },
	{ "command", 6, 100, mode_command },
	{ "after", 6, 100, mode_after },
	{ "idle", 3, 3, mode_idle },
	{ "idle-compressed", 3, 3, mode_idle_compressed },
	{ "latency", 4, 4, mode_latency },
};

static void
tls_init(void)
{
	tls = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
}

int
main(int argc, char **argv)
{
	struct run r = { .mailbox = "INBOX", .size = 4096 };

	if (argc < 5)
		usage();
	tls_init();
	r.port = (unsigned)atoi(argv[2]);
	r.user = argv[3];
	r.password = argv[4];
	for (size_t i = 0; i < sizeof(MODES) / sizeof(MODES[0]); i++) {
		if (strcmp(argv[1], MODES[i].name) != 0)
			continue;
		if (argc - 3 < MODES[i].least || argc - 3 > MODES[i].most)
			usage();
		MODES[i].run(&r, argv + 3, argc - 3);
		return 0;
	}
	usage();
}
