/* Listening sockets. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/worker.h"

struct listen_try {
	const struct net_daemon_spec *spec;
	const struct net_listener_spec *listener;
	unsigned index;
	struct net_listen_set *set;
};

static int
fail(const struct listen_try *t, int status, const char *error)
{
	log_error(t->spec->log, "listen", "listener=%s address=%s error=%s", t->listener->name,
	    t->listener->address, error);
	return status;
}

static int
fail_errno(const struct listen_try *t, int error)
{
	return fail(t, error == EADDRINUSE ? EX_UNAVAILABLE : EX_OSERR, strerror(error));
}

static struct net_listening *
add_socket(const struct listen_try *t, int fd)
{
	struct net_listening *s = &t->set->socks[t->set->count++];

	*s = (struct net_listening){ .fd = fd, .listener = t->index };
	return s;
}

/* A socket that listens at sa, or -1 with errno.  Without SO_REUSEPORT: a second daemon on the same
 * port is a mistake that must show. */
static int
listen_at(const struct sockaddr *sa, socklen_t len, bool v6_only)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, only = v6_only, error;

	if (fd < 0)
		return -1;
	if (sa->sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (sa->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	if (bind(fd, sa, len) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* "*": one socket for IPv6 and IPv4 together; only IPv4 where the host has no IPv6. */
static int
listen_any(const struct listen_try *t, uint16_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = listen_at((struct sockaddr *)&in6, sizeof(in6), false);

	if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
		fd = listen_at((struct sockaddr *)&in, sizeof(in), false);
	if (fd < 0)
		return fail_errno(t, errno);
	add_socket(t, fd);
	return 0;
}

/* Every address of the name; one that this host does not have (IPv6 switched off) may be missing. */
static int
listen_host(const struct listen_try *t, const char *host, uint16_t port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found;
	char service[8];
	int error, fd, last = EADDRNOTAVAIL;
	size_t bound = 0;

	snprintf(service, sizeof(service), "%u", port);
	error = getaddrinfo(host, service, &hints, &found);
	if (error != 0)
		return fail(t, EX_CONFIG, gai_strerror(error));
	for (struct addrinfo *a = found; a != NULL && bound < NET_LISTEN_FDS_MAX; a = a->ai_next) {
		fd = listen_at(a->ai_addr, a->ai_addrlen, true);
		if (fd >= 0) {
			add_socket(t, fd);
			bound++;
			continue;
		}
		last = errno;
		if (last != EADDRNOTAVAIL && last != EAFNOSUPPORT)
			break;
	}
	freeaddrinfo(found);
	if (bound > 0 && (last == EADDRNOTAVAIL || last == EAFNOSUPPORT))
		return 0;
	return fail_errno(t, last);
}

/* True if the file is a socket that nobody listens at any more: what a crash leaves. */
static bool
is_stale(const struct sockaddr_un *un)
{
	struct stat st;
	bool stale;
	int fd;

	if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)un, sizeof(*un)) != 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

/* The umask keeps others out until the mode and the owner are set. */
static int
listen_unix(const struct listen_try *t, const char *path, uid_t uid, gid_t gid)
{
	unsigned mode = t->listener->unix_mode != 0 ? t->listener->unix_mode : 0600;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct net_listening *s;
	struct stat st;
	mode_t mask;
	int fd;

	memcpy(un.sun_path, path, strlen(path));
	mask = umask(0777);
	fd = listen_at((struct sockaddr *)&un, sizeof(un), false);
	if (fd < 0 && errno == EADDRINUSE && is_stale(&un) && unlink(path) == 0)
		fd = listen_at((struct sockaddr *)&un, sizeof(un), false);
	umask(mask);
	if (fd < 0)
		return fail_errno(t, errno);
	s = add_socket(t, fd);
	if (lstat(path, &st) != 0 || (geteuid() == 0 && lchown(path, uid, gid) != 0) ||
	    chmod(path, mode) != 0)
		return fail_errno(t, errno);
	memcpy(s->unix_path, un.sun_path, sizeof(s->unix_path));
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

static int
listen_one(const struct listen_try *t, uid_t uid, gid_t gid)
{
	struct net_endpoint end;

	if (!net_endpoint_parse(
		str_from(t->listener->address), (uint16_t)t->listener->default_port, &end))
		return fail(t, EX_CONFIG, "not an address to listen at");
	if (end.kind == NET_UNIX)
		return listen_unix(t, end.path, uid, gid);
	if (strcmp(end.host, "*") == 0)
		return listen_any(t, end.port);
	return listen_host(t, end.host, end.port);
}

int
net_listen_all(
    const struct net_daemon_spec *spec, uid_t uid, gid_t gid, struct net_listen_set *set_out)
{
	int status = 0;

	set_out->count = 0;
	for (unsigned i = 0; i < spec->listener_count && status == 0; i++) {
		struct listen_try t = { spec, &spec->listeners[i], i, set_out };

		status = listen_one(&t, uid, gid);
	}
	if (status != 0)
		net_listen_close(set_out, true);
	return status;
}

void
net_listen_close(struct net_listen_set *set, bool remove_files)
{
	struct stat st;

	for (size_t i = 0; i < set->count; i++) {
		const struct net_listening *s = &set->socks[i];

		close(s->fd);
		if (remove_files && s->unix_path[0] != '\0' && lstat(s->unix_path, &st) == 0 &&
		    st.st_dev == s->dev && st.st_ino == s->ino)
			unlink(s->unix_path);
	}
	set->count = 0;
}
