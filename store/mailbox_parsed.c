/* What parsing a message learnt: read from the index, or made now and kept.  See mailbox.h. */
#include <stdlib.h>
#include <unistd.h>

#include "store/date.h"
#include "store/mailbox_internal.h"
#include "store/mime.h"
#include "store/search_text.h"

#define PARSED_SLICE   32  /* messages whose structure is in memory at once */
#define SEARCHED_SLICE 256 /* messages whose searched fields are */

struct parsed_item {
	uint32_t uid;
	struct index_parsed p;
	bool have, fresh; /* fresh: parsed just now, not in the index yet */
};

/* Fills in what the index has, for up to PARSED_SLICE messages above `after`. */
static enum store_err
read_slice(struct mailbox *box, const struct uidset *uids, uint32_t after,
    struct parsed_item *items, size_t *n_out)
{
	struct index_message *rows = mem_alloc(PARSED_SLICE * sizeof(*rows));
	struct index_mailbox row;
	enum store_err err;
	int tries = 0;

	do {
		*n_out = 0;
		err = mailbox_read_begin(box, &row);
		if (err != STORE_OK)
			break;
		err = index_messages(box->acct->ix, row.id, uids, after, rows, PARSED_SLICE, n_out);
		for (size_t i = 0; i < *n_out && err == STORE_OK; i++) {
			index_parsed_free(&items[i].p);
			items[i] = (struct parsed_item){ .uid = rows[i].uid };
			err = index_parsed_get(box->acct->ix, row.id, rows[i].uid, &items[i].p);
			items[i].have = err == STORE_OK;
			if (err == STORE_NOT_FOUND)
				err = STORE_OK;
		}
		mailbox_read_end(box, &row);
	} while (account_should_retry(box->acct, err, &tries));
	free(rows);
	return err;
}

/* A table packed by another version is made anew. */
static bool
is_usable(const struct index_parsed *p)
{
	return p->parts.len > 0 && (unsigned char)p->parts.data[0] == MIME_PACK_VERSION;
}

static enum store_err
parse_item(struct mailbox *box, struct parsed_item *item)
{
	struct mime_message *m;
	enum store_err err;
	int fd, zone_min;
	int64_t sent;

	err = mailbox_message_open(box, item->uid, &fd);
	if (err != STORE_OK)
		return err;
	index_parsed_free(&item->p);
	m = mime_parse_fd(fd);
	if (m == NULL || !search_fields_pack(&item->p.fields, fd, m))
		err = STORE_IO;
	close(fd);
	if (err != STORE_OK) {
		mime_message_free(m);
		return err;
	}
	mime_envelope(&item->p.envelope, m->root);
	mime_body(&item->p.body, m);
	mime_bodystructure(&item->p.bodystructure, m);
	mime_pack(&item->p.parts, m);
	if (m->root->fields != NULL && m->root->fields->field[MIME_DATE].p != NULL &&
	    date_parse_rfc5322(m->root->fields->field[MIME_DATE], &sent, &zone_min)) {
		item->p.has_sent_date = true;
		item->p.sent_date_days = date_day(sent, zone_min);
	}
	mime_message_free(m);
	item->have = item->fresh = true;
	return STORE_OK;
}

/* Only a cache: what cannot be kept is parsed again next time. */
static void
keep_slice(struct mailbox *box, const struct parsed_item *items, size_t n)
{
	struct index_mailbox row = { 0 };
	struct index_message m;
	enum store_err err;
	size_t fresh = 0;

	for (size_t i = 0; i < n; i++)
		fresh += items[i].fresh;
	if (fresh == 0 || account_write_begin(box->acct) != STORE_OK)
		return;
	err = index_mailbox_get(box->acct->ix, box->name, &row);
	if (err == STORE_OK && row.uidvalidity != box->facts.uidvalidity)
		err = STORE_NOT_FOUND;
	for (size_t i = 0; i < n && err == STORE_OK; i++) {
		if (items[i].fresh &&
		    index_message_get(box->acct->ix, row.id, items[i].uid, &m) == STORE_OK)
			err = index_parsed_put(box->acct->ix, row.id, items[i].uid, &items[i].p);
	}
	index_mailbox_clear(&row);
	account_write_end(box->acct, err);
}

static bool
give(const struct parsed_item *item, bool (*cb)(void *arg, const struct message_parsed *p),
    void *arg)
{
	const struct index_parsed *p = &item->p;
	struct message_parsed out = {
		.uid = item->uid,
		.envelope = { p->envelope.data, p->envelope.len },
		.body = { p->body.data, p->body.len },
		.bodystructure = { p->bodystructure.data, p->bodystructure.len },
		.parts = { p->parts.data, p->parts.len },
		.has_sent_date = p->has_sent_date,
		.sent_date_days = p->sent_date_days,
	};

	return cb(arg, &out);
}

enum store_err
mailbox_parsed(struct mailbox *box, const struct uidset *uids,
    bool (*cb)(void *arg, const struct message_parsed *p), void *arg)
{
	struct parsed_item *items = mem_zalloc(PARSED_SLICE * sizeof(*items));
	struct uidset wanted = { 0 };
	enum store_err err = STORE_OK;
	uint32_t after = 0;
	bool go_on = true;
	size_t n = 0;

	uidset_copy(&wanted, uids);
	uidset_intersect(&wanted, &box->view);
	while (err == STORE_OK && go_on && uidset_next(&wanted, after) != 0) {
		err = read_slice(box, &wanted, after, items, &n);
		if (err != STORE_OK || n == 0)
			break;
		after = items[n - 1].uid;
		for (size_t i = 0; i < n && err == STORE_OK && go_on; i++) {
			if (!items[i].have || !is_usable(&items[i].p))
				err = parse_item(box, &items[i]);
			if (err == STORE_OK)
				go_on = give(&items[i], cb, arg);
			else if (err == STORE_NOT_FOUND)
				err = STORE_OK; /* expunged meanwhile */
		}
		keep_slice(box, items, n);
	}
	for (size_t i = 0; i < PARSED_SLICE; i++)
		index_parsed_free(&items[i].p);
	free(items);
	uidset_free(&wanted);
	return err;
}

/* --- what searches ask for --------------------------------------------------------------------- */

struct searched_item {
	uint32_t uid;
	bool have, has_sent_date;
	int64_t sent_date_days;
	size_t at, len; /* in the slice's bytes */
};

struct searched_slice {
	struct uidset uids;
	struct searched_item items[SEARCHED_SLICE];
	size_t count, at;
	struct buf bytes;
	struct parsed_item fresh[PARSED_SLICE]; /* parsed just now, to be kept */
	size_t fresh_count;
};

static bool
on_searched(void *arg, const struct message_searched *m)
{
	struct searched_slice *s = arg;
	struct searched_item *item;

	while (s->at < s->count && s->items[s->at].uid < m->uid)
		s->at++;
	if (s->at == s->count)
		return false;
	item = &s->items[s->at++];
	*item = (struct searched_item){ .uid = m->uid,
		.have = true,
		.has_sent_date = m->has_sent_date,
		.sent_date_days = m->sent_date_days,
		.at = s->bytes.len,
		.len = m->fields.len };
	buf_add(&s->bytes, m->fields.p, m->fields.len);
	return s->at < s->count;
}

/* The next messages of `wanted` above `after`, with what the index has of them. */
static enum store_err
read_searched(
    struct mailbox *box, const struct uidset *wanted, uint32_t after, struct searched_slice *s)
{
	struct index_mailbox row;
	enum store_err err;
	int tries = 0;

	uidset_clear(&s->uids);
	s->count = 0;
	while (s->count < SEARCHED_SLICE && (after = uidset_next(wanted, after)) != 0) {
		s->items[s->count++] = (struct searched_item){ .uid = after };
		uidset_add(&s->uids, after);
	}
	do {
		s->at = 0;
		buf_reset(&s->bytes);
		err = mailbox_read_begin(box, &row);
		if (err != STORE_OK)
			break;
		err = index_searched(box->acct->ix, row.id, &s->uids, 0, on_searched, s);
		mailbox_read_end(box, &row);
	} while (account_should_retry(box->acct, err, &tries));
	return err;
}

static void
keep_fresh(struct mailbox *box, struct searched_slice *s)
{
	keep_slice(box, s->fresh, s->fresh_count);
	for (size_t i = 0; i < s->fresh_count; i++) {
		index_parsed_free(&s->fresh[i].p);
		s->fresh[i] = (struct parsed_item){ 0 };
	}
	s->fresh_count = 0;
}

/* Hands out an item, parsed now if need be; STORE_NOT_FOUND: expunged meanwhile. */
static enum store_err
give_searched(struct mailbox *box, struct searched_slice *s, const struct searched_item *item,
    bool (*cb)(void *arg, const struct message_searched *m), void *arg, bool *go_on_out)
{
	struct message_searched out = { .uid = item->uid,
		.has_sent_date = item->has_sent_date,
		.sent_date_days = item->sent_date_days };
	struct parsed_item *fresh;
	enum store_err err;

	if (item->have) {
		if (item->len > 0)
			out.fields = (struct str){ s->bytes.data + item->at, item->len };
		*go_on_out = cb(arg, &out);
		return STORE_OK;
	}
	if (s->fresh_count == PARSED_SLICE)
		keep_fresh(box, s);
	fresh = &s->fresh[s->fresh_count];
	fresh->uid = item->uid;
	err = parse_item(box, fresh);
	if (err != STORE_OK) {
		index_parsed_free(&fresh->p);
		return err;
	}
	s->fresh_count++;
	out.fields = (struct str){ fresh->p.fields.data, fresh->p.fields.len };
	out.has_sent_date = fresh->p.has_sent_date;
	out.sent_date_days = fresh->p.sent_date_days;
	*go_on_out = cb(arg, &out);
	return STORE_OK;
}

enum store_err
mailbox_searched(struct mailbox *box, const struct uidset *uids,
    bool (*cb)(void *arg, const struct message_searched *m), void *arg)
{
	struct searched_slice *s = mem_zalloc(sizeof(*s));
	struct uidset wanted = { 0 };
	enum store_err err = STORE_OK;
	uint32_t after = 0;
	bool go_on = true;

	uidset_copy(&wanted, uids);
	uidset_intersect(&wanted, &box->view);
	while (err == STORE_OK && go_on && uidset_next(&wanted, after) != 0) {
		err = read_searched(box, &wanted, after, s);
		for (size_t i = 0; i < s->count && err == STORE_OK && go_on; i++) {
			err = give_searched(box, s, &s->items[i], cb, arg, &go_on);
			if (err == STORE_NOT_FOUND)
				err = STORE_OK;
			after = s->items[i].uid;
		}
	}
	keep_fresh(box, s);
	buf_free(&s->bytes);
	uidset_free(&s->uids);
	uidset_free(&wanted);
	free(s);
	return err;
}
