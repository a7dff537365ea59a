#include "imapd/thread.h"

#include <stdlib.h>
#include <sys/random.h>

#include "base/mem.h"
#include "imapd/response.h"

#define NONE UINT32_MAX

struct thread_message {
	uint32_t number, node;
	int64_t date_s;
	uint32_t subject_at, subject_len; /* in the texts */
	bool reply;
};

/* A message, or a dummy for an id that only others mention. */
struct thread_node {
	unsigned char id[SORT_ID_BYTES];
	uint32_t parent;
	uint32_t message; /* NONE: a dummy */
	/* Of the set of nodes that have ever been linked with each other. */
	uint32_t set;
	uint32_t set_size;
	bool has_children; /* or had some */
	/* Where it stands among its siblings: its message's date and place, or those of a dummy's first child. */
	int64_t date_s;
	uint32_t place;
};

struct thread {
	enum thread_algorithm algorithm;
	struct thread_message *messages;
	uint32_t message_count, message_cap;
	struct thread_node *nodes;
	uint32_t node_count, node_cap;
	uint32_t extra;  /* ids no message had when they came */
	uint32_t *table; /* of nodes by id, open addressing; NONE: free */
	uint32_t table_size, table_used;
	uint64_t seed[2];
	bool cut; /* a link was broken: nodes of one set need not hang together any more */
	uint64_t climbed;
	struct buf texts;
};

bool
thread_algorithm_find(struct str name, enum thread_algorithm *algorithm_out)
{
	static const char *const NAMES[] = {
		[THREAD_ORDEREDSUBJECT] = "ORDEREDSUBJECT",
		[THREAD_REFERENCES] = "REFERENCES",
		[THREAD_REFS] = "REFS",
	};

	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
		if (!str_eq_nocase(name, str_from(NAMES[i])))
			continue;
		*algorithm_out = (enum thread_algorithm)i;
		return true;
	}
	return false;
}

struct thread *
thread_new(enum thread_algorithm algorithm)
{
	struct thread *t = mem_zalloc(sizeof(*t));

	t->algorithm = algorithm;
	buf_reserve(&t->texts, 1); /* so that it is somewhere, even if all texts are empty */
	/* So that nobody can write ids that all fall into one place; without it only time suffers. */
	if (getrandom(t->seed, sizeof(t->seed), 0) != (ssize_t)sizeof(t->seed))
		t->seed[0] = 1;
	return t;
}

void
thread_free(struct thread *t)
{
	if (t == NULL)
		return;
	free(t->messages);
	free(t->nodes);
	free(t->table);
	buf_free(&t->texts);
	free(t);
}

/* --- nodes by id ------------------------------------------------------------------------------- */

static uint32_t
new_node(struct thread *t, const unsigned char *id)
{
	struct thread_node *n;

	if (t->node_count == t->node_cap) {
		t->node_cap = t->node_cap == 0 ? 1024 : t->node_cap * 2;
		t->nodes = mem_realloc_array(t->nodes, t->node_cap, sizeof(*t->nodes));
	}
	n = &t->nodes[t->node_count];
	*n = (struct thread_node){
		.parent = NONE, .message = NONE, .set = t->node_count, .set_size = 1
	};
	if (id != NULL)
		memcpy(n->id, id, sizeof(n->id));
	return t->node_count++;
}

static uint32_t
slot_of(const struct thread *t, const unsigned char *id)
{
	uint64_t a, b;

	memcpy(&a, id, sizeof(a));
	memcpy(&b, id + sizeof(a), sizeof(b));
	a = (a ^ t->seed[0]) * UINT64_C(0x9e3779b97f4a7c15);
	a = (a ^ a >> 32 ^ b ^ t->seed[1]) * UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(a >> 32) & (t->table_size - 1);
}

/* Where the id is, or where it would go. */
static uint32_t
find_slot(const struct thread *t, const unsigned char *id)
{
	uint32_t i = slot_of(t, id);

	while (t->table[i] != NONE && memcmp(t->nodes[t->table[i]].id, id, SORT_ID_BYTES) != 0)
		i = (i + 1) & (t->table_size - 1);
	return i;
}

static void
grow_table(struct thread *t)
{
	uint32_t *old = t->table, old_size = t->table_size;

	t->table_size = old_size == 0 ? 2048 : old_size * 2;
	t->table = mem_realloc_array(NULL, t->table_size, sizeof(*t->table));
	memset(t->table, 0xff, t->table_size * sizeof(*t->table));
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i] != NONE)
			t->table[find_slot(t, t->nodes[old[i]].id)] = old[i];
	free(old);
}

/* The node of an id, made if there is none; NONE: there are too many that no message has. */
static uint32_t
node_of(struct thread *t, const unsigned char *id, bool is_message)
{
	uint32_t slot;

	if (t->table_used >= t->table_size / 2)
		grow_table(t);
	slot = find_slot(t, id);
	if (t->table[slot] != NONE)
		return t->table[slot];
	if (!is_message && t->extra >= THREAD_NODES_EXTRA + t->message_count)
		return NONE;
	t->extra += !is_message;
	t->table_used++;
	return t->table[slot] = new_node(t, id);
}

/* --- links, RFC 5256 REFERENCES step 1 --------------------------------------------------------- */

static uint32_t
set_of(struct thread *t, uint32_t n)
{
	while (t->nodes[n].set != n) {
		t->nodes[n].set = t->nodes[t->nodes[n].set].set;
		n = t->nodes[n].set;
	}
	return n;
}

static void
join_sets(struct thread *t, uint32_t a, uint32_t b)
{
	a = set_of(t, a);
	b = set_of(t, b);
	if (a == b)
		return;
	if (t->nodes[a].set_size < t->nodes[b].set_size) {
		uint32_t swap = a;

		a = b;
		b = swap;
	}
	t->nodes[b].set = a;
	t->nodes[a].set_size += t->nodes[b].set_size;
}

/* Is `child` an ancestor of `parent`, or the same?  Nearly always one look tells; the climb is for trees out of which a link
 * was broken. */
static bool
would_loop(struct thread *t, uint32_t parent, uint32_t child)
{
	if (parent == child)
		return true;
	if (!t->nodes[child].has_children || set_of(t, parent) != set_of(t, child))
		return false;
	if (!t->cut && t->nodes[child].parent == NONE)
		return true; /* the root of the one tree that both are in */
	for (uint32_t n = parent; n != NONE; n = t->nodes[n].parent)
		if (n == child || ++t->climbed > THREAD_CLIMB_MAX)
			return true;
	return false;
}

static void
link_nodes(struct thread *t, uint32_t parent, uint32_t child)
{
	if (would_loop(t, parent, child))
		return;
	t->nodes[child].parent = parent;
	t->nodes[parent].has_children = true;
	join_sets(t, parent, child);
}

/* Step 1.B: the last reference, or none, is the message's parent, whatever others have said before. */
static void
set_parent(struct thread *t, uint32_t node, uint32_t parent)
{
	if (t->nodes[node].parent == parent)
		return;
	t->cut |= t->nodes[node].parent != NONE;
	t->nodes[node].parent = NONE;
	if (parent != NONE)
		link_nodes(t, parent, node);
}

static uint32_t
add_links(struct thread *t, const struct sort_keys *keys)
{
	uint32_t last = NONE, node = NONE;

	if (keys->id != NULL)
		node = node_of(t, keys->id, true);
	if (node == NONE || t->nodes[node].message != NONE) /* only the first one has a common id */
		node = new_node(t, NULL);
	t->nodes[node].message = t->message_count;
	for (size_t i = 0; i < keys->reference_count; i++) {
		uint32_t ref = node_of(t, keys->references + i * SORT_ID_BYTES, false);

		if (ref == NONE)
			continue;
		if (last != NONE && t->nodes[ref].parent == NONE)
			link_nodes(t, last, ref);
		last = ref;
	}
	set_parent(t, node, last);
	return node;
}

bool
thread_add(struct thread *t, uint32_t number, int64_t date_s, const struct sort_keys *keys)
{
	struct str subject = t->algorithm != THREAD_REFS ? keys->text[SORT_TEXT_SUBJECT] : STR("");
	uint32_t node =
	    t->algorithm == THREAD_ORDEREDSUBJECT ? new_node(t, NULL) : add_links(t, keys);

	if (t->message_count == t->message_cap) {
		t->message_cap = t->message_cap == 0 ? 1024 : t->message_cap * 2;
		t->messages = mem_realloc_array(t->messages, t->message_cap, sizeof(*t->messages));
	}
	t->messages[t->message_count] = (struct thread_message){ .number = number,
		.node = node,
		.date_s = date_s,
		.subject_at = (uint32_t)t->texts.len,
		.subject_len = (uint32_t)subject.len,
		.reply = keys->reply };
	t->nodes[node].message = t->message_count++;
	buf_add(&t->texts, subject.p, subject.len);
	return t->texts.len <= THREAD_TEXT_MAX_TOTAL;
}

/* --- order ------------------------------------------------------------------------------------- */

static int
compare_places(const struct thread_node *a, const struct thread_node *b)
{
	if (a->date_s != b->date_s)
		return a->date_s < b->date_s ? -1 : 1;
	return a->place < b->place ? -1 : a->place > b->place;
}

/* Dates of messages; dummies take those of their first child. */
static void
find_places(struct thread *t)
{
	for (uint32_t i = 0; i < t->node_count; i++) {
		struct thread_node *n = &t->nodes[i];

		n->date_s = n->message != NONE ? t->messages[n->message].date_s : INT64_MAX;
		n->place = n->message;
	}
	for (uint32_t i = 0; i < t->message_count; i++) {
		const struct thread_node *n = &t->nodes[t->messages[i].node];
		struct thread_node *parent = n->parent != NONE ? &t->nodes[n->parent] : NULL;

		if (parent == NULL || parent->message != NONE || compare_places(n, parent) >= 0)
			continue;
		parent->date_s = n->date_s;
		parent->place = n->place;
	}
}

static int
compare_nodes(const void *x, const void *y, void *arg)
{
	const struct thread *t = arg;
	const struct thread_node *a = &t->nodes[*(const uint32_t *)x];
	const struct thread_node *b = &t->nodes[*(const uint32_t *)y];

	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	return compare_places(a, b);
}

static void
sort_nodes(struct thread *t, uint32_t *nodes, uint32_t count)
{
	if (count > 1)
		qsort_r(nodes, count, sizeof(*nodes), compare_nodes, t);
}

/* --- REFERENCES steps 2 and 3: dummies go ------------------------------------------------------ */

/* The nearest ancestor that stays: a message, or the dummy on top.  Dummies on the way up are led there at once the next
 * time. */
static uint32_t
kept_parent(struct thread *t, uint32_t node)
{
	uint32_t top = t->nodes[node].parent;

	while (top != NONE && t->nodes[top].message == NONE && t->nodes[top].parent != NONE)
		top = t->nodes[top].parent;
	for (uint32_t n = t->nodes[node].parent; n != top;) {
		uint32_t next = t->nodes[n].parent;

		t->nodes[n].parent = top;
		n = next;
	}
	return top;
}

/* A dummy with a single child is not needed; one without is in nobody's way. */
static void
prune(struct thread *t)
{
	uint32_t *children = mem_zalloc((t->node_count + (size_t)1) * sizeof(*children));

	for (uint32_t i = 0; i < t->message_count; i++) {
		uint32_t node = t->messages[i].node, parent = kept_parent(t, node);

		t->nodes[node].parent = parent;
		if (parent != NONE && t->nodes[parent].message == NONE)
			children[parent]++;
	}
	for (uint32_t i = 0; i < t->message_count; i++) {
		struct thread_node *n = &t->nodes[t->messages[i].node];

		if (n->parent != NONE && t->nodes[n->parent].message == NONE &&
		    children[n->parent] == 1)
			n->parent = NONE;
	}
	free(children);
}

/* Heads of threads, in order: messages without a parent and dummies that have children. */
static uint32_t *
heads(struct thread *t, uint32_t *count_out)
{
	uint32_t *list = mem_realloc_array(NULL, t->message_count + (size_t)1, sizeof(*list));
	uint32_t count = 0;

	find_places(t);
	for (uint32_t i = 0; i < t->node_count; i++) {
		const struct thread_node *n = &t->nodes[i];

		if (n->parent == NONE && n->place != NONE)
			list[count++] = i;
	}
	sort_nodes(t, list, count);
	*count_out = count;
	return list;
}

/* --- REFERENCES step 5: threads of one subject are one ----------------------------------------- */

static struct str
subject_of(const struct thread *t, uint32_t head)
{
	const struct thread_message *m = &t->messages[t->nodes[head].place];

	return (struct str){ t->texts.data + m->subject_at, m->subject_len };
}

static uint32_t
hash_subject(const struct thread *t, struct str s)
{
	uint64_t h = t->seed[0] | 1;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3) + (h >> 47) + t->seed[1];
	return (uint32_t)(h >> 32 ^ h);
}

/* Heads by their thread's subject. */
struct subjects {
	uint32_t *slots;
	uint32_t mask;
};

static uint32_t *
subject_slot(const struct thread *t, const struct subjects *table, struct str subject)
{
	uint32_t i = hash_subject(t, subject) & table->mask;

	while (table->slots[i] != NONE && !str_eq(subject_of(t, table->slots[i]), subject))
		i = (i + 1) & table->mask;
	return &table->slots[i];
}

static bool
is_dummy(const struct thread *t, uint32_t node)
{
	return t->nodes[node].message == NONE;
}

static bool
is_reply(const struct thread *t, uint32_t node)
{
	return !is_dummy(t, node) && t->messages[t->nodes[node].message].reply;
}

/* Step 5.B: which head of each subject the others go to. */
static void
fill_subjects(struct thread *t, struct subjects *table, const uint32_t *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct str subject = subject_of(t, list[i]);
		uint32_t *slot;

		if (subject.len == 0)
			continue;
		slot = subject_slot(t, table, subject);
		if (*slot == NONE ||
		    (!is_dummy(t, *slot) &&
			(is_dummy(t, list[i]) || (is_reply(t, *slot) && !is_reply(t, list[i])))))
			*slot = list[i];
	}
}

/* A dummy above both; its place is that of the earlier one, so it has the same subject. */
static uint32_t
new_dummy(struct thread *t, uint32_t a, uint32_t b)
{
	uint32_t dummy = new_node(t, NULL);
	struct thread_node *n = &t->nodes[dummy];
	const struct thread_node *first =
	    compare_places(&t->nodes[a], &t->nodes[b]) < 0 ? &t->nodes[a] : &t->nodes[b];

	n->date_s = first->date_s;
	n->place = first->place;
	t->nodes[a].parent = t->nodes[b].parent = dummy;
	return dummy;
}

/* Step 5.C for one head.  A dummy that goes under another leaves its children to it, in give_children(). */
static void
merge(struct thread *t, const struct subjects *table, uint32_t head)
{
	struct str subject = subject_of(t, head);
	uint32_t *slot;

	if (subject.len == 0 || t->nodes[head].parent != NONE)
		return;
	slot = subject_slot(t, table, subject);
	if (*slot == head)
		return;
	if (is_dummy(t, *slot) || (is_reply(t, head) && !is_reply(t, *slot)))
		t->nodes[head].parent = *slot;
	else
		*slot = new_dummy(t, head, *slot);
}

/* Children of dummies that went under other dummies are those' now. */
static void
give_children(struct thread *t)
{
	for (uint32_t i = 0; i < t->message_count; i++) {
		struct thread_node *n = &t->nodes[t->messages[i].node];

		while (n->parent != NONE && is_dummy(t, n->parent) &&
		       t->nodes[n->parent].parent != NONE)
			n->parent = t->nodes[n->parent].parent;
	}
}

static void
merge_subjects(struct thread *t)
{
	struct subjects table = { .mask = 1 };
	uint32_t count, *list = heads(t, &count);

	while (table.mask < count * (uint64_t)2)
		table.mask = table.mask * 2 + 1;
	table.slots = mem_realloc_array(NULL, table.mask + (size_t)1, sizeof(*table.slots));
	memset(table.slots, 0xff, (table.mask + (size_t)1) * sizeof(*table.slots));
	fill_subjects(t, &table, list, count);
	for (uint32_t i = 0; i < count; i++)
		merge(t, &table, list[i]);
	give_children(t);
	free(table.slots);
	free(list);
}

/* --- ORDEREDSUBJECT ---------------------------------------------------------------------------- */

static int
compare_subjects(const void *x, const void *y, void *arg)
{
	const struct thread *t = arg;
	const struct thread_message *a = &t->messages[*(const uint32_t *)x];
	const struct thread_message *b = &t->messages[*(const uint32_t *)y];
	uint32_t len = a->subject_len < b->subject_len ? a->subject_len : b->subject_len;
	int order = 0;

	if (len > 0)
		order = memcmp(t->texts.data + a->subject_at, t->texts.data + b->subject_at, len);
	if (order == 0 && a->subject_len != b->subject_len)
		order = a->subject_len < b->subject_len ? -1 : 1;
	return order != 0 ? order : compare_places(&t->nodes[a->node], &t->nodes[b->node]);
}

static bool
same_subject(const struct thread *t, uint32_t a, uint32_t b)
{
	return str_eq(subject_of(t, t->messages[a].node), subject_of(t, t->messages[b].node));
}

/* The first message of a subject is the parent of all others. */
static void
order_subjects(struct thread *t)
{
	uint32_t *list = mem_realloc_array(NULL, t->message_count + (size_t)1, sizeof(*list));
	uint32_t first = 0;

	find_places(t);
	for (uint32_t i = 0; i < t->message_count; i++)
		list[i] = i;
	if (t->message_count > 1)
		qsort_r(list, t->message_count, sizeof(*list), compare_subjects, t);
	for (uint32_t i = 1; i < t->message_count; i++) {
		if (same_subject(t, list[first], list[i]))
			t->nodes[t->messages[list[i]].node].parent = t->messages[list[first]].node;
		else
			first = i;
	}
	free(list);
}

/* --- writing ----------------------------------------------------------------------------------- */

/* All that is shown, siblings next to each other and in order: those of `parent` are at first[parent] … + count[parent]. */
struct tree {
	uint32_t *nodes, count;
	uint32_t *first, *counts;
	uint32_t head_at;
};

static void
make_tree(struct thread *t, struct tree *tree)
{
	find_places(t);
	tree->nodes = mem_realloc_array(NULL, t->node_count + (size_t)1, sizeof(*tree->nodes));
	tree->first = mem_zalloc((t->node_count + (size_t)1) * sizeof(*tree->first));
	tree->counts = mem_zalloc((t->node_count + (size_t)1) * sizeof(*tree->counts));
	for (uint32_t i = 0; i < t->node_count; i++) {
		const struct thread_node *n = &t->nodes[i];

		if (n->message != NONE || (n->parent == NONE && n->place != NONE))
			tree->nodes[tree->count++] = i;
	}
	sort_nodes(t, tree->nodes, tree->count);
	tree->head_at = tree->count;
	for (uint32_t i = tree->count; i-- > 0;) {
		uint32_t parent = t->nodes[tree->nodes[i]].parent;

		if (parent == NONE) {
			tree->head_at = i;
			continue;
		}
		tree->first[parent] = i;
		tree->counts[parent]++;
	}
}

/* REFS: threads by their youngest message.  The stack is that of out_list(). */
static void
order_by_youngest(struct thread *t, struct tree *tree, uint32_t *stack)
{
	static const struct thread_node OLDEST = { .date_s = INT64_MIN };

	for (uint32_t i = tree->head_at; i < tree->count; i++) {
		const struct thread_node *youngest = &OLDEST;
		uint32_t depth = 0;

		stack[depth++] = tree->nodes[i];
		while (depth > 0) {
			uint32_t n = stack[--depth];
			const struct thread_node *node = &t->nodes[n];

			if (node->message != NONE && compare_places(node, youngest) > 0)
				youngest = node;
			for (uint32_t k = 0; k < tree->counts[n]; k++)
				stack[depth++] = tree->nodes[tree->first[n] + k];
		}
		t->nodes[tree->nodes[i]].date_s = youngest->date_s;
		t->nodes[tree->nodes[i]].place = youngest->place;
	}
	sort_nodes(t, tree->nodes + tree->head_at, tree->count - tree->head_at);
}

/* thread-list of one head: members, then nested lists; the stack holds places in tree->nodes that are still to be
 * written and NONE for a list to be closed. */
static void
out_list(const struct thread *t, const struct tree *tree, uint32_t head, uint32_t *stack,
    struct buf *out)
{
	uint32_t depth = 0;

	stack[depth++] = head;
	while (depth > 0) {
		uint32_t at = stack[--depth], n;
		const char *blank = "";

		if (at == NONE) {
			buf_addc(out, ')');
			continue;
		}
		n = tree->nodes[at];
		buf_addc(out, '(');
		for (;; n = tree->nodes[tree->first[n]]) {
			if (!is_dummy(t, n)) {
				buf_adds(out, blank);
				buf_number(out, t->messages[t->nodes[n].message].number);
				blank = " ";
			}
			if (tree->counts[n] != 1)
				break;
		}
		stack[depth++] = NONE;
		if (tree->counts[n] > 1)
			buf_adds(out, blank);
		for (uint32_t i = tree->counts[n]; i-- > 0;)
			stack[depth++] = tree->first[n] + i;
	}
}

void
thread_out(struct thread *t, struct buf *out)
{
	struct tree tree = { 0 };
	uint32_t *stack;

	if (t->message_count == 0)
		return;
	if (t->algorithm == THREAD_ORDEREDSUBJECT)
		order_subjects(t);
	else
		prune(t);
	if (t->algorithm == THREAD_REFERENCES)
		merge_subjects(t);
	make_tree(t, &tree);
	stack = mem_realloc_array(NULL, 2 * (size_t)t->node_count + 2, sizeof(*stack));
	if (t->algorithm == THREAD_REFS)
		order_by_youngest(t, &tree, stack);
	buf_addc(out, ' ');
	for (uint32_t i = tree.head_at; i < tree.count; i++)
		out_list(t, &tree, i, stack, out);
	free(stack);
	free(tree.nodes);
	free(tree.first);
	free(tree.counts);
}
