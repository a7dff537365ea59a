/* A worker's event loop: timers, jobs on the thread pool, file watches, name look-ups and outgoing
 * connections.  All functions are called, and all callbacks come, on the loop's own thread; the
 * exceptions (net_job_run's `run`, net_loop_post) say so.  Callbacks always come from the loop, never from
 * inside the function that asked for them.
 * Nothing here may block the thread: what waits for a disk, SQLite or a hash is a job. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

struct log;
struct net_loop;
struct net_stream;

/* A daemon's worker gets its loop from net_daemon_run(); tests and tools make their own. */
struct net_loop *net_loop_new(struct log *log);
void net_loop_run(struct net_loop *loop);  /* until net_loop_stop() */
void net_loop_stop(struct net_loop *loop); /* run returns after this round's callbacks */
/* Aborts the streams that are open (their on_closed comes), waits for the jobs in flight, frees all. */
void net_loop_free(struct net_loop *loop);
struct log *net_loop_log(const struct net_loop *loop);
uint64_t net_loop_now_ms(const struct net_loop *loop); /* monotonic, taken once per round */

/* Runs fn(arg) on the loop thread soon.  May be called from any thread. */
void net_loop_post(struct net_loop *loop, void (*fn)(void *arg), void *arg);

/* --- timers: one shot; starting one that runs moves its end --- */
struct net_timer;
struct net_timer *net_timer_new(struct net_loop *loop, void (*on_timer)(void *arg), void *arg);
void net_timer_start_ms(struct net_timer *t, uint64_t delay_ms);
void net_timer_start_s(struct net_timer *t, unsigned delay_s);
void net_timer_stop(struct net_timer *t);
void net_timer_free(struct net_timer *t); /* NULL is fine; the callback will not come any more */

/* --- jobs --- */
/* run(arg) on a pool thread, then done(arg) on the loop (NULL if nobody needs to know).  Jobs start in the order they
 * were asked for, as threads become free.  A job cannot be cancelled: whoever goes away earlier
 * keeps arg alive until `done`. */
void net_job_run(struct net_loop *loop, void (*run)(void *arg), void (*done)(void *arg), void *arg);
size_t net_jobs_in_flight(const struct net_loop *loop);

/* --- watches: changes of files and directories, whoever makes them (inotify) --- */
enum net_watch_event {         /* a set, or'ed together */
	NET_WATCH_CREATE = 1,  /* an entry was created in or moved into the directory */
	NET_WATCH_DELETE = 2,  /* an entry was deleted or moved away */
	NET_WATCH_MODIFY = 4,  /* bytes were written (comes often) */
	NET_WATCH_WRITTEN = 8, /* a file open for writing was closed */
	NET_WATCH_ATTRIB = 16, /* mode, times or link count changed */
	NET_WATCH_GONE = 32,   /* always told: the watched path itself was deleted or moved, and
	                       * nothing more will come; free the watch and make a new one */
};
/* `seen` is the set since the last call (events of one round are merged into one call per watch). */
struct net_watch;
/* NULL with errno if the path is not there (ENOENT), may not be read, or the kernel's limit is
 * reached (ENOSPC, EMFILE): then poll with a timer.  Any number of watches may be on one path. */
struct net_watch *net_watch_new(struct net_loop *loop, const char *path, unsigned events,
    void (*on_change)(void *arg, unsigned seen), void *arg);
void net_watch_free(struct net_watch *w); /* NULL is fine */

/* --- descriptors that a library reads and writes by itself --- */
/* on_readable(arg) whenever fd can be read, until net_poll_free().  fd stays the caller's, and open as long as that. */
struct net_poll;
struct net_poll *net_poll_new(
    struct net_loop *loop, int fd, void (*on_readable)(void *arg), void *arg);
void net_poll_free(struct net_poll *p); /* NULL is fine; on_readable will not come any more */

/* --- host names --- */
#define NET_RESOLVE_MAX 16 /* addresses told of one name */
/* getaddrinfo as a job.  on_resolved gets the addresses in the order to try, valid during the call;
 * if there are none, `error` says why.  `permanent`: the name does not exist (else: try later). */
void net_resolve(struct net_loop *loop, const char *host,
    void (*on_resolved)(
	void *arg, const struct net_ip *ips, size_t count, bool permanent, const char *error),
    void *arg);

/* --- outgoing connections --- */
struct net_connect;
/* Resolves, then tries each address until one accepts; `timeout_s` is for each address.
 * on_connected comes exactly once: with a stream, the caller's, to be begun with net_stream_begin()
 * before the callback returns; or with NULL and a text ("192.0.2.1:25: Connection refused"). */
struct net_connect *net_connect_start(struct net_loop *loop, const struct net_endpoint *to,
    unsigned timeout_s, void (*on_connected)(void *arg, struct net_stream *st, const char *error),
    void *arg);
void net_connect_cancel(struct net_connect *c); /* on_connected will not come; not after it came */

#endif
