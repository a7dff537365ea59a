#include "net/proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "net/internal.h"

struct net_proxy_wait {
	void (*on_header)(void *arg, int fd, const struct proxy_header *header, const char *why);
	void *arg;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles;
	int fd;
	bool over;
	size_t len;
	char bytes[PROXY_MAX_BYTES + 1];
};

static void
on_handle_closed(uv_handle_t *h) /* twice; the last one frees */
{
	struct net_proxy_wait *w = h->data;

	if (--w->handles == 0)
		free(w);
}

/* The descriptor is free of us when the callback gets it. */
static void
finish(struct net_proxy_wait *w, const struct proxy_header *header, const char *why)
{
	if (w->over)
		return;
	w->over = true;
	uv_close((uv_handle_t *)&w->poll, on_handle_closed);
	uv_close((uv_handle_t *)&w->timer, on_handle_closed);
	w->on_header(w->arg, w->fd, header, why);
}

static void
on_timer(uv_timer_t *h)
{
	finish(h->data, NULL, "no PROXY header in time");
}

/* Takes from the socket what was only looked at so far, and surely belongs to the header. */
static bool
take(struct net_proxy_wait *w, size_t len)
{
	return len == 0 || recv(w->fd, w->bytes + w->len, len, MSG_DONTWAIT) == (ssize_t)len;
}

static void
on_readable(uv_poll_t *h, int status, int events)
{
	struct net_proxy_wait *w = h->data;
	struct proxy_header header;
	enum proxy_parse result;
	size_t used;
	ssize_t n;

	(void)events;
	if (status != 0) {
		finish(w, NULL, uv_strerror(status));
		return;
	}
	n = recv(w->fd, w->bytes + w->len, sizeof(w->bytes) - w->len, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		finish(w, NULL, n < 0 ? strerror(errno) : "closed before its PROXY header");
		return;
	}
	result = proxy_parse(w->bytes, w->len + (size_t)n, &header, &used);
	if (result == PROXY_PARSE_BAD)
		finish(w, NULL, "no PROXY header");
	else if (!take(w, result == PROXY_PARSE_OK ? used - w->len : (size_t)n))
		finish(w, NULL, "cannot read the PROXY header");
	else if (result == PROXY_PARSE_OK)
		finish(w, &header, NULL);
	else
		w->len += (size_t)n;
}

struct net_proxy_wait *
net_proxy_wait(struct net_loop *loop, int fd,
    void (*on_header)(void *arg, int fd, const struct proxy_header *header, const char *why),
    void *arg)
{
	struct net_proxy_wait *w = mem_zalloc(sizeof(*w));

	w->on_header = on_header;
	w->arg = arg;
	w->fd = fd;
	uv_poll_init(&loop->uv, &w->poll, fd);
	uv_timer_init(&loop->uv, &w->timer);
	w->poll.data = w->timer.data = w;
	w->handles = 2;
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
	uv_timer_start(&w->timer, on_timer, NET_PROXY_TIMEOUT_S * 1000, 0);
	return w;
}

void
net_proxy_wait_abort(struct net_proxy_wait *w)
{
	finish(w, NULL, "shutting down");
}
