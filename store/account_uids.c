/* UIDs and special uses that a mailbox brings along from another server; see account.h. */
#include <stdio.h>
#include <stdlib.h>

#include "store/account_internal.h"
#include "store/folder.h"
#include "store/mailbox_internal.h"
#include "store/sanger_mailbox.h"
#include "store/sync.h"

/* `act` on the mailbox under the writer lock, once more if the index had to be made anew. */
typedef enum store_err locked_fn(struct account *acct, struct sync_box *sb, const void *arg);

static enum store_err
with_lock(struct account *acct, const char *any_name, locked_fn *act, const void *arg)
{
	char *name = mailbox_canonical(any_name);
	struct sync_box sb;
	enum store_err err;
	int tries = 0;

	do {
		err = account_write_begin(acct);
		if (err != STORE_OK)
			continue;
		err = sync_begin(acct, name, 0, &sb);
		if (err == STORE_OK)
			err = sync_end(&sb, act(acct, &sb, arg));
		err = account_write_end(acct, err);
	} while (account_should_retry(acct, err, &tries));
	free(name);
	return err;
}

/* --- UIDs ---------------------------------------------------------------------------------------- */

/* The file first, durably.  The row, made anew, is filled from the folder by the next sync; should the commit fail, the
 * old row does not fit the file and is dropped there. */
static enum store_err
change_uid_validity(struct account *acct, struct sync_box *sb, uint32_t uidvalidity)
{
	struct index_mailbox *row = &sb->row;
	char *name = row->name;
	enum store_err err;

	sb->file.uid_validity = uidvalidity;
	err = sanger_mailbox_write(acct->home, sb->dir.fd, &sb->file);
	if (err == STORE_OK && row->id != 0)
		err = index_mailbox_drop(acct->ix, row->id);
	if (err != STORE_OK)
		return err;
	*row = (struct index_mailbox){ .name = name,
		.uidvalidity = uidvalidity,
		.uidnext = 1,
		.recent_uid = sb->file.uid_lease,
		.expunged_floor = sb->file.modseq_lease };
	snprintf(row->mailbox_id, sizeof(row->mailbox_id), "%s", sb->file.mailbox_id);
	return STORE_OK; /* epoch "": the next sync takes it for stale and goes on at the leases */
}

struct wanted_uids {
	uint32_t uidvalidity, uidnext;
};

static enum store_err
raise_uidnext(struct sync_box *sb, uint32_t uidnext)
{
	enum store_err err;

	if (uidnext <= sb->row.uidnext)
		return STORE_OK;
	err = sync_reserve_uids(sb, uidnext - sb->row.uidnext);
	if (err == STORE_OK)
		sb->row.uidnext = uidnext;
	return err;
}

/* An empty mailbox begins a new life: its lease too, or the UIDs to come would be below what was given. */
static enum store_err
take_uids(struct account *acct, struct sync_box *sb, const void *arg)
{
	const struct wanted_uids *w = arg;
	enum store_err err;

	if (sb->row.uidvalidity == w->uidvalidity)
		return raise_uidnext(sb, w->uidnext);
	if (sb->row.messages != 0)
		return STORE_EXISTS;
	err = sanger_uid_validity_seen(acct->home, w->uidvalidity);
	if (err != STORE_OK)
		return err;
	sb->file.uid_lease = w->uidnext;
	sb->file.uid_source = SANGER_UIDS_OWN;
	return change_uid_validity(acct, sb, w->uidvalidity);
}

enum store_err
account_take_uids(struct account *acct, const char *name, uint32_t uidvalidity, uint32_t uidnext)
{
	struct wanted_uids w = { uidvalidity, uidnext > 0 ? uidnext : 1 };

	if (uidvalidity == 0 || w.uidnext == UINT32_MAX)
		return STORE_INVALID;
	return with_lock(acct, name, take_uids, &w);
}

static enum store_err
lease_uids(struct account *acct, struct sync_box *sb, const void *arg)
{
	const struct wanted_uids *w = arg;

	(void)acct;
	return w->uidnext > sb->row.uidnext ? sync_reserve_uids(sb, w->uidnext - sb->row.uidnext)
					    : STORE_OK;
}

enum store_err
account_lease_uids(struct account *acct, const char *name, uint32_t uidnext)
{
	struct wanted_uids w = { 0, uidnext };

	return with_lock(acct, name, lease_uids, &w);
}

static enum store_err
renew_uids(struct account *acct, struct sync_box *sb, const void *arg)
{
	uint32_t uidvalidity;
	enum store_err err = sanger_uid_validity_new(acct->home, &uidvalidity);

	(void)arg;
	return err == STORE_OK ? change_uid_validity(acct, sb, uidvalidity) : err;
}

enum store_err
account_renew_uids(struct account *acct, const char *name)
{
	return with_lock(acct, name, renew_uids, NULL);
}

/* --- special use --------------------------------------------------------------------------------- */

static enum store_err
set_use(struct account *acct, struct sync_box *sb, const void *arg)
{
	const enum special_use *use = arg;

	snprintf(sb->file.special_use, sizeof(sb->file.special_use), "%s", special_use_name(*use));
	return sanger_mailbox_write(acct->home, sb->dir.fd, &sb->file);
}

enum store_err
account_set_special_use(struct account *acct, const char *name, enum special_use use)
{
	const enum special_use none = SPECIAL_NONE;
	struct mailbox_list list = { 0 };
	enum store_err err = folder_exists(acct->home, name) ? STORE_OK : STORE_NOT_FOUND;

	if (err == STORE_OK && use != SPECIAL_NONE)
		err = account_list(acct, &list);

	for (size_t i = 0; i < list.count && err == STORE_OK; i++) {
		const struct mailbox_info *box = &list.boxes[i];

		if (box->use == use && (box->attributes & MAILBOX_NONEXISTENT) == 0 &&
		    strcmp(box->name, name) != 0)
			err = with_lock(acct, box->name, set_use, &none);
	}
	mailbox_list_free(&list);
	return err == STORE_OK ? with_lock(acct, name, set_use, &use) : err;
}
