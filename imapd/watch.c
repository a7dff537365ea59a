#include "imapd/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"

struct slot {
	struct watch *all;
	char *path; /* NULL: nothing */
	enum watch_kind kind;
	bool moved;
	bool polled;             /* the kernel had no watch left */
	struct net_watch *of[2]; /* new/ and cur/, or one */
};

struct watch {
	struct net_loop *loop;
	struct log *log;
	void (*on_moved)(void *arg);
	void *arg;
	struct slot **slots; /* each by itself: the kernel's watches point at them */
	unsigned count, cap;
	unsigned moved_count;
	struct net_timer *poll; /* as long as something is polled */
	bool said;              /* that watches are short */
	bool ended;             /* one, by itself */
};

struct watch *
watch_new(struct net_loop *loop, struct log *log, void (*on_moved)(void *arg), void *arg)
{
	struct watch *w = mem_zalloc(sizeof(*w));

	*w = (struct watch){ .loop = loop, .log = log, .on_moved = on_moved, .arg = arg };
	return w;
}

static void
forget_moved(struct slot *slot)
{
	slot->all->moved_count -= slot->moved;
	slot->moved = false;
}

static void
clear(struct slot *slot)
{
	for (size_t i = 0; i < ARRAY_LEN(slot->of); i++) {
		net_watch_free(slot->of[i]);
		slot->of[i] = NULL;
	}
	free(slot->path);
	slot->path = NULL;
	slot->polled = false;
	forget_moved(slot);
}

void
watch_cut(struct watch *w, unsigned count)
{
	while (w->count > count) {
		struct slot *slot = w->slots[--w->count];

		clear(slot);
		free(slot);
	}
	if (count == 0) {
		free(w->slots);
		w->slots = NULL;
		w->cap = 0;
	}
}

void
watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	watch_cut(w, 0);
	net_timer_free(w->poll);
	free(w);
}

static void
note_moved(struct slot *slot)
{
	slot->all->moved_count += !slot->moved;
	slot->moved = true;
}

/* A folder that is gone shows as moved; its owner then says what to watch from now on. */
static void
on_change(void *arg, unsigned seen)
{
	struct slot *slot = arg;
	struct watch *w = slot->all;

	if ((seen & NET_WATCH_GONE) != 0) {
		for (size_t i = 0; i < ARRAY_LEN(slot->of); i++) {
			net_watch_free(slot->of[i]);
			slot->of[i] = NULL;
		}
		w->ended = true;
		free(slot->path); /* the same path again is another folder */
		slot->path = NULL;
	}
	note_moved(slot);
	w->on_moved(w->arg);
}

static void
on_poll(void *arg)
{
	struct watch *w = arg;
	bool any = false;

	for (unsigned i = 0; i < w->count; i++) {
		if (!w->slots[i]->polled)
			continue;
		note_moved(w->slots[i]);
		any = true;
	}
	if (!any)
		return;
	net_timer_start_s(w->poll, WATCH_POLL_S);
	w->on_moved(w->arg);
}

static void
poll_instead(struct slot *slot)
{
	struct watch *w = slot->all;

	slot->polled = true;
	if (!w->said)
		log_warn(w->log, "watch", "error=%s polling=%us", strerror(errno), WATCH_POLL_S);
	w->said = true;
	if (w->poll == NULL)
		w->poll = net_timer_new(w->loop, on_poll, w);
	net_timer_start_s(w->poll, WATCH_POLL_S);
}

static struct net_watch *
watch_path(struct slot *slot, const char *sub, unsigned events)
{
	char *path = mem_printf("%s%s", slot->path, sub);
	struct net_watch *of = net_watch_new(slot->all->loop, path, events, on_change, slot);

	free(path);
	if (of == NULL && errno != ENOENT && errno != ENOTDIR)
		poll_instead(slot);
	return of;
}

static void
start(struct slot *slot)
{
	unsigned entries = NET_WATCH_CREATE | NET_WATCH_DELETE;

	switch (slot->kind) {
	case WATCH_MAILBOX:
		slot->of[0] = watch_path(slot, "/new", entries);
		slot->of[1] = watch_path(slot, "/cur", entries);
		break;
	case WATCH_TREE: slot->of[0] = watch_path(slot, "", entries | NET_WATCH_WRITTEN); break;
	case WATCH_FILE:
		slot->of[0] = watch_path(slot, "", NET_WATCH_MODIFY | NET_WATCH_WRITTEN);
		break;
	}
}

static struct slot *
slot_at(struct watch *w, unsigned number)
{
	if (number >= w->cap) {
		w->cap = number == 0 ? 1 : 2 * number + 2;
		w->slots = mem_realloc_array(w->slots, w->cap, sizeof(struct slot *));
	}
	while (w->count <= number) {
		struct slot *slot = mem_zalloc(sizeof(*slot));

		slot->all = w;
		w->slots[w->count++] = slot;
	}
	return w->slots[number];
}

bool
watch_set(struct watch *w, unsigned number, enum watch_kind kind, const char *path)
{
	struct slot *slot;

	if (path == NULL && number >= w->count)
		return false;
	slot = slot_at(w, number);
	if (path != NULL && slot->path != NULL && slot->kind == kind &&
	    strcmp(slot->path, path) == 0 && (slot->of[0] != NULL || slot->polled))
		return false;
	clear(slot);
	if (path == NULL)
		return false;
	slot->kind = kind;
	slot->path = mem_strdup(path);
	start(slot);
	return slot->of[0] != NULL || slot->of[1] != NULL || slot->polled;
}

bool
watch_take(struct watch *w, unsigned *number_out)
{
	if (w->moved_count == 0)
		return false;
	for (unsigned i = 0; i < w->count; i++) {
		if (!w->slots[i]->moved)
			continue;
		forget_moved(w->slots[i]);
		*number_out = i;
		return true;
	}
	return false;
}

bool
watch_has_ended(struct watch *w)
{
	bool ended = w->ended;

	w->ended = false;
	return ended;
}

bool
watch_has_moved(const struct watch *w)
{
	return w->moved_count > 0;
}
