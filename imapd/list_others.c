#include "imapd/list_others.h"

#include <stdlib.h>
#include <string.h>

#include "imapd/imapd.h"
#include "imapd/names.h"
#include "imapd/place.h"
#include "imapd/session.h"
#include "store/account_acl.h"

#define PREFIX IMAP_OTHER_USERS "/"

/* Can a name below the namespace fit, as far as the pattern has no wildcard? */
static bool
reaches(const char *pattern)
{
	size_t literal = strcspn(pattern, "*%"), prefix = strlen(PREFIX);

	if (literal < prefix && pattern[literal] == '\0')
		return strcmp(pattern, IMAP_OTHER_USERS) == 0;
	return strncmp(pattern, PREFIX, literal < prefix ? literal : prefix) == 0;
}

static bool
any_reaches(const struct list_query *q)
{
	for (size_t i = 0; i < q->pattern_count; i++)
		if (reaches(q->patterns[i]))
			return true;
	return false;
}

struct others {
	struct imap_session *s;
	struct mailbox_list *list; /* whose arena holds the names */
	struct mailbox_info *boxes;
	size_t count, cap;
};

static void
add(struct others *o, const char *name, unsigned attributes)
{
	if (o->count == o->cap) {
		o->cap = o->cap > 0 ? 2 * o->cap : 64;
		o->boxes = mem_realloc_array(o->boxes, o->cap, sizeof(*o->boxes));
	}
	o->boxes[o->count++] = (struct mailbox_info){ .name = name, .attributes = attributes };
}

/* A name of the namespace in the own list is a subscription, or a folder that the namespace hides. */
static void
take_subscriptions(struct others *o)
{
	struct mailbox_list *list = o->list;
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct mailbox_info *box = &list->boxes[i];

		if (!imap_name_is_of_others(box->name))
			list->boxes[kept++] = *box;
		else if ((box->attributes & MAILBOX_SUBSCRIBED) != 0)
			add(o, box->name, MAILBOX_NONEXISTENT | MAILBOX_SUBSCRIBED);
	}
	list->count = kept;
}

/* Those above it lead to it, though they may not be known: RFC 4314 §4 on LIST. */
static void
add_with_parents(struct others *o, const char *name, unsigned rights)
{
	add(o, name, (rights & ACL_READ) != 0 ? 0 : MAILBOX_NO_READING);
	for (const char *p = strchr(name, IMAP_DELIMITER); p != NULL;
	     p = strchr(p + 1, IMAP_DELIMITER))
		add(o, arena_strndup(&o->list->arena, name, (size_t)(p - name)),
		    MAILBOX_NONEXISTENT | MAILBOX_HAS_CHILDREN);
}

static enum store_err
add_account(struct others *o, const char *owner)
{
	struct imap_session *s = o->s;
	struct acl_user me = imap_session_user(s);
	struct mailbox_list theirs = { 0 };
	struct account *acct;
	unsigned rights;
	enum store_err err = imap_other_account(s, owner, &acct);

	if (err == STORE_LIMIT) { /* who shares with everybody takes nobody's own list away */
		log_warn(s->log, "too-many-shares", "user=%s owner=%s", s->user, owner);
		return STORE_OK;
	}
	if (err == STORE_OK && acct != NULL)
		err = account_list(acct, &theirs);
	for (size_t i = 0; i < theirs.count && err == STORE_OK; i++) {
		const char *name = theirs.boxes[i].name;

		if ((theirs.boxes[i].attributes & MAILBOX_NONEXISTENT) != 0)
			continue;
		err = account_acl_rights(acct, name, &me, &rights);
		if (err == STORE_OK && (rights & ACL_LOOKUP) != 0 &&
		    o->count < IMAP_LIST_OTHERS_MAX)
			add_with_parents(
			    o, imap_place_shown(s, &o->list->arena, owner, name), rights);
	}
	mailbox_list_free(&theirs);
	return err;
}

static int
by_name(const void *a, const void *b)
{
	const struct mailbox_info *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Each name once, with what is known of it: it exists if one says so. */
static void
merge(struct others *o)
{
	size_t kept = 0;

	if (o->count == 0)
		return;
	qsort(o->boxes, o->count, sizeof(*o->boxes), by_name);
	for (size_t i = 0; i < o->count; i++) {
		struct mailbox_info *last = kept > 0 ? &o->boxes[kept - 1] : NULL;
		unsigned both, any;

		if (last == NULL || strcmp(last->name, o->boxes[i].name) != 0) {
			o->boxes[kept++] = o->boxes[i];
			continue;
		}
		both = last->attributes & o->boxes[i].attributes & MAILBOX_NONEXISTENT;
		any = (last->attributes | o->boxes[i].attributes) & ~(unsigned)MAILBOX_NONEXISTENT;
		last->attributes = both | any;
	}
	o->count = kept;
}

static void
append(struct mailbox_list *list, const struct others *o)
{
	list->boxes =
	    mem_realloc_array(list->boxes, list->count + o->count + 1, sizeof(*list->boxes));
	for (size_t i = 0; i < o->count; i++)
		list->boxes[list->count++] = o->boxes[i];
}

enum store_err
imap_list_add_others(
    struct imap_session *s, const struct list_query *query, struct mailbox_list *list)
{
	struct others o = { .s = s, .list = list };
	struct shares shares = { 0 };
	enum store_err err = STORE_OK;

	take_subscriptions(&o);
	if (any_reaches(query))
		err = shares_with(s->imapd->store, account_address(s->acct), &shares);
	for (size_t i = 0; i < shares.count && err == STORE_OK; i++)
		if (strcmp(shares.owners[i], account_address(s->acct)) != 0)
			err = add_account(&o, shares.owners[i]);
	merge(&o);
	append(list, &o);
	free(o.boxes);
	shares_free(&shares);
	return err;
}

enum store_err
imap_list_all(struct imap_session *s, const struct list_query *query, struct mailbox_list *list_out)
{
	enum store_err err = account_list(s->acct, list_out);

	return err == STORE_OK ? imap_list_add_others(s, query, list_out) : err;
}
