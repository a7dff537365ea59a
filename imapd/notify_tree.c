/* MailboxName and SubscriptionChange, RFC 5465 §5.4 and §5.5: the tree as it was told and as it is now. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "imapd/mailbox_scope.h"
#include "imapd/names.h"
#include "imapd/notify_internal.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/folder.h"

#define LOAD_TRIES 10 /* of a tree that changes while we look */

void
notify_box_clear(struct notify_box *box)
{
	free(box->shown);
	free(box->name);
	free(box->path);
	free(box->folder);
	*box = (struct notify_box){ 0 };
}

void
notify_boxes_free(struct notify_boxes *boxes)
{
	for (size_t i = 0; i < boxes->count; i++)
		notify_box_clear(&boxes->items[i]);
	free(boxes->items);
	*boxes = (struct notify_boxes){ 0 };
}

static int
by_shown(const void *a, const void *b)
{
	const struct notify_box *x = a, *y = b;

	return strcmp(x->shown, y->shown);
}

struct notify_box *
notify_boxes_find(const struct notify_boxes *boxes, const char *shown)
{
	struct notify_box key = { .shown = (char *)(uintptr_t)shown };

	if (boxes->count == 0)
		return NULL;
	return bsearch(&key, boxes->items, boxes->count, sizeof(key), by_shown);
}

static bool
exists(const struct notify_box *box)
{
	return box != NULL && (box->attributes & MAILBOX_NONEXISTENT) == 0;
}

/* --- what there is ----------------------------------------------------------------------------- */

static bool
find_id(int home_fd, const char *dir, struct notify_id *id_out)
{
	struct statx st;

	if (statx(home_fd, dir, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &st) != 0)
		return false;
	id_out->dev = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
	id_out->inode = st.stx_ino;
	if ((st.stx_mask & STATX_BTIME) != 0)
		id_out->born_ns = st.stx_btime.tv_sec * INT64_C(1000000000) + st.stx_btime.tv_nsec;
	return true;
}

static char *
dir_path(const struct account *acct, struct buf *dir)
{
	return dir->len > 0 ? mem_printf("%s/%s", account_path(acct), buf_cstr(dir))
			    : mem_strdup(account_path(acct));
}

/* Where it is on disk, as far as somebody wants to know.  STORE_CHANGED: it has gone since the list was made. */
static enum store_err
find_place(struct notify_box *box)
{
	struct buf dir = { 0 };
	enum store_err err = STORE_OK;

	if (!exists(box) || box->acct == NULL ||
	    folder_path(account_dir_fd(box->acct), box->name, &dir) != STORE_OK)
		return STORE_OK;
	if ((box->events & NOTIFY_MAILBOX_NAME) != 0 && dir.len > 0 &&
	    !find_id(account_dir_fd(box->acct), buf_cstr(&dir), &box->id))
		err = STORE_CHANGED;
	if ((box->events & NOTIFY_MESSAGES) != 0)
		box->path = dir_path(box->acct, &dir);
	if (imap_name_is_of_others(box->shown))
		box->folder = dir_path(box->acct, &dir);
	buf_free(&dir);
	return err;
}

/* Its messages are for who may look at it and read it, RFC 5465 §5. */
static enum store_err
add(struct imap_session *s, const struct notify_plan *plan, const struct mailbox_info *info,
    struct notify_boxes *boxes)
{
	struct mailbox_candidate candidate = mailbox_scope_candidate(info);
	unsigned events = notify_plan_events(plan, &candidate);
	struct notify_box *box = &boxes->items[boxes->count++];
	struct imap_place place = { 0 };
	struct arena arena = { 0 };
	enum store_err err = STORE_OK;
	bool no_access = false;

	if (events != 0)
		err = imap_place_of(s, &arena, info->name, &place);
	if (place.acct == NULL ||
	    (place.rights & (ACL_LOOKUP | ACL_READ)) != (ACL_LOOKUP | ACL_READ)) {
		no_access = place.acct != NULL && (place.rights & ACL_LOOKUP) != 0 &&
			    (info->attributes & MAILBOX_NONEXISTENT) == 0 &&
			    (events & ~(unsigned)NOTIFY_TREE) != 0;
		events &= (unsigned)NOTIFY_TREE;
	}
	*box = (struct notify_box){ .shown = mem_strdup(info->name),
		.name = mem_strdup(place.acct != NULL ? place.name : info->name),
		.acct = place.acct,
		.attributes = info->attributes,
		.use = info->use,
		.events = events,
		.no_access = no_access };
	if (err == STORE_OK)
		err = find_place(box);
	arena_free(&arena);
	return err;
}

static enum store_err
load(struct imap_session *s, const struct notify_plan *plan, struct notify_boxes *boxes)
{
	struct mailbox_list list = { 0 };
	enum store_err err = mailbox_scope_list(s, notify_plan_has_others(plan), &list);

	if (err == STORE_OK)
		boxes->items = mem_realloc_array(NULL, list.count + 1, sizeof(*boxes->items));
	for (size_t i = 0; i < list.count && err == STORE_OK; i++)
		err = add(s, plan, &list.boxes[i], boxes);
	mailbox_list_free(&list);
	return err;
}

enum store_err
notify_tree_load(
    struct imap_session *s, const struct notify_plan *plan, struct notify_boxes *boxes_out)
{
	enum store_err err = STORE_CHANGED;

	for (int i = 0; i < LOAD_TRIES && err == STORE_CHANGED; i++) {
		notify_boxes_free(boxes_out);
		err = load(s, plan, boxes_out);
	}
	if (boxes_out->count > 1)
		qsort(boxes_out->items, boxes_out->count, sizeof(*boxes_out->items), by_shown);
	return err;
}

void
notify_tree_trim(struct notify_boxes *boxes)
{
	size_t kept = 0;

	for (size_t i = 0; i < boxes->count; i++) {
		if (boxes->items[i].events == 0 && !boxes->items[i].no_access)
			notify_box_clear(&boxes->items[i]);
		else
			boxes->items[kept++] = boxes->items[i];
	}
	boxes->count = kept;
	if (kept > 0)
		boxes->items = mem_realloc_array(boxes->items, kept, sizeof(*boxes->items));
}

bool
notify_tree_number(struct notify_boxes *boxes)
{
	bool *taken = mem_zalloc(NOTIFY_MAILBOXES_MAX * sizeof(*taken));
	size_t watched = 0;
	unsigned at = 0;

	for (size_t i = 0; i < boxes->count; i++) {
		watched += boxes->items[i].path != NULL;
		if (boxes->items[i].path != NULL && boxes->items[i].number != 0)
			taken[boxes->items[i].number - NOTIFY_WATCH_BOX] = true;
	}
	for (size_t i = 0; i < boxes->count && watched <= NOTIFY_MAILBOXES_MAX; i++) {
		if (boxes->items[i].path == NULL || boxes->items[i].number != 0)
			continue;
		while (taken[at])
			at++;
		taken[at] = true;
		boxes->items[i].number = at + NOTIFY_WATCH_BOX;
	}
	free(taken);
	return watched <= NOTIFY_MAILBOXES_MAX;
}

/* --- what has changed -------------------------------------------------------------------------- */

/* The names of both trees, each once. */
struct change {
	const struct notify_box *was;
	struct notify_box *is;
	const char *shown;
	bool tell;                         /* a LIST response is due */
	const struct change *renamed_from; /* it was that one */
	bool renamed;                      /* and this is the one */
};

struct comparison {
	struct change *items; /* sorted by name */
	size_t count;
	const struct imap_notify *n;
};

static void
pair_up(struct comparison *cmp, const struct notify_boxes *was, struct notify_boxes *is)
{
	size_t i = 0, k = 0;

	cmp->items = mem_zalloc((was->count + is->count + 1) * sizeof(*cmp->items));
	while (i < was->count || k < is->count) {
		struct change *c = &cmp->items[cmp->count++];
		int order = i == was->count  ? 1
			    : k == is->count ? -1
					     : strcmp(was->items[i].shown, is->items[k].shown);

		if (order <= 0)
			c->was = &was->items[i++];
		if (order >= 0)
			c->is = &is->items[k++];
		c->shown = c->is != NULL ? c->is->shown : c->was->shown;
	}
}

static struct change *
find(const struct comparison *cmp, const char *shown)
{
	size_t low = 0, high = cmp->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(cmp->items[mid].shown, shown);

		if (order == 0)
			return &cmp->items[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static unsigned
wanted(const struct change *c)
{
	return (c->was != NULL ? c->was->events : 0) | (c->is != NULL ? c->is->events : 0);
}

static bool
is_created(const struct change *c)
{
	return exists(c->is) && !exists(c->was);
}

static bool
is_deleted(const struct change *c)
{
	return exists(c->was) && !exists(c->is);
}

static bool
is_subscribed(const struct notify_box *box)
{
	return box != NULL && (box->attributes & MAILBOX_SUBSCRIBED) != 0;
}

/* The session did it itself. */
static bool
is_own(const struct comparison *cmp, const char *shown)
{
	for (size_t i = 0; i < cmp->n->own_name_count; i++) {
		struct str own = str_from(cmp->n->own_names[i]);

		if (str_eq(own, str_from(shown)) || mailbox_name_is_below(str_from(shown), own))
			return true;
	}
	return false;
}

static bool
same_id(const struct notify_id *a, const struct notify_id *b)
{
	return a->inode != 0 && a->inode == b->inode && a->dev == b->dev &&
	       a->born_ns == b->born_ns;
}

/* A folder that was there under another name.  What was told of its messages still holds. */
static void
find_renames(struct comparison *cmp)
{
	struct change **gone = mem_zalloc((cmp->count + 1) * sizeof(*gone));
	size_t gone_count = 0;

	for (size_t i = 0; i < cmp->count; i++)
		if (is_deleted(&cmp->items[i]))
			gone[gone_count++] = &cmp->items[i];
	for (size_t i = 0; i < cmp->count && gone_count > 0; i++) {
		struct change *c = &cmp->items[i];

		for (size_t k = 0; is_created(c) && k < gone_count; k++) {
			if (gone[k]->renamed || !same_id(&c->is->id, &gone[k]->was->id))
				continue;
			c->renamed_from = gone[k];
			gone[k]->renamed = true;
			break;
		}
	}
	free(gone);
}

static struct change *
parent_of(const struct comparison *cmp, const char *shown)
{
	const char *end = strrchr(shown, IMAP_DELIMITER);
	char *name;
	struct change *parent;

	if (end == NULL)
		return NULL;
	name = mem_strndup(shown, (size_t)(end - shown));
	parent = find(cmp, name);
	free(name);
	return parent;
}

/* It went along with a mailbox above it, which is told. */
static bool
went_along(const struct comparison *cmp, const struct change *c)
{
	const char *from = c->renamed_from->shown, *to = c->shown;
	const struct change *parent;

	for (parent = parent_of(cmp, to); parent != NULL; parent = parent_of(cmp, parent->shown)) {
		size_t rest = strlen(to) - strlen(parent->shown);
		size_t from_len = strlen(from);

		if (from_len <= rest ||
		    strcmp(from + from_len - rest, to + strlen(parent->shown)) != 0)
			return false;
		if (parent->renamed_from != NULL &&
		    strlen(parent->renamed_from->shown) == from_len - rest &&
		    strncmp(parent->renamed_from->shown, from, from_len - rest) == 0)
			return true;
	}
	return false;
}

/* "The mailbox itself and its direct parent are considered to be affected", RFC 5465 §5.4. */
static void
note_name(struct comparison *cmp, struct change *c)
{
	struct change *parent = parent_of(cmp, c->shown);

	c->tell = true;
	if (parent != NULL && (wanted(parent) & NOTIFY_MAILBOX_NAME) != 0)
		parent->tell = true;
}

static bool
has_access(const struct notify_box *box)
{
	return box == NULL || !box->no_access;
}

static void
find_changes(struct comparison *cmp)
{
	for (size_t i = 0; i < cmp->count; i++) {
		struct change *c = &cmp->items[i];
		unsigned events = wanted(c);

		if (is_own(cmp, c->shown))
			continue;
		if (has_access(c->was) != has_access(c->is)) /* RFC 5465 §5.9 */
			c->tell = true;
		if ((events & NOTIFY_SUBSCRIPTION) != 0 &&
		    is_subscribed(c->was) != is_subscribed(c->is))
			c->tell = true;
		if ((events & NOTIFY_MAILBOX_NAME) == 0)
			continue;
		if (c->renamed_from != NULL)
			c->tell = c->tell || !went_along(cmp, c);
		else if ((is_created(c) || is_deleted(c)) && !c->renamed)
			note_name(cmp, c);
	}
}

/* --- telling ----------------------------------------------------------------------------------- */

/* mailbox-list; all attributes are as they are now, RFC 5465 §5.5. */
static void
out_list_head(struct imap_session *s, const char *shown, const struct notify_box *is)
{
	unsigned attributes = is != NULL ? is->attributes : MAILBOX_NONEXISTENT;
	bool there = (attributes & MAILBOX_NONEXISTENT) == 0;
	bool children = (attributes & MAILBOX_HAS_CHILDREN) != 0;
	const struct {
		bool is;
		const char *name;
	} names[] = {
		{ is != NULL && is->no_access, "\\NoAccess" },
		{ !there, "\\NonExistent" },
		{ children, "\\HasChildren" },
		{ !children && there, "\\HasNoChildren" },
		{ (attributes & MAILBOX_SUBSCRIBED) != 0, "\\Subscribed" },
		{ there && is->use != SPECIAL_NONE, there ? special_use_name(is->use) : "" },
	};
	const char *blank = "";

	buf_adds(&s->out, "* LIST (");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!names[i].is)
			continue;
		buf_printf(&s->out, "%s%s", blank, names[i].name);
		blank = " ";
	}
	buf_printf(&s->out, ") \"%c\" ", IMAP_DELIMITER);
	imap_out_mailbox(s, shown);
}

static void
out_list(struct imap_session *s, const struct change *c)
{
	out_list_head(s, c->shown, c->is);
	if (c->renamed_from != NULL && (wanted(c) & NOTIFY_MAILBOX_NAME) != 0)
		imap_out_oldname(s, c->renamed_from->shown);
	buf_adds(&s->out, "\r\n");
}

void
notify_tree_no_access(struct imap_session *s, const struct notify_box *box)
{
	out_list_head(s, box->shown, box);
	buf_adds(&s->out, "\r\n");
}

/* False: more than we tell in one go. */
static bool
tell(struct imap_session *s, const struct comparison *cmp)
{
	size_t lines = 0;

	for (size_t i = 0; i < cmp->count; i++)
		lines += cmp->items[i].tell;
	for (size_t i = 0; i < cmp->count && lines <= NOTIFY_LIST_LINES_MAX; i++)
		if (cmp->items[i].tell)
			out_list(s, &cmp->items[i]);
	return lines <= NOTIFY_LIST_LINES_MAX;
}

/* What the client knows of a mailbox's messages stays with it; a new one begins empty. */
static void
take_over(const struct change *c)
{
	const struct notify_box *was = c->renamed_from != NULL ? c->renamed_from->was : c->was;
	struct notify_box *is = c->is;

	if (is == NULL || is->path == NULL)
		return;
	if (was != NULL && was->path != NULL) {
		is->number = was->number;
		is->moved = was->moved;
		is->known = was->known;
		is->messages = was->messages;
		is->unseen = was->unseen;
		is->uidnext = was->uidnext;
		is->uidvalidity = was->uidvalidity;
		is->modseq = was->modseq;
		is->own_messages = was->own_messages;
	} else {
		is->known = is->moved = true;
	}
}

void
notify_tree_update(struct imap_session *s)
{
	struct imap_notify *n = s->notify;
	struct notify_boxes boxes = { 0 };
	struct comparison cmp = { .n = n };
	enum store_err err;
	bool fits;

	if (n->plan.group_count == 0)
		return;
	err = notify_tree_load(s, &n->plan, &boxes);
	if (err != STORE_OK) {
		log_warn(s->log, "notify", "error=%s", store_err_text(err));
		notify_boxes_free(&boxes);
		n->tree_moved = err == STORE_BUSY || err == STORE_CHANGED;
		return;
	}
	pair_up(&cmp, &n->boxes, &boxes);
	find_renames(&cmp);
	find_changes(&cmp);
	fits = tell(s, &cmp);
	for (size_t i = 0; i < cmp.count; i++)
		take_over(&cmp.items[i]);
	free(cmp.items);
	notify_boxes_free(&n->boxes);
	notify_tree_trim(&boxes);
	n->boxes = boxes;
	n->boxes_moved = n->watches_changed = true;
	if (!fits || !notify_tree_number(&n->boxes))
		notify_overflow(s);
}
