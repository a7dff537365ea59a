/* APPEND: bytes go to tmp/ without a lock; then lock, UIDs, renames, one fsync, index.  See mailbox.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "store/crossing.h"
#include "store/deliver.h"
#include "store/dir.h"
#include "store/folder.h"
#include "store/kept_internal.h"
#include "store/mailbox_internal.h"

struct append_item {
	struct maildir_delivery *delivery;
	unsigned flags;
	char **keywords;
	size_t keyword_count;
	time_t internaldate_s;
	uint32_t wanted_uid;
	bool sealed;
	struct index_message m; /* as it is published */
};

struct append {
	struct account *acct;
	char *name;
	struct append_item *items;
	size_t count;
	uint64_t sealed_bytes;        /* of all that are complete */
	bool bulk;                    /* the files are synced together, by append_commit() */
	struct mailbox *replaced_box; /* NULL: nothing is replaced */
	uint32_t replaced_uid;
	uint64_t replaced_bytes;
	enum store_err err; /* the first; everything after it says the same */
};

enum store_err
append_begin(struct account *acct, const char *mailbox, struct append **ap_out)
{
	char *name = mailbox_canonical(mailbox);
	struct append *ap;

	if (!folder_exists(acct->home, name)) {
		free(name);
		return STORE_NOT_FOUND;
	}
	ap = mem_zalloc(sizeof(*ap));
	ap->acct = account_ref(acct);
	ap->name = name;
	*ap_out = ap;
	return STORE_OK;
}

void
append_in_bulk(struct append *ap)
{
	ap->bulk = true;
}

enum store_err
append_replaces(struct append *ap, struct mailbox *box, uint32_t uid)
{
	struct message old;
	enum store_err err = box->read_only ? STORE_DENIED : mailbox_message(box, uid, &old);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_CHANGED : err;
	ap->replaced_box = box;
	ap->replaced_uid = uid;
	ap->replaced_bytes = old.disk_bytes;
	return STORE_OK;
}

static enum store_err
seal_last(struct append *ap)
{
	struct append_item *item = ap->count > 0 ? &ap->items[ap->count - 1] : NULL;
	enum store_err err;

	if (item == NULL || item->sealed)
		return STORE_OK;
	err = ap->bulk ? maildir_delivery_seal_unsynced(item->delivery, item->internaldate_s)
		       : maildir_delivery_seal(item->delivery, item->internaldate_s);
	item->sealed = true;
	item->m.disk_size = maildir_delivery_size(item->delivery);
	item->m.size = maildir_delivery_crlf_size(item->delivery);
	ap->sealed_bytes += item->m.disk_size;
	return err;
}

/* The messages before it count already; what a REPLACE takes away makes room for what it brings, RFC 8508 §3.4. */
static bool
has_quota(const struct append *ap, const struct quota_rules *rules)
{
	const struct mailbox *box = ap->replaced_box;
	struct quota_room room;

	quota_room(ap->acct->home, rules, ap->name, &room);
	room.usage.bytes += ap->sealed_bytes;
	room.usage.count += ap->count;
	if (box != NULL && box->acct == ap->acct && !quota_excludes(rules, box->name)) {
		room.usage.bytes -=
		    ap->replaced_bytes < room.usage.bytes ? ap->replaced_bytes : room.usage.bytes;
		room.usage.count -= room.usage.count > 0;
	}
	return quota_room_take(&room, 0);
}

static enum store_err
check_room(struct append *ap, const struct append_message_info *info)
{
	struct quota_rules rules = account_quota_rules(ap->acct);
	struct statvfs vfs;

	if (!info->quota_exempt && !has_quota(ap, &rules))
		return STORE_OVER_QUOTA;
	if (ap->acct->st->free_floor_bytes > 0 && fstatvfs(ap->acct->home->fd, &vfs) == 0 &&
	    (uint64_t)vfs.f_bavail * vfs.f_frsize <
		ap->acct->st->free_floor_bytes + info->announced_bytes)
		return STORE_FULL;
	return STORE_OK;
}

enum store_err
append_message(struct append *ap, const struct append_message_info *info)
{
	struct append_item *item;
	struct maildir_delivery *delivery;

	if (ap->err == STORE_OK)
		ap->err = seal_last(ap);
	if (ap->err == STORE_OK)
		ap->err = check_room(ap, info);
	if (ap->err == STORE_OK)
		ap->err = maildir_delivery_begin(ap->acct->st->root, ap->acct->localpart,
		    ap->acct->domain, ap->name, false, &delivery);
	if (ap->err != STORE_OK)
		return ap->err;
	if (info->keep_bytes)
		maildir_delivery_keep_bytes(delivery);
	ap->items = mem_realloc_array(ap->items, ap->count + 1, sizeof(*ap->items));
	item = &ap->items[ap->count++];
	if (info->unique != NULL)
		maildir_delivery_set_unique(delivery, info->unique);
	*item = (struct append_item){ .delivery = delivery,
		.wanted_uid = info->uid,
		.flags = info->flags & MESSAGE_FLAGS_ALL,
		.internaldate_s = info->internaldate_s < 0 ? time(NULL) : info->internaldate_s };
	item->keywords = mem_alloc((info->keyword_count + 1) * sizeof(char *));
	for (size_t i = 0; i < info->keyword_count; i++)
		item->keywords[item->keyword_count++] = mem_strdup(info->keywords[i]);
	return STORE_OK;
}

enum store_err
append_write(struct append *ap, const void *bytes, size_t len)
{
	if (ap->err == STORE_OK && ap->count == 0)
		ap->err = STORE_INVALID;
	if (ap->err == STORE_OK)
		ap->err = maildir_delivery_write(ap->items[ap->count - 1].delivery, bytes, len);
	return ap->err;
}

/* Renames one message into cur/ under its UID. */
static enum store_err
place(struct append_item *item, struct sync_box *sb)
{
	static const struct keyword_set NONE = { { 0 } };
	const char *name;
	enum store_err err = STORE_OK;

	item->m.keywords = NONE;
	for (size_t i = 0; i < item->keyword_count && err == STORE_OK; i++) {
		unsigned number = 0;

		err = sync_keyword(sb, str_from(item->keywords[i]), true, &number);
		if (err == STORE_OK)
			keyword_set_add(&item->m.keywords, number);
	}
	if (err != STORE_OK)
		return err;
	if (item->wanted_uid > sb->row.uidnext)
		sb->row.uidnext = item->wanted_uid; /* reserved, see uids_needed() */
	item->m.uid = sync_take_uid(sb);
	item->m.modseq = sb->modseq;
	item->m.flags = item->flags;
	item->m.internaldate_s = item->internaldate_s;
	sb->touched_cur = true;
	err = maildir_delivery_place(item->delivery, item->m.uid, sync_letters_of(item->flags),
	    (uint32_t)(item->m.keywords.bits[0] & 0x3ffffff), &name);
	if (err != STORE_OK)
		return err;
	snprintf(item->m.name, sizeof(item->m.name), "%s", name);
	return sync_extra_keywords(sb, item->m.name, &NONE, &item->m.keywords);
}

/* The bytes of all are on disk before the first is seen. */
static enum store_err
sync_bulk(struct append *ap)
{
	struct maildir_delivery **all;
	enum store_err err;

	if (!ap->bulk)
		return STORE_OK;
	all = mem_alloc((ap->count + 1) * sizeof(struct maildir_delivery *));
	for (size_t i = 0; i < ap->count; i++)
		all[i] = ap->items[i].delivery;
	err = maildir_delivery_sync_all(all, ap->count);
	free(all);
	return err;
}

/* One fsync for all.  The deliveries are gone afterwards, whatever happened. */
static enum store_err
confirm(struct append *ap)
{
	struct maildir_delivery **all =
	    mem_alloc((ap->count + 1) * sizeof(struct maildir_delivery *));
	enum store_err err;

	for (size_t i = 0; i < ap->count; i++) {
		all[i] = ap->items[i].delivery;
		ap->items[i].delivery = NULL;
	}
	err = maildir_delivery_confirm(all, ap->count);
	free(all);
	return err;
}

/* What was placed must be gone before anybody else can take the lock and find it. */
static void
take_back(struct append *ap)
{
	for (size_t i = 0; i < ap->count; i++) {
		maildir_delivery_abort(ap->items[i].delivery);
		ap->items[i].delivery = NULL;
	}
}

/* From UIDNEXT to the last that is given, with the gaps in front of wanted ones. */
static uint64_t
uids_needed(const struct append *ap, uint32_t uidnext)
{
	uint64_t next = uidnext;

	for (size_t i = 0; i < ap->count; i++)
		next = (ap->items[i].wanted_uid > next ? ap->items[i].wanted_uid : next) + 1;
	return next - uidnext;
}

static enum store_err
publish(struct append *ap, struct sync_box *sb)
{
	uint64_t needed = uids_needed(ap, sb->row.uidnext);
	enum store_err err =
	    needed < UINT32_MAX ? sync_reserve_uids(sb, (uint32_t)needed) : STORE_LIMIT;

	if (err == STORE_OK)
		err = sync_modseq(sb);
	for (size_t i = 0; i < ap->count && err == STORE_OK; i++)
		err = place(&ap->items[i], sb);
	if (err == STORE_OK)
		err = confirm(ap);
	else
		take_back(ap);
	for (size_t i = 0; i < ap->count && err == STORE_OK; i++) {
		err = index_message_add(ap->acct->ix, &sb->row, &ap->items[i].m);
		sync_handed_out(sb, ap->items[i].m.uid, ap->items[i].m.name);
	}
	return err;
}

static void
note_quota(struct append *ap)
{
	struct quota_rules rules = account_quota_rules(ap->acct);
	int64_t bytes = 0;

	for (size_t i = 0; i < ap->count; i++)
		bytes += (int64_t)ap->items[i].m.disk_size;
	quota_add(ap->acct->home, &rules, ap->name, bytes, (int64_t)ap->count);
}

/* Something failed after the files were in place: all or none. */
static void
unpublish(struct append *ap)
{
	struct buf path = { 0 };

	for (size_t i = 0; i < ap->count; i++) {
		if (ap->items[i].m.name[0] == '\0')
			continue;
		buf_reset(&path);
		if (account_folder_prefix(ap->acct, ap->name, &path) == STORE_OK) {
			buf_printf(&path, "cur/%s", ap->items[i].m.name);
			unlinkat(ap->acct->home->fd, buf_cstr(&path), 0);
		}
	}
	buf_free(&path);
}

/* --- the commit -------------------------------------------------------------------------------- */

struct commit {
	struct sync_box sb, from_sb;
	struct sync_box *
	    from; /* where a message is replaced in the same transaction; may be &sb; NULL: nowhere */
	struct mailbox_expunged expunged;
};

/* Under the writer lock, with the mailboxes brought together with their folders. */
static enum store_err
commit_begin(struct append *ap, struct commit *c)
{
	const struct mailbox *box = ap->replaced_box;
	enum store_err err = account_write_begin(ap->acct);

	*c = (struct commit){ 0 };
	if (err != STORE_OK)
		return err;
	err = sync_begin(ap->acct, ap->name, 0, &c->sb);
	if (err != STORE_OK)
		return account_write_end(ap->acct, err);
	if (box == NULL || box->acct != ap->acct)
		return STORE_OK;
	c->from = &c->sb;
	if (strcmp(box->name, ap->name) == 0)
		return STORE_OK;
	c->from = &c->from_sb;
	err = sync_begin(ap->acct, box->name, 0, &c->from_sb);
	if (err == STORE_OK)
		return STORE_OK;
	err = sync_end(&c->sb, err == STORE_NOT_FOUND ? STORE_CHANGED : err);
	return account_write_end(ap->acct, err);
}

/* The new message is durable before the old one goes. */
static enum store_err
commit_locked(struct append *ap, struct commit *c)
{
	struct index_message old;
	enum store_err err;

	if (c->from != NULL && (!mailbox_is_same(ap->replaced_box, c->from) ||
				   index_message_get(ap->acct->ix, c->from->row.id,
				       ap->replaced_uid, &old) != STORE_OK))
		return STORE_CHANGED;
	err = publish(ap, &c->sb);
	if (err == STORE_OK && c->from != NULL)
		err = mailbox_expunge_in(ap->replaced_box, c->from, ap->replaced_uid, &c->expunged);
	return err;
}

/* Once the old message has gone the new one stays, whatever fails: the next writer finds it. */
static enum store_err
commit_end(struct append *ap, struct commit *c, enum store_err err)
{
	uint32_t uidvalidity = c->sb.row.uidvalidity, uidnext = c->sb.row.uidnext;

	if (c->from == &c->from_sb)
		err = sync_end(c->from, err);
	err = account_write_commit(ap->acct, sync_end(&c->sb, err));
	if (err != STORE_OK && !c->expunged.taken) {
		unpublish(ap);
		sync_burn_uids(ap->acct, ap->name, uidvalidity, uidnext);
	}
	account_write_unlock(ap->acct);
	return err;
}

/* STORE_CHANGED: it has gone. */
static enum store_err
note_replaced(struct append *ap, struct crossing *crossing)
{
	struct crossing_item item = { .uid = ap->replaced_uid };
	char unique[DIR_UNIQUE_MAX_BYTES];
	struct maildir_name parsed = { 0 };
	struct buf name = { 0 };
	char *from_unique;
	enum store_err err;
	int fd;

	err = mailbox_message_open_named(ap->replaced_box, ap->replaced_uid, &fd, &name);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_CHANGED : err;
	close(fd);
	maildir_name_parse((struct str){ buf_cstr(&name), name.len }, &parsed);
	from_unique = mem_strndup(parsed.unique.p, parsed.unique.len);
	dir_unique_name(unique);
	item.unique = unique;
	item.from_unique = from_unique;
	maildir_delivery_set_unique(ap->items[0].delivery, unique);
	err = crossing_note(crossing, ap->replaced_box, ap->acct, ap->name, &item, 1);
	free(from_unique);
	buf_free(&name);
	return err;
}

/* Into another account, and the old message goes afterwards: see crossing.h. */
static enum store_err
begin_crossing(struct append *ap, struct crossing **crossing_out)
{
	const struct mailbox *box = ap->replaced_box;
	enum store_err err;

	if (box == NULL || box->acct == ap->acct || ap->count != 1)
		return STORE_OK;
	err = crossing_begin(box->acct, crossing_out);
	return err == STORE_OK ? note_replaced(ap, *crossing_out) : err;
}

/* What could not be expunged in the same transaction: of another account, or under a name that another program has just
 * changed. */
static enum store_err
expunge_replaced(struct append *ap, const struct commit *c)
{
	struct quota_rules rules = account_quota_rules(ap->acct);
	struct uidset one = { 0 };
	enum store_err err;

	if (ap->replaced_box == NULL)
		return STORE_OK;
	if (c->expunged.taken) {
		quota_add(ap->acct->home, &rules, ap->replaced_box->name, -c->expunged.bytes,
		    -c->expunged.messages);
		if (c->expunged.kept_bytes > 0)
			kept_prune_if_due(ap->acct, c->expunged.kept_bytes);
		return STORE_OK;
	}
	uidset_add(&one, ap->replaced_uid);
	err = mailbox_expunge_with(ap->replaced_box, &one, MAILBOX_EXPUNGE_UNMARKED, NULL);
	uidset_free(&one);
	return err;
}

enum store_err
append_commit(struct append *ap, uint32_t *uidvalidity_out, struct uidset *uids_out)
{
	struct crossing *crossing = NULL;
	enum store_err err;
	struct commit c;
	int tries = 0;

	if (ap->err == STORE_OK)
		ap->err = seal_last(ap);
	if (ap->err == STORE_OK)
		ap->err = sync_bulk(ap);
	if (ap->err == STORE_OK)
		ap->err = begin_crossing(ap, &crossing);
	if (ap->err != STORE_OK) {
		crossing_end(crossing, true);
		return ap->err;
	}
	do {
		ap->err = commit_begin(ap, &c);
		/* Before anything is in place a damaged index can be made anew. */
	} while (account_should_retry(ap->acct, ap->err, &tries));
	if (ap->err == STORE_OK) {
		*uidvalidity_out = c.sb.row.uidvalidity;
		ap->err = commit_end(ap, &c, commit_locked(ap, &c));
	}
	if (ap->err != STORE_OK) {
		crossing_end(crossing, true);
		return ap->err;
	}
	if (uids_out != NULL)
		uidset_clear(uids_out);
	for (size_t i = 0; i < ap->count && uids_out != NULL; i++)
		uidset_add(uids_out, ap->items[i].m.uid);
	note_quota(ap);
	err = expunge_replaced(ap, &c);
	crossing_end(crossing, err == STORE_OK);
	return err;
}

void
append_end(struct append *ap)
{
	if (ap == NULL)
		return;
	for (size_t i = 0; i < ap->count; i++) {
		maildir_delivery_abort(ap->items[i].delivery);
		for (size_t k = 0; k < ap->items[i].keyword_count; k++)
			free(ap->items[i].keywords[k]);
		free(ap->items[i].keywords);
	}
	free(ap->items);
	free(ap->name);
	account_close(ap->acct);
	free(ap);
}
