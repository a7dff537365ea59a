#include "net/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/internal.h"
#include "net/tls.h"

struct net_client {
	int fd;
	SSL *ssl;
	unsigned silence_s;
	char error[300];
};

static void
failed(struct net_client *c, const char *why)
{
	snprintf(c->error, sizeof(c->error), "%s", why);
}

static void
failed_tls(struct net_client *c, const char *doing)
{
	long verify = c->ssl != NULL ? SSL_get_verify_result(c->ssl) : X509_V_OK;
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	if (verify != X509_V_OK)
		reason = X509_verify_cert_error_string(verify);
	snprintf(c->error, sizeof(c->error), "%s: %s", doing,
	    reason != NULL ? reason : "the connection was closed");
	ERR_clear_error();
}

/* False after silence. */
static bool
wait_for(struct net_client *c, short events, unsigned seconds)
{
	struct pollfd fd = { .fd = c->fd, .events = events };
	int n;

	do
		n = poll(&fd, 1, (int)seconds * 1000);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		snprintf(c->error, sizeof(c->error), "silent for %u s", seconds);
	else if (n < 0)
		failed(c, strerror(errno));
	return n > 0;
}

static bool
connect_one(struct net_client *c, const struct addrinfo *ai)
{
	int err = 0, on = 1;
	socklen_t len = sizeof(err);

	c->fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0) {
		failed(c, strerror(errno));
		return false;
	}
	if (connect(c->fd, ai->ai_addr, ai->ai_addrlen) != 0) {
		if (errno != EINPROGRESS) {
			failed(c, strerror(errno));
		} else if (wait_for(c, POLLOUT, NET_CLIENT_CONNECT_S)) {
			if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
				err = errno;
			if (err != 0)
				failed(c, strerror(err));
		}
		if (*c->error != '\0') {
			close(c->fd);
			c->fd = -1;
			return false;
		}
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	return true;
}

struct net_client *
net_client_connect(const char *host, uint16_t port, unsigned silence_s, struct buf *why)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *all;
	struct net_client *c = mem_zalloc(sizeof(*c));
	char service[8];
	int err;

	c->fd = -1;
	c->silence_s = silence_s;
	snprintf(service, sizeof(service), "%u", port);
	err = getaddrinfo(host, service, &hints, &all);
	if (err == EAI_NONAME || err == EAI_ADDRFAMILY) { /* a machine with nothing but loopback */
		hints.ai_flags = 0;
		err = getaddrinfo(host, service, &hints, &all);
	}
	if (err != 0) {
		buf_adds(why, err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err));
		net_client_close(c);
		return NULL;
	}
	for (const struct addrinfo *ai = all; ai != NULL && c->fd < 0; ai = ai->ai_next) {
		*c->error = '\0';
		connect_one(c, ai);
	}
	freeaddrinfo(all);
	if (c->fd < 0) {
		buf_adds(why, c->error);
		net_client_close(c);
		return NULL;
	}
	return c;
}

void
net_client_close(struct net_client *c)
{
	if (c == NULL)
		return;
	if (c->ssl != NULL && SSL_is_init_finished(c->ssl))
		SSL_shutdown(c->ssl); /* says goodbye, and waits for no answer */
	SSL_free(c->ssl);
	ERR_clear_error();
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

/* After SSL said no with `rc`: true when it makes sense to call again. */
static bool
tls_again(struct net_client *c, int rc, const char *doing)
{
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ: return wait_for(c, POLLIN, c->silence_s);
	case SSL_ERROR_WANT_WRITE: return wait_for(c, POLLOUT, c->silence_s);
	default: failed_tls(c, doing); return false;
	}
}

bool
net_client_start_tls(struct net_client *c, struct net_tls *tls, const char *host)
{
	int rc;

	c->ssl = net_tls_client_session(tls, c->fd, host);
	if (c->ssl == NULL) {
		failed_tls(c, "TLS");
		return false;
	}
	ERR_clear_error();
	while ((rc = SSL_connect(c->ssl)) != 1)
		if (!tls_again(c, rc, "TLS handshake"))
			return false;
	if (!net_tls_peer_ok(tls, c->ssl)) {
		failed(c, "the certificate is not the one with that fingerprint");
		return false;
	}
	return true;
}

bool
net_client_is_tls(const struct net_client *c)
{
	return c->ssl != NULL;
}

bool
net_client_is_loopback(const struct net_client *c)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t len = sizeof(peer);
	const struct sockaddr_in *v4 = (const void *)&peer;
	const struct sockaddr_in6 *v6 = (const void *)&peer;

	if (getpeername(c->fd, (struct sockaddr *)&peer, &len) != 0)
		return false;
	if (peer.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return peer.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static ssize_t
read_tls(struct net_client *c, void *bytes, size_t size)
{
	size_t got;
	int rc;

	for (;;) {
		ERR_clear_error();
		rc = SSL_read_ex(c->ssl, bytes, size, &got);
		if (rc == 1)
			return (ssize_t)got;
		if (SSL_get_error(c->ssl, rc) == SSL_ERROR_ZERO_RETURN) {
			failed(c, "the server closed the connection");
			return 0;
		}
		if (!tls_again(c, rc, "TLS"))
			return -1;
	}
}

ssize_t
net_client_read(struct net_client *c, void *bytes, size_t size)
{
	ssize_t n;

	if (c->ssl != NULL)
		return read_tls(c, bytes, size);
	for (;;) {
		n = recv(c->fd, bytes, size, 0);
		if (n >= 0)
			break;
		if (errno != EAGAIN && errno != EINTR) {
			failed(c, strerror(errno));
			return -1;
		}
		if (errno == EAGAIN && !wait_for(c, POLLIN, c->silence_s))
			return -1;
	}
	if (n == 0)
		failed(c, "the server closed the connection");
	return n;
}

bool
net_client_write(struct net_client *c, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		size_t done = 0;

		if (c->ssl != NULL) {
			int rc;

			ERR_clear_error();
			rc = SSL_write_ex(c->ssl, p, len, &done);
			if (rc != 1 && !tls_again(c, rc, "TLS"))
				return false;
		} else {
			ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);

			if (n >= 0) {
				done = (size_t)n;
			} else if (errno == EAGAIN) {
				if (!wait_for(c, POLLOUT, c->silence_s))
					return false;
			} else if (errno != EINTR) {
				failed(c, strerror(errno));
				return false;
			}
		}
		p += done;
		len -= done;
	}
	return true;
}

const char *
net_client_error(const struct net_client *c)
{
	return c->error;
}
