#include "imapd/sort.h"

#include <endian.h>
#include <stdlib.h>

#include "base/mem.h"
#include "imapd/gather.h"
#include "imapd/parse.h"
#include "imapd/search_run.h"

/* What one criterion compares: a number, or a text whose first bytes are one, so that most comparisons look no
 * further. */
struct sort_value {
	uint64_t first, second;
	uint32_t at, len; /* the text, in the run's texts */
};

struct sort_item {
	uint64_t first, second; /* of the first criterion, reversed already */
	uint32_t uid;
	uint32_t place; /* in mailbox order */
};

struct sort_run {
	const struct sort_plan *plan;
	struct gather gather;
	struct sort_item *items;
	struct sort_value *values; /* plan->count for each item */
	uint32_t count, cap;
	struct buf texts;
	const struct search_run *search; /* NULL: nobody says what is relevant */
};

/* --- criteria ---------------------------------------------------------------------------------- */

struct sort_row {
	const char *name;
	unsigned needs;
	/* A number, or the text to compare. */
	int64_t (*number)(const struct gathered *m);
	enum sort_text text;
	bool by_relevancy; /* the most relevant first; RFC 6203 §6 */
};

static int64_t
arrival(const struct gathered *m)
{
	return m->row->internaldate_s;
}

static int64_t
date(const struct gathered *m)
{
	return m->date_s;
}

static int64_t
size(const struct gathered *m)
{
	return (int64_t)m->row->size_bytes;
}

static const struct sort_row ROWS[] = {
	{ "ARRIVAL", GATHER_ROW, arrival, 0, false },
	{ "CC", GATHER_KEYS, NULL, SORT_TEXT_CC, false },
	{ "DATE", GATHER_DATE, date, 0, false },
	{ "DISPLAYFROM", GATHER_KEYS, NULL, SORT_TEXT_DISPLAY_FROM, false },
	{ "DISPLAYTO", GATHER_KEYS, NULL, SORT_TEXT_DISPLAY_TO, false },
	{ "FROM", GATHER_KEYS, NULL, SORT_TEXT_FROM, false },
	{ "RELEVANCY", GATHER_ROW, NULL, 0, true },
	{ "SIZE", GATHER_ROW, size, 0, false },
	{ "SUBJECT", GATHER_KEYS, NULL, SORT_TEXT_SUBJECT, false },
	{ "TO", GATHER_KEYS, NULL, SORT_TEXT_TO, false },
};

_Static_assert(ARRAY_LEN(ROWS) <= SORT_CRITERIA_MAX, "a place for each key");

/* A key that is there already decides nothing any more. */
static void
add_criterion(struct sort_plan *plan, const struct sort_row *row, bool reverse)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->list[i].row == row)
			return;
	plan->by_relevancy |= row->by_relevancy;
	plan->list[plan->count].row = row;
	plan->list[plan->count++].reverse = reverse;
}

/* sort-criterion = ["REVERSE" SP] sort-key */
static bool
parse_criterion(struct cursor *c, struct sort_plan *plan)
{
	struct str name = cursor_take_while(c, ascii_is_alpha);
	bool reverse = str_eq_nocase(name, STR("REVERSE"));

	if (reverse) {
		if (!imap_parse_sp(c))
			return false;
		name = cursor_take_while(c, ascii_is_alpha);
	}
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		if (!str_eq_nocase(name, str_from(ROWS[i].name)))
			continue;
		add_criterion(plan, &ROWS[i], reverse);
		return true;
	}
	return false;
}

bool
sort_plan_parse(struct cursor *c, struct sort_plan *plan_out)
{
	*plan_out = (struct sort_plan){ 0 };
	if (!cursor_take(c, '('))
		return false;
	do {
		if (!parse_criterion(c, plan_out))
			return false;
	} while (cursor_take(c, ' '));
	return cursor_take(c, ')');
}

/* --- collecting -------------------------------------------------------------------------------- */

/* Eight bytes from `at` on as a number that compares as they do. */
static uint64_t
eight_bytes(struct str text, size_t at)
{
	size_t left = at < text.len ? text.len - at : 0;
	uint64_t n = 0;

	if (left > 0)
		memcpy(&n, text.p + at, left < sizeof(n) ? left : sizeof(n));
	return be64toh(n);
}

static struct sort_value
value_of(struct sort_run *run, const struct sort_row *row, const struct gathered *m)
{
	struct sort_value v = { 0 };
	struct str text;

	if (row->number != NULL) {
		v.first = (uint64_t)row->number(m) ^ (uint64_t)1 << 63;
		return v;
	}
	if (row->by_relevancy) {
		v.first = run->search != NULL ? 100 - search_run_relevancy(run->search, m->uid) : 0;
		return v;
	}
	text = m->keys->text[row->text];
	v = (struct sort_value){ eight_bytes(text, 0), eight_bytes(text, 8),
		(uint32_t)run->texts.len, (uint32_t)text.len };
	buf_add(&run->texts, text.p, text.len);
	return v;
}

static bool
on_message(void *arg, const struct gathered *m)
{
	struct sort_run *run = arg;
	const struct sort_plan *plan = run->plan;
	struct sort_value *values;
	uint64_t reverse;

	if (run->count == run->cap) {
		run->cap = run->cap == 0 ? 256 : run->cap * 2;
		run->items = mem_realloc_array(run->items, run->cap, sizeof(*run->items));
		run->values =
		    mem_realloc_array(run->values, run->cap, plan->count * sizeof(*run->values));
	}
	values = run->values + (size_t)run->count * plan->count;
	for (size_t i = 0; i < plan->count; i++)
		values[i] = value_of(run, plan->list[i].row, m);
	reverse = plan->list[0].reverse ? UINT64_MAX : 0;
	run->items[run->count] = (struct sort_item){ .first = values[0].first ^ reverse,
		.second = values[0].second ^ reverse,
		.uid = m->uid,
		.place = run->count };
	run->count++;
	return run->texts.len <= SORT_TEXT_MAX_TOTAL;
}

struct sort_run *
sort_run_new(struct mailbox *box, const struct sort_plan *plan, const struct uidset *uids)
{
	struct sort_run *run = mem_zalloc(sizeof(*run));

	run->plan = plan;
	run->gather.box = box;
	run->gather.uids = uids;
	for (size_t i = 0; i < plan->count; i++)
		run->gather.needs |= plan->list[i].row->needs;
	run->gather.cb = on_message;
	run->gather.arg = run;
	return run;
}

void
sort_run_found_by(struct sort_run *run, const struct search_run *search)
{
	run->search = search;
}

void
sort_run_free(struct sort_run *run)
{
	if (run == NULL)
		return;
	free(run->items);
	free(run->values);
	buf_free(&run->texts);
	free(run);
}

/* --- sorting ----------------------------------------------------------------------------------- */

static int
compare_values(const struct sort_run *run, const struct sort_value *a, const struct sort_value *b)
{
	uint32_t len = a->len < b->len ? a->len : b->len;
	int order;

	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->second != b->second)
		return a->second < b->second ? -1 : 1;
	if (len > 16) {
		order =
		    memcmp(run->texts.data + a->at + 16, run->texts.data + b->at + 16, len - 16);
		if (order != 0)
			return order;
	}
	return a->len < b->len ? -1 : a->len > b->len;
}

static int
compare_items(const void *x, const void *y, void *arg)
{
	const struct sort_item *a = x, *b = y;
	const struct sort_run *run = arg;
	size_t count = run->plan->count;

	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->second != b->second)
		return a->second < b->second ? -1 : 1;
	for (size_t i = 0; i < count; i++) {
		int order = compare_values(run, &run->values[(size_t)a->place * count + i],
		    &run->values[(size_t)b->place * count + i]);

		if (order != 0)
			return run->plan->list[i].reverse ? -order : order;
	}
	return a->place < b->place ? -1 : a->place > b->place;
}

static unsigned
byte_of(const struct sort_item *item, unsigned byte)
{
	return (unsigned)(item->first >> 8 * byte & 0xff);
}

/* By one byte of the first eight; what has the same keeps its order. */
static void
sort_by_byte(const struct sort_item *from, struct sort_item *to, uint32_t count, unsigned byte,
    const uint32_t counts[256])
{
	uint32_t at[256], sum = 0;

	for (size_t i = 0; i < 256; i++) {
		at[i] = sum;
		sum += counts[i];
	}
	for (uint32_t i = 0; i < count; i++)
		to[at[byte_of(&from[i], byte)]++] = from[i];
}

/* By the first eight bytes, from the last to the first of them, without those that all have in common. */
static void
sort_by_first(struct sort_run *run)
{
	struct sort_item *spare = mem_realloc_array(NULL, run->count, sizeof(*spare));
	uint32_t counts[sizeof(uint64_t)][256] = { { 0 } };

	for (uint32_t i = 0; i < run->count; i++)
		for (unsigned byte = 0; byte < sizeof(uint64_t); byte++)
			counts[byte][byte_of(&run->items[i], byte)]++;
	for (unsigned byte = 0; byte < sizeof(uint64_t); byte++) {
		struct sort_item *from = run->items;

		if (counts[byte][byte_of(from, byte)] == run->count)
			continue;
		sort_by_byte(from, spare, run->count, byte, counts[byte]);
		run->items = spare;
		spare = from;
	}
	free(spare);
}

/* Comparisons decide only between those whose first eight bytes are the same. */
static void
sort_items(struct sort_run *run)
{
	uint32_t from = 0;

	sort_by_first(run);
	for (uint32_t i = 1; i <= run->count; i++) {
		if (i < run->count && run->items[i].first == run->items[from].first)
			continue;
		if (i - from > 1)
			qsort_r(
			    run->items + from, i - from, sizeof(*run->items), compare_items, run);
		from = i;
	}
}

enum store_err
sort_run_step(struct sort_run *run, bool *done_out)
{
	enum store_err err = gather_step(&run->gather, done_out);

	if (err == STORE_OK && *done_out && run->count > 1)
		sort_items(run);
	return err;
}

void
sort_run_progress(const struct sort_run *run, uint64_t *done_out, uint64_t *goal_out)
{
	*done_out = run->count;
	*goal_out = uidset_count(run->gather.uids);
}

uint32_t *
sort_run_take(struct sort_run *run, uint32_t *count_out)
{
	uint32_t *uids = mem_realloc_array(NULL, run->count + (size_t)1, sizeof(*uids));

	for (uint32_t i = 0; i < run->count; i++)
		uids[i] = run->items[i].uid;
	*count_out = run->count;
	return uids;
}
