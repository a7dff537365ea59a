/* What a relay may say to the client: the first byte chooses the protocol, the rest is sent at once, then the
 * connection ends.  Each message must be decided exactly once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/smtp_client.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

struct play {
	struct net_loop *loop;
	struct net_timer *poll;
	struct smtp_client *client;
	struct smtp_client_message message;
	const unsigned char *bytes;
	size_t len;
	int listener, peer;
	bool ready, sent;
};

static void
end(struct play *p)
{
	smtp_client_free(p->client);
	net_loop_stop(p->loop);
}

static void
on_poll(void *arg)
{
	struct play *p = arg;

	p->peer = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (p->peer < 0) {
		net_timer_start_ms(p->poll, 0);
		return;
	}
	if (p->len > 0 && send(p->peer, p->bytes, p->len, MSG_NOSIGNAL) != (ssize_t)p->len)
		abort();
	shutdown(p->peer, SHUT_WR);
}

static void
on_ready(void *arg, const struct smtp_result *r)
{
	struct play *p = arg;

	if (p->ready)
		abort();
	p->ready = true;
	if (r->outcome == SMTP_OUTCOME_ACCEPTED)
		smtp_client_send(p->client, &p->message);
	else
		end(p);
}

static void
on_sent(void *arg, const struct smtp_client_report *report)
{
	struct play *p = arg;

	if (p->sent || report->rcpt_count != 2)
		abort();
	for (size_t i = 0; i < 2; i++)
		if (!text_is_utf8(str_from(report->rcpts[i].text)) ||
		    report->rcpts[i].outcome > SMTP_OUTCOME_PERMANENT)
			abort();
	p->sent = true;
	end(p);
}

static void
on_lost(void *arg, const struct smtp_result *r)
{
	(void)r;
	end(arg);
}

static int
listen_unix(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 || listen(fd, 8) != 0)
		abort();
	return fd;
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const struct smtp_client_events EVENTS = { on_ready, on_sent, on_lost };
	static const struct smtp_client_rcpt RCPTS[2] = { { .address = "x@y" },
		{ .address = "z@y" } };
	static struct play p = { .listener = -1 };
	static char path[64];
	static int file;
	struct smtp_client_config config = { .helo = "me.test", .unix_path = path };

	if (size == 0 || size > 8192)
		return 0;
	if (p.loop == NULL) {
		snprintf(path, sizeof(path), "/tmp/smtp_client_fuzz.%d", (int)getpid());
		p.listener = listen_unix(path);
		p.loop = net_loop_new(NULL);
		p.poll = net_timer_new(p.loop, on_poll, &p);
		file = memfd_create("message", MFD_CLOEXEC);
		if (write(file, "a\n.b\n", 5) != 5)
			abort();
	}
	config.lmtp = (data[0] & 1) != 0;
	p.message = (struct smtp_client_message){ .from = "a@b",
		.rcpts = RCPTS,
		.rcpt_count = 2,
		.fd = file,
		.size_bytes = 5,
		.body = data[0] & 2 ? SMTP_BODY_BINARYMIME : SMTP_BODY_7BIT,
		.by_mode = data[0] & 4 ? 'R' : 'N',
		.by_seconds = 100 };
	p.bytes = data + 1;
	p.len = size - 1;
	p.ready = p.sent = false;
	p.client = smtp_client_open(p.loop, &config, &EVENTS, &p);
	net_timer_start_ms(p.poll, 0);
	net_loop_run(p.loop);
	close(p.peer);
	return 0;
}
