#include "imapd/search_run.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "imapd/messages.h"
#include "store/mailbox_search.h"

/* Found without a look at its text: all that was asked of it is so. */
#define SCORE_WITHOUT_TEXT 100

/* Of a program whose candidates are narrowed all at once, which costs a copy of them for each node; of a larger one the
 * proposals are looked at row by row. */
#define NARROW_NODES_MAX 100

struct search_run {
	struct mailbox *box;
	struct search_plan *plan;
	struct search_candidates source;
	/* For each text search.db was asked about: the messages that may have it. */
	struct uidset *proposed;
	size_t proposed_count;

	bool started;
	bool narrowed; /* search.db has been asked */
	uint32_t limit, limited_uid;
	struct uidset candidates, found;
	uint32_t done_uid; /* all candidates up to it are decided or in the slice */

	/* one slice of rows */
	struct message rows[SEARCH_SLICE_ROWS];
	enum search_truth truths[SEARCH_SLICE_ROWS];
	unsigned char row_scores[SEARCH_SLICE_ROWS];
	size_t row_count, row_at; /* rows before row_at are decided and counted */
	struct message_ids *ids;  /* of the rows; NULL: the plan asks for none */
	size_t ids_at;            /* rows before it have been evaluated with their ids */
	size_t fields_at;         /* rows before it have been evaluated with their header fields */

	bool asks_fields;         /* of the header fields and dates in the index */
	struct search_text *text; /* NULL: no texts */
	size_t fuzzy_count;       /* of them */
	unsigned char *scores;    /* of found messages, in their order; where fuzzy_count > 0 */
	size_t score_cap;
	bool *found_texts;
	enum search_truth *matched; /* for each text */
	enum store_err text_err;
	int64_t until_ms; /* the end of this slice of time */
	bool stopped;     /* a callback asked for no more */
};

static bool
time_is_up(const struct search_run *run)
{
	return clock_ms() >= run->until_ms;
}

struct search_run *
search_run_new(
    struct mailbox *box, struct search_plan *plan, const struct search_candidates *source)
{
	struct search_run *run = mem_zalloc(sizeof(*run));

	run->box = box;
	run->plan = plan;
	run->source = source != NULL ? *source : mailbox_candidates(box);
	run->asks_fields = plan->uses_sent;
	if (plan->uses_ids)
		run->ids = mem_zalloc(SEARCH_SLICE_ROWS * sizeof(*run->ids));
	if (plan->key_count > 0) {
		run->text = search_text_new(plan->keys, plan->key_count);
		run->asks_fields = run->asks_fields || search_fields_help(run->text);
		run->found_texts = mem_zalloc(plan->key_count * sizeof(*run->found_texts));
		run->matched = mem_zalloc(plan->key_count * sizeof(*run->matched));
		run->proposed = mem_zalloc(plan->key_count * sizeof(*run->proposed));
		for (size_t i = 0; i < plan->key_count; i++)
			run->fuzzy_count += plan->keys[i].fuzzy;
	}
	return run;
}

void
search_run_free(struct search_run *run)
{
	if (run == NULL)
		return;
	search_text_free(run->text);
	for (size_t i = 0; i < run->proposed_count; i++)
		uidset_free(&run->proposed[i]);
	free(run->proposed);
	free(run->scores);
	free(run->found_texts);
	free(run->matched);
	free(run->ids);
	uidset_free(&run->candidates);
	uidset_free(&run->found);
	free(run);
}

const struct uidset *
search_run_found(const struct search_run *run)
{
	return &run->found;
}

/* All up to done_uid but for the rows of this slice that are not decided. */
void
search_run_progress(const struct search_run *run, uint64_t *done_out, uint64_t *goal_out)
{
	uint64_t taken = uidset_count_upto(&run->candidates, run->done_uid);
	uint64_t open = run->row_count - run->row_at;

	*goal_out = uidset_count(&run->candidates);
	*done_out = taken > open ? taken - open : 0;
}

/* --- the index --------------------------------------------------------------------------------- */

/* Asks search.db about each text: one that it cannot say anything about may be in any message.  False: there are more to be
 * asked about. */
static bool
ask_proposals(struct search_run *run)
{
	size_t count = run->plan->key_count;

	if (count > SEARCH_PROPOSALS)
		count = SEARCH_PROPOSALS;
	while (run->proposed_count < count) {
		struct uidset *uids = &run->proposed[run->proposed_count];

		uidset_copy(uids, &run->candidates);
		search_narrow(&run->source, &run->plan->keys[run->proposed_count++], uids);
		if (time_is_up(run))
			break;
	}
	return run->proposed_count == count;
}

static const struct uidset *
proposed_for(const struct search_run *run, const struct search_node *node)
{
	return node->op == SEARCH_STRING && node->key < run->proposed_count
		   ? &run->proposed[node->key]
		   : &run->candidates;
}

static void may_match(
    const struct search_run *run, const struct search_node *node, struct uidset *uids_out);

/* What can match all children, or one of them. */
static void
may_match_children(
    const struct search_run *run, const struct search_node *node, struct uidset *uids_out)
{
	struct uidset one = { 0 };

	if (node->op == SEARCH_AND)
		uidset_copy(uids_out, &run->candidates);
	for (const struct search_node *n = node->children; n != NULL; n = n->next) {
		uidset_clear(&one);
		may_match(run, n, &one);
		if (node->op == SEARCH_AND)
			uidset_intersect(uids_out, &one);
		else
			uidset_union(uids_out, &one);
	}
	uidset_free(&one);
}

/* The candidates that are not ruled out by the proposals for a node, added to the empty set. */
static void
may_match(const struct search_run *run, const struct search_node *node, struct uidset *uids_out)
{
	if (node->op == SEARCH_AND || node->op == SEARCH_OR)
		may_match_children(run, node, uids_out);
	else
		uidset_copy(uids_out, proposed_for(run, node));
}

static size_t
count_nodes(const struct search_node *node)
{
	size_t count = 1;

	for (const struct search_node *n = node->children; n != NULL; n = n->next)
		count += count_nodes(n);
	return count;
}

/* False: the time is up. */
static bool
narrow(struct search_run *run)
{
	struct uidset uids = { 0 };

	run->narrowed =
	    run->plan->key_count == 0 || uidset_count(&run->candidates) <= SEARCH_READ_MAX;
	if (run->narrowed)
		return true;
	if (!ask_proposals(run))
		return false;
	run->narrowed = true;
	if (count_nodes(&run->plan->root) > NARROW_NODES_MAX)
		return true;
	may_match(run, &run->plan->root, &uids);
	uidset_swap(&run->candidates, &uids);
	uidset_free(&uids);
	return true;
}

/* What the proposals say of a message's texts: that it cannot have them, or nothing.  NULL: there are no texts. */
static const enum search_truth *
proposals(struct search_run *run, uint32_t uid)
{
	if (run->plan->key_count == 0)
		return NULL;
	for (size_t i = 0; i < run->plan->key_count; i++)
		run->matched[i] =
		    i < run->proposed_count && !uidset_contains(&run->proposed[i], uid)
			? SEARCH_NO
			: SEARCH_UNKNOWN;
	return run->matched;
}

void
search_run_limit(struct search_run *run, uint32_t limit)
{
	run->limit = limit;
}

uint32_t
search_run_limited_uid(const struct search_run *run)
{
	return run->limited_uid;
}

static void
keep_limit(struct search_run *run, struct uidset *within)
{
	uint32_t count = uidset_count(within);

	if (run->limit == 0 || count <= run->limit)
		return;
	run->limited_uid = uidset_nth(within, count - run->limit + 1);
	uidset_remove_range(within, 1, run->limited_uid - 1);
}

static enum store_err
start(struct search_run *run)
{
	struct mailbox_query query = { 0 };
	struct uidset within = { 0 };
	enum store_err err;

	uidset_copy(&within, mailbox_view(run->box));
	search_push_down(run->plan, &query, &within);
	keep_limit(run, &within);
	err = mailbox_find(run->box, &query, &run->candidates, NULL);
	uidset_free(&within);
	if (err != STORE_OK)
		return err;
	if (run->plan->root.children == NULL)
		uidset_swap(&run->found, &run->candidates);
	run->started = true;
	return STORE_OK;
}

/* --- rows -------------------------------------------------------------------------------------- */

static bool
on_row(void *arg, const struct message *row)
{
	struct search_run *run = arg;
	struct search_facts facts = { .row = row, .matched = proposals(run, row->uid) };

	run->rows[run->row_count] = *row;
	run->row_scores[run->row_count] = SCORE_WITHOUT_TEXT;
	run->truths[run->row_count++] = search_eval(&run->plan->root, &facts);
	return true;
}

/* False: there are no more. */
static bool
next_slice(struct search_run *run, enum store_err *err_out)
{
	struct uidset slice = { 0 };

	run->row_count = run->row_at = 0;
	messages_slice(&run->candidates, run->done_uid, SEARCH_SLICE_ROWS, &slice);
	if (uidset_is_empty(&slice))
		return false;
	run->done_uid = uidset_last(&slice);
	*err_out = mailbox_messages(run->box, &slice, on_row, run);
	run->ids_at = run->ids != NULL ? 0 : run->row_count;
	run->fields_at = run->asks_fields ? 0 : run->row_count;
	uidset_free(&slice);
	return *err_out == STORE_OK;
}

/* The rows from `from` on whose answer is not known. */
static void
unknown_rows(const struct search_run *run, size_t from, struct uidset *uids_out)
{
	for (size_t i = from; i < run->row_count; i++)
		if (run->truths[i] == SEARCH_UNKNOWN)
			uidset_add(uids_out, run->rows[i].uid);
}

/* The place of the row from `from` on that has the UID, or row_count. */
static size_t
find_row(const struct search_run *run, size_t from, uint32_t uid)
{
	while (from < run->row_count && run->rows[from].uid < uid)
		from++;
	return from < run->row_count && run->rows[from].uid == uid ? from : run->row_count;
}

/* --- ids --------------------------------------------------------------------------------------- */

static const struct message_ids *
ids_of(const struct search_run *run, size_t row)
{
	return run->ids != NULL ? &run->ids[row] : NULL;
}

static bool
on_summary(void *arg, const struct message_summary *m)
{
	struct search_run *run = arg;
	size_t i = find_row(run, run->ids_at, m->uid);
	struct search_facts facts = { .ids = &m->ids };

	if (i == run->row_count)
		return true;
	facts.row = &run->rows[i];
	run->ids[i] = m->ids;
	run->truths[i] = search_eval(&run->plan->root, &facts);
	run->ids_at = i + 1;
	run->stopped = time_is_up(run);
	return !run->stopped;
}

/* Decides what the ids can decide, until the time is up. */
static enum store_err
decide_by_ids(struct search_run *run)
{
	struct uidset unknown = { 0 };
	enum store_err err = STORE_OK;

	run->stopped = false;
	unknown_rows(run, run->ids_at, &unknown);
	if (!uidset_is_empty(&unknown))
		err = mailbox_summaries(run->box, &unknown, false, on_summary, run);
	uidset_free(&unknown);
	if (err == STORE_OK && !run->stopped)
		run->ids_at = run->row_count;
	return err;
}

/* --- header fields ----------------------------------------------------------------------------- */

static bool
on_searched(void *arg, const struct message_searched *m)
{
	struct search_run *run = arg;
	size_t i = find_row(run, run->fields_at, m->uid);
	struct search_facts facts = {
		.parsed = true, .has_sent_date = m->has_sent_date, .sent_day = m->sent_date_days
	};

	if (i == run->row_count)
		return true;
	facts.row = &run->rows[i];
	facts.ids = ids_of(run, i);
	if (run->text != NULL) {
		search_fields_match(run->text, m->fields, run->matched);
		for (size_t k = 0; k < run->proposed_count; k++)
			if (!uidset_contains(&run->proposed[k], m->uid))
				run->matched[k] = SEARCH_NO;
		facts.matched = run->matched;
	}
	run->truths[i] = search_eval(&run->plan->root, &facts);
	run->fields_at = i + 1;
	run->stopped = time_is_up(run);
	return !run->stopped;
}

/* Decides what the header fields in the index can decide, until the time is up. */
static enum store_err
decide_by_fields(struct search_run *run)
{
	struct uidset unknown = { 0 };
	enum store_err err = STORE_OK;

	run->stopped = false;
	unknown_rows(run, run->fields_at, &unknown);
	if (!uidset_is_empty(&unknown))
		err = mailbox_searched(run->box, &unknown, on_searched, run);
	uidset_free(&unknown);
	if (err == STORE_OK && !run->stopped)
		run->fields_at = run->row_count;
	return err;
}

/* --- texts ------------------------------------------------------------------------------------- */

/* Looks for all texts in the message; false: it is gone, or cannot be read.  One damaged file must not
 * make every search of the mailbox fail, so that is for the log. */
static bool
match_text(struct search_run *run, const struct message_parsed *p)
{
	struct mime_message *mime;
	enum store_err err;
	bool ok;
	int fd;

	err = mailbox_message_open(run->box, p->uid, &fd);
	if (err != STORE_OK) {
		if (err != STORE_NOT_FOUND)
			run->text_err = err;
		return false;
	}
	mime = mime_unpack(p->parts);
	if (mime == NULL)
		mime = mime_parse_fd(fd);
	ok = mime != NULL && search_text_run(run->text, fd, mime, run->found_texts);
	for (size_t i = 0; ok && i < run->plan->key_count; i++)
		run->matched[i] = run->found_texts[i] ? SEARCH_YES : SEARCH_NO;
	if (!ok)
		log_error(account_log(mailbox_account(run->box)), "search",
		    "uid=%u errno=%d mailbox=%s", p->uid, errno, mailbox_name(run->box));
	mime_message_free(mime);
	close(fd);
	return ok;
}

static void
note_score(struct search_run *run, unsigned char score)
{
	size_t place = uidset_count(&run->found);

	if (run->fuzzy_count == 0)
		return;
	if (place == run->score_cap) {
		run->score_cap = place == 0 ? 64 : 2 * place;
		run->scores = mem_realloc_array(run->scores, run->score_cap, 1);
	}
	run->scores[place] = score;
}

unsigned
search_run_relevancy(const struct search_run *run, uint32_t uid)
{
	uint32_t place = uidset_rank(&run->found, uid);

	if (place == 0 || !run->plan->uses_fuzzy)
		return 0;
	return run->scores != NULL ? run->scores[place - 1] : SCORE_WITHOUT_TEXT;
}

/* The mean of the fuzzy texts that the message has. */
static unsigned char
score_of_text(const struct search_run *run)
{
	unsigned sum = 0, count = 0;

	for (size_t i = 0; i < run->plan->key_count; i++) {
		unsigned score = search_text_score(run->text, i);

		sum += score;
		count += score > 0;
	}
	return (unsigned char)(count > 0 ? sum / count : SCORE_WITHOUT_TEXT);
}

static enum search_truth
decide(struct search_run *run, size_t row, const struct message_parsed *p)
{
	struct search_facts facts = { .row = &run->rows[row],
		.ids = ids_of(run, row),
		.parsed = true,
		.has_sent_date = p->has_sent_date,
		.sent_day = p->sent_date_days };
	enum search_truth t;

	facts.matched = proposals(run, p->uid);
	t = search_eval(&run->plan->root, &facts);
	if (t != SEARCH_UNKNOWN)
		return t;
	if (!match_text(run, p))
		return SEARCH_NO;
	if (run->fuzzy_count > 0)
		run->row_scores[row] = score_of_text(run);
	facts.matched = run->matched;
	return search_eval(&run->plan->root, &facts);
}

/* Takes over what is decided before row `end`; a message that is still unknown there is gone. */
static void
settle_rows(struct search_run *run, size_t end)
{
	for (; run->row_at < end; run->row_at++)
		if (run->truths[run->row_at] == SEARCH_YES) {
			note_score(run, run->row_scores[run->row_at]);
			uidset_add(&run->found, run->rows[run->row_at].uid);
		}
}

static bool
on_parsed(void *arg, const struct message_parsed *p)
{
	struct search_run *run = arg;
	size_t i = find_row(run, run->row_at, p->uid);

	if (i == run->row_count)
		return true;
	run->truths[i] = decide(run, i, p);
	settle_rows(run, i + 1);
	run->stopped = run->text_err != STORE_OK || time_is_up(run);
	return !run->stopped;
}

/* Decides the unknown rows from row_at on, until the time is up. */
static enum store_err
decide_unknown(struct search_run *run)
{
	struct uidset unknown = { 0 };
	enum store_err err = STORE_OK;

	run->stopped = false;
	unknown_rows(run, run->row_at, &unknown);
	if (uidset_is_empty(&unknown))
		settle_rows(run, run->row_count);
	else
		err = mailbox_parsed(run->box, &unknown, false, on_parsed, run);
	uidset_free(&unknown);
	if (err == STORE_OK)
		err = run->text_err;
	if (err == STORE_OK && !run->stopped)
		settle_rows(run, run->row_count);
	return err;
}

enum store_err
search_run_step(struct search_run *run, bool *done_out)
{
	enum store_err err = STORE_OK;

	*done_out = false;
	run->until_ms = clock_ms() + SEARCH_SLICE_MS;
	if (!run->started && (err = start(run)) != STORE_OK)
		return err;
	if (!run->narrowed && !narrow(run))
		return STORE_OK;
	while (err == STORE_OK) {
		if (run->ids_at < run->row_count)
			err = decide_by_ids(run);
		else if (run->fields_at < run->row_count)
			err = decide_by_fields(run);
		else if (run->row_at < run->row_count)
			err = decide_unknown(run);
		else if (!next_slice(run, &err)) {
			*done_out = err == STORE_OK;
			return err;
		}
		if (time_is_up(run))
			break;
	}
	return err;
}
