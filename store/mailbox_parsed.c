/* What parsing a message learnt: read from the index, or made now and kept.  See mailbox.h. */
#include <stdlib.h>
#include <unistd.h>

#include "store/date.h"
#include "store/mailbox_internal.h"
#include "store/mime.h"
#include "store/mime_read.h"
#include "store/preview.h"
#include "store/search_text.h"
#include "store/sort_keys.h"

#define HEAD_BYTES (64 * 1024) /* of a message that are kept while it is parsed */

/* Ready to be filled for this message, with the memory of what was in it. */
static void
parsed_item_begin(struct parsed_item *item, uint32_t uid)
{
	index_parsed_reset(&item->p);
	item->uid = uid;
	item->have = item->fresh = false;
}

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
			parsed_item_begin(&items[i], rows[i].uid);
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

/* What passes by while a message is parsed: of its bytes the first, in which the header is but for rare ones, and all of
 * them for the email id if that is asked for. */
struct pass {
	struct buf head;
	struct message_digest *digest; /* or NULL */
};

static void
on_bytes(void *arg, const void *bytes, size_t len)
{
	struct pass *pass = arg;
	size_t room = HEAD_BYTES - pass->head.len;

	buf_add(&pass->head, bytes, len < room ? len : room);
	if (pass->digest != NULL)
		message_digest_feed(pass->digest, bytes, len);
}

/* The preview reads the beginning of one part again. */
static void
summarise(struct buf *out, struct message_digest *digest, int fd, const struct mime_message *m)
{
	struct message_ids ids;

	message_digest_finish(digest, ids.email);
	message_thread_id(m, &ids);
	buf_add(out, &ids, sizeof(ids));
	preview_make(out, fd, m);
}

static bool
pack_fields(struct buf *out, const struct pass *pass, int fd, const struct mime_message *m)
{
	uint64_t size = m->root->header.size;
	struct buf header = { 0 };
	bool good;

	if (size <= pass->head.len) {
		search_fields_pack(out, (struct str){ pass->head.data, (size_t)size });
		return true;
	}
	good = mime_header_read(&header, fd, m->root);
	if (good)
		search_fields_pack(out, (struct str){ header.data, header.len });
	buf_free(&header);
	return good;
}

static void
pack_parsed(struct index_parsed *p, const struct mime_message *m)
{
	int zone_min;
	int64_t sent;

	mime_envelope(&p->envelope, m->root);
	mime_body(&p->body, m);
	mime_bodystructure(&p->bodystructure, m);
	mime_pack(&p->parts, m);
	sort_keys_pack(&p->sort, m);
	if (m->root->fields != NULL && m->root->fields->field[MIME_DATE].p != NULL &&
	    date_parse_rfc5322(m->root->fields->field[MIME_DATE], &sent, &zone_min)) {
		p->has_sent_date = true;
		p->sent_s = sent;
		p->sent_date_days = date_day(sent, zone_min);
	}
}

static enum store_err
parse_file(struct index_parsed *p, int fd, bool summary)
{
	struct pass pass = { .digest = summary ? message_digest_new() : NULL };
	struct mime_message *m = mime_parse_fd_with(fd, on_bytes, &pass);
	enum store_err err = STORE_IO;

	if (m != NULL && pack_fields(&p->fields, &pass, fd, m)) {
		pack_parsed(p, m);
		if (summary)
			summarise(&p->summary, pass.digest, fd, m);
		err = STORE_OK;
	}
	if (err != STORE_OK || !summary)
		message_digest_free(pass.digest);
	buf_free(&pass.head);
	mime_message_free(m);
	return err;
}

enum store_err
mailbox_parse_item(struct mailbox *box, struct parsed_item *item, bool summary)
{
	enum store_err err;
	int fd;

	err = mailbox_message_open(box, item->uid, &fd);
	if (err != STORE_OK)
		return err;
	parsed_item_begin(item, item->uid);
	err = parse_file(&item->p, fd, summary);
	close(fd);
	item->have = item->fresh = err == STORE_OK;
	return err;
}

void
mailbox_parse_keep(struct mailbox *box, const struct parsed_item *items, size_t n)
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
mailbox_parsed(struct mailbox *box, const struct uidset *uids, bool summaries,
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
				err = mailbox_parse_item(box, &items[i], summaries);
			if (err == STORE_OK)
				go_on = give(&items[i], cb, arg);
			else if (err == STORE_NOT_FOUND)
				err = STORE_OK; /* expunged meanwhile */
		}
		mailbox_parse_keep(box, items, n);
	}
	for (size_t i = 0; i < PARSED_SLICE; i++)
		index_parsed_free(&items[i].p);
	free(items);
	uidset_free(&wanted);
	return err;
}
