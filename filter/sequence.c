#include "filter/sequence.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "filter/view.h"

struct run {
	const struct filter_message *original;
	struct filter_message message; /* as the next step sees it */
	struct arena *arena;
	struct filter_sequence_result *out;
	const struct filter_edit *edit; /* how the message is now; NULL: as it came */
	struct buf edited;              /* its bytes, where the next step needs them */
	struct filter_action keep;      /* the one that the next step may still cancel */
	size_t keep_step;
	bool keep_stands, keep_waits;
};

static void
fail(struct run *r, size_t step, const struct filter_error *error)
{
	struct filter_failure *f = &r->out->failures[r->out->failure_count++];

	*f = (struct filter_failure){ .step = step, .error = *error };
}

/* Flags and keywords of an earlier keep hold for the one that takes its place. */
static void
inherit_flags(struct run *r, struct filter_action *keep)
{
	const struct filter_store *from = &r->keep.store;
	struct filter_store *to = &keep->store;
	const char **both;

	if (!r->keep_waits)
		return;
	to->flags |= from->flags;
	if (from->keyword_count == 0)
		return;
	both =
	    arena_alloc(r->arena, (to->keyword_count + from->keyword_count) * sizeof(const char *));
	for (size_t i = 0; i < to->keyword_count; i++)
		both[i] = to->keywords[i];
	for (size_t i = 0; i < from->keyword_count; i++)
		both[to->keyword_count + i] = from->keywords[i];
	to->keywords = both;
	to->keyword_count += from->keyword_count;
}

static void
add_action(struct run *r, size_t step, const struct filter_action *action)
{
	struct filter_result *all = &r->out->result;

	r->out->step_of[all->action_count] = step;
	all->actions[all->action_count++] = *action;
}

static bool
is_redirect(const struct filter_action *a)
{
	return a->kind == FILTER_REDIRECT || a->kind == FILTER_DELIVER;
}

/* The bounds of one result hold for all together.  One place stays free for the keep that waits. */
static const char *
find_excess(const struct run *r, const struct filter_result *more)
{
	const struct filter_result *all = &r->out->result;
	size_t redirects = 0;

	for (size_t i = 0; i < all->action_count; i++)
		redirects += is_redirect(&all->actions[i]);
	for (size_t i = 0; i < more->action_count; i++)
		redirects += is_redirect(&more->actions[i]);
	if (all->action_count > 0 && all->action_count + more->action_count >= FILTER_ACTIONS_MAX)
		return "too many actions, together with those of the filters before it";
	if (all->action_count > 0 && redirects > FILTER_REDIRECTS_MAX)
		return "too many redirects, together with those of the filters before it";
	if (all->memory_count + more->memory_count > FILTER_MEMORIES_MAX)
		return "too many things to remember, together with those of the filters before it";
	return NULL;
}

static void
add_log(struct run *r, struct str more)
{
	struct str *log = &r->out->result.log;
	char *joined;

	if (more.len == 0)
		return;
	if (log->len == 0) {
		*log = more;
		return;
	}
	joined = arena_alloc(r->arena, log->len + 1 + more.len);
	memcpy(joined, log->p, log->len);
	joined[log->len] = '\n';
	memcpy(joined + log->len + 1, more.p, more.len);
	*log = (struct str){ joined, log->len + 1 + more.len };
}

/* What a step says of the message holds on top of what the steps before it made of it: no edit of its own is theirs, and
 * the body that its edit leaves alone is theirs too. */
static const struct filter_edit *
edit_on_top(struct run *r, const struct filter_edit *edit)
{
	struct filter_edit *both;

	if (edit == NULL || r->edit == NULL || r->edit->body.p == NULL || edit->body.p != NULL)
		return edit != NULL ? edit : r->edit;
	both = arena_zalloc(r->arena, sizeof(*both));
	both->header = edit->header;
	both->body = r->edit->body;
	return both;
}

static void
take_result(struct run *r, size_t step, struct filter_result *result, bool last)
{
	struct filter_result *all = &r->out->result;
	const struct filter_edit *edit = edit_on_top(r, result->edit);
	bool stands = false;

	for (size_t i = 0; i < result->action_count; i++) {
		struct filter_action *a = &result->actions[i];

		a->edit = edit_on_top(r, a->edit);
		if (a->kind == FILTER_KEEP) {
			stands = true;
			inherit_flags(r, a);
		}
		if (a->kind == FILTER_KEEP && !last) {
			r->keep = *a;
			r->keep_step = step;
			r->keep_waits = true;
		} else {
			add_action(r, step, a);
		}
	}
	for (size_t i = 0; i < result->memory_count; i++)
		all->memories[all->memory_count++] = result->memories[i];
	r->edit = all->edit = edit;
	r->keep_stands = stands;
	r->keep_waits = stands && !last;
	r->out->last_step = step;
}

/* The message with its edits, for the next step. */
static bool
show_edits(struct run *r)
{
	struct arena arena = { 0 };
	struct view view;
	struct str body;
	struct buf bytes = { 0 };
	bool ok = true;

	if (r->edit == NULL)
		return true;
	body = r->edit->body;
	if (body.p == NULL && !view_open(&view, r->original, &arena)) {
		ok = false;
	} else {
		buf_add(&bytes, r->edit->header.p, r->edit->header.len);
		if (bytes.len > 0 && bytes.data[bytes.len - 1] != '\n')
			buf_addc(&bytes, '\n');
		buf_addc(&bytes, '\n');
		if (body.p == NULL)
			buf_add(&bytes, view.body.p, view.body.len);
		else
			buf_add(&bytes, body.p, body.len);
	}
	if (ok && r->edit->body.p == NULL)
		view_close(&view);
	arena_free(&arena);
	buf_free(&r->edited);
	r->edited = bytes;
	r->message.fd = -1;
	r->message.bytes = (struct str){ bytes.data, bytes.len };
	return ok;
}

static enum filter_status
run_step(struct run *r, const struct filter_step *step, const struct filter_run_options *options,
    struct filter_result *result, struct filter_error *error)
{
	enum filter_status status;
	const char *excess;

	if (step->filter == NULL) {
		*error = step->broken != NULL ? *step->broken : (struct filter_error){ 0 };
		return FILTER_COMPILE_ERROR;
	}
	if (!show_edits(r))
		return FILTER_TEMPFAIL;
	status = filter_run(step->filter, &r->message, options, r->arena, result, error);
	add_log(r, result->log);
	if (status != FILTER_OK)
		return status;
	excess = find_excess(r, result);
	if (excess == NULL)
		return FILTER_OK;
	*error = (struct filter_error){ .kind = FILTER_ERROR_RUNTIME };
	snprintf(error->text, sizeof(error->text), "%s", excess);
	return FILTER_RUN_ERROR;
}

/* The keep that nobody has cancelled. */
static void
settle_keep(struct run *r)
{
	static const struct filter_action KEEP = { .kind = FILTER_KEEP, .implicit = true };

	if (!r->keep_waits) {
		r->keep = KEEP;
		r->keep.edit = r->edit;
	}
	add_action(r, r->keep_step, &r->keep);
	r->keep_stands = true;
}

enum filter_status
filter_sequence_run(const struct filter_step *steps, size_t count,
    const struct filter_message *message, const struct filter_run_options *options,
    struct arena *arena, struct filter_sequence_result *result_out)
{
	struct run r = { .original = message,
		.message = *message,
		.arena = arena,
		.out = result_out,
		.keep_stands = true };
	struct filter_result *result = mem_alloc(sizeof(*result));
	enum filter_status status = FILTER_OK;
	struct filter_error error;
	bool settled = false; /* the last step's own keep is in the list */

	*result_out = (struct filter_sequence_result){ 0 };
	for (size_t i = 0; i < count && i < FILTER_SEQUENCE_MAX && r.keep_stands; i++) {
		*result = (struct filter_result){ 0 };
		error = (struct filter_error){ 0 };
		status = run_step(&r, &steps[i], options, result, &error);
		if (status == FILTER_TEMPFAIL)
			break;
		settled = status == FILTER_OK && i + 1 == count;
		if (status == FILTER_OK)
			take_result(&r, i, result, i + 1 == count);
		else
			fail(&r, i, &error);
		if (status != FILTER_OK && steps[i].own)
			break;
	}
	if (status == FILTER_TEMPFAIL)
		*result_out = (struct filter_sequence_result){ 0 };
	else if (r.keep_stands && !settled)
		settle_keep(&r);
	result_out->result.seen = !r.keep_stands;
	buf_free(&r.edited);
	free(result);
	return status == FILTER_TEMPFAIL ? FILTER_TEMPFAIL : FILTER_OK;
}
