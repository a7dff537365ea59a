/* Name look-ups and outgoing connections. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/internal.h"

struct resolve {
	char *host;
	struct net_ip ips[NET_RESOLVE_MAX];
	size_t count;
	int error; /* of getaddrinfo */
	void (*on_resolved)(
	    void *arg, const struct net_ip *ips, size_t count, bool permanent, const char *error);
	void *arg;
};

bool
net_ip_from_sockaddr(const struct sockaddr *sa, struct net_ip *ip_out, uint16_t *port_out)
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	if (sa->sa_family == AF_INET6) {
		memcpy(ip_out->b, &in6->sin6_addr, 16);
		*port_out = ntohs(in6->sin6_port);
		return true;
	}
	if (sa->sa_family != AF_INET)
		return false;
	*ip_out = (struct net_ip){ { [10] = 0xff, [11] = 0xff } };
	memcpy(ip_out->b + 12, &in->sin_addr, 4);
	*port_out = ntohs(in->sin_port);
	return true;
}

static void
resolve_run(void *arg) /* on a pool thread */
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	struct resolve *r = arg;
	uint16_t port;

	if (net_ip_parse(str_from(r->host), &r->ips[0])) {
		r->count = 1;
		return;
	}
	r->error = getaddrinfo(r->host, NULL, &hints, &found);
	if (r->error != 0)
		return;
	for (struct addrinfo *a = found; a != NULL && r->count < NET_RESOLVE_MAX; a = a->ai_next)
		if (net_ip_from_sockaddr(a->ai_addr, &r->ips[r->count], &port))
			r->count++;
	freeaddrinfo(found);
}

static void
on_resolve_done(void *arg)
{
	struct resolve *r = arg;
	const char *error = r->count > 0    ? NULL
			    : r->error != 0 ? gai_strerror(r->error)
					    : "No address associated with hostname";
	bool permanent =
	    r->count == 0 && (r->error == 0 || r->error == EAI_NONAME || r->error == EAI_NODATA);

	r->on_resolved(r->arg, r->ips, r->count, permanent, error);
	free(r->host);
	free(r);
}

void
net_resolve(struct net_loop *loop, const char *host,
    void (*on_resolved)(
	void *arg, const struct net_ip *ips, size_t count, bool permanent, const char *error),
    void *arg)
{
	struct resolve *r = mem_zalloc(sizeof(*r));

	r->host = mem_strdup(host);
	r->on_resolved = on_resolved;
	r->arg = arg;
	net_job_run(loop, resolve_run, on_resolve_done, r);
}

/* --- connections --- */

struct net_connect {
	struct net_loop *loop;
	struct net_endpoint to;
	unsigned timeout_s;
	void (*on_connected)(void *arg, struct net_stream *st, const char *error);
	void *arg;

	struct net_ip ips[NET_RESOLVE_MAX];
	size_t count, at; /* at: the address being tried */
	char error[NET_ENDPOINT_BYTES + 128];

	uv_poll_t *poll; /* of the attempt; it frees itself */
	uv_timer_t timer;
	int fd;
	bool resolving, cancelled;
};

static void connect_next(struct net_connect *c);

static void
on_poll_closed(uv_handle_t *h)
{
	free(h);
}

static void
on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

static void
connect_free(struct net_connect *c)
{
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

/* Ends the attempt; its descriptor stays with the caller. */
static void
stop_polling(struct net_connect *c)
{
	uv_timer_stop(&c->timer);
	if (c->poll != NULL)
		uv_close((uv_handle_t *)c->poll, on_poll_closed);
	c->poll = NULL;
}

static void
note_error(struct net_connect *c, int error)
{
	char text[NET_ENDPOINT_BYTES], ip[NET_IP_TEXT_BYTES];
	struct net_endpoint end = c->to;

	if (end.kind == NET_TCP) {
		net_ip_text(&c->ips[c->at], ip);
		snprintf(end.host, sizeof(end.host), "%s", ip);
	}
	net_endpoint_text(&end, text);
	snprintf(c->error, sizeof(c->error), "%s: %s", text, strerror(error));
}

static void
attempt_failed(struct net_connect *c, int error)
{
	note_error(c, error);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->at++;
	connect_next(c);
}

static void
attempt_succeeded(struct net_connect *c)
{
	bool tcp = c->to.kind == NET_TCP;
	struct net_stream *st =
	    net_stream_new(c->loop, c->fd, tcp ? &c->ips[c->at] : NULL, c->to.port);

	c->on_connected(c->arg, st, NULL);
	connect_free(c);
}

static void
on_writable(uv_poll_t *h, int status, int events)
{
	struct net_connect *c = h->data;
	socklen_t len = sizeof(int);
	int error = 0;

	(void)status, (void)events;
	stop_polling(c);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0)
		attempt_failed(c, error);
	else
		attempt_succeeded(c);
}

static void
on_timeout(uv_timer_t *h)
{
	struct net_connect *c = h->data;

	stop_polling(c);
	attempt_failed(c, ETIMEDOUT);
}

/* These begin to connect and return 0 or errno; EINPROGRESS is no failure.
 * IPv4 addresses need an IPv4 socket: a host without IPv6 has no other. */
static int
start_tcp(const struct net_ip *ip, uint16_t port, int *fd_out)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool v4 = net_ip_is_v4(ip);
	int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result;

	*fd_out = fd;
	if (fd < 0)
		return errno;
	memcpy(&in6.sin6_addr, ip->b, 16);
	memcpy(&in.sin_addr, ip->b + 12, 4);
	result = v4 ? connect(fd, (const struct sockaddr *)&in, sizeof(in))
		    : connect(fd, (const struct sockaddr *)&in6, sizeof(in6));
	return result == 0 ? 0 : errno;
}

static int
start_unix(const char *path, int *fd_out)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	*fd_out = fd;
	if (fd < 0)
		return errno;
	memcpy(un.sun_path, path, strlen(path));
	return connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0 ? 0 : errno;
}

static void
connect_next(struct net_connect *c)
{
	int error;

	if (c->at == c->count) {
		c->on_connected(c->arg, NULL, c->error);
		connect_free(c);
		return;
	}
	error = c->to.kind == NET_TCP ? start_tcp(&c->ips[c->at], c->to.port, &c->fd)
				      : start_unix(c->to.path, &c->fd);
	if (error != 0 && error != EINPROGRESS) {
		attempt_failed(c, error);
		return;
	}
	/* A connection that is there already is writable at once. */
	c->poll = mem_zalloc(sizeof(*c->poll));
	uv_poll_init(&c->loop->uv, c->poll, c->fd);
	c->poll->data = c;
	uv_poll_start(c->poll, UV_WRITABLE, on_writable);
	uv_timer_start(&c->timer, on_timeout, (uint64_t)c->timeout_s * 1000, 0);
}

static void
on_resolved(void *arg, const struct net_ip *ips, size_t count, bool permanent, const char *error)
{
	struct net_connect *c = arg;

	(void)permanent;
	c->resolving = false;
	if (c->cancelled) {
		connect_free(c);
		return;
	}
	memcpy(c->ips, ips, count * sizeof(*ips));
	c->count = count;
	if (count == 0)
		snprintf(c->error, sizeof(c->error), "%s: %s", c->to.host, error);
	connect_next(c);
}

static void
on_unix_start(uv_timer_t *h) /* from the loop, as for TCP */
{
	connect_next(h->data);
}

struct net_connect *
net_connect_start(struct net_loop *loop, const struct net_endpoint *to, unsigned timeout_s,
    void (*on_connected)(void *arg, struct net_stream *st, const char *error), void *arg)
{
	struct net_connect *c = mem_zalloc(sizeof(*c));

	c->loop = loop;
	c->to = *to;
	c->timeout_s = timeout_s;
	c->on_connected = on_connected;
	c->arg = arg;
	c->fd = -1;
	uv_timer_init(&loop->uv, &c->timer);
	c->timer.data = c;
	if (to->kind == NET_UNIX) {
		c->count = 1;
		uv_timer_start(&c->timer, on_unix_start, 0, 0);
	} else {
		c->resolving = true;
		net_resolve(loop, to->host, on_resolved, c);
	}
	return c;
}

void
net_connect_cancel(struct net_connect *c)
{
	if (c == NULL)
		return;
	c->cancelled = true;
	if (c->resolving)
		return; /* on_resolved frees it */
	stop_polling(c);
	if (c->fd >= 0)
		close(c->fd);
	connect_free(c);
}
