#include "imapd/mailbox_scope.h"

#include <stdlib.h>
#include <string.h>

#include "imapd/list_others.h"
#include "imapd/session.h"

enum store_err
mailbox_scope_list(struct imap_session *s, bool others, struct mailbox_list *list_out)
{
	static const char *const ALL[] = { "*" };
	struct list_query query = { .patterns = ALL, .pattern_count = others ? 1 : 0 };
	enum store_err err = account_list_settled(s->acct, list_out);

	return err == STORE_OK ? imap_list_add_others(s, &query, list_out) : err;
}

struct mailbox_candidate
mailbox_scope_candidate(const struct mailbox_info *info)
{
	return (struct mailbox_candidate){
		.shown = info->name,
		.own = !imap_name_is_of_others(info->name),
		.subscribed = (info->attributes & MAILBOX_SUBSCRIBED) != 0,
	};
}

struct finding {
	struct imap_session *s;
	struct arena *arena;
	const struct mailbox_filter *filters;
	size_t filter_count;
	struct mailbox_scope *scope;
};

static bool
is_covered(const struct finding *f, const struct mailbox_info *info)
{
	struct mailbox_candidate candidate = mailbox_scope_candidate(info);

	for (size_t i = 0; i < f->filter_count; i++)
		if (mailbox_filter_covers(&f->filters[i], &candidate))
			return true;
	return false;
}

static enum store_err
add(struct finding *f, const char *shown, unsigned rights)
{
	struct imap_place place;
	enum store_err err = imap_place_of(f->s, f->arena, shown, &place);

	if (err == STORE_OK && place.acct != NULL && (place.rights & rights) == rights)
		f->scope->places[f->scope->count++] = place;
	return err;
}

static size_t
count_names(const struct finding *f)
{
	size_t count = 0;

	for (size_t i = 0; i < f->filter_count; i++)
		count += f->filters[i].name_count;
	return count;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All names of filters that name mailboxes themselves, sorted. */
static const char **
sorted_names(const struct finding *f, size_t *count_out)
{
	const char **names = arena_alloc(f->arena, (count_names(f) + 1) * sizeof(*names));
	size_t count = 0;

	for (size_t i = 0; i < f->filter_count; i++)
		for (size_t k = 0; k < f->filters[i].name_count; k++)
			if (f->filters[i].kind == MAILBOX_FILTER_MAILBOXES)
				names[count++] = f->filters[i].names[k];
	qsort(names, count, sizeof(*names), by_name);
	*count_out = count;
	return names;
}

/* What is named by itself need not be visible. */
static enum store_err
add_named(struct finding *f, const struct mailbox_list *list)
{
	const char **listed = mem_realloc_array(NULL, list->count + 1, sizeof(*listed));
	enum store_err err = STORE_OK;
	const char **names;
	size_t count;

	names = sorted_names(f, &count);
	for (size_t i = 0; i < list->count; i++)
		listed[i] = list->boxes[i].name;
	qsort(listed, list->count, sizeof(*listed), by_name);
	for (size_t i = 0; i < count && err == STORE_OK; i++) {
		if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
			continue;
		if (bsearch(&names[i], listed, list->count, sizeof(*listed), by_name) == NULL)
			err = add(f, names[i], ACL_READ);
	}
	free(listed);
	return err;
}

enum store_err
mailbox_scope_find(struct imap_session *s, struct arena *a, const struct mailbox_filter *filters,
    size_t count, struct mailbox_scope *scope_out)
{
	struct finding f = { s, a, filters, count, scope_out };
	struct mailbox_list list = { 0 };
	bool others = false;
	enum store_err err;

	for (size_t i = 0; i < count; i++)
		others |= mailbox_filter_reaches_others(&filters[i]);
	err = mailbox_scope_list(s, others, &list);
	*scope_out = (struct mailbox_scope){ 0 };
	scope_out->places =
	    arena_alloc(a, (list.count + count_names(&f) + 1) * sizeof(*scope_out->places));
	for (size_t i = 0; i < list.count && err == STORE_OK; i++)
		if ((list.boxes[i].attributes & MAILBOX_NONEXISTENT) == 0 &&
		    is_covered(&f, &list.boxes[i]))
			err = add(&f, list.boxes[i].name, ACL_READ | ACL_LOOKUP);
	if (err == STORE_OK)
		err = add_named(&f, &list);
	mailbox_list_free(&list);
	return err;
}
