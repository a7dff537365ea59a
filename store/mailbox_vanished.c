/* What has been expunged since a client was here, RFC 7162 §3.2.6.  See mailbox.h. */
#include "store/mailbox_internal.h"

/* Is all that was expunged after `modseq` remembered? */
static bool
is_remembered(const struct index_mailbox *row, uint64_t modseq)
{
	bool lost = modseq > row->lost_from && modseq < row->lost_below;

	return modseq >= row->expunged_floor && modseq <= row->modseq && !lost;
}

/* Every UID that was ever given and has no message. */
static enum store_err
all_missing(struct mailbox *box, const struct index_mailbox *row, struct uidset *gone_out)
{
	struct uidset there = { 0 };
	enum store_err err = index_uids(box->acct->ix, row->id, &there);

	uidset_clear(gone_out);
	if (row->uidnext > 1)
		uidset_add_range(gone_out, 1, row->uidnext - 1);
	uidset_subtract(gone_out, &there);
	uidset_free(&there);
	return err;
}

enum store_err
mailbox_expunged_since(struct mailbox *box, uint64_t modseq, const struct uidset *known,
    struct uidset *gone_out, bool *exact_out)
{
	struct index_mailbox row;
	enum store_err err;
	bool exact;
	int tries = 0;

	do {
		err = mailbox_read_begin(box, &row);
		if (err != STORE_OK)
			return err;
		exact = is_remembered(&row, modseq);
		err = exact ? index_expunged(box->acct->ix, row.id, modseq, gone_out)
			    : all_missing(box, &row, gone_out);
		mailbox_read_end(box, &row);
	} while (account_should_retry(box->acct, err, &tries));
	uidset_intersect(gone_out, known);
	uidset_subtract(gone_out, &box->view);
	if (exact_out != NULL)
		*exact_out = exact;
	return err;
}
