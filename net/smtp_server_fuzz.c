/* A whole dialogue: the first byte chooses protocol and handlers, the rest is what a client sends. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/smtp_server.h"
#include "net/stream.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

struct watch {
	bool open; /* a transaction */
	unsigned accepted;
	uint64_t bytes;
};

static void
h_mail(struct smtp_session *s, const struct smtp_mail *mail, struct smtp_reply *r)
{
	struct watch *w = smtp_session_service_arg(s);

	(void)r;
	if (w->open || mail->from.address == NULL)
		abort();
	*w = (struct watch){ .open = true };
}

static void
h_rcpt(struct smtp_session *s, const struct smtp_rcpt *rcpt, struct smtp_reply *r)
{
	struct watch *w = smtp_session_service_arg(s);

	if (!w->open)
		abort();
	if (rcpt->to.local[0] == 'n')
		smtp_reply_set(r, 550, "5.1.1", "No %s", rcpt->to.address);
	else
		w->accepted++;
}

static bool
h_write(struct smtp_session *s, const char *bytes, size_t len)
{
	struct watch *w = smtp_session_service_arg(s);

	if (!w->open || w->accepted == 0 || bytes == NULL)
		abort();
	w->bytes += len;
	return true;
}

static void
h_end(struct smtp_session *s, struct smtp_reply *replies, size_t count)
{
	struct watch *w = smtp_session_service_arg(s);

	(void)replies;
	if (!w->open || w->accepted == 0 || w->bytes > 1000 || count == 0)
		abort();
	w->open = false;
}

static void
h_reset(struct smtp_session *s, enum smtp_reset why)
{
	struct watch *w = smtp_session_service_arg(s);

	(void)why;
	if (!w->open)
		abort();
	w->open = false;
}

static void
on_end(void *arg)
{
	net_loop_stop(arg);
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const struct smtp_handlers HANDLERS = {
		.mail = h_mail,
		.rcpt = h_rcpt,
		.data_write = h_write,
		.data_end = h_end,
		.reset = h_reset,
		.fast = ~0u,
	};
	static struct net_loop *loop;
	struct watch w = { 0 };
	struct smtp_service service = {
		.hostname = "mx.test",
		.handlers = &HANDLERS,
		.arg = &w,
		.size_max_bytes = 1000,
		.rcpt_max = 5,
	};
	int fds[2];

	if (size == 0 || size > 8192)
		return 0;
	if (loop == NULL)
		loop = net_loop_new(NULL);
	service.protocol = data[0] & 1 ? SMTP_PROTOCOL_LMTP : SMTP_PROTOCOL_SMTP;
	service.refuse_bare_newlines = (data[0] & 2) != 0;
	service.dsn = (data[0] & 4) != 0;
	if ((data[0] & 8) != 0) {
		service.requiretls = service.deliver_by = service.limits = true;
		service.priority = "MIXER";
		service.by_min_s = 60;
		service.hold_max_s = 86400;
		service.mail_max = 4;
		service.rcpt_domain_max = 2;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0 ||
	    write(fds[1], data + 1, size - 1) != (ssize_t)size - 1)
		abort();
	shutdown(fds[1], SHUT_WR);
	smtp_server_start(net_stream_from_fd(loop, fds[0]), &service, on_end, loop);
	net_loop_run(loop);
	close(fds[1]);
	if (w.open)
		abort();
	return 0;
}
