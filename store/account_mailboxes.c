/* What is done to an account's mailboxes as a whole; see account.h. */
#include <stdio.h>
#include <stdlib.h>

#include "store/account_acl.h"
#include "store/account_internal.h"
#include "store/dir.h"
#include "store/folder.h"
#include "store/kept_internal.h"
#include "store/mailbox_internal.h"
#include "store/mailbox_name.h"
#include "store/mailbox_search.h"
#include "store/sanger_mailbox.h"
#include "store/subscriptions.h"
#include "store/sync.h"

/* --- special uses ------------------------------------------------------------------------------ */

/* RFC 6154 §2, RFC 8457 §3; and the names that adopted trees have them by. */
static const struct {
	const char *use;
	const char *names[3];
} SPECIAL_USES[SPECIAL_COUNT] = {
	[SPECIAL_NONE] = { "", { NULL } },
	[SPECIAL_ALL] = { "\\All", { NULL } },
	[SPECIAL_ARCHIVE] = { "\\Archive", { "Archive", "Archives", NULL } },
	[SPECIAL_DRAFTS] = { "\\Drafts", { "Drafts", NULL } },
	[SPECIAL_FLAGGED] = { "\\Flagged", { NULL } },
	[SPECIAL_JUNK] = { "\\Junk", { "Junk", "Spam", NULL } },
	[SPECIAL_SENT] = { "\\Sent", { "Sent", "Sent Messages", NULL } },
	[SPECIAL_TRASH] = { "\\Trash", { "Trash", NULL } },
	[SPECIAL_IMPORTANT] = { "\\Important", { NULL } },
};

const char *
special_use_name(enum special_use use)
{
	return use < SPECIAL_COUNT ? SPECIAL_USES[use].use : "";
}

bool
special_use_parse(const char *name, enum special_use *use_out)
{
	for (unsigned i = 1; i < SPECIAL_COUNT; i++) {
		if (ascii_eq_nocase(SPECIAL_USES[i].use, name)) {
			*use_out = (enum special_use)i;
			return true;
		}
	}
	return false;
}

bool
mailbox_name_is_valid(const char *name)
{
	return mailbox_name_problem(str_from(name)) == NULL;
}

/* --- listing ----------------------------------------------------------------------------------- */

void
mailbox_list_free(struct mailbox_list *list)
{
	free(list->boxes);
	arena_free(&list->arena);
	*list = (struct mailbox_list){ 0 };
}

static enum special_use
read_special_use(const struct account *acct, const char *name)
{
	struct sanger_mailbox file = { 0 };
	struct maildir dir;
	enum special_use use = SPECIAL_NONE;

	if (maildir_open(acct->home, name, &dir) != STORE_OK)
		return SPECIAL_NONE;
	if (account_has_file(dir.fd, "sanger-mailbox") &&
	    sanger_mailbox_read(acct->home, dir.fd, &file) == STORE_OK) {
		special_use_parse(file.special_use, &use);
		sanger_mailbox_free(&file);
	}
	maildir_close(&dir);
	return use;
}

/* INBOX first, then by bytes. */
static int
by_name(const void *a, const void *b)
{
	const struct mailbox_info *x = a, *y = b;
	bool x_inbox = strcmp(x->name, "INBOX") == 0, y_inbox = strcmp(y->name, "INBOX") == 0;

	if (x_inbox != y_inbox)
		return x_inbox ? -1 : 1;
	return strcmp(x->name, y->name);
}

static struct mailbox_info *
list_find(struct mailbox_list *list, size_t count, const char *name)
{
	struct mailbox_info key = { .name = name };

	return bsearch(&key, list->boxes, count, sizeof(key), by_name);
}

static void
list_subscriptions(struct mailbox_list *list, const struct subscriptions *subs)
{
	size_t existing = list->count;

	for (size_t i = 0; i < subs->count; i++) {
		struct mailbox_info *box = list_find(list, existing, subs->names[i]);

		if (box != NULL) {
			box->attributes |= MAILBOX_SUBSCRIBED;
			continue;
		}
		list->boxes[list->count++] = (struct mailbox_info){
			.name = arena_strdup(&list->arena, subs->names[i]),
			.attributes = MAILBOX_NONEXISTENT | MAILBOX_SUBSCRIBED,
		};
	}
	qsort(list->boxes, list->count, sizeof(*list->boxes), by_name);
}

static void
list_child_marks(struct mailbox_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		char *parent;

		if ((list->boxes[i].attributes & MAILBOX_SUBSCRIBED) == 0)
			continue;
		parent = mem_strdup(list->boxes[i].name);
		for (char *slash; (slash = strrchr(parent, '/')) != NULL;) {
			struct mailbox_info *box;

			*slash = '\0';
			box = list_find(list, list->count, parent);
			if (box != NULL)
				box->attributes |= MAILBOX_CHILD_SUBSCRIBED;
		}
		free(parent);
	}
}

/* A tree that came from elsewhere has no special uses of its own: its names say them. */
static void
list_uses_by_name(struct mailbox_list *list)
{
	for (unsigned use = 1; use < SPECIAL_COUNT; use++) {
		bool known = false;

		for (size_t i = 0; i < list->count && !known; i++)
			known = list->boxes[i].use == (enum special_use)use;
		for (size_t n = 0; !known && SPECIAL_USES[use].names[n] != NULL; n++) {
			struct mailbox_info *box =
			    list_find(list, list->count, SPECIAL_USES[use].names[n]);

			known = box != NULL && box->use == SPECIAL_NONE &&
				(box->attributes & MAILBOX_NONEXISTENT) == 0;
			if (known)
				box->use = (enum special_use)use;
		}
	}
}

enum store_err
account_list(struct account *acct, struct mailbox_list *out)
{
	struct folder_list folders = { 0 };
	struct subscriptions subs = { 0 };
	enum store_err err = folder_list(acct->home, &folders);

	if (err == STORE_OK)
		err = subscriptions_read(acct->home, &subs);
	if (err != STORE_OK)
		goto out;
	mailbox_list_free(out);
	out->boxes = mem_zalloc((folders.count + subs.count + 1) * sizeof(*out->boxes));
	for (size_t i = 0; i < folders.count; i++) {
		const struct folder *f = &folders.items[i];

		out->boxes[out->count++] = (struct mailbox_info){
			.name = arena_strdup(&out->arena, f->name),
			.use = f->selectable ? read_special_use(acct, f->name) : SPECIAL_NONE,
			.attributes = (f->selectable ? 0u : (unsigned)MAILBOX_NONEXISTENT) |
				      (f->has_children ? (unsigned)MAILBOX_HAS_CHILDREN : 0u),
		};
	}
	qsort(out->boxes, out->count, sizeof(*out->boxes), by_name);
	list_subscriptions(out, &subs);
	list_child_marks(out);
	list_uses_by_name(out);
out:
	folder_list_free(&folders);
	subscriptions_free(&subs);
	return err;
}

#define SETTLE_WAIT_S 1 /* most changes of the tree take milliseconds */

enum store_err
account_list_settled(struct account *acct, struct mailbox_list *out)
{
	bool locked = account_lock_within(acct, SETTLE_WAIT_S) == STORE_OK;
	enum store_err err = account_list(acct, out);

	if (locked)
		account_unlock(acct);
	return err;
}

enum store_err
account_find_special(struct account *acct, enum special_use use, struct buf *name_out)
{
	struct mailbox_list list = { 0 };
	enum store_err err = account_list(acct, &list);

	for (size_t i = 0; i < list.count; i++) {
		if (list.boxes[i].use == use) {
			buf_adds(name_out, list.boxes[i].name);
			break;
		}
	}
	mailbox_list_free(&list);
	return err;
}

/* --- creating, deleting, renaming -------------------------------------------------------------- */

char *
mailbox_canonical(const char *name)
{
	struct buf b = { 0 };

	mailbox_name_canonical(&b, str_from(name));
	return buf_take(&b);
}

/* The use must be nobody's: clients could not tell which Sent to take. */
static enum store_err
check_creation(struct account *acct, enum special_use use)
{
	struct mailbox_list list = { 0 };
	enum store_err err = account_list(acct, &list);

	if (err == STORE_OK && list.count >= STORE_MAILBOX_MAX)
		err = STORE_LIMIT;
	for (size_t i = 0; i < list.count && use != SPECIAL_NONE && err == STORE_OK; i++) {
		if (list.boxes[i].use == use && read_special_use(acct, list.boxes[i].name) == use)
			err = STORE_INVALID;
	}
	mailbox_list_free(&list);
	return err;
}

/* May one more be there, of that name? */
static enum store_err
check_mailboxes_max(struct account *acct, const char *name)
{
	uint64_t max = atomic_load(&acct->mailboxes_max), count = 0;
	enum store_err err = STORE_OK;

	if (max == 0 || !account_quota_counts(acct, name))
		return STORE_OK;
	err = account_count_mailboxes(acct, &count);
	return err == STORE_OK && count >= max ? STORE_OVER_QUOTA : err;
}

static enum store_err
write_special_use(struct account *acct, const char *name, enum special_use use)
{
	struct sync_box sb;
	enum store_err err = sync_begin(acct, name, 0, &sb);

	if (err != STORE_OK)
		return err;
	if (use != SPECIAL_NONE) {
		snprintf(
		    sb.file.special_use, sizeof(sb.file.special_use), "%s", special_use_name(use));
		err = sanger_mailbox_write(acct->home, sb.dir.fd, &sb.file);
	}
	return sync_end(&sb, err);
}

static enum store_err
create_locked(struct account *acct, const char *name, enum special_use use)
{
	enum store_err err = STORE_EXISTS; /* somebody may have been faster, with the same use */

	if (!folder_exists(acct->home, name))
		err = check_mailboxes_max(acct, name);
	if (err == STORE_OK)
		err = check_creation(acct, use);
	if (err == STORE_OK)
		err = folder_create(acct->home, name);
	if (err == STORE_OK)
		err = account_acl_inherit(acct, name);
	if (err == STORE_OK)
		err = write_special_use(acct, name, use);
	return err;
}

enum store_err
account_create_mailbox(struct account *acct, const char *any_name, enum special_use use)
{
	char *name = mailbox_canonical(any_name);
	enum store_err err = STORE_OK;
	int tries = 0;

	if (mailbox_name_is_inbox(name) || folder_exists(acct->home, name))
		err = STORE_EXISTS;
	else if (mailbox_name_problem(str_from(name)) != NULL)
		err = STORE_INVALID;
	else {
		do {
			err = account_write_begin(acct);
			if (err == STORE_OK)
				err = account_write_end(acct, create_locked(acct, name, use));
		} while (account_should_retry(acct, err, &tries));
	}
	free(name);
	return err;
}

static enum store_err
drop_row(struct account *acct, const char *name)
{
	struct index_mailbox row = { 0 };
	enum store_err err = index_mailbox_get(acct->ix, name, &row);

	if (err == STORE_OK)
		err = index_mailbox_drop(acct->ix, row.id);
	index_mailbox_clear(&row);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

/* Deleted mail is no longer counted. */
static void
quota_forget(struct account *acct, const char *name, const struct index_mailbox *row)
{
	struct quota_rules rules = account_quota_rules(acct);

	quota_add(acct->home, &rules, name, -row->disk_bytes, -row->messages);
}

static enum store_err
delete_locked(struct account *acct, const char *name)
{
	struct index_mailbox row = { 0 };
	struct sync_box sb;
	enum store_err err = sync_begin(acct, name, 0, &sb); /* for what quota loses */

	if (err == STORE_NOT_FOUND)
		return err;
	if (err == STORE_OK) {
		row = sb.row;
		row.name = NULL;
		(void)sync_end(&sb, STORE_OK); /* its news are of no use any more */
	}
	/* One that could not be read is kept too. */
	if (kept_wanted(acct) && (err != STORE_OK || row.messages > 0))
		err = kept_take_folder(acct, name);
	else
		err = folder_delete(acct->home, name);
	if (err == STORE_OK) {
		quota_forget(acct, name, &row);
		err = drop_row(acct, name);
	}
	return err;
}

enum store_err
account_delete_mailbox(struct account *acct, const char *any_name)
{
	char *name;
	enum store_err err;
	int tries = 0;

	if (mailbox_name_is_inbox(any_name))
		return STORE_INVALID;
	name = mailbox_canonical(any_name);
	do {
		err = account_write_begin(acct);
		if (err == STORE_OK)
			err = account_write_end(acct, delete_locked(acct, name));
	} while (account_should_retry(acct, err, &tries));
	free(name);
	return err;
}

/* Rows of the folder and of all below it take the new names. */
static enum store_err
rename_rows(
    struct account *acct, const struct folder_list *before, const char *from, const char *to)
{
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < before->count && err == STORE_OK; i++) {
		const char *old = before->items[i].name;
		char *new;

		if (strcmp(old, from) != 0 && !mailbox_name_is_below(str_from(old), str_from(from)))
			continue;
		new = mem_printf("%s%s", to, old + strlen(from));
		err = drop_row(acct, new); /* of a folder that vanished unseen */
		if (err == STORE_OK)
			err = index_mailbox_rename(acct->ix, old, new);
		free(new);
	}
	return err;
}

static enum store_err
rename_locked(struct account *acct, const char *from, const char *to)
{
	struct folder_list before = { 0 };
	enum store_err err = folder_list(acct->home, &before);

	if (err == STORE_OK && !account_quota_counts(acct, from))
		err = check_mailboxes_max(acct, to);
	if (err == STORE_OK)
		err = folder_rename(acct->home, from, to);
	if (err == STORE_OK)
		err = rename_rows(acct, &before, from, to);
	folder_list_free(&before);
	return err;
}

/* RFC 9051 §6.3.6: INBOX's messages move, INBOX stays. */
static enum store_err
rename_inbox(struct account *acct, const char *to)
{
	struct copy_result moved = { 0 };
	struct mailbox *box;
	enum store_err err = account_create_mailbox(acct, to, SPECIAL_NONE);

	if (err != STORE_OK)
		return err;
	err = mailbox_open(acct, "INBOX", false, &box);
	if (err != STORE_OK)
		return err;
	err = mailbox_move(box, mailbox_view(box), NULL, to, &moved);
	uidset_free(&moved.from);
	uidset_free(&moved.to);
	mailbox_close(box);
	return err;
}

enum store_err
account_rename_mailbox(struct account *acct, const char *any_from, const char *any_to)
{
	char *from = mailbox_canonical(any_from), *to = mailbox_canonical(any_to);
	enum store_err err;
	int tries = 0;

	if (mailbox_name_problem(str_from(to)) != NULL) {
		err = STORE_INVALID;
	} else if (mailbox_name_is_inbox(to) || folder_exists(acct->home, to)) {
		err = STORE_EXISTS;
	} else if (mailbox_name_is_inbox(from)) {
		err = rename_inbox(acct, to);
	} else {
		do {
			err = account_write_begin(acct);
			if (err == STORE_OK)
				err = account_write_end(acct, rename_locked(acct, from, to));
		} while (account_should_retry(acct, err, &tries));
		if (err == STORE_OK &&
		    account_quota_counts(acct, from) != account_quota_counts(acct, to))
			account_quota_recount(acct);
		if (err == STORE_OK && subscriptions_rename(acct->home, from, to) != STORE_OK)
			log_warn(account_log(acct), "subscriptions", "account=%s", acct->address);
	}
	free(from);
	free(to);
	return err;
}

enum store_err
account_mailbox_id(struct account *acct, const char *any_name, char id_out[STORE_MAILBOX_ID_MAX])
{
	char *name = mailbox_canonical(any_name);
	struct sanger_mailbox file = { 0 };
	struct mailbox_status status = { 0 };
	struct maildir dir;
	enum store_err err = maildir_open(acct->home, name, &dir);

	if (err == STORE_OK) {
		err = sanger_mailbox_read(acct->home, dir.fd, &file);
		maildir_close(&dir);
		if (err == STORE_OK) {
			memcpy(id_out, file.mailbox_id, sizeof(file.mailbox_id));
			sanger_mailbox_free(&file);
		} else { /* it has never been looked at: a sync gives it one */
			err = account_status(acct, name, &status);
			memcpy(id_out, status.id, STORE_MAILBOX_ID_MAX);
		}
	}
	free(name);
	return err == STORE_INVALID ? STORE_NOT_FOUND : err;
}

enum store_err
account_subscribe(struct account *acct, const char *any_name)
{
	char *name = mailbox_canonical(any_name);
	struct subscriptions subs = { 0 };
	enum store_err err = subscriptions_read(acct->home, &subs);

	if (err == STORE_OK && subs.count >= STORE_SUBSCRIPTIONS_MAX &&
	    !subscriptions_has(&subs, name))
		err = STORE_LIMIT;
	if (err == STORE_OK)
		err = subscriptions_add(acct->home, (const char *const *)&name, 1);
	subscriptions_free(&subs);
	free(name);
	return err;
}

enum store_err
account_unsubscribe(struct account *acct, const char *any_name)
{
	char *name = mailbox_canonical(any_name);
	enum store_err err = subscriptions_remove(acct->home, name);

	free(name);
	return err;
}

/* --- status ------------------------------------------------------------------------------------ */

static void
status_of_row(const struct index_mailbox *row, struct mailbox_status *out)
{
	*out = (struct mailbox_status){
		.messages = (uint32_t)row->messages,
		.unseen = (uint32_t)row->unseen,
		.deleted = (uint32_t)row->deleted,
		.uidnext = row->uidnext,
		.uidvalidity = row->uidvalidity,
		.highestmodseq = row->modseq,
		.size_bytes = (uint64_t)row->bytes,
		.deleted_disk_bytes = (uint64_t)row->deleted_disk_bytes,
	};
	memcpy(out->id, row->mailbox_id, sizeof(out->id));
}

/* STORE_CHANGED: the row has to be brought up to date first. */
static enum store_err
status_if_current(struct account *acct, const char *name, const char *prefix,
    struct mailbox_status *out, bool *unsized_out)
{
	struct index_mailbox row = { 0 };
	enum store_err err = account_read_begin(acct);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_CHANGED : err;
	err = index_mailbox_get(acct->ix, name, &row);
	if (err == STORE_NOT_FOUND)
		err = STORE_CHANGED;
	else if (err == STORE_OK && (strcmp(row.epoch, index_epoch(acct->ix)) != 0 ||
					!sync_is_current(acct, &row, prefix)))
		err = STORE_CHANGED;
	if (err == STORE_OK) {
		status_of_row(&row, out);
		*unsized_out = row.unsized > 0;
		err = index_count_from(acct->ix, row.id, row.recent_uid, &out->recent);
	}
	index_mailbox_clear(&row);
	account_read_end(acct);
	return err;
}

enum store_err
account_status(struct account *acct, const char *any_name, struct mailbox_status *out)
{
	char *name = mailbox_canonical(any_name);
	struct buf prefix = { 0 };
	enum store_err err = account_folder_prefix(acct, name, &prefix);
	bool unsized = false, sized = false;
	int tries = 0;

	for (int i = 0; i < MAILBOX_TRIES && err == STORE_OK; i++) {
		err = status_if_current(acct, name, buf_cstr(&prefix), out, &unsized);
		if (err == STORE_OK && unsized && !sized) {
			sized = true;
			mailbox_measure(acct, name);
			continue;
		}
		if (err == STORE_OK)
			break;
		if (err == STORE_CHANGED)
			err = sync_refresh(acct, name, 0, NULL, NULL);
		if (account_should_retry(acct, err, &tries))
			err = STORE_OK;
	}
	buf_free(&prefix);
	free(name);
	return err;
}

enum store_err
account_reindex(
    struct account *acct, void (*on_mailbox)(void *arg, size_t done, size_t count), void *arg)
{
	struct mailbox_list list = { 0 };
	enum store_err err = account_write_begin(acct);

	if (err == STORE_OK)
		err = account_write_end(acct, index_drop_all(acct->ix));
	if (err == STORE_CORRUPT) {
		account_index_damaged(acct);
		err = STORE_OK;
	}
	if (err == STORE_OK)
		account_search_drop(acct); /* where nobody writes it just now; it is made anew */
	if (err == STORE_OK)
		err = account_list(acct, &list);
	for (size_t i = 0; i < list.count && err == STORE_OK; i++) {
		if ((list.boxes[i].attributes & MAILBOX_NONEXISTENT) == 0)
			err = sync_refresh(acct, list.boxes[i].name, 0, NULL, NULL);
		if (on_mailbox != NULL)
			on_mailbox(arg, i + 1, list.count);
	}
	mailbox_list_free(&list);
	return err;
}
