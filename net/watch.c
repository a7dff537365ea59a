/* All watches of a loop share one inotify descriptor.  The kernel gives one number (wd) per inode;
 * watches of the same inode share it and are told apart here. */
#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/internal.h"

#define WATCH_BUCKETS 1024

struct net_watch {
	struct net_watches *all;
	struct net_watch *next; /* in the bucket */
	struct net_watch *due_next;
	void (*on_change)(void *arg, unsigned seen);
	void *arg;
	int wd; /* -1: gone */
	unsigned events;
	unsigned seen; /* not told yet; not 0: it is in the due list */
};

struct net_watches {
	uv_poll_t poll;
	int fd;
	struct net_watch *due, **due_end;
	struct net_watch *buckets[WATCH_BUCKETS];
};

static const struct {
	uint32_t kernel;
	unsigned event;
} EVENTS[] = {
	{ IN_CREATE | IN_MOVED_TO, NET_WATCH_CREATE },
	{ IN_DELETE | IN_MOVED_FROM, NET_WATCH_DELETE },
	{ IN_MODIFY, NET_WATCH_MODIFY },
	{ IN_CLOSE_WRITE, NET_WATCH_WRITTEN },
	{ IN_ATTRIB, NET_WATCH_ATTRIB },
	{ IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED, NET_WATCH_GONE },
};

static struct net_watch **
bucket(struct net_watches *all, int wd)
{
	return &all->buckets[(unsigned)wd % WATCH_BUCKETS];
}

static void
note(struct net_watch *w, unsigned seen)
{
	seen &= w->events | NET_WATCH_GONE;
	if (seen == 0)
		return;
	if (w->seen == 0) {
		w->due_next = NULL;
		*w->all->due_end = w;
		w->all->due_end = &w->due_next;
	}
	w->seen |= seen;
}

static void
note_event(struct net_watches *all, const struct inotify_event *e)
{
	unsigned seen = 0;

	for (size_t i = 0; i < ARRAY_LEN(EVENTS); i++)
		if (e->mask & EVENTS[i].kernel)
			seen |= EVENTS[i].event;
	for (struct net_watch *w = *bucket(all, e->wd); w != NULL; w = w->next)
		if (w->wd == e->wd)
			note(w, seen);
}

/* The kernel's queue ran over: anything may have changed. */
static void
note_overflow(struct net_watches *all)
{
	for (size_t i = 0; i < WATCH_BUCKETS; i++)
		for (struct net_watch *w = all->buckets[i]; w != NULL; w = w->next)
			note(w, w->events);
}

static void
unlink_from_bucket(struct net_watch *w)
{
	struct net_watch **at = bucket(w->all, w->wd);

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
}

static bool
shares_wd(const struct net_watch *w)
{
	for (const struct net_watch *o = *bucket(w->all, w->wd); o != NULL; o = o->next)
		if (o->wd == w->wd)
			return true;
	return false;
}

/* Callbacks may free any watch and make new ones: take the list's head until it is empty. */
static void
tell_due(struct net_watches *all)
{
	struct net_watch *w;
	unsigned seen;

	while ((w = all->due) != NULL) {
		all->due = w->due_next;
		if (all->due == NULL)
			all->due_end = &all->due;
		seen = w->seen;
		w->seen = 0;
		if ((seen & NET_WATCH_GONE) && w->wd >= 0) {
			unlink_from_bucket(w);
			if (!shares_wd(w))
				inotify_rm_watch(all->fd, w->wd); /* moved, not deleted */
			w->wd = -1;
		}
		w->on_change(w->arg, seen);
	}
}

static void
on_inotify(uv_poll_t *h, int status, int events)
{
	struct net_watches *all = h->data;
	_Alignas(struct inotify_event) char raw[16 * 1024];
	ssize_t n;

	(void)status, (void)events;
	while ((n = read(all->fd, raw, sizeof(raw))) > 0) {
		for (char *p = raw; p < raw + n;) {
			const struct inotify_event *e = (const void *)p;

			if (e->mask & IN_Q_OVERFLOW)
				note_overflow(all);
			else
				note_event(all, e);
			p += sizeof(*e) + e->len;
		}
	}
	tell_due(all);
}

static struct net_watches *
watches_new(struct net_loop *loop)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct net_watches *all;

	if (fd < 0)
		return NULL;
	all = mem_zalloc(sizeof(*all));
	all->fd = fd;
	all->due_end = &all->due;
	uv_poll_init(&loop->uv, &all->poll, fd);
	all->poll.data = all;
	uv_poll_start(&all->poll, UV_READABLE, on_inotify);
	return all;
}

struct net_watch *
net_watch_new(struct net_loop *loop, const char *path, unsigned events,
    void (*on_change)(void *arg, unsigned seen), void *arg)
{
	uint32_t mask = IN_MASK_ADD | IN_DELETE_SELF | IN_MOVE_SELF;
	struct net_watch *w;
	int wd;

	if (loop->watches == NULL && (loop->watches = watches_new(loop)) == NULL)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(EVENTS) - 1; i++)
		if (events & EVENTS[i].event)
			mask |= EVENTS[i].kernel;
	wd = inotify_add_watch(loop->watches->fd, path, mask);
	if (wd < 0)
		return NULL;
	w = mem_zalloc(sizeof(*w));
	*w = (struct net_watch){ loop->watches, *bucket(loop->watches, wd), NULL, on_change, arg,
		wd, events, 0 };
	*bucket(loop->watches, wd) = w;
	return w;
}

static void
unlink_from_due(struct net_watch *w)
{
	struct net_watch **at = &w->all->due;

	while (*at != w)
		at = &(*at)->due_next;
	*at = w->due_next;
	if (*at == NULL)
		w->all->due_end = at;
}

void
net_watch_free(struct net_watch *w)
{
	if (w == NULL)
		return;
	if (w->seen != 0)
		unlink_from_due(w);
	if (w->wd >= 0) {
		unlink_from_bucket(w);
		if (!shares_wd(w))
			inotify_rm_watch(w->all->fd, w->wd);
	}
	free(w);
}

static void
on_closed(uv_handle_t *h)
{
	free(h->data);
}

void
net_watches_free(struct net_loop *loop)
{
	struct net_watches *all = loop->watches;

	if (all == NULL)
		return;
	uv_close((uv_handle_t *)&all->poll, on_closed);
	close(all->fd);
	loop->watches = NULL;
}
