#include "imapd/mailbox_filter.h"

#include <stdlib.h>
#include <string.h>

#include "imapd/names.h"
#include "imapd/parse.h"

#define WITH_NAMES (MAILBOX_FILTER_SUBTREE | MAILBOX_FILTER_SUBTREE_ONE | MAILBOX_FILTER_MAILBOXES)

static const struct {
	struct str name;
	enum mailbox_filter_kind kind;
} KINDS[] = {
	{ STR("SELECTED"), MAILBOX_FILTER_SELECTED },
	{ STR("SELECTED-DELAYED"), MAILBOX_FILTER_SELECTED_DELAYED },
	{ STR("INBOXES"), MAILBOX_FILTER_INBOXES },
	{ STR("PERSONAL"), MAILBOX_FILTER_PERSONAL },
	{ STR("SUBSCRIBED"), MAILBOX_FILTER_SUBSCRIBED },
	{ STR("SUBTREE"), MAILBOX_FILTER_SUBTREE },
	{ STR("SUBTREE-ONE"), MAILBOX_FILTER_SUBTREE_ONE },
	{ STR("MAILBOXES"), MAILBOX_FILTER_MAILBOXES },
};

static bool
parse_kind(struct cursor *c, unsigned kinds, enum mailbox_filter_kind *kind_out)
{
	struct str name;

	if (!imap_parse_atom(c, &name))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
		if (str_eq_nocase(name, KINDS[i].name) && (KINDS[i].kind & kinds) != 0) {
			*kind_out = KINDS[i].kind;
			return true;
		}
	}
	return false;
}

static bool
parse_name(struct cursor *c, struct arena *a, bool utf7, struct mailbox_filter *f)
{
	char *name;

	if (f->name_count == MAILBOX_FILTER_NAMES_MAX || !imap_parse_mailbox(c, a, utf7, &name))
		return false;
	f->names[f->name_count++] = name;
	return true;
}

/* one-or-more-mailbox = mailbox / many-mailboxes
 * many-mailboxes      = "(" mailbox *(SP mailbox) ")", RFC 5465 §8 */
static bool
parse_names(struct cursor *c, struct arena *a, bool utf7, struct mailbox_filter *f)
{
	size_t room = cursor_left(c) / 2 + 1; /* each takes a byte and a blank */

	if (room > MAILBOX_FILTER_NAMES_MAX)
		room = MAILBOX_FILTER_NAMES_MAX;
	f->names = arena_alloc(a, room * sizeof(*f->names));
	if (!cursor_take(c, '('))
		return parse_name(c, a, utf7, f);
	do {
		if (!parse_name(c, a, utf7, f))
			return false;
	} while (imap_parse_sp(c));
	return cursor_take(c, ')');
}

/* A name, given by its length, and one of the list. */
static int
by_name(const void *key, const void *item)
{
	const struct str *a = key;
	const char *b = *(const char *const *)item;
	int order = strncmp(a->p, b, a->len);

	return order != 0 || b[a->len] == '\0' ? order : -1;
}

static int
by_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool
imap_parse_mailbox_filter(
    struct cursor *c, struct arena *a, bool utf7, unsigned kinds, struct mailbox_filter *filter_out)
{
	*filter_out = (struct mailbox_filter){ 0 };
	if (!parse_kind(c, kinds, &filter_out->kind))
		return false;
	if ((filter_out->kind & WITH_NAMES) == 0)
		return true;
	if (!imap_parse_sp(c) || !parse_names(c, a, utf7, filter_out))
		return false;
	qsort(filter_out->names, filter_out->name_count, sizeof(*filter_out->names), by_names);
	return true;
}

bool
mailbox_filter_reaches_others(const struct mailbox_filter *filter)
{
	return (filter->kind & (WITH_NAMES | MAILBOX_FILTER_SUBSCRIBED)) != 0;
}

static bool
names(const struct mailbox_filter *filter, struct str name)
{
	return bsearch(&name, filter->names, filter->name_count, sizeof(*filter->names), by_name) !=
	       NULL;
}

bool
mailbox_filter_names(const struct mailbox_filter *filter, const char *shown)
{
	return names(filter, str_from(shown));
}

/* One of the names or below one; not `deep`: a child at most. */
static bool
covers_tree(const struct mailbox_filter *filter, const char *shown, bool deep)
{
	struct str name = str_from(shown);
	bool found = names(filter, name);

	for (bool more = true; more && !found && name.len > 0; more = deep) {
		while (name.len > 0 && name.p[--name.len] != IMAP_DELIMITER)
			;
		found = name.len > 0 && names(filter, name);
	}
	return found;
}

bool
mailbox_filter_covers(
    const struct mailbox_filter *filter, const struct mailbox_candidate *candidate)
{
	switch (filter->kind) {
	case MAILBOX_FILTER_SELECTED:
	case MAILBOX_FILTER_SELECTED_DELAYED: return false;
	case MAILBOX_FILTER_INBOXES:
	case MAILBOX_FILTER_PERSONAL: return candidate->own;
	case MAILBOX_FILTER_SUBSCRIBED: return candidate->subscribed;
	case MAILBOX_FILTER_SUBTREE: return covers_tree(filter, candidate->shown, true);
	case MAILBOX_FILTER_SUBTREE_ONE: return covers_tree(filter, candidate->shown, false);
	case MAILBOX_FILTER_MAILBOXES: return mailbox_filter_names(filter, candidate->shown);
	}
	return false;
}
