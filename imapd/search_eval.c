#include "imapd/messages.h"
#include "imapd/search_plan.h"

/* --- binding to a mailbox ---------------------------------------------------------------------- */

/* What another session has used for the first time is only known once the list has been read again. */
static int
find_keyword(struct search_plan *plan, struct mailbox *box, const char *name)
{
	int found = mailbox_keyword_find(box, name);

	if (found >= 0 || plan->keywords_read)
		return found;
	plan->keywords_read = true;
	return mailbox_keywords_read(box) == STORE_OK ? mailbox_keyword_find(box, name) : -1;
}

/* A sequence number beyond the mailbox is no error here: it finds nothing.  Clients search "1:*" in
 * empty mailboxes, and other servers allow it. */
static bool
bind_node(struct search_plan *plan, struct search_node *node, struct mailbox *box,
    const struct uidset *saved)
{
	if (node->op == SEARCH_KEYWORD)
		node->keyword.index = find_keyword(plan, box, node->keyword.name);
	if (node->op == SEARCH_SET) {
		messages_resolve_in(box, saved, &node->set.wire, node->set.uid, &node->set.uids);
		plan->set_bytes += node->set.uids.run_cap * sizeof(*node->set.uids.runs);
	}
	for (struct search_node *child = node->children; child != NULL; child = child->next)
		if (plan->set_bytes > SEARCH_SETS_MAX_BYTES || !bind_node(plan, child, box, saved))
			return false;
	return plan->set_bytes <= SEARCH_SETS_MAX_BYTES;
}

bool
search_bind(struct search_plan *plan, struct mailbox *box, const struct uidset *saved)
{
	plan->set_bytes = 0;
	plan->keywords_read = false;
	return bind_node(plan, &plan->root, box, saved);
}

static void
unbind_node(struct search_node *node)
{
	if (node->op == SEARCH_SET)
		uidset_free(&node->set.uids);
	for (struct search_node *child = node->children; child != NULL; child = child->next)
		unbind_node(child);
}

void
search_unbind(struct search_plan *plan)
{
	unbind_node(&plan->root);
}

/* Depth is bounded by the parser. */
static void
copy_node(
    struct search_node *to, const struct search_node *from, struct arena *a, struct mailbox *box)
{
	struct search_node **link = &to->children;

	*to = *from;
	to->next = NULL;
	if (to->op == SEARCH_KEYWORD)
		to->keyword.index = mailbox_keyword_find(box, to->keyword.name);
	if (to->op == SEARCH_SET) {
		to->set.uids = (struct uidset){ 0 };
		if (to->set.uid && !to->set.wire.saved)
			messages_resolve_in(box, NULL, &to->set.wire, true, &to->set.uids);
		else
			uidset_copy(&to->set.uids, &from->set.uids);
	}
	for (const struct search_node *child = from->children; child != NULL; child = child->next) {
		*link = arena_zalloc(a, sizeof(**link));
		copy_node(*link, child, a, box);
		link = &(*link)->next;
	}
	*link = NULL;
}

void
search_plan_within(struct search_plan *to, const struct search_plan *from, struct arena *a,
    struct mailbox *box, const struct uidset *uids)
{
	struct search_node *within = arena_zalloc(a, sizeof(*within));

	*to = *from;
	copy_node(&to->root, &from->root, a, box);
	within->op = SEARCH_SET;
	within->set.uid = true;
	uidset_copy(&within->set.uids, uids);
	within->next = to->root.children;
	to->root.children = within;
}

/* --- evaluation -------------------------------------------------------------------------------- */

static enum search_truth
truth(bool yes)
{
	return yes ? SEARCH_YES : SEARCH_NO;
}

/* The first child that decides: NO an AND, YES an OR.  Otherwise unknown if one child is. */
static enum search_truth
eval_children(
    const struct search_node *node, const struct search_facts *facts, enum search_truth decides)
{
	enum search_truth result = decides == SEARCH_NO ? SEARCH_YES : SEARCH_NO;

	for (const struct search_node *child = node->children; child != NULL; child = child->next) {
		enum search_truth t = search_eval(child, facts);

		if (t == decides)
			return t;
		if (t == SEARCH_UNKNOWN)
			result = SEARCH_UNKNOWN;
	}
	return result;
}

static enum search_truth
eval_not(const struct search_node *node, const struct search_facts *facts)
{
	enum search_truth t = search_eval(node->children, facts);

	return t == SEARCH_UNKNOWN ? t : truth(t == SEARCH_NO);
}

static bool
in_range(const struct search_node *node, int64_t value)
{
	return value >= node->range.low && value < node->range.high;
}

static enum search_truth
eval_id(const struct search_node *node, const unsigned char *id)
{
	if (!node->object.possible)
		return SEARCH_NO;
	return id == NULL ? SEARCH_UNKNOWN
			  : truth(memcmp(id, node->object.id, MESSAGE_ID_BYTES) == 0);
}

enum search_truth
search_eval(const struct search_node *node, const struct search_facts *facts)
{
	const struct message *row = facts->row;

	switch (node->op) {
	case SEARCH_AND: return eval_children(node, facts, SEARCH_NO);
	case SEARCH_OR: return eval_children(node, facts, SEARCH_YES);
	case SEARCH_NOT: return eval_not(node, facts);
	case SEARCH_FLAGS_SET: return truth((row->flags & node->flags) == node->flags);
	case SEARCH_FLAGS_CLEAR: return truth((row->flags & node->flags) == 0);
	case SEARCH_KEYWORD:
		return truth(node->keyword.index >= 0 &&
			     keyword_set_has(&row->keywords, (unsigned)node->keyword.index));
	case SEARCH_SET: return truth(uidset_contains(&node->set.uids, row->uid));
	case SEARCH_INTERNAL: return truth(in_range(node, row->internaldate_s));
	case SEARCH_SAVED:
		return truth(
		    in_range(node, row->saved_s != 0 ? row->saved_s : row->internaldate_s));
	case SEARCH_EMAILID: return eval_id(node, facts->ids != NULL ? facts->ids->email : NULL);
	case SEARCH_THREADID: return eval_id(node, facts->ids != NULL ? facts->ids->thread : NULL);
	case SEARCH_SENT:
		if (!facts->parsed)
			return SEARCH_UNKNOWN;
		return truth(facts->has_sent_date && in_range(node, facts->sent_day));
	case SEARCH_LARGER: return truth(row->size_bytes > node->number);
	case SEARCH_SMALLER: return truth(row->size_bytes < node->number);
	case SEARCH_MODSEQ: return truth(row->modseq >= node->number);
	case SEARCH_STRING:
		return facts->matched == NULL ? SEARCH_UNKNOWN : facts->matched[node->key];
	}
	return SEARCH_NO;
}

/* --- what the index answers -------------------------------------------------------------------- */

static void
push_range(const struct search_node *node, struct mailbox_query *q)
{
	if (node->range.low != INT64_MIN && (!q->has_since || node->range.low > q->since_s)) {
		q->has_since = true;
		q->since_s = node->range.low;
	}
	if (node->range.high != INT64_MAX && (!q->has_before || node->range.high < q->before_s)) {
		q->has_before = true;
		q->before_s = node->range.high;
	}
}

/* NOT of a single flag or keyword; more is for search_eval(). */
static bool
push_not(const struct search_node *child, struct mailbox_query *q)
{
	if (child->op == SEARCH_FLAGS_SET && __builtin_popcount(child->flags) == 1)
		q->flags_clear |= child->flags;
	else if (child->op == SEARCH_FLAGS_CLEAR && __builtin_popcount(child->flags) == 1)
		q->flags_set |= child->flags;
	else if (child->op == SEARCH_KEYWORD && child->keyword.index >= 0)
		keyword_set_add(&q->keywords_clear, (unsigned)child->keyword.index);
	else
		return child->op == SEARCH_KEYWORD; /* unknown: no message has it */
	return true;
}

static bool
push_keyword(const struct search_node *node, struct mailbox_query *q)
{
	if (node->keyword.index < 0)
		return false;
	keyword_set_add(&q->keywords_set, (unsigned)node->keyword.index);
	return true;
}

static bool
push_size(const struct search_node *node, struct mailbox_query *q)
{
	if (node->op == SEARCH_SMALLER) {
		if (!q->has_smaller || node->number < q->smaller_than)
			q->smaller_than = node->number;
		q->has_smaller = true;
		return true;
	}
	if (node->number > q->larger_than)
		q->larger_than = node->number;
	return node->number > 0; /* LARGER 0 still excludes the empty message */
}

/* True: the query stands for the node now. */
static bool
push_node(struct search_node *node, struct mailbox_query *q, struct uidset *within)
{
	switch (node->op) {
	case SEARCH_AND: return node->children == NULL;
	case SEARCH_NOT: return push_not(node->children, q);
	case SEARCH_FLAGS_SET: q->flags_set |= node->flags; return true;
	case SEARCH_FLAGS_CLEAR: q->flags_clear |= node->flags; return true;
	case SEARCH_KEYWORD: return push_keyword(node, q);
	case SEARCH_SET: uidset_intersect(within, &node->set.uids); return true;
	case SEARCH_INTERNAL: push_range(node, q); return true;
	case SEARCH_LARGER:
	case SEARCH_SMALLER: return push_size(node, q);
	case SEARCH_MODSEQ:
		if (node->number > q->modseq_min)
			q->modseq_min = node->number;
		return true;
	case SEARCH_OR:
	case SEARCH_SAVED:
	case SEARCH_EMAILID:
	case SEARCH_THREADID:
	case SEARCH_SENT:
	case SEARCH_STRING: break;
	}
	return false;
}

/* What is pushed gives back its set and becomes an AND of nothing; ANDs within ANDs are one. */
static void
push_children(struct search_node *parent, struct mailbox_query *q, struct uidset *within)
{
	struct search_node **link = &parent->children;

	while (*link != NULL) {
		struct search_node *node = *link;

		if (node->op == SEARCH_AND)
			push_children(node, q, within);
		if (!push_node(node, q, within)) {
			link = &node->next;
			continue;
		}
		if (node->op == SEARCH_SET)
			uidset_free(&node->set.uids);
		*link = node->next;
	}
}

void
search_push_down(struct search_plan *plan, struct mailbox_query *query, struct uidset *within)
{
	query->within = within;
	push_children(&plan->root, query, within);
}
