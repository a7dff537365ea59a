#include "imapd/gather.h"

#include "base/clock.h"
#include "imapd/messages.h"

#define GATHER_LOOK_EVERY 16 /* messages between two looks at the clock */

/* Hands it out; false: no more for now. */
static bool
give(struct gather *g, const struct gathered *m)
{
	g->done_uid = m->uid;
	g->refused = !g->cb(g->arg, m);
	g->stopped =
	    g->refused || (++g->given % GATHER_LOOK_EVERY == 0 && clock_ms() >= g->until_ms);
	return !g->stopped;
}

/* The row that was read for this message, or NULL. */
static const struct message *
row_of(struct gather *g, uint32_t uid)
{
	while (g->row_at < g->row_count && g->rows[g->row_at].uid < uid)
		g->row_at++;
	return g->row_at < g->row_count && g->rows[g->row_at].uid == uid ? &g->rows[g->row_at]
									 : NULL;
}

static bool
on_sorted(void *arg, const struct message_sorted *sorted)
{
	struct gather *g = arg;
	struct gathered m = { .uid = sorted->uid, .keys = &sorted->keys, .date_s = sorted->sent_s };
	struct message row;

	if ((g->needs & GATHER_ROW) != 0) {
		m.row = row_of(g, m.uid);
		if (m.row == NULL)
			return true;
	}
	if ((g->needs & GATHER_DATE) == 0 || sorted->has_sent)
		return give(g, &m);
	if (m.row == NULL) {
		if (mailbox_message(g->box, m.uid, &row) != STORE_OK)
			return true;
		m.date_s = row.internaldate_s;
	} else {
		m.date_s = m.row->internaldate_s;
	}
	return give(g, &m);
}

static bool
on_row(void *arg, const struct message *row)
{
	struct gather *g = arg;
	const struct gathered m = { .uid = row->uid, .row = row };

	return give(g, &m);
}

static bool
keep_row(void *arg, const struct message *row)
{
	struct gather *g = arg;

	g->rows[g->row_count++] = *row;
	return true;
}

/* Rows and keys together: the rows of a slice first. */
static enum store_err
rows_and_keys(struct gather *g, const struct uidset *slice)
{
	enum store_err err;

	g->row_count = g->row_at = 0;
	err = mailbox_messages(g->box, slice, keep_row, g);
	return err == STORE_OK ? mailbox_sorted(g->box, slice, on_sorted, g) : err;
}

enum store_err
gather_step(struct gather *g, bool *done_out)
{
	bool keys = (g->needs & (GATHER_KEYS | GATHER_DATE)) != 0;
	bool rows = (g->needs & GATHER_ROW) != 0;
	struct uidset slice = { 0 };
	enum store_err err = STORE_OK;

	g->until_ms = clock_ms() + GATHER_SLICE_MS;
	g->stopped = g->refused = *done_out = false;
	while (err == STORE_OK && !g->stopped && !*done_out) {
		messages_slice(
		    g->uids, g->done_uid, keys && rows ? GATHER_SLICE_ROWS : UINT32_MAX, &slice);
		if (uidset_is_empty(&slice))
			*done_out = true;
		else if (keys && rows)
			err = rows_and_keys(g, &slice);
		else if (keys)
			err = mailbox_sorted(g->box, &slice, on_sorted, g);
		else
			err = mailbox_messages(g->box, &slice, on_row, g);
		if (!g->stopped && !*done_out)
			g->done_uid = uidset_last(&slice);
	}
	uidset_free(&slice);
	return err == STORE_OK && g->refused ? STORE_LIMIT : err;
}
