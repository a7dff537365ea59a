#include "imapd/context.h"

#include <inttypes.h>
#include <stdlib.h>

#include "imapd/messages.h"
#include "imapd/news.h"
#include "imapd/response.h"
#include "imapd/search_run.h"
#include "imapd/session.h"
#include "net/metrics.h"

#define SORT_ONE_BY_ONE 16 /* messages that come into a sorted result; more are sorted with all */

struct context {
	struct context *next;
	struct arena arena; /* the program and all below */
	struct str tag;
	struct str correlator; /* of the command's own response */
	bool uid;              /* results are said as UIDs */
	bool sorted;
	struct sort_plan sort;
	struct str atts;         /* FETCH items of new messages; p NULL: none */
	struct search_plan plan; /* bound when the command came; copied for each search */
	struct uidset found;
	uint32_t *order; /* `found` in the order of SORT, if sorted */
	uint32_t count, cap;
};

/* --- a session's contexts ---------------------------------------------------------------------- */

static struct context **
find(struct imap_session *s, struct str tag)
{
	struct context **link = &s->contexts;

	while (*link != NULL && !str_eq((*link)->tag, tag))
		link = &(*link)->next;
	return link;
}

bool
context_tag_is_used(const struct imap_session *s, struct str tag)
{
	for (const struct context *c = s->contexts; c != NULL; c = c->next)
		if (str_eq(c->tag, tag))
			return true;
	return false;
}

void
context_free(struct context *c)
{
	if (c == NULL)
		return;
	search_unbind(&c->plan);
	uidset_free(&c->found);
	free(c->order);
	arena_free(&c->arena);
	free(c);
}

bool
context_cancel(struct imap_session *s, struct str tag)
{
	struct context **link = find(s, tag), *c = *link;

	if (c == NULL)
		return false;
	*link = c->next;
	context_free(c);
	return true;
}

void
context_close_all(struct imap_session *s)
{
	while (s->contexts != NULL) {
		struct context *c = s->contexts;

		s->contexts = c->next;
		context_free(c);
	}
}

/* --- making one -------------------------------------------------------------------------------- */

static struct str
keep(struct arena *a, struct str text)
{
	return (struct str){ arena_strndup(a, text.p, text.len), text.len };
}

struct context *
context_new(struct imap_session *s, struct str tag, struct str program, enum search_charset charset,
    int64_t now_s, const struct sort_plan *sort)
{
	struct context *c = mem_zalloc(sizeof(*c));
	struct cursor at = cursor_from(keep(&c->arena, program));

	c->tag = keep(&c->arena, tag);
	c->sorted = sort != NULL;
	if (c->sorted)
		c->sort = *sort;
	if (search_parse_program(&at, &c->arena, now_s, charset, &c->plan) != SEARCH_PARSED ||
	    !search_bind(&c->plan, s->box, s->search_saved)) {
		context_free(c);
		return NULL;
	}
	return c;
}

void
context_wants(struct context *c, struct str atts)
{
	if (c != NULL && atts.p != NULL)
		c->atts = keep(&c->arena, atts);
}

static size_t
size_of(const struct context *c)
{
	return sizeof(*c) + c->arena.used_bytes + c->plan.set_bytes +
	       c->found.run_cap * sizeof(*c->found.runs) + c->cap * sizeof(*c->order);
}

/* With what is open already, do they take more than they may?  One alone always has its place, RFC 5267 §4.3.1. */
static bool
is_too_much(const struct imap_session *s, const struct context *more)
{
	size_t bytes = more != NULL ? size_of(more) : 0, count = more != NULL ? 1 : 0;

	for (const struct context *c = s->contexts; c != NULL; c = c->next) {
		bytes += size_of(c);
		count++;
	}
	return count > IMAP_CONTEXTS_MAX || (count > 1 && bytes > IMAP_CONTEXTS_MAX_BYTES);
}

/* resp-text-code =/ "NOUPDATE" SP quoted; a tag has nothing that quoting would change. */
void
context_refuse(struct imap_session *s, struct str tag, const char *text)
{
	buf_adds(&s->out, "* NO [NOUPDATE \"");
	buf_add(&s->out, tag.p, tag.len);
	buf_printf(&s->out, "\"] %s\r\n", text);
}

static void
reserve(struct context *c, uint32_t count)
{
	if (count <= c->cap)
		return;
	c->cap = count + count / 4 + 16;
	c->order = mem_realloc_array(c->order, c->cap, sizeof(*c->order));
}

void
context_open(struct imap_session *s, struct context *c, const struct search_result *result,
    struct str correlator)
{
	struct context **link = &s->contexts;

	c->correlator = keep(&c->arena, correlator);
	c->uid = result->uid;
	uidset_copy(&c->found, &result->found);
	if (c->sorted) {
		c->count = uidset_count(&c->found);
		reserve(c, c->count);
		if (c->count > 0)
			memcpy(c->order, result->order, c->count * sizeof(*c->order));
	}
	if (c->sort.by_relevancy || is_too_much(s, c)) {
		context_refuse(s, c->tag,
		    c->sort.by_relevancy ? "Relevancy is not kept up" : "Too many contexts");
		context_free(c);
		return;
	}
	while (*link != NULL)
		link = &(*link)->next;
	*link = c;
}

/* --- what is said ------------------------------------------------------------------------------ */

/* One ESEARCH response on its way.  Numbers of messages that are gone are those of before. */
struct report {
	struct imap_session *s;
	const struct context *c;
	const struct mailbox_changes *gone; /* or NULL */
	const char *item;                   /* the one in hand, ADDTO or REMOVEFROM; NULL: none */
	bool begun;
};

static uint32_t
number_of(const struct report *r, uint32_t uid)
{
	uint32_t place;

	if (r->c->uid)
		return uid;
	if (r->gone == NULL)
		return mailbox_uid_to_seq(r->s->box, uid);
	place = uidset_rank(&r->gone->expunged_uids, uid);
	return place == 0 ? mailbox_uid_to_seq(r->s->box, uid)
			  : r->gone->expunged_seqs[r->gone->expunged_count - place];
}

/* The next pair: "ADDTO (" before the first one of its kind. */
static void
begin_pair(struct report *r, const char *item, uint32_t position)
{
	struct buf *out = &r->s->out;

	if (!r->begun) {
		buf_adds(out, "* ESEARCH (");
		buf_add(out, r->c->correlator.p, r->c->correlator.len);
		buf_adds(out, r->c->uid ? ") UID" : ")");
		r->begun = true;
	}
	if (r->item != item) {
		buf_printf(out, "%s %s (", r->item != NULL ? ")" : "", item);
		r->item = item;
	} else {
		buf_addc(out, ' ');
	}
	buf_printf(out, "%" PRIu32 " ", position);
}

static void
end_report(struct report *r)
{
	if (r->begun)
		buf_adds(&r->s->out, ")\r\n");
}

/* All of a set, for a result in mailbox order, where places need not be said. */
static void
say_set(struct report *r, const char *item, const struct uidset *uids)
{
	struct uidset numbers = { 0 };

	if (uidset_is_empty(uids))
		return;
	begin_pair(r, item, 0);
	for (uint32_t u = uidset_next(uids, 0); u != 0; u = uidset_next(uids, u))
		uidset_add(&numbers, number_of(r, u));
	uidset_format(&numbers, &r->s->out);
	uidset_free(&numbers);
}

/* Neighbours in the order, as a set in that order. */
static void
say_run(struct report *r, uint32_t from, uint32_t to)
{
	begin_pair(r, "ADDTO", from + 1);
	for (uint32_t i = from; i < to;) {
		uint32_t first = number_of(r, r->c->order[i]), last = first;

		buf_printf(&r->s->out, i == from ? "%" PRIu32 : ",%" PRIu32, first);
		while (++i < to && number_of(r, r->c->order[i]) == last + 1)
			last++;
		if (last != first)
			buf_printf(&r->s->out, ":%" PRIu32, last);
	}
}

/* --- a sorted result --------------------------------------------------------------------------- */

/* Said from the end on, so that each place is what it was before; all are taken out at once. */
static void
sorted_remove(struct report *r, struct context *c, const struct uidset *uids)
{
	uint32_t left = uidset_count(uids), kept = 0;

	for (uint32_t i = c->count; left > 0 && i-- > 0;) {
		uint32_t uid = c->order[i];

		if (!uidset_contains(uids, uid))
			continue;
		begin_pair(r, "REMOVEFROM", i + 1);
		buf_printf(&r->s->out, "%" PRIu32, number_of(r, uid));
		left--;
	}
	if (left == uidset_count(uids))
		return;
	for (uint32_t i = 0; i < c->count; i++)
		if (!uidset_contains(uids, c->order[i]))
			c->order[kept++] = c->order[i];
	c->count = kept;
}

/* The order of some messages; NULL if the store fails. */
static uint32_t *
order_of(
    struct imap_session *s, const struct context *c, const struct uidset *uids, uint32_t *count_out)
{
	struct sort_run *run = sort_run_new(s->box, &c->sort, uids);
	enum store_err err = STORE_OK;
	uint32_t *order = NULL;
	bool done = false;

	while (err == STORE_OK && !done)
		err = sort_run_step(run, &done);
	if (err == STORE_OK)
		order = sort_run_take(run, count_out);
	sort_run_free(run);
	return order;
}

/* Does `a` stand before `b`?  One that is gone by now, and will be announced, stands before all. */
static bool
is_before(struct imap_session *s, const struct context *c, uint32_t a, uint32_t b)
{
	struct uidset both = { 0 };
	uint32_t count, *order;
	bool before;

	uidset_add(&both, a < b ? a : b);
	uidset_add(&both, a < b ? b : a);
	order = order_of(s, c, &both, &count);
	before = order == NULL || count < 2 || order[0] == a;
	free(order);
	uidset_free(&both);
	return before;
}

static void
sorted_insert(struct report *r, struct context *c, uint32_t uid)
{
	uint32_t low = 0, high = c->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (is_before(r->s, c, c->order[mid], uid))
			low = mid + 1;
		else
			high = mid;
	}
	reserve(c, c->count + 1);
	memmove(&c->order[low + 1], &c->order[low], (c->count - low) * sizeof(*c->order));
	c->order[low] = uid;
	c->count++;
	say_run(r, low, low + 1);
}

/* Many at once: all are sorted anew.  What is gone by then leaves the result now. */
static bool
sorted_insert_many(struct report *r, struct context *c, const struct uidset *uids)
{
	struct uidset all = { 0 }, gone = { 0 };
	uint32_t count, *order;

	uidset_copy(&all, &c->found);
	uidset_union(&all, uids);
	order = order_of(r->s, c, &all, &count);
	uidset_swap(&gone, &all);
	uidset_free(&all);
	if (order == NULL) {
		uidset_free(&gone);
		return false;
	}
	messages_add_all(&all, order, count);
	uidset_subtract(&gone, &all);
	sorted_remove(r, c, &gone);
	uidset_subtract(&c->found, &gone);
	free(c->order);
	c->order = order;
	c->count = c->cap = count;
	for (uint32_t i = 0, from; i < count; i++) {
		from = i;
		while (i < count && uidset_contains(uids, order[i]))
			i++;
		if (i > from)
			say_run(r, from, i);
	}
	uidset_free(&gone);
	uidset_free(&all);
	return true;
}

static bool
sorted_add(struct report *r, struct context *c, const struct uidset *uids)
{
	if (uidset_is_empty(uids))
		return true;
	if (uidset_count(uids) > SORT_ONE_BY_ONE)
		return sorted_insert_many(r, c, uids);
	for (uint32_t u = uidset_next(uids, 0); u != 0; u = uidset_next(uids, u))
		sorted_insert(r, c, u);
	return true;
}

/* --- changes ----------------------------------------------------------------------------------- */

void
context_report_gone(struct imap_session *s, const struct mailbox_changes *changes)
{
	struct uidset gone = { 0 };

	if (changes->expunged_count == 0)
		return;
	for (struct context *c = s->contexts; c != NULL; c = c->next) {
		struct report r = { .s = s, .c = c, .gone = changes };

		uidset_copy(&gone, &changes->expunged_uids);
		uidset_intersect(&gone, &c->found);
		if (c->sorted)
			sorted_remove(&r, c, &gone);
		else
			say_set(&r, "REMOVEFROM", &gone);
		uidset_subtract(&c->found, &gone);
		end_report(&r);
	}
	uidset_free(&gone);
}

/* Which of the candidates are found now.  STORE_LIMIT: it takes too long. */
static enum store_err
search_again(struct imap_session *s, const struct context *c, const struct uidset *candidates,
    uint64_t until_ns, struct uidset *found_out)
{
	struct arena arena = { 0 };
	struct search_plan plan;
	struct search_run *run;
	enum store_err err = STORE_OK;
	bool done = false;

	search_plan_within(&plan, &c->plan, &arena, s->box, candidates);
	run = search_run_new(s->box, &plan, NULL);
	while (err == STORE_OK && !done) {
		err = search_run_step(run, &done);
		if (err == STORE_OK && !done && metrics_now_ns() > until_ns)
			err = STORE_LIMIT;
	}
	uidset_copy(found_out, search_run_found(run));
	search_run_free(run);
	search_unbind(&plan);
	arena_free(&arena);
	return err;
}

/* False: the context cannot be kept up. */
static bool
update(struct imap_session *s, struct context *c, const struct uidset *candidates,
    const struct uidset *arrived, uint64_t until_ns)
{
	struct uidset found = { 0 }, removed = { 0 }, added = { 0 };
	struct report r = { .s = s, .c = c };
	bool ok = search_again(s, c, candidates, until_ns, &found) == STORE_OK;

	if (ok) {
		uidset_copy(&removed, candidates);
		uidset_intersect(&removed, &c->found);
		uidset_subtract(&removed, &found);
		uidset_copy(&added, &found);
		uidset_subtract(&added, &c->found);
		if (c->sorted)
			sorted_remove(&r, c, &removed);
		else
			say_set(&r, "REMOVEFROM", &removed);
		uidset_subtract(&c->found, &removed);
		if (c->sorted)
			ok = sorted_add(&r, c, &added);
		else
			say_set(&r, "ADDTO", &added);
		uidset_union(&c->found, &added);
		end_report(&r);
		uidset_intersect(&added, arrived); /* not what only has other flags now */
		if (c->atts.p != NULL)
			imap_news_found(s, &added, c->atts);
	}
	uidset_free(&found);
	uidset_free(&removed);
	uidset_free(&added);
	return ok;
}

/* The newest go first where all together have become too large. */
static void
keep_to_limits(struct imap_session *s)
{
	while (s->contexts != NULL && is_too_much(s, NULL)) {
		struct context **link = &s->contexts;

		while ((*link)->next != NULL)
			link = &(*link)->next;
		context_refuse(s, (*link)->tag, "Contexts have grown too large");
		context_free(*link);
		*link = NULL;
	}
}

void
context_report(struct imap_session *s, const struct mailbox_changes *changes)
{
	struct uidset candidates = { 0 };
	struct context **link = &s->contexts;
	uint64_t until_ns = metrics_now_ns() + IMAP_CONTEXTS_UPDATE_MS * UINT64_C(1000000);

	if (s->contexts == NULL)
		return;
	for (size_t i = 0; i < changes->changed_count; i++)
		uidset_add(&candidates, changes->changed[i].uid);
	uidset_union(&candidates, &changes->arrived);
	if (uidset_is_empty(&candidates))
		return;
	while (*link != NULL) {
		struct context *c = *link;

		if (update(s, c, &candidates, &changes->arrived, until_ns)) {
			link = &c->next;
			continue;
		}
		context_refuse(s, c->tag, "Updates have failed, or take too long");
		*link = c->next;
		context_free(c);
	}
	keep_to_limits(s);
	uidset_free(&candidates);
}
