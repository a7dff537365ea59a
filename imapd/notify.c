#include "imapd/notify.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "imapd/messages.h"
#include "imapd/news.h"
#include "imapd/notify_internal.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "net/metrics.h"
#include "store/mailbox.h"

/* --- life -------------------------------------------------------------------------------------- */

static void
own_names_free(struct imap_notify *n)
{
	for (size_t i = 0; i < n->own_name_count; i++)
		free(n->own_names[i]);
	free(n->own_names);
	n->own_names = NULL;
	n->own_name_count = 0;
}

static void
notify_free(struct imap_notify *n)
{
	if (n == NULL)
		return;
	own_names_free(n);
	notify_boxes_free(&n->boxes);
	notify_metadata_free(n);
	arena_free(&n->arena);
	free(n);
}

void
imap_notify_free(struct imap_session *s)
{
	imap_news_free(s);
	notify_free(s->notify);
	s->notify = NULL;
}

void
imap_notify_none(struct imap_session *s)
{
	imap_notify_free(s);
	s->notify = mem_zalloc(sizeof(*s->notify));
	s->notify->watches_changed = true;
}

void
notify_overflow(struct imap_session *s)
{
	imap_untagged(s, "OK [NOTIFICATIONOVERFLOW] Too much to tell; NOTIFY is off");
	imap_notify_none(s);
}

enum notify_parsed
imap_notify_set(struct imap_session *s, struct str text, enum store_err *err_out)
{
	struct imap_notify *n = mem_zalloc(sizeof(*n));
	const char *copy = arena_strndup(&n->arena, text.p, text.len);
	struct cursor c = cursor_from((struct str){ copy, text.len });
	enum notify_parsed parsed = notify_plan_parse(&c, &n->arena, !imap_utf8_names(s), &n->plan);
	const struct notify_group *group = notify_plan_selected(&n->plan);

	*err_out = STORE_OK;
	if (parsed == NOTIFY_PARSED) {
		*err_out = notify_tree_load(s, &n->plan, &n->boxes);
		notify_tree_trim(&n->boxes);
		if (*err_out == STORE_OK && !notify_tree_number(&n->boxes))
			*err_out = STORE_LIMIT;
	}
	if (parsed != NOTIFY_PARSED || *err_out != STORE_OK) {
		notify_free(n);
		return parsed;
	}
	if (group != NULL) {
		n->selected = group->events;
		n->fetch = group->fetch;
		n->delayed = group->filter.kind == MAILBOX_FILTER_SELECTED_DELAYED;
	}
	n->watches_changed = true;
	imap_notify_free(s);
	s->notify = n;
	notify_metadata_begin(s);
	return parsed;
}

bool
imap_notify_wants_modseq(const struct imap_session *s)
{
	const struct fetch_plan *fetch = s->notify->fetch;

	return fetch != NULL && (fetch->needs & FETCH_NEEDS_MODSEQ) != 0;
}

bool
imap_notify_begin(struct imap_session *s)
{
	struct imap_notify *n = s->notify;

	while (n->begun < n->boxes.count) {
		struct notify_box *box = &n->boxes.items[n->begun++];

		if (box->no_access)
			notify_tree_no_access(s, box);
		if (box->path != NULL)
			notify_status_begin(s, box, n->plan.status);
		if (imap_out_full(s))
			return false;
	}
	return true;
}

/* --- the selected mailbox ---------------------------------------------------------------------- */

unsigned
imap_notify_selected(const struct imap_session *s)
{
	return s->notify == NULL ? NOTIFY_MESSAGES : s->notify->selected;
}

const struct fetch_plan *
imap_notify_fetch_plan(const struct imap_session *s)
{
	return s->notify != NULL ? s->notify->fetch : NULL;
}

/* From now on it is a mailbox like the others: what the client saw of it is what it was told. */
void
imap_notify_deselect(struct imap_session *s)
{
	struct imap_notify *n = s->notify;
	struct mailbox_facts facts;

	if (n == NULL || s->box == NULL)
		return;
	mailbox_facts(s->box, &facts);
	for (size_t i = 0; i < n->boxes.count; i++) {
		struct notify_box *box = &n->boxes.items[i];

		if (box->path == NULL || box->acct != mailbox_account(s->box) ||
		    strcmp(box->name, mailbox_name(s->box)) != 0)
			continue;
		box->known = true;
		box->messages = facts.messages;
		box->unseen = facts.unseen;
		box->uidnext = facts.uidnext;
		box->uidvalidity = facts.uidvalidity;
		box->modseq = facts.highestmodseq;
		box->own_messages = 0;
		box->moved = n->boxes_moved = true;
	}
}

/* --- what the session does itself -------------------------------------------------------------- */

void
imap_notify_own_messages(
    struct imap_session *s, const struct account *acct, const char *name, const struct uidset *uids)
{
	struct imap_notify *n = s->notify;

	if (s->box != NULL && mailbox_account(s->box) == acct &&
	    strcmp(mailbox_name(s->box), name) == 0)
		imap_news_own(s, uids);
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->boxes.count; i++)
		if (n->boxes.items[i].acct == acct && strcmp(n->boxes.items[i].name, name) == 0)
			n->boxes.items[i].own_messages += uidset_count(uids);
}

void
imap_notify_own_name(struct imap_session *s, const char *shown)
{
	struct imap_notify *n = s->notify;

	if (n == NULL || n->plan.group_count == 0 || n->own_name_count == NOTIFY_LIST_LINES_MAX)
		return;
	n->own_names = mem_realloc_array(n->own_names, n->own_name_count + 1, sizeof(char *));
	n->own_names[n->own_name_count++] = mem_strdup(shown);
	n->tree_moved = true; /* so that the names are forgotten again */
}

/* --- telling ----------------------------------------------------------------------------------- */

/* With nothing to say there is time to look for what other programs may have changed unseen. */
static bool
tell_selected(struct imap_session *s, bool idle)
{
	struct imap_notify *n = s->notify;
	bool expunges = idle || !n->delayed;
	bool done = imap_send_updates(s, expunges);

	n->selected_moved = !done;
	if (done && s->state != IMAP_LOGOUT && s->out.len == 0 && s->box != NULL &&
	    mailbox_verify(s->box) == STORE_OK)
		done = imap_send_updates(s, expunges);
	return done;
}

/* False: time is up, or the output full. */
static bool
tell_boxes(struct imap_session *s)
{
	struct imap_notify *n = s->notify;
	uint64_t end_ns = metrics_now_ns() + NOTIFY_SLICE_MS * UINT64_C(1000000);

	for (size_t i = 0; i < n->boxes.count; i++) {
		struct notify_box *box = &n->boxes.items[i];

		if (!box->moved)
			continue;
		if (imap_out_full(s) || metrics_now_ns() > end_ns)
			return false;
		box->moved = false;
		notify_status_update(s, box);
	}
	return true;
}

static bool
tree_is_due(const struct imap_notify *n)
{
	return n->tree_moved && clock_ms() >= n->tree_after_ms;
}

/* Not before the tree is read that has moved as well: an annotation of a mailbox that is new there would be passed over. */
static bool
metadata_is_due(const struct imap_notify *n)
{
	return n->metadata_moved && !n->tree_moved;
}

static void
update_tree(struct imap_session *s)
{
	int64_t began_ms = clock_ms(), now_ms, pause_ms;

	s->notify->tree_moved = false;
	notify_tree_update(s);
	own_names_free(s->notify);
	now_ms = clock_ms();
	pause_ms = (now_ms - began_ms) * NOTIFY_TREE_PAUSES;
	s->notify->tree_after_ms =
	    now_ms + (pause_ms < NOTIFY_TREE_PAUSE_MAX_MS ? pause_ms : NOTIFY_TREE_PAUSE_MAX_MS);
}

enum imap_result
imap_notify_run(struct imap_session *s, bool idle)
{
	struct imap_notify *n = s->notify;

	if (!imap_news_is_pending(s) && !imap_account_is_there(s))
		return IMAP_OK;
	if (imap_news_is_pending(s) || n->selected_moved) {
		if (!tell_selected(s, idle))
			return IMAP_MORE;
		if (s->state == IMAP_LOGOUT)
			return IMAP_OK;
	}
	if (tree_is_due(n)) {
		update_tree(s);
		n = s->notify;
	}
	if (metadata_is_due(n))
		notify_metadata_update(s);
	if (n->boxes_moved)
		n->boxes_moved = !tell_boxes(s);
	return IMAP_OK;
}

/* --- watches ----------------------------------------------------------------------------------- */

bool
imap_notify_is_due(const struct imap_session *s)
{
	const struct imap_notify *n = s->notify;

	return n != NULL &&
	       (n->selected_moved || tree_is_due(n) || n->boxes_moved || metadata_is_due(n));
}

uint64_t
imap_notify_due_in_ms(const struct imap_session *s)
{
	const struct imap_notify *n = s->notify;
	int64_t now_ms;

	if (n == NULL || !n->tree_moved)
		return 0;
	now_ms = clock_ms();
	return n->tree_after_ms > now_ms ? (uint64_t)(n->tree_after_ms - now_ms) : 1;
}

bool
imap_notify_wants_selected(const struct imap_session *s)
{
	return s->notify != NULL && s->notify->selected != 0 && s->box != NULL;
}

struct watch_list {
	void (*set)(void *arg, unsigned number, enum watch_kind kind, const char *path);
	void *arg;
	unsigned next; /* number */
};

static void
watch_next(struct watch_list *l, enum watch_kind kind, const char *path)
{
	l->set(l->arg, l->next++, kind, path);
}

/* By their numbers, with gaps. */
static void
watch_boxes(struct watch_list *l, const struct notify_boxes *boxes)
{
	unsigned count = NOTIFY_WATCH_BOX;
	const char **paths;

	for (size_t i = 0; i < boxes->count; i++)
		if (boxes->items[i].path != NULL && boxes->items[i].number >= count)
			count = boxes->items[i].number + 1;
	paths = mem_zalloc(count * sizeof(*paths));
	for (size_t i = 0; i < boxes->count; i++)
		if (boxes->items[i].path != NULL)
			paths[boxes->items[i].number] = boxes->items[i].path;
	for (unsigned i = NOTIFY_WATCH_BOX; i < count; i++)
		watch_next(l, WATCH_MAILBOX, paths[i]);
	free(paths);
}

/* Where it shows who shares what: the mail root, the trees of those who do, and the folders with their lists of rights. */
static void
watch_others(struct watch_list *l, const struct imap_session *s, const struct notify_boxes *boxes)
{
	const char *home = account_path(s->acct), *end = strrchr(home, '/');
	const struct account *last = s->acct;
	char *root;

	while (end > home && *--end != '/') /* MAIL_ROOT/domain/localpart */
		;
	root = mem_strndup(home, (size_t)(end - home));
	watch_next(l, WATCH_TREE, root);
	free(root);
	for (size_t i = 0; i < boxes->count; i++) {
		const struct notify_box *box = &boxes->items[i];

		if (box->folder == NULL)
			continue;
		if (box->acct != last)
			watch_next(l, WATCH_TREE, account_path(box->acct));
		last = box->acct;
		watch_next(l, WATCH_TREE, box->folder);
	}
}

bool
imap_notify_watches(struct imap_session *s,
    void (*set)(void *arg, unsigned number, enum watch_kind kind, const char *path), void *arg,
    unsigned *count_out)
{
	struct imap_notify *n = s->notify;
	struct watch_list l = { set, arg, NOTIFY_WATCH_TREE };

	if (n == NULL || !n->watches_changed)
		return false;
	n->watches_changed = false;
	watch_next(&l, WATCH_TREE, n->plan.group_count > 0 ? account_path(s->acct) : NULL);
	watch_next(&l, WATCH_FILE, n->state_count > 0 ? n->states[0].path : NULL);
	watch_boxes(&l, &n->boxes);
	n->first_more = l.next;
	if (notify_plan_has_others(&n->plan))
		watch_others(&l, s, &n->boxes);
	n->first_state = l.next;
	for (size_t i = 1; i < n->state_count; i++)
		watch_next(&l, WATCH_FILE, n->states[i].path);
	*count_out = l.next;
	return true;
}

void
imap_notify_moved(struct imap_session *s, unsigned number)
{
	struct imap_notify *n = s->notify;

	if (n == NULL)
		return;
	if (number == NOTIFY_WATCH_SELECTED)
		n->selected_moved = s->box != NULL;
	if (number == NOTIFY_WATCH_TREE || (number >= n->first_more && number < n->first_state))
		n->tree_moved = true;
	/* state.db may have come just now. */
	if (number == NOTIFY_WATCH_STATE || number == NOTIFY_WATCH_TREE || number >= n->first_more)
		n->metadata_moved = n->state_count > 0;
	for (size_t i = 0; i < n->boxes.count && number >= NOTIFY_WATCH_BOX; i++)
		if (n->boxes.items[i].path != NULL && n->boxes.items[i].number == number)
			n->boxes.items[i].moved = n->boxes_moved = true;
}

void
imap_notify_watch_again(struct imap_session *s)
{
	if (s->notify != NULL)
		s->notify->watches_changed = true;
}
