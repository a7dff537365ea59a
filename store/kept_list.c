/* What lies in the kept area, and the way back.  See kept.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/folder.h"
#include "store/kept_format.h"
#include "store/kept_internal.h"
#include "store/mailbox_internal.h"

#define RESTORE_BATCH 500 /* messages under one lock */

/* --- reading ----------------------------------------------------------------------------------- */

/* One directory of messages while it is listed: of either kind. */
struct reading {
	struct account *acct;
	struct kept_list *list;
	const char *dir; /* below KEPT_DIR, in the list's arena */
	int fd;
	const char *mailbox, *mailbox_id, *special_use;
	uint32_t uidvalidity;
	char *const *letters;
	struct keyword_list extra;
	struct uidlist uids; /* of an adopted folder */
	bool is_folder;
	int64_t deleted_s;
};

static struct kept_message *
add_message(struct kept_list *l)
{
	if ((l->count & (l->count - 1)) == 0)
		l->messages = mem_realloc_array(
		    l->messages, l->count == 0 ? 1 : 2 * l->count, sizeof(*l->messages));
	l->messages[l->count] = (struct kept_message){ 0 };
	return &l->messages[l->count++];
}

static void
add_keywords(const struct reading *r, const struct maildir_name *name, struct kept_message *m)
{
	const struct keyword_entry *more = keyword_list_find(&r->extra, name->unique);
	size_t room = KEYWORDS_LETTERS + (more != NULL ? more->name_count : 0);
	const char **out;

	if (name->keywords == 0 && more == NULL)
		return;
	out = arena_alloc(&r->list->arena, room * sizeof(*out));
	for (unsigned i = 0; i < KEYWORDS_LETTERS; i++)
		if ((name->keywords >> i & 1) != 0 && r->letters[i] != NULL)
			out[m->keyword_count++] = arena_strdup(&r->list->arena, r->letters[i]);
	for (size_t i = 0; more != NULL && i < more->name_count; i++)
		out[m->keyword_count++] = arena_strdup(&r->list->arena, more->names[i]);
	m->keywords = out;
}

static uint32_t
listed_uid(const struct reading *r, const struct maildir_name *name)
{
	const struct uidlist_entry *e =
	    r->uids.count > 0 ? uidlist_find(&r->uids, name->base) : NULL;

	return e != NULL ? e->uid : name->uid;
}

static bool
on_message(void *arg, const char *file, unsigned char type)
{
	struct reading *r = arg;
	struct kept_message *m;
	struct maildir_name name;
	const char *plain = file;
	int64_t expunged_s = r->deleted_s;
	struct stat st;
	uint32_t uid = 0;

	if (type != DT_REG ||
	    (!r->is_folder && !kept_name_parse(file, &expunged_s, &uid, &plain)) ||
	    !maildir_name_parse(str_from(plain), &name) ||
	    fstatat(r->fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return true;
	m = add_message(r->list);
	m->mailbox = r->mailbox;
	m->mailbox_id = r->mailbox_id;
	m->special_use = r->special_use;
	m->uidvalidity = r->uidvalidity;
	m->uid = r->is_folder ? listed_uid(r, &name) : uid;
	m->expunged_s = expunged_s;
	m->internaldate_s = st.st_mtim.tv_sec;
	m->disk_bytes = (uint64_t)st.st_size;
	m->flags = sync_flags_of(name.flags) & ~(unsigned)MESSAGE_DELETED;
	m->with_mailbox = r->is_folder;
	m->dir = r->dir;
	m->name = arena_strdup(&r->list->arena, file);
	add_keywords(r, &name, m);
	r->list->bytes += m->disk_bytes;
	return true;
}

/* mailbox-HASH/.  What has lost its small file is of an unknown mailbox, and goes to INBOX. */
static void
read_place(struct account *acct, struct kept_list *list, int kept_fd, const char *name)
{
	struct reading r = { .acct = acct, .list = list, .special_use = "" };
	struct kept_place place = { 0 };
	struct buf text = { 0 };
	bool known;

	if (dir_open(kept_fd, name, &r.fd) != STORE_OK)
		return;
	dir_read_file(r.fd, KEPT_PLACE_FILE, KEPT_PLACE_MAX_BYTES, &text);
	known = kept_place_parse((struct str){ text.data, text.len }, &place);
	keyword_list_read(r.fd, &r.extra);
	r.dir = arena_strdup(&list->arena, name);
	r.mailbox = arena_strdup(&list->arena, known ? place.mailbox : "INBOX");
	r.mailbox_id = arena_strdup(&list->arena, known ? place.mailbox_id : "");
	r.uidvalidity = place.uidvalidity;
	r.letters = place.letters;
	dir_list(r.fd, on_message, &r);
	keyword_list_free(&r.extra);
	kept_place_free(&place);
	buf_free(&text);
	close(r.fd);
}

/* deleted.TIME.UNIQUE/.A.B/, a folder like any other. */
static void
read_folder(struct reading *r, int folder_fd, const char *path)
{
	static const char *const SUBDIRS[] = { "cur", "new" };
	struct sanger_mailbox file = { 0 };
	struct keywords letters = { 0 };
	bool known = account_has_file(folder_fd, "sanger-mailbox") &&
		     sanger_mailbox_read(r->acct->home, folder_fd, &file) == STORE_OK;

	r->mailbox_id = arena_strdup(&r->list->arena, known ? file.mailbox_id : "");
	r->special_use = arena_strdup(&r->list->arena, known ? file.special_use : "");
	r->uidvalidity = known ? file.uid_validity : 0;
	if (known && file.uid_source == SANGER_UIDS_DOVECOT)
		uidlist_read_dovecot(folder_fd, &r->uids);
	else if (known && file.uid_source == SANGER_UIDS_COURIER)
		uidlist_read_courier(folder_fd, &r->uids);
	if (known)
		sanger_mailbox_free(&file);
	keywords_read(folder_fd, &letters);
	keyword_list_read(folder_fd, &r->extra);
	r->letters = letters.names;
	for (size_t i = 0; i < ARRAY_LEN(SUBDIRS); i++) {
		if (dir_open(folder_fd, SUBDIRS[i], &r->fd) != STORE_OK)
			continue;
		r->dir = arena_printf(&r->list->arena, "%s/%s", path, SUBDIRS[i]);
		dir_list(r->fd, on_message, r);
		close(r->fd);
	}
	keywords_free(&letters);
	keyword_list_free(&r->extra);
	uidlist_free(&r->uids);
}

struct visit {
	struct account *acct;
	struct kept_list *list;
	int fd;
	const char *place; /* of the folders in it */
	int64_t deleted_s;
};

static bool
on_folder(void *arg, const char *name, unsigned char type)
{
	struct visit *v = arg;
	struct reading r = {
		.acct = v->acct, .list = v->list, .is_folder = true, .deleted_s = v->deleted_s
	};
	struct buf mailbox = { 0 };
	char *path;
	int fd;

	if (type != DT_DIR || !folder_name(v->fd, name, &mailbox) ||
	    dir_open(v->fd, name, &fd) != STORE_OK) {
		buf_free(&mailbox);
		return true;
	}
	r.mailbox = arena_strdup(&v->list->arena, buf_cstr(&mailbox));
	path = mem_printf("%s/%s", v->place, name);
	read_folder(&r, fd, path);
	close(fd);
	free(path);
	buf_free(&mailbox);
	return true;
}

static bool
on_place(void *arg, const char *name, unsigned char type)
{
	struct visit *v = arg;
	struct visit inside = { .acct = v->acct, .list = v->list, .place = name };

	if (type != DT_DIR || !kept_is_place(name))
		return true;
	if (!kept_deleted_parse(name, &inside.deleted_s)) {
		read_place(v->acct, v->list, v->fd, name);
	} else if (dir_open(v->fd, name, &inside.fd) == STORE_OK) {
		dir_list(inside.fd, on_folder, &inside);
		close(inside.fd);
	}
	return true;
}

/* Those expunged together, in the order they had in their mailbox. */
static int
by_time(const void *a, const void *b)
{
	const struct kept_message *x = a, *y = b;
	int order;

	if (x->expunged_s != y->expunged_s)
		return x->expunged_s < y->expunged_s ? -1 : 1;
	order = strcmp(x->dir, y->dir);
	if (order == 0 && x->uid != y->uid)
		order = x->uid < y->uid ? -1 : 1;
	return order != 0 ? order : strcmp(x->name, y->name);
}

enum store_err
kept_list(struct account *acct, struct kept_list *list_out)
{
	struct visit v = { .acct = acct, .list = list_out };
	enum store_err err;

	kept_list_free(list_out);
	err = dir_open(acct->home->fd, KEPT_DIR, &v.fd);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	err = dir_list(v.fd, on_place, &v);
	close(v.fd);
	if (list_out->count > 0)
		qsort(list_out->messages, list_out->count, sizeof(*list_out->messages), by_time);
	return err;
}

void
kept_list_free(struct kept_list *list)
{
	free(list->messages);
	arena_free(&list->arena);
	*list = (struct kept_list){ 0 };
}

enum store_err
kept_open(struct account *acct, const struct kept_message *m, int *fd_out)
{
	char *path = mem_printf(KEPT_DIR "/%s/%s", m->dir, m->name);
	enum store_err err = dir_open_file(acct->home->fd, path, O_RDONLY, 0, fd_out);

	free(path);
	return err;
}

/* --- the way back ------------------------------------------------------------------------------ */

struct restoring {
	struct account *acct;
	const char *mailbox;
	int kept_fd;
	struct uidset uids;
	int64_t bytes, messages;
};

static enum store_err
resolve_keywords(struct sync_box *sb, const struct kept_message *m, struct keyword_set *out)
{
	*out = (struct keyword_set){ 0 };
	for (size_t i = 0; i < m->keyword_count; i++) {
		unsigned number = 0;
		enum store_err err = sync_keyword(sb, str_from(m->keywords[i]), true, &number);

		if (err == STORE_OK)
			keyword_set_add(out, number);
		else if (err != STORE_LIMIT && err != STORE_INVALID)
			return err; /* else: the message matters more than its label */
	}
	return STORE_OK;
}

/* What the file says of itself, under its new UID. */
static void
fill_in(
    const struct kept_message *m, const struct stat *st, uint32_t uid, struct index_message *out)
{
	struct maildir_name name;
	const char *plain = m->name;
	int64_t ignored_s;
	uint32_t ignored, letters = sync_letters_of(m->flags);
	struct buf b = { 0 };

	out->uid = uid;
	out->flags = m->flags;
	out->internaldate_s = st->st_mtim.tv_sec;
	out->disk_size = (uint64_t)st->st_size;
	out->size = INDEX_SIZE_UNKNOWN;
	if (!m->with_mailbox)
		kept_name_parse(m->name, &ignored_s, &ignored, &plain);
	if (maildir_name_parse(str_from(plain), &name)) {
		out->size = name.crlf_size;
		letters |= name.flags & MAILDIR_PASSED;
	}
	maildir_name_new(&b, out->disk_size, out->size, uid, true, letters,
	    (uint32_t)(out->keywords.bits[0] & 0x3ffffff));
	snprintf(out->name, sizeof(out->name), "%s", buf_cstr(&b));
	buf_free(&b);
}

static enum store_err
restore_one(struct restoring *r, struct sync_box *sb, const struct kept_message *m)
{
	static const struct keyword_set NONE = { { 0 } };
	struct index_message row = { .modseq = sb->modseq };
	char *path = mem_printf("%s/%s", m->dir, m->name);
	struct stat st;
	enum store_err err = STORE_OK;

	if (fstatat(r->kept_fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		err = dir_err(errno);
	else if (!S_ISREG(st.st_mode))
		err = STORE_NOT_FOUND;
	if (err == STORE_OK)
		err = resolve_keywords(sb, m, &row.keywords);
	if (err == STORE_OK) {
		fill_in(m, &st, sync_take_uid(sb), &row);
		sb->touched_cur = true;
		err = dir_rename_new(r->kept_fd, path, sb->dir.cur_fd, row.name);
	}
	free(path);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	err = sync_extra_keywords(sb, row.name, &NONE, &row.keywords);
	if (err == STORE_OK)
		err = index_message_add(r->acct->ix, &sb->row, &row);
	sync_handed_out(sb, row.uid, row.name);
	uidset_add(&r->uids, row.uid);
	r->bytes += st.st_size;
	r->messages++;
	return err;
}

static enum store_err
restore_batch(struct restoring *r, const struct kept_message *const *messages, size_t count)
{
	struct sync_box sb;
	uint32_t uidvalidity, uidnext;
	enum store_err err = account_write_begin(r->acct);

	if (err != STORE_OK)
		return err;
	err = sync_begin(r->acct, r->mailbox, 0, &sb);
	if (err != STORE_OK)
		return account_write_end(r->acct, err);
	err = sync_reserve_uids(&sb, (uint32_t)count);
	if (err == STORE_OK)
		err = sync_modseq(&sb);
	for (size_t i = 0; i < count && err == STORE_OK; i++)
		err = restore_one(r, &sb, messages[i]);
	/* Also of those before an error: they are in the mailbox now, and stay. */
	if (sb.touched_cur && dir_sync(sb.dir.cur_fd) != STORE_OK && err == STORE_OK)
		err = STORE_IO;
	uidvalidity = sb.row.uidvalidity;
	uidnext = sb.row.uidnext;
	err = account_write_commit(r->acct, sync_end(&sb, err));
	if (err != STORE_OK)
		sync_burn_uids(r->acct, r->mailbox, uidvalidity, uidnext);
	account_write_unlock(r->acct);
	return err;
}

enum store_err
kept_restore(struct account *acct, const struct kept_message *const *messages, size_t count,
    const char *mailbox, struct uidset *uids_out)
{
	struct restoring r = { .acct = acct, .mailbox = NULL };
	struct quota_rules rules = account_quota_rules(acct);
	char *name = mailbox_canonical(mailbox);
	enum store_err err = dir_open(acct->home->fd, KEPT_DIR, &r.kept_fd);
	int tries = 0;

	r.mailbox = name;
	for (size_t at = 0; err == STORE_OK && at < count;) {
		size_t n = count - at < RESTORE_BATCH ? count - at : RESTORE_BATCH;

		err = restore_batch(&r, messages + at, n);
		/* what is back already is not where it was, and is passed over */
		if (account_should_retry(acct, err, &tries)) {
			err = STORE_OK;
			continue;
		}
		at += n;
	}
	if (r.messages > 0)
		quota_add(acct->home, &rules, name, r.bytes, r.messages);
	if (r.kept_fd >= 0)
		close(r.kept_fd);
	if (uids_out != NULL)
		uidset_swap(uids_out, &r.uids);
	uidset_free(&r.uids);
	free(name);
	return err;
}
