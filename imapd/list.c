#include "imapd/list.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "imapd/names.h"

static bool
matches_any(const struct list_query *q, const char *name)
{
	for (size_t i = 0; i < q->pattern_count; i++)
		if (imap_pattern_matches(q->patterns[i], name))
			return true;
	return false;
}

/* Does it meet the selection?  Without one, all that exist, and parents of those that do: "\NonExistent"
 * ones appear then so that "%" leads to their children, RFC 9051 §6.3.9. */
static bool
is_selected(const struct list_query *q, const struct mailbox_info *box)
{
	if ((q->select & LIST_SUBSCRIBED) != 0 && (box->attributes & MAILBOX_SUBSCRIBED) == 0)
		return false;
	if ((q->select & LIST_SPECIAL_USE) != 0 && box->use == SPECIAL_NONE)
		return false;
	if ((q->select & (LIST_SUBSCRIBED | LIST_SPECIAL_USE)) != 0)
		return true;
	return (box->attributes & MAILBOX_NONEXISTENT) == 0 ||
	       (box->attributes & MAILBOX_HAS_CHILDREN) != 0;
}

/* A set of names: the proper parents of names that are added to it. */
struct parent_set {
	struct str *names;
	size_t count, cap;
};

static void
parents_add(struct parent_set *set, const char *name)
{
	for (const char *p = strchr(name, IMAP_DELIMITER); p != NULL;
	     p = strchr(p + 1, IMAP_DELIMITER)) {
		if (set->count == set->cap) {
			set->cap = set->cap > 0 ? 2 * set->cap : 64;
			set->names = mem_realloc_array(set->names, set->cap, sizeof(*set->names));
		}
		set->names[set->count++] = (struct str){ name, (size_t)(p - name) };
	}
}

static int
compare_str(const void *a, const void *b)
{
	const struct str *x = a, *y = b;
	size_t len = x->len < y->len ? x->len : y->len;
	int diff = memcmp(x->p, y->p, len);

	return diff != 0 ? diff : (x->len > y->len) - (x->len < y->len);
}

/* Sorted and each once, for looking up. */
static void
parents_finish(struct parent_set *set)
{
	size_t kept = 0;

	if (set->count == 0)
		return;
	qsort(set->names, set->count, sizeof(*set->names), compare_str);
	for (size_t i = 0; i < set->count; i++)
		if (kept == 0 || !str_eq(set->names[kept - 1], set->names[i]))
			set->names[kept++] = set->names[i];
	set->count = kept;
}

static bool
parents_have(const struct parent_set *set, const char *name)
{
	struct str key = str_from(name);

	return set->count > 0 &&
	       bsearch(&key, set->names, set->count, sizeof(*set->names), compare_str) != NULL;
}

struct selection {
	const struct list_query *q;
	struct parent_set of_selected; /* parents of all that meets the selection: CHILDINFO */
	struct parent_set of_hidden;   /* parents of what meets it but fits no pattern */
	struct list_item *items;
	size_t count;
};

/* RFC 5258 §3: a parent that does not meet the selection itself is only named where otherwise
 * nothing would lead to what is below it. */
static void
consider(struct selection *sel, const struct mailbox_info *box)
{
	bool selected = is_selected(sel->q, box);
	bool recursive = (sel->q->select & LIST_RECURSIVEMATCH) != 0;

	if (!selected && !(recursive && parents_have(&sel->of_hidden, box->name)))
		return;
	if (!matches_any(sel->q, box->name))
		return;
	sel->items[sel->count++] = (struct list_item){
		.name = box->name,
		.use = box->use,
		.attributes = box->attributes,
		.selected = selected,
		.childinfo = recursive && parents_have(&sel->of_selected, box->name),
	};
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Parents of subscribed names that the account knows nothing else of. */
static void
consider_unknown_parents(struct selection *sel, const struct mailbox_list *list, struct arena *a)
{
	const char **known = mem_realloc_array(NULL, list->count + 1, sizeof(*known));

	for (size_t i = 0; i < list->count; i++)
		known[i] = list->boxes[i].name;
	qsort(known, list->count, sizeof(*known), compare_names);
	for (size_t i = 0; i < sel->of_hidden.count; i++) {
		struct str parent = sel->of_hidden.names[i];
		struct mailbox_info box = { .attributes = MAILBOX_NONEXISTENT };

		box.name = arena_strndup(a, parent.p, parent.len);
		if (bsearch(&box.name, known, list->count, sizeof(*known), compare_names) == NULL)
			consider(sel, &box);
	}
	free(known);
}

void
imap_list_select(const struct mailbox_list *list, const struct list_query *query, struct arena *a,
    struct list_item **items_out, size_t *count_out)
{
	struct selection sel = { .q = query };

	if ((query->select & LIST_RECURSIVEMATCH) != 0) {
		for (size_t i = 0; i < list->count; i++) {
			if (!is_selected(query, &list->boxes[i]))
				continue;
			parents_add(&sel.of_selected, list->boxes[i].name);
			if (!matches_any(query, list->boxes[i].name))
				parents_add(&sel.of_hidden, list->boxes[i].name);
		}
		parents_finish(&sel.of_selected);
		parents_finish(&sel.of_hidden);
	}
	sel.items = arena_alloc(a, (list->count + sel.of_hidden.count + 1) * sizeof(*sel.items));
	for (size_t i = 0; i < list->count; i++)
		consider(&sel, &list->boxes[i]);
	consider_unknown_parents(&sel, list, a);
	free(sel.of_selected.names);
	free(sel.of_hidden.names);
	*items_out = sel.items;
	*count_out = sel.count;
}
