#include "imapd/news.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "imapd/fetch_run.h"
#include "imapd/notify.h"
#include "imapd/session.h"
#include "store/uidset.h"

struct imap_news {
	struct uidset own;
	struct uidset plain;    /* for NOTIFY alone */
	struct uidset found;    /* for searches, and for NOTIFY if it asks */
	struct arena arena;     /* until all is sent */
	struct fetch_plan plan; /* for `found` */
	bool plan_has_notify;
	struct fetch_run *run; /* under way */
};

static struct imap_news *
news(struct imap_session *s)
{
	if (s->news == NULL)
		s->news = mem_zalloc(sizeof(*s->news));
	return s->news;
}

void
imap_news_free(struct imap_session *s)
{
	struct imap_news *n = s->news;

	if (n == NULL)
		return;
	if (n->run != NULL)
		fetch_run_free(n->run);
	uidset_free(&n->own);
	uidset_free(&n->plain);
	uidset_free(&n->found);
	arena_free(&n->arena);
	free(n);
	s->news = NULL;
}

bool
imap_news_is_pending(const struct imap_session *s)
{
	return s->news != NULL && s->news->run != NULL;
}

void
imap_news_own(struct imap_session *s, const struct uidset *uids)
{
	if (s->notify != NULL || s->contexts != NULL)
		uidset_union(&news(s)->own, uids);
}

/* --- what is wanted ---------------------------------------------------------------------------- */

static bool
has_item(const struct fetch_plan *plan, const struct fetch_item *item)
{
	for (size_t i = 0; i < plan->item_count; i++)
		if (plan->items[i].row == item->row && str_eq(plan->items[i].label, item->label))
			return true;
	return false;
}

/* What the plan does not have yet; the items' parts stay where they are. */
static void
add_items(struct imap_news *n, const struct fetch_plan *from)
{
	struct fetch_plan *plan = &n->plan;
	struct fetch_item *items =
	    arena_alloc(&n->arena, (plan->item_count + from->item_count) * sizeof(*items));

	for (size_t i = 0; i < plan->item_count; i++)
		items[i] = plan->items[i];
	plan->items = items;
	plan->item_cap = plan->item_count + from->item_count;
	for (size_t i = 0; i < from->item_count; i++)
		if (!has_item(plan, &from->items[i]))
			items[plan->item_count++] = from->items[i];
	plan->needs |= from->needs;
}

void
imap_news_found(struct imap_session *s, const struct uidset *uids, struct str atts)
{
	struct imap_news *n = news(s);
	struct cursor c =
	    cursor_from((struct str){ arena_strndup(&n->arena, atts.p, atts.len), atts.len });
	struct fetch_plan plan = { 0 };

	if (uidset_is_empty(uids) || !fetch_plan_parse_atts(&c, &n->arena, &plan))
		return;
	add_items(n, &plan);
	uidset_union(&n->found, uids);
}

void
imap_news_arrived(struct imap_session *s, const struct uidset *uids)
{
	const struct fetch_plan *fetch = imap_notify_fetch_plan(s);
	struct imap_news *n;

	if (uidset_is_empty(uids) || (fetch == NULL && s->news == NULL))
		return;
	n = news(s);
	if (fetch != NULL) {
		uidset_union(&n->plain, uids);
		if (!n->plan_has_notify)
			add_items(n, fetch);
		n->plan_has_notify = true;
	}
	uidset_subtract(&n->found, &n->own);
	uidset_subtract(&n->plain, &n->own);
	uidset_subtract(&n->plain, &n->found);
	uidset_subtract(&n->own, uids);
}

/* --- sending ----------------------------------------------------------------------------------- */

static bool
start(struct imap_session *s, struct imap_news *n)
{
	const struct fetch_plan *plan = &n->plan;
	struct uidset uids = { 0 };

	if (!uidset_is_empty(&n->found)) {
		uidset_swap(&uids, &n->found);
	} else if (!uidset_is_empty(&n->plain)) {
		uidset_swap(&uids, &n->plain);
		plan = imap_notify_fetch_plan(s);
	} else {
		return false;
	}
	n->run = fetch_run_new(s, &n->arena, plan, &uids);
	uidset_free(&uids);
	return true;
}

/* What the session has put in may still be unannounced. */
static void
all_sent(struct imap_session *s, struct imap_news *n)
{
	if (uidset_is_empty(&n->own)) {
		imap_news_free(s);
		return;
	}
	arena_free(&n->arena);
	n->plan = (struct fetch_plan){ 0 };
	n->plan_has_notify = false;
}

bool
imap_news_fetch(struct imap_session *s)
{
	struct imap_news *n = s->news;

	if (n == NULL)
		return true;
	while (n->run != NULL || start(s, n)) {
		switch (fetch_run_step(n->run)) {
		case FETCH_MORE: return false;
		case FETCH_DONE: break;
		case FETCH_BROKEN:
			s->broken = true; /* nobody writes any more */
			s->state = IMAP_LOGOUT;
			imap_news_free(s);
			return true;
		}
		fetch_run_free(n->run);
		n->run = NULL;
	}
	all_sent(s, n);
	return true;
}
