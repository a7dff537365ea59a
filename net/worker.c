/* A worker process: accepts, counts, and ends when it has drained. */
#include "net/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/internal.h"
#include "net/proxy.h"

#define ACCEPT_ROUNDS   4    /* connections per wake-up, so that workers share a burst */
#define ACCEPT_PAUSE_MS 200  /* when descriptors or memory have run out */
#define ACCEPT_YIELD_MS 3    /* for a worker with fewer connections to be quicker */
#define REFUSED_LOG_MS  1000 /* between log lines about refused connections */
#define THREADS_DEFAULT 4
#define ABORT_MS        1000 /* for sessions to see their streams go, before the end */

struct acceptor {
	struct net_worker *worker;
	const struct net_listener_spec *spec;
	unsigned listener;
	int fd;
	uv_poll_t poll;
};

/* A connection from a proxy that has not said yet whose it is; counted in the total alone. */
struct arrival {
	struct acceptor *acceptor;
	struct arrival *next, **link;
	struct net_proxy_wait *wait;
	struct net_limits_slot slot;
	struct net_ip ip; /* the proxy's */
	uint16_t port;
};

struct net_worker {
	const struct net_daemon_spec *spec;
	struct net_loop *loop;
	struct log *log;
	struct net_limits *limits;
	const struct net_meters *meters; /* of each listener */
	unsigned index, row;
	void *data;
	struct acceptor *acceptors;
	size_t acceptor_count;
	size_t streams, holds; /* arrivals are streams, too */
	struct arrival *arrivals;
	bool draining, ending, aborted, yielded;
	uv_timer_t drain_timer, accept_timer;
	uv_check_t check; /* looks whether a draining worker is done */
	uv_signal_t signals[4];
	uv_poll_t life;
	uint64_t refused_log_ms;
	unsigned refused;
};

static void on_acceptable(uv_poll_t *h, int status, int events);

/* --- counting --- */

static bool
is_idle(const struct net_worker *w)
{
	return w->streams == 0 && w->holds == 0 && w->loop->jobs == 0;
}

static void
end_if_idle(struct net_worker *w)
{
	if (w->draining && is_idle(w))
		net_loop_stop(w->loop);
}

static void
on_stream_logged_in(struct net_stream *st)
{
	struct net_worker *w = st->owner_arg;

	net_limits_logged_in(w->limits, &st->slot);
}

static bool
on_stream_logged_out(struct net_stream *st)
{
	struct net_worker *w = st->owner_arg;

	return net_limits_logged_out(w->limits, net_stream_peer_ip(st), &st->slot) == NET_LIMIT_OK;
}

static void
count_connection(const struct net_meters *meters)
{
	metrics_change(meters->metrics, meters->connections, 1);
	metrics_add(meters->metrics, meters->accepted, 1);
}

static void
on_stream_gone(struct net_stream *st)
{
	struct net_worker *w = st->owner_arg;

	net_limits_disconnect(w->limits, &st->slot);
	metrics_change(st->meters->metrics, st->meters->connections, -1);
	w->streams--;
	end_if_idle(w);
}

static const struct net_stream_owner OWNER = { on_stream_logged_in, on_stream_logged_out,
	on_stream_gone };

/* --- accepting --- */

static void
start_accepting(struct net_worker *w)
{
	for (size_t i = 0; i < w->acceptor_count; i++)
		uv_poll_start(&w->acceptors[i].poll, UV_READABLE, on_acceptable);
}

static void
on_accept_pause_over(uv_timer_t *h)
{
	struct net_worker *w = h->data;

	if (!w->draining)
		start_accepting(w);
}

static void
stop_accepting(struct net_worker *w)
{
	for (size_t i = 0; i < w->acceptor_count; i++)
		uv_poll_stop(&w->acceptors[i].poll);
}

static void
pause_accepting(struct net_worker *w, uint64_t pause_ms)
{
	stop_accepting(w);
	uv_timer_start(&w->accept_timer, on_accept_pause_over, pause_ms, 0);
}

/* One line a second at most, however many knock. */
static void
refuse(struct acceptor *a, int fd, enum net_limit limit, const char *peer)
{
	struct net_worker *w = a->worker;
	const struct net_meters *meters = &w->meters[a->listener];
	uint64_t now_ms = net_loop_now_ms(w->loop);

	metrics_add(meters->metrics,
	    limit == NET_LIMIT_ADDRESS ? meters->refused_address : meters->refused_total, 1);
	w->refused++;
	if (now_ms - w->refused_log_ms >= REFUSED_LOG_MS) {
		log_warn(w->log, "refused", "listener=%s peer=%s limit=%s count=%u", a->spec->name,
		    peer, limit == NET_LIMIT_ADDRESS ? "address" : "total", w->refused);
		w->refused_log_ms = now_ms;
		w->refused = 0;
	}
	if (a->spec->refusal != NULL)
		send(fd, a->spec->refusal, strlen(a->spec->refusal), MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	close(fd);
}

/* A place for a connection of ip; false: refused, and fd is closed. */
static bool
find_place(struct acceptor *a, int fd, const struct net_ip *ip, const struct net_ip *count_as,
    struct net_limits_slot *slot)
{
	struct net_worker *w = a->worker;
	char peer[NET_IP_TEXT_BYTES] = "local";
	enum net_limit limit = net_limits_connect(w->limits, w->row, a->listener, count_as, slot);

	if (limit == NET_LIMIT_OK)
		return true;
	if (ip != NULL)
		net_ip_text(ip, peer);
	refuse(a, fd, limit, peer);
	return false;
}

static void
hand_over(struct acceptor *a, int fd, const struct net_ip *ip, uint16_t port,
    const struct net_limits_slot *slot)
{
	struct net_socket peer = { .is_unix = ip == NULL, .port = port, .place = *slot };

	if (ip != NULL)
		peer.ip = *ip;
	a->worker->streams++;
	a->spec->on_socket(a->worker, fd, &peer, a->spec->arg);
}

/* The client is known: itself, or who a proxy says it is. */
static void
admit(struct acceptor *a, int fd, const struct net_ip *ip, uint16_t port)
{
	struct net_worker *w = a->worker;
	struct net_limits_slot slot;
	struct net_stream *st;

	if (!find_place(a, fd, ip, ip, &slot))
		return;
	count_connection(&w->meters[a->listener]);
	if (a->spec->on_socket != NULL) {
		hand_over(a, fd, ip, port, &slot);
		return;
	}
	st = net_stream_new(w->loop, fd, ip, port);
	st->owner = &OWNER;
	st->owner_arg = w;
	st->slot = slot;
	st->meters = &w->meters[a->listener];
	w->streams++;
	a->spec->on_accept(w, st, a->spec->arg);
}

static void
on_header(void *arg, int fd, const struct proxy_header *header, const char *why)
{
	struct arrival *arrival = arg;
	struct acceptor *a = arrival->acceptor;
	struct net_worker *w = a->worker;
	char peer[NET_IP_TEXT_BYTES], proxy[NET_IP_TEXT_BYTES];

	*arrival->link = arrival->next;
	if (arrival->next != NULL)
		arrival->next->link = arrival->link;
	w->streams--;
	net_limits_disconnect(w->limits, &arrival->slot);
	net_ip_text(&arrival->ip, proxy);
	if (header == NULL) {
		log_warn(
		    w->log, "proxy", "listener=%s peer=%s error=%s", a->spec->name, proxy, why);
		close(fd);
	} else if (header->has_addresses) {
		net_ip_text(&header->source, peer);
		log_debug(w->log, "proxy", "listener=%s peer=%s by=%s", a->spec->name, peer, proxy);
		admit(a, fd, &header->source, header->source_port);
	} else {
		admit(a, fd, &arrival->ip, arrival->port);
	}
	free(arrival);
	end_if_idle(w);
}

/* A proxy's connection: it must say first whose it is. */
static void
await_header(struct acceptor *a, int fd, const struct net_ip *ip, uint16_t port)
{
	struct net_worker *w = a->worker;
	struct net_limits_slot slot;
	struct arrival *arrival;

	if (!find_place(a, fd, ip, NULL, &slot))
		return;
	arrival = mem_zalloc(sizeof(*arrival));
	*arrival = (struct arrival){ .acceptor = a,
		.next = w->arrivals,
		.link = &w->arrivals,
		.slot = slot,
		.ip = *ip,
		.port = port };
	if (w->arrivals != NULL)
		w->arrivals->link = &arrival->next;
	w->arrivals = arrival;
	w->streams++;
	arrival->wait = net_proxy_wait(w->loop, fd, on_header, arrival);
}

static void
welcome(struct acceptor *a, int fd, const struct net_ip *ip, uint16_t port)
{
	if (ip != NULL && a->spec->proxies != NULL && net_cidr_list_match(a->spec->proxies, ip))
		await_header(a, fd, ip, port);
	else
		admit(a, fd, ip, port);
}

/* False if accept() had nothing more or cannot go on now. */
static bool
accept_one(struct acceptor *a)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);
	struct net_ip ip;
	uint16_t port = 0;
	bool tcp;
	int fd = accept4(a->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		tcp = net_ip_from_sockaddr((struct sockaddr *)&sa, &ip, &port);
		welcome(a, fd, tcp ? &ip : NULL, port);
		return true;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return false;
	if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
		return true; /* that peer is gone again; the next one */
	log_error(a->worker->log, "accept", "listener=%s error=%s", a->spec->name, strerror(errno));
	pause_accepting(a->worker, ACCEPT_PAUSE_MS);
	return false;
}

/* All workers wake for one connection, and the idlest processor's would have it each time.  One that
 * is ahead steps back once; if nobody was quicker it takes what is there. */
static void
on_acceptable(uv_poll_t *h, int status, int events)
{
	struct acceptor *a = h->data;
	struct net_worker *w = a->worker;

	(void)status, (void)events;
	if (!w->yielded && net_limits_should_yield(w->limits, w->row)) {
		w->yielded = true;
		pause_accepting(w, ACCEPT_YIELD_MS);
		return;
	}
	w->yielded = false;
	for (int i = 0; i < ACCEPT_ROUNDS && !w->draining; i++)
		if (!accept_one(a))
			break;
}

static void
make_acceptors(struct net_worker *w, const struct net_listen_set *set)
{
	w->acceptors = mem_zalloc(set->count * sizeof(*w->acceptors) + 1);
	w->acceptor_count = set->count;
	for (size_t i = 0; i < set->count; i++) {
		struct acceptor *a = &w->acceptors[i];

		*a = (struct acceptor){ .worker = w,
			.spec = &w->spec->listeners[set->socks[i].listener],
			.listener = set->socks[i].listener,
			.fd = set->socks[i].fd };
		uv_poll_init(&w->loop->uv, &a->poll, a->fd);
		a->poll.data = a;
	}
}

/* --- draining --- */

static void drain(struct net_worker *w, enum net_drain how);

static void
on_check(uv_check_t *h)
{
	end_if_idle(h->data);
}

static void
on_drain_timer(uv_timer_t *h)
{
	struct net_worker *w = h->data;

	if (!w->ending) {
		drain(w, NET_DRAIN_END);
	} else if (!w->aborted) {
		log_warn(w->log, "drain", "state=%s connections=%zu jobs=%zu", "time is up",
		    w->streams, w->loop->jobs);
		w->aborted = true;
		net_streams_abort_all(w->loop);
		uv_timer_start(&w->drain_timer, on_drain_timer, ABORT_MS, 0);
	} else {
		net_loop_stop(w->loop);
	}
}

static void
drain(struct net_worker *w, enum net_drain how)
{
	unsigned end_s = w->spec->drain_s != 0 ? w->spec->drain_s : NET_DRAIN_S;
	unsigned finish_s =
	    w->spec->reload_drain_s != 0 ? w->spec->reload_drain_s : NET_RELOAD_DRAIN_S;

	if (w->ending || (w->draining && how == NET_DRAIN_FINISH))
		return;
	if (!w->draining) {
		net_limits_accepting(w->limits, w->row, false);
		stop_accepting(w);
		for (size_t i = 0; i < w->acceptor_count; i++)
			close(w->acceptors[i].fd); /* also if the parent goes: free for a new one */
		while (w->arrivals != NULL)
			net_proxy_wait_abort(w->arrivals->wait);
		uv_check_start(&w->check, on_check);
	}
	w->draining = true;
	w->ending = how == NET_DRAIN_END;
	uv_timer_start(
	    &w->drain_timer, on_drain_timer, (w->ending ? end_s : finish_s) * 1000ull, 0);
	if (w->spec->worker_drain != NULL)
		w->spec->worker_drain(w, how, w->spec->arg);
	else if (w->ending)
		net_streams_abort_all(w->loop);
}

/* --- signals, and the parent's end --- */

static void
on_signal(uv_signal_t *h, int number)
{
	struct net_worker *w = h->data;

	switch (number) {
	case SIGTERM: drain(w, NET_DRAIN_END); break;
	case SIGHUP: drain(w, NET_DRAIN_FINISH); break;
	case SIGUSR1: log_reopen(w->log); break;
	default: break; /* SIGINT from a terminal: the parent tells us */
	}
}

static void
on_parent_gone(uv_poll_t *h, int status, int events)
{
	struct net_worker *w = h->data;

	(void)status, (void)events;
	uv_poll_stop(h);
	log_warn(w->log, "orphan", "state=%s", "the parent is gone, ending");
	drain(w, NET_DRAIN_END);
}

static void
watch_parent(struct net_worker *w, int life_fd)
{
	static const int SIGNALS[ARRAY_LEN(w->signals)] = { SIGTERM, SIGHUP, SIGUSR1, SIGINT };

	for (size_t i = 0; i < ARRAY_LEN(SIGNALS); i++) {
		uv_signal_init(&w->loop->uv, &w->signals[i]);
		w->signals[i].data = w;
		uv_signal_start(&w->signals[i], on_signal, SIGNALS[i]);
	}
	uv_poll_init(&w->loop->uv, &w->life, life_fd);
	w->life.data = w;
	uv_poll_start(&w->life, UV_READABLE, on_parent_gone);
}

static void
unblock_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
}

static void
worker_init(struct net_worker *w, const struct net_worker_start *start)
{
	char threads[16];

	snprintf(threads, sizeof(threads), "%u",
	    start->spec->threads != 0 ? start->spec->threads : THREADS_DEFAULT);
	setenv("UV_THREADPOOL_SIZE", threads, 1);
	w->spec = start->spec;
	w->limits = start->limits;
	w->meters = start->meters;
	metrics_worker_begin(start->spec->metrics, start->row);
	w->index = start->index;
	w->row = start->row;
	w->log = start->spec->log;
	w->loop = net_loop_new(w->log);
	uv_timer_init(&w->loop->uv, &w->drain_timer);
	uv_timer_init(&w->loop->uv, &w->accept_timer);
	uv_check_init(&w->loop->uv, &w->check);
	w->drain_timer.data = w->accept_timer.data = w->check.data = w;
	log_debug(w->log, "worker", "index=%u state=%s", w->index, "started");
}

/* 0, or an exit status if the worker cannot begin. */
static int
worker_begin(struct net_worker *w, const struct net_worker_start *start)
{
	watch_parent(w, start->life_fd);
	unblock_signals();
	make_acceptors(w, start->listening);
	if (w->spec->worker_start != NULL && !w->spec->worker_start(w, w->spec->arg))
		return EX_CONFIG;
	if (write(start->ready_fd, "R", 1) != 1)
		return EX_OSERR;
	close(start->ready_fd);
	net_limits_accepting(w->limits, w->row, true);
	start_accepting(w);
	return 0;
}

static void
worker_run(struct net_worker *w)
{
	net_loop_run(w->loop);
	if (w->loop->jobs > 0) { /* a job that does not end: no waiting, no tidying up under it */
		log_error(w->log, "drain", "state=%s jobs=%zu", "jobs hang", w->loop->jobs);
		_exit(EX_SOFTWARE);
	}
	net_streams_abort_all(w->loop);
	net_streams_look_after(w->loop);
	if (w->spec->worker_stop != NULL)
		w->spec->worker_stop(w, w->spec->arg);
}

int
net_worker_main(const struct net_worker_start *start)
{
	struct net_worker worker = { 0 };
	int status;

	worker_init(&worker, start);
	status = worker_begin(&worker, start);
	if (status == 0)
		worker_run(&worker);
	net_loop_free(worker.loop);
	free(worker.acceptors);
	return status;
}

/* --- what a daemon may ask --- */

struct net_loop *
net_worker_loop(const struct net_worker *w)
{
	return w->loop;
}

struct log *
net_worker_log(const struct net_worker *w)
{
	return w->log;
}

struct net_limits *
net_worker_limits(const struct net_worker *w)
{
	return w->limits;
}

unsigned
net_worker_index(const struct net_worker *w)
{
	return w->index;
}

bool
net_worker_draining(const struct net_worker *w)
{
	return w->draining;
}

void
net_worker_set_data(struct net_worker *w, void *data)
{
	w->data = data;
}

void *
net_worker_data(const struct net_worker *w)
{
	return w->data;
}

void
net_worker_socket_gone(struct net_worker *w, struct net_limits_slot *place)
{
	const struct net_meters *meters = &w->meters[place->listener];

	net_limits_disconnect(w->limits, place);
	metrics_change(meters->metrics, meters->connections, -1);
	w->streams--;
	end_if_idle(w);
}

void
net_worker_hold(struct net_worker *w)
{
	w->holds++;
}

void
net_worker_release(struct net_worker *w)
{
	w->holds--;
	end_if_idle(w);
}
