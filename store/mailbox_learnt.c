/* What many messages are asked for at once, of what parsing them learnt: by searches, by SORT and THREAD.  See
 * mailbox.h. */
#include <stdlib.h>

#include "store/mailbox_internal.h"

#define LEARNT_SLICE 1024 /* messages in memory at once */

struct learnt_item {
	uint32_t uid;
	bool have, has_sent;
	int64_t sent;
	size_t at, len; /* in the slice's bytes */
};

struct learnt_slice {
	enum index_learnt kind;
	struct uidset uids;
	struct learnt_item items[LEARNT_SLICE];
	size_t count, at;
	struct buf bytes;
	struct parsed_item fresh[PARSED_SLICE]; /* parsed just now, to be kept */
	size_t fresh_count;
};

struct learnt_call {
	/* Hands it out; false: what is damaged is learnt again. */
	bool (*cb)(void *arg, const struct index_learnt_row *row, bool *go_on_out);
	void *arg;
	bool known_only; /* passes over what would have to be parsed */
};

static bool
on_row(void *arg, const struct index_learnt_row *row)
{
	struct learnt_slice *s = arg;
	struct learnt_item *item;

	while (s->at < s->count && s->items[s->at].uid < row->uid)
		s->at++;
	if (s->at == s->count)
		return false;
	item = &s->items[s->at++];
	*item = (struct learnt_item){ .uid = row->uid,
		.have = true,
		.has_sent = row->has_sent,
		.sent = row->sent,
		.at = s->bytes.len,
		.len = row->bytes.len };
	buf_add(&s->bytes, row->bytes.p, row->bytes.len);
	return s->at < s->count;
}

/* The next messages of `wanted` above `after`, with what the index has of them. */
static enum store_err
read_slice(struct mailbox *box, const struct uidset *wanted, uint32_t after, struct learnt_slice *s)
{
	struct index_mailbox row;
	enum store_err err;
	int tries = 0;

	uidset_clear(&s->uids);
	s->count = 0;
	while (s->count < LEARNT_SLICE && (after = uidset_next(wanted, after)) != 0) {
		s->items[s->count++] = (struct learnt_item){ .uid = after };
		uidset_add(&s->uids, after);
	}
	do {
		s->at = 0;
		buf_reset(&s->bytes);
		err = mailbox_read_begin(box, &row);
		if (err != STORE_OK)
			break;
		err = index_learnt(box->acct->ix, s->kind, row.id, &s->uids, 0, on_row, s);
		mailbox_read_end(box, &row);
	} while (account_should_retry(box->acct, err, &tries));
	return err;
}

static void
keep_fresh(struct mailbox *box, struct learnt_slice *s)
{
	mailbox_parse_keep(box, s->fresh, s->fresh_count);
	s->fresh_count = 0;
}

static struct index_learnt_row
row_of_parsed(enum index_learnt kind, const struct parsed_item *item)
{
	bool sorted = kind == INDEX_SORTED;
	const struct buf *bytes = sorted                  ? &item->p.sort
				  : kind == INDEX_SUMMARY ? &item->p.summary
							  : &item->p.fields;

	return (struct index_learnt_row){ .uid = item->uid,
		.has_sent = item->p.has_sent_date,
		.sent = sorted ? item->p.sent_s : item->p.sent_date_days,
		.bytes = { bytes->data, bytes->len } };
}

/* Hands out an item, parsed now if need be; STORE_NOT_FOUND: expunged meanwhile. */
static enum store_err
give(struct mailbox *box, struct learnt_slice *s, const struct learnt_item *item,
    const struct learnt_call *call, bool *go_on_out)
{
	struct index_learnt_row out = {
		.uid = item->uid, .has_sent = item->has_sent, .sent = item->sent
	};
	struct parsed_item *fresh;
	enum store_err err;

	if (item->have && item->len > 0)
		out.bytes = (struct str){ s->bytes.data + item->at, item->len };
	if (item->have && call->cb(call->arg, &out, go_on_out))
		return STORE_OK;
	if (call->known_only)
		return STORE_OK;
	if (s->fresh_count == PARSED_SLICE)
		keep_fresh(box, s);
	fresh = &s->fresh[s->fresh_count];
	fresh->uid = item->uid;
	err = mailbox_parse_item(box, fresh, s->kind == INDEX_SUMMARY);
	if (err != STORE_OK)
		return err;
	s->fresh_count++;
	out = row_of_parsed(s->kind, fresh);
	call->cb(call->arg, &out, go_on_out);
	return STORE_OK;
}

static enum store_err
learnt(struct mailbox *box, enum index_learnt kind, const struct uidset *uids,
    const struct learnt_call *call)
{
	struct learnt_slice *s = mem_zalloc(sizeof(*s));
	struct uidset wanted = { 0 };
	enum store_err err = STORE_OK;
	uint32_t after = 0;
	bool go_on = true;

	s->kind = kind;
	uidset_copy(&wanted, uids);
	uidset_intersect(&wanted, &box->view);
	while (err == STORE_OK && go_on && uidset_next(&wanted, after) != 0) {
		err = read_slice(box, &wanted, after, s);
		for (size_t i = 0; i < s->count && err == STORE_OK && go_on; i++) {
			err = give(box, s, &s->items[i], call, &go_on);
			if (err == STORE_NOT_FOUND)
				err = STORE_OK;
			after = s->items[i].uid;
		}
	}
	keep_fresh(box, s);
	for (size_t i = 0; i < PARSED_SLICE; i++)
		index_parsed_free(&s->fresh[i].p);
	buf_free(&s->bytes);
	uidset_free(&s->uids);
	uidset_free(&wanted);
	free(s);
	return err;
}

/* --- searches ---------------------------------------------------------------------------------- */

struct searched_call {
	bool (*cb)(void *arg, const struct message_searched *m);
	void *arg;
};

static bool
give_searched(void *arg, const struct index_learnt_row *row, bool *go_on_out)
{
	const struct searched_call *call = arg;
	const struct message_searched m = { .uid = row->uid,
		.fields = row->bytes,
		.has_sent_date = row->has_sent,
		.sent_date_days = row->sent };

	*go_on_out = call->cb(call->arg, &m);
	return true;
}

enum store_err
mailbox_searched(struct mailbox *box, const struct uidset *uids,
    bool (*cb)(void *arg, const struct message_searched *m), void *arg)
{
	struct searched_call searched = { cb, arg };
	const struct learnt_call call = { give_searched, &searched, false };

	return learnt(box, INDEX_SEARCHED, uids, &call);
}

/* --- SORT and THREAD --------------------------------------------------------------------------- */

struct sorted_call {
	bool (*cb)(void *arg, const struct message_sorted *m);
	void *arg;
};

static bool
give_sorted(void *arg, const struct index_learnt_row *row, bool *go_on_out)
{
	const struct sorted_call *call = arg;
	struct message_sorted m = {
		.uid = row->uid, .has_sent = row->has_sent, .sent_s = row->sent
	};

	if (!sort_keys_unpack(row->bytes, &m.keys))
		return false;
	*go_on_out = call->cb(call->arg, &m);
	return true;
}

enum store_err
mailbox_sorted(struct mailbox *box, const struct uidset *uids,
    bool (*cb)(void *arg, const struct message_sorted *m), void *arg)
{
	struct sorted_call sorted = { cb, arg };
	const struct learnt_call call = { give_sorted, &sorted, false };

	return learnt(box, INDEX_SORTED, uids, &call);
}

/* --- lists of messages ------------------------------------------------------------------------- */

struct summary_call {
	bool (*cb)(void *arg, const struct message_summary *m);
	void *arg;
};

static bool
give_summary(void *arg, const struct index_learnt_row *row, bool *go_on_out)
{
	const struct summary_call *call = arg;
	struct message_summary m = { .uid = row->uid };
	size_t ids = sizeof(m.ids);

	if (row->bytes.len >= ids) {
		memcpy(&m.ids, row->bytes.p, ids);
		m.preview = (struct str){ row->bytes.p + ids, row->bytes.len - ids };
	}
	*go_on_out = call->cb(call->arg, &m);
	return true;
}

enum store_err
mailbox_summaries(struct mailbox *box, const struct uidset *uids, bool known_only,
    bool (*cb)(void *arg, const struct message_summary *m), void *arg)
{
	struct summary_call summaries = { cb, arg };
	const struct learnt_call call = { give_summary, &summaries, known_only };

	return learnt(box, INDEX_SUMMARY, uids, &call);
}
