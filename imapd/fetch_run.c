#include "imapd/fetch_run.h"

#include <unistd.h>

#include "base/log.h"
#include "imapd/imapsieve.h"
#include "imapd/messages.h"
#include "imapd/place.h"
#include "imapd/response.h"

#define FETCH_BATCH_BODY_BYTES (256 * 1024) /* of bodies that one batch is likely to send */

#define NEEDS_ANY_SUMMARY (FETCH_NEEDS_SUMMARY | FETCH_NEEDS_KNOWN_SUMMARY)

static uint32_t
batch_max(const struct fetch_plan *plan)
{
	if ((plan->needs & FETCH_NEEDS_FILE) != 0)
		return FETCH_BATCH_BODIES;
	if ((plan->needs & (FETCH_NEEDS_PARSED | NEEDS_ANY_SUMMARY)) != 0)
		return FETCH_BATCH_PARSED;
	return FETCH_BATCH_ROWS;
}

struct fetch_run *
fetch_run_new(
    struct imap_session *s, struct arena *arena, const struct fetch_plan *plan, struct uidset *uids)
{
	struct fetch_run *run = arena_zalloc(arena, sizeof(*run));
	uint32_t count = uidset_count(uids), max = batch_max(plan);

	run->s = s;
	run->plan = plan;
	run->arena = arena;
	run->fd = -1;
	uidset_swap(&run->uids, uids);
	run->batch = arena_alloc(arena, sizeof(*run->batch) * (count < max ? count : max));
	return run;
}

void
fetch_run_free(void *arg)
{
	struct fetch_run *run = arg;

	fetch_body_close(run);
	uidset_free(&run->uids);
	arena_free(&run->batch_arena);
}

/* --- batches ----------------------------------------------------------------------------------- */

static bool
on_row(void *arg, const struct message *row)
{
	struct fetch_run *run = arg;

	run->batch[run->batch_count++] = (struct fetch_message){ .row = *row };
	return true;
}

static void
reverse_batch(struct fetch_run *run)
{
	for (size_t i = 0, k = run->batch_count; i + 1 < k; i++) {
		struct fetch_message m = run->batch[--k];

		run->batch[k] = run->batch[i];
		run->batch[i] = m;
	}
}

/* Bodies are marked \Seen before they are sent, so a batch holds no more than goes out soon. */
static void
cut_batch(struct fetch_run *run)
{
	uint64_t bytes = 0;

	if (run->downwards)
		reverse_batch(run);
	for (size_t i = 0; i < run->batch_count; i++) {
		bytes += run->batch[i].row.size_bytes;
		if (bytes < FETCH_BATCH_BODY_BYTES || i + 1 == run->batch_count)
			continue;
		run->batch_count = i + 1;
		run->done_uid = run->batch[i].row.uid;
		break;
	}
	if (run->downwards)
		reverse_batch(run);
}

/* \Seen for the whole batch in one transaction, RFC 9051 §6.4.5 BODY[].  If that fails the client
 * still gets its mail. */
static void
set_seen(struct fetch_run *run)
{
	static const struct flags_change SEEN = { .mode = FLAGS_ADD, .flags = MESSAGE_SEEN };
	struct flags_result result = { 0 };
	struct uidset unseen = { 0 };

	for (size_t i = 0; i < run->batch_count; i++)
		if ((run->batch[i].row.flags & MESSAGE_SEEN) == 0)
			uidset_add(&unseen, run->batch[i].row.uid);
	if (!uidset_is_empty(&unseen))
		imap_sieve_flags_begin(run->s, &unseen, &SEEN);
	if (!uidset_is_empty(&unseen) &&
	    mailbox_store_flags(run->s->box, &unseen, &SEEN, &result) == STORE_OK) {
		imap_sieve_flags_end(run->s, &result.changed);
		for (size_t i = 0; i < run->batch_count; i++) {
			struct fetch_message *m = &run->batch[i];

			if (!uidset_contains(&result.changed, m->row.uid))
				continue;
			m->row.flags |= MESSAGE_SEEN;
			m->row.modseq = result.modseq;
			m->seen_now = true;
			run->seen_changed = true;
		}
	}
	uidset_free(&result.changed);
	uidset_free(&result.failed);
	uidset_free(&unseen);
}

static struct str
keep(struct fetch_run *run, struct str text)
{
	return (struct str){ arena_strndup(&run->batch_arena, text.p, text.len), text.len };
}

static bool
on_parsed(void *arg, const struct message_parsed *p)
{
	struct fetch_run *run = arg;
	unsigned needs = run->plan->needs;
	struct fetch_message *m;

	while (run->batch_at < run->batch_count && run->batch[run->batch_at].row.uid < p->uid)
		run->batch_at++;
	if (run->batch_at == run->batch_count || run->batch[run->batch_at].row.uid != p->uid)
		return true;
	m = &run->batch[run->batch_at];
	m->parsed = true;
	if ((needs & FETCH_NEEDS_PARSED) != 0) {
		m->envelope = keep(run, p->envelope);
		m->body = keep(run, p->body);
		m->bodystructure = keep(run, p->bodystructure);
	}
	if ((needs & FETCH_NEEDS_PARTS) != 0)
		m->parts = keep(run, p->parts);
	return true;
}

static bool
has_parsed(const struct fetch_message *m)
{
	return m->parsed;
}

static bool
has_summary(const struct fetch_message *m)
{
	return m->summarised;
}

/* Leaves only the messages that could be parsed; another has gone just now. */
static void
drop_without(struct fetch_run *run, bool (*has)(const struct fetch_message *m))
{
	size_t n = 0;

	for (size_t i = 0; i < run->batch_count; i++) {
		if (has(&run->batch[i]))
			run->batch[n++] = run->batch[i];
		else
			run->vanished = true;
	}
	run->batch_count = n;
}

static enum store_err
load_parsed(struct fetch_run *run)
{
	bool summaries = (run->plan->needs & NEEDS_ANY_SUMMARY) != 0; /* that come next */
	struct uidset uids = { 0 };
	enum store_err err;

	for (size_t i = 0; i < run->batch_count; i++)
		uidset_add(&uids, run->batch[i].row.uid);
	run->batch_at = 0;
	err = mailbox_parsed(run->s->box, &uids, summaries, on_parsed, run);
	run->batch_at = 0;
	uidset_free(&uids);
	if (err == STORE_OK)
		drop_without(run, has_parsed);
	return err;
}

static bool
on_summary(void *arg, const struct message_summary *summary)
{
	struct fetch_run *run = arg;
	struct fetch_message *m;

	while (run->batch_at < run->batch_count && run->batch[run->batch_at].row.uid < summary->uid)
		run->batch_at++;
	if (run->batch_at == run->batch_count || run->batch[run->batch_at].row.uid != summary->uid)
		return true;
	m = &run->batch[run->batch_at];
	m->summarised = true;
	m->ids = summary->ids;
	m->preview = keep(run, summary->preview);
	return true;
}

/* Ids and previews; for PREVIEW (LAZY) alone only those that are there already. */
static enum store_err
load_summaries(struct fetch_run *run)
{
	bool known_only = (run->plan->needs & FETCH_NEEDS_SUMMARY) == 0;
	struct uidset uids = { 0 };
	enum store_err err;

	for (size_t i = 0; i < run->batch_count; i++)
		uidset_add(&uids, run->batch[i].row.uid);
	run->batch_at = 0;
	err = mailbox_summaries(run->s->box, &uids, known_only, on_summary, run);
	run->batch_at = 0;
	uidset_free(&uids);
	if (err == STORE_OK && !known_only)
		drop_without(run, has_summary);
	return err;
}

/* The next batch; false at the end or when the store fails. */
static bool
load_batch(struct fetch_run *run)
{
	const struct fetch_plan *plan = run->plan;
	struct uidset slice = { 0 };
	enum store_err err;

	arena_reset(&run->batch_arena);
	run->batch_count = run->batch_at = 0;
	if (run->downwards)
		messages_slice_below(&run->uids, run->done_uid, batch_max(plan), &slice);
	else
		messages_slice(&run->uids, run->done_uid, batch_max(plan), &slice);
	if (uidset_is_empty(&slice))
		return false;
	run->done_uid = run->downwards ? uidset_first(&slice) : uidset_last(&slice);
	err = mailbox_messages(run->s->box, &slice, on_row, run);
	if (run->batch_count < uidset_count(&slice))
		run->vanished = true;
	uidset_free(&slice);
	if (err == STORE_OK && (plan->needs & FETCH_NEEDS_FILE) != 0)
		cut_batch(run);
	if (err == STORE_OK && run->batch_count > 0 &&
	    (plan->needs & (FETCH_NEEDS_PARSED | FETCH_NEEDS_PARTS)) != 0)
		err = load_parsed(run);
	if (err == STORE_OK && run->batch_count > 0 && (plan->needs & NEEDS_ANY_SUMMARY) != 0)
		err = load_summaries(run);
	if (err == STORE_OK && (plan->needs & FETCH_SETS_SEEN) != 0 && !run->s->read_only &&
	    (run->s->rights & ACL_SEEN) != 0)
		set_seen(run);
	if (run->downwards)
		reverse_batch(run);
	if (err != STORE_OK)
		run->failed = true;
	return err == STORE_OK;
}

/* --- one message ------------------------------------------------------------------------------- */

static void
begin_message(struct fetch_run *run)
{
	if ((run->plan->needs & FETCH_NEEDS_FILE) != 0 && !fetch_body_open(run)) {
		fetch_body_close(run);
		run->batch_at++;
		return;
	}
	imap_out_fetch_head(run->s, fetch_current(run)->row.seq, fetch_current(run)->row.uid);
	run->item_at = 0;
	run->in_message = true;
}

static bool
plan_has(const struct fetch_plan *plan, const char *label)
{
	for (size_t i = 0; i < plan->item_count; i++)
		if (strcmp(plan->items[i].row->label, label) == 0)
			return true;
	return false;
}

/* What changed by this very FETCH is said in the same response. */
static void
end_message(struct fetch_run *run)
{
	struct fetch_message *m = fetch_current(run);
	struct buf *out = &run->s->out;

	if (m->seen_now && !plan_has(run->plan, "FLAGS")) {
		buf_adds(out, " FLAGS ");
		imap_out_flags(run->s, m->row.flags, &m->row.keywords);
	}
	/* RFC 7162 §3.2.4 */
	if (m->seen_now && imap_enabled(run->s, IMAP_ENABLED_CONDSTORE) &&
	    !imap_enabled(run->s, IMAP_ENABLED_UIDONLY) && !plan_has(run->plan, "UID")) {
		buf_adds(out, " UID ");
		buf_number(out, m->row.uid);
	}
	if (m->seen_now && (run->s->enabled & IMAP_ENABLED_CONDSTORE) != 0 &&
	    !plan_has(run->plan, "MODSEQ")) {
		buf_adds(out, " MODSEQ (");
		buf_number(out, m->row.modseq);
		buf_addc(out, ')');
	}
	buf_add(out, ")\r\n", 3);
	fetch_body_close(run);
	run->in_message = false;
	run->batch_at++;
}

static void
next_item(struct fetch_run *run)
{
	const struct fetch_item *item = &run->plan->items[run->item_at++];
	struct buf *out = &run->s->out;

	if (run->item_at > 1)
		buf_addc(out, ' ');
	buf_add(out, item->label.p, item->label.len);
	buf_addc(out, ' ');
	item->row->emit(run, item);
}

enum fetch_step
fetch_run_step(struct fetch_run *run)
{
	while (!imap_out_full(run->s)) {
		if (run->stream.source != FETCH_NOTHING) {
			if (!fetch_body_pump(run))
				return FETCH_BROKEN;
		} else if (run->in_message) {
			if (run->item_at < run->plan->item_count)
				next_item(run);
			else
				end_message(run);
		} else if (run->batch_at < run->batch_count) {
			begin_message(run);
		} else if (!load_batch(run)) {
			return FETCH_DONE;
		}
	}
	return FETCH_MORE;
}

/* --- items of the row and of the parsed message ------------------------------------------------ */

static void
emit_flags(struct fetch_run *run, const struct fetch_item *item)
{
	const struct message *row = &fetch_current(run)->row;

	(void)item;
	imap_out_flags(run->s, row->flags, &row->keywords);
}

static void
emit_internaldate(struct fetch_run *run, const struct fetch_item *item)
{
	(void)item;
	imap_out_date_time(&run->s->out, fetch_current(run)->row.internaldate_s);
}

static void
emit_modseq(struct fetch_run *run, const struct fetch_item *item)
{
	(void)item;
	buf_addc(&run->s->out, '(');
	buf_number(&run->s->out, fetch_current(run)->row.modseq);
	buf_addc(&run->s->out, ')');
}

static void
emit_size(struct fetch_run *run, const struct fetch_item *item)
{
	(void)item;
	buf_number(&run->s->out, fetch_current(run)->row.size_bytes);
}

static void
emit_uid(struct fetch_run *run, const struct fetch_item *item)
{
	(void)item;
	buf_number(&run->s->out, fetch_current(run)->row.uid);
}

static void
emit_ready(struct fetch_run *run, struct str text)
{
	buf_add(&run->s->out, text.p, text.len);
}

static void
emit_envelope(struct fetch_run *run, const struct fetch_item *item)
{
	(void)item;
	emit_ready(run, fetch_current(run)->envelope);
}

static void
emit_body(struct fetch_run *run, const struct fetch_item *item)
{
	(void)item;
	emit_ready(run, fetch_current(run)->body);
}

static void
emit_bodystructure(struct fetch_run *run, const struct fetch_item *item)
{
	(void)item;
	emit_ready(run, fetch_current(run)->bodystructure);
}

/* RFC 8474 §5.3 */
static void
emit_id(struct fetch_run *run, char kind, const unsigned char *id)
{
	char text[MESSAGE_ID_TEXT_BYTES];

	message_id_text(kind, id, text);
	buf_printf(&run->s->out, "(%s)", text);
}

static void
emit_emailid(struct fetch_run *run, const struct fetch_item *item)
{
	(void)item;
	emit_id(run, 'M', fetch_current(run)->ids.email);
}

static void
emit_threadid(struct fetch_run *run, const struct fetch_item *item)
{
	(void)item;
	emit_id(run, 'T', fetch_current(run)->ids.thread);
}

/* RFC 8970 §3.2 */
static void
emit_preview(struct fetch_run *run, const struct fetch_item *item)
{
	(void)item;
	imap_out_nstring(&run->s->out, fetch_current(run)->preview);
}

/* RFC 8514 §4.2 */
static void
emit_savedate(struct fetch_run *run, const struct fetch_item *item)
{
	int64_t saved_s = fetch_current(run)->row.saved_s;

	(void)item;
	if (saved_s != 0)
		imap_out_date_time(&run->s->out, saved_s);
	else
		buf_adds(&run->s->out, "NIL");
}

#define ROW     FETCH_PLAIN, 0, FETCH_TEXT_ALL
#define PARSED  FETCH_PLAIN, FETCH_NEEDS_PARSED, FETCH_TEXT_ALL
#define SUMMARY FETCH_PLAIN, FETCH_NEEDS_SUMMARY, FETCH_TEXT_ALL
#define BODY    FETCH_NEEDS_FILE
#define BINARY  (FETCH_NEEDS_FILE | FETCH_NEEDS_PARTS)

/* RFC 9051 §6.4.5, RFC 3501 §6.4.5 (RFC822…), RFC 7162 §3.1.4 (MODSEQ) */
const struct fetch_row FETCH_ROWS[] = {
	{ "BINARY", "BINARY", FETCH_SECTION_BINARY, BINARY | FETCH_SETS_SEEN, FETCH_TEXT_ALL,
	    fetch_emit_binary },
	{ "BINARY.PEEK", "BINARY", FETCH_SECTION_BINARY, BINARY, FETCH_TEXT_ALL,
	    fetch_emit_binary },
	{ "BINARY.SIZE", "BINARY.SIZE", FETCH_SECTION_SIZE, BINARY, FETCH_TEXT_ALL,
	    fetch_emit_binary_size },
	{ "BODY", "BODY", PARSED, emit_body },
	{ "BODY", "BODY", FETCH_SECTION, BODY | FETCH_SETS_SEEN, FETCH_TEXT_ALL,
	    fetch_emit_section },
	{ "BODY.PEEK", "BODY", FETCH_SECTION, BODY, FETCH_TEXT_ALL, fetch_emit_section },
	{ "BODYSTRUCTURE", "BODYSTRUCTURE", PARSED, emit_bodystructure },
	{ "EMAILID", "EMAILID", SUMMARY, emit_emailid }, /* RFC 8474 */
	{ "ENVELOPE", "ENVELOPE", PARSED, emit_envelope },
	{ "FLAGS", "FLAGS", ROW, emit_flags },
	{ "INTERNALDATE", "INTERNALDATE", ROW, emit_internaldate },
	{ "MODSEQ", "MODSEQ", FETCH_PLAIN, FETCH_NEEDS_MODSEQ, FETCH_TEXT_ALL, emit_modseq },
	{ "PREVIEW", "PREVIEW", SUMMARY, emit_preview }, /* RFC 8970 */
	{ FETCH_PREVIEW_LAZY, "PREVIEW", FETCH_PLAIN, FETCH_NEEDS_KNOWN_SUMMARY, FETCH_TEXT_ALL,
	    emit_preview },
	{ "RFC822", "RFC822", FETCH_PLAIN, BODY | FETCH_SETS_SEEN, FETCH_TEXT_ALL,
	    fetch_emit_section },
	{ "RFC822.HEADER", "RFC822.HEADER", FETCH_PLAIN, BINARY, FETCH_TEXT_HEADER,
	    fetch_emit_section },
	{ "RFC822.SIZE", "RFC822.SIZE", ROW, emit_size },
	{ "RFC822.TEXT", "RFC822.TEXT", FETCH_PLAIN, BINARY | FETCH_SETS_SEEN, FETCH_TEXT_TEXT,
	    fetch_emit_section },
	{ "SAVEDATE", "SAVEDATE", ROW, emit_savedate },     /* RFC 8514 */
	{ "THREADID", "THREADID", SUMMARY, emit_threadid }, /* RFC 8474 */
	{ "UID", "UID", ROW, emit_uid },
};
const size_t FETCH_ROW_COUNT = ARRAY_LEN(FETCH_ROWS);
