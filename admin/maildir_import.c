#include "admin/maildir_import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/import_ledger.h"
#include "admin/maildir_bytes.h"
#include "admin/maildir_uses.h"
#include "admin/progress.h"
#include "base/mem.h"
#include "store/account_acl.h"
#include "store/dir.h"
#include "store/mailbox.h"
#include "store/maildir_name.h"

#define LOCK_FILE "sanger-import.lock" /* empty */

/* A message here that the ledger may not know: the run that brought it was killed. */
struct present {
	const char *unique;
	uint32_t uid; /* 0: its name does not say */
};

struct flag_update {
	uint32_t uid;
	const struct source_message *now;
	struct import_entry *before; /* NULL: only add */
};

struct run {
	struct account *mail;
	const struct source_tree *tree;
	const char *label;
	const struct maildir_import_options *options;
	struct progress *progress;
	uint64_t done;
	bool all_well;
};

struct folder_run {
	struct run *run;
	const struct source_folder *folder;
	struct source_mailbox source;
	struct import_ledger ledger;
	struct mailbox_status status; /* here, before */
	bool exists;                  /* here */
	bool same;                    /* UIDs here are those there */
	bool conflict;                /* … but one of them cannot be had */
	bool restart;                 /* killed before the first message was here */
	bool ledger_changed;
	struct arena arena;
	struct present *present;
	size_t present_count;
	struct source_message **wanted;
	size_t wanted_count;
	struct flag_update *updates;
	size_t update_count;
	struct uidset gone;
	struct maildir_import_result result;
};

static void
say(struct folder_run *f, const char *what, const char *why)
{
	progress_hide(f->run->progress);
	admin_refuse(
	    "%s: %s: %s%s%s", f->run->label, f->folder->name, what, *why != '\0' ? ": " : "", why);
	f->run->all_well = false;
}

/* --- what is here already ------------------------------------------------------------------------ */

static enum store_err
open_folder_here(const struct folder_run *f, const char *sub, int *fd_out)
{
	struct buf path = { 0 };
	enum store_err err = mailbox_name_to_folder(&path, str_from(f->folder->name));

	if (err == STORE_OK && *sub != '\0')
		buf_printf(&path, "%s%s", path.len > 0 ? "/" : "", sub);
	if (err == STORE_OK)
		err = dir_open(
		    account_dir_fd(f->run->mail), path.len > 0 ? buf_cstr(&path) : ".", fd_out);
	buf_free(&path);
	return err;
}

static bool
on_present(void *arg, const char *file, unsigned char type)
{
	struct folder_run *f = arg;
	struct maildir_name name;

	(void)type;
	if (!maildir_name_parse(str_from(file), &name))
		return true;
	if ((f->present_count & (f->present_count - 1)) == 0)
		f->present = mem_realloc_array(f->present,
		    f->present_count == 0 ? 1 : 2 * f->present_count, sizeof(*f->present));
	f->present[f->present_count++] =
	    (struct present){ arena_strndup(&f->arena, name.unique.p, name.unique.len), name.uid };
	return true;
}

static int
by_unique(const void *a, const void *b)
{
	return strcmp(((const struct present *)a)->unique, ((const struct present *)b)->unique);
}

static enum store_err
list_present(struct folder_run *f)
{
	static const char *const DIRS[] = { "new", "cur" };
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < ARRAY_LEN(DIRS) && err == STORE_OK; i++) {
		int fd;

		err = open_folder_here(f, DIRS[i], &fd);
		if (err != STORE_OK)
			break;
		err = dir_list(fd, on_present, f);
		close(fd);
	}
	if (f->present_count > 1)
		qsort(f->present, f->present_count, sizeof(*f->present), by_unique);
	return err;
}

/* Looks at the mailbox here, which is made first unless this is a dry run. */
static enum store_err
look_here(struct folder_run *f)
{
	struct run *run = f->run;
	enum store_err err;
	int fd;

	if (run->mail == NULL)
		return STORE_OK;
	err = account_status(run->mail, f->folder->name, &f->status);
	if (err == STORE_NOT_FOUND && run->options->dry_run)
		return STORE_OK;
	if (err == STORE_NOT_FOUND) {
		err = account_create_mailbox(run->mail, f->folder->name, SPECIAL_NONE);
		if (err == STORE_OK || err == STORE_EXISTS)
			err = account_status(run->mail, f->folder->name, &f->status);
	}
	if (err != STORE_OK)
		return err;
	f->exists = true;
	err = open_folder_here(f, "", &fd);
	if (err == STORE_OK) {
		err = import_ledger_read(fd, &f->ledger);
		close(fd);
	}
	return err == STORE_OK ? list_present(f) : err;
}

/* --- the plan ------------------------------------------------------------------------------------ */

static bool
has_keyword(const char *const *keywords, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (ascii_eq_nocase(keywords[i], name))
			return true;
	return false;
}

static bool
is_changed(const struct source_message *m, const struct import_entry *e)
{
	if (m->flags != e->flags || m->keyword_count != e->keyword_count)
		return true;
	for (size_t i = 0; i < m->keyword_count; i++)
		if (!has_keyword(e->keywords, e->keyword_count, m->keywords[i]))
			return true;
	return false;
}

static void
plan_update(
    struct folder_run *f, uint32_t uid, const struct source_message *m, struct import_entry *before)
{
	if ((f->update_count & (f->update_count - 1)) == 0)
		f->updates = mem_realloc_array(f->updates,
		    f->update_count == 0 ? 1 : 2 * f->update_count, sizeof(*f->updates));
	f->updates[f->update_count++] = (struct flag_update){ uid, m, before };
	f->result.changed++;
}

/* A message that an earlier run brought, by the ledger. */
static void
plan_known(struct folder_run *f, const struct source_message *m, struct import_entry *e)
{
	e->seen = true;
	if (is_changed(m, e))
		plan_update(f, e->uid, m, e);
	if (m->uid != 0 && e->source_uid == 0) { /* it has got its UID there since */
		if (f->same && e->uid != m->uid)
			f->conflict = true;
		e->source_uid = m->uid;
		e->source_uidvalidity = f->source.uidvalidity;
		f->ledger_changed = true;
	}
	f->result.uids_kept += f->same && e->uid == m->uid;
}

static const struct present *
find_present(const struct folder_run *f, const struct source_message *m)
{
	struct present key = { .unique = m->unique };

	if (m->unique == NULL || f->present_count == 0)
		return NULL;
	return bsearch(&key, f->present, f->present_count, sizeof(key), by_unique);
}

static void
remember(struct folder_run *f, const struct source_message *m, uint32_t uid)
{
	struct import_entry e = { .stem = m->stem,
		.uid = uid,
		.source_uidvalidity = f->source.uidvalidity,
		.source_uid = m->uid,
		.flags = m->flags,
		.keywords = m->keywords,
		.keyword_count = m->keyword_count,
		.seen = true };

	import_ledger_add(&f->ledger, &e);
	f->ledger_changed = true;
}

static void
plan_message(struct folder_run *f, struct source_message *m, uint32_t uidnext)
{
	struct import_entry *e = import_ledger_find(&f->ledger, m->stem);
	const struct present *here;

	if (e != NULL) {
		plan_known(f, m, e);
		return;
	}
	here = find_present(f, m);
	if (here != NULL) {
		if (here->uid != 0 && (m->flags != 0 || m->keyword_count > 0))
			plan_update(f, here->uid, m, NULL);
		f->result.uids_kept += f->same && here->uid == m->uid;
		return; /* noted by note_present(): the ledger must not move now */
	}
	if (m->uid == 0 && f->run->options->running) {
		f->result.waiting++;
		return;
	}
	if (f->same && m->uid != 0 && m->uid < uidnext)
		f->conflict = true;
	f->wanted[f->wanted_count++] = m;
}

/* After all look-ups, which hold pointers into the ledger. */
static void
note_present(struct folder_run *f)
{
	for (size_t i = 0; i < f->source.count; i++) {
		struct source_message *m = &f->source.messages[i];
		const struct present *here;

		if (import_ledger_find(&f->ledger, m->stem) == NULL &&
		    (here = find_present(f, m)) != NULL)
			remember(f, m, here->uid);
	}
}

static void
plan(struct folder_run *f)
{
	uint32_t there = f->source.uidvalidity;
	bool empty = f->status.messages == 0 && !f->ledger.found;
	uint32_t uidnext = f->status.uidnext;

	f->result.messages = f->source.count;
	f->result.keywords = f->source.keyword_count;
	f->result.damaged = f->source.damaged_lines;
	f->same = there != 0 && (f->status.uidvalidity == there || empty);
	f->restart = f->same && empty && f->status.uidvalidity == there && uidnext > 1;
	if (f->status.uidvalidity != there || f->restart)
		uidnext = 0; /* it begins anew */
	f->wanted = mem_realloc_array(NULL, f->source.count + 1, sizeof(struct source_message *));
	for (size_t i = 0; i < f->source.count; i++)
		plan_message(f, &f->source.messages[i], uidnext);
	for (size_t i = 0; i < f->ledger.count; i++) {
		const struct import_entry *e = &f->ledger.entries[i];

		if (e->seen || e->source_uidvalidity != there)
			continue; /* of another tree, perhaps */
		f->result.gone++;
		if (there != 0)
			uidset_add(&f->gone, e->uid);
	}
	f->result.same_uidvalidity = f->same && !f->conflict;
	f->run->done += f->source.count - f->wanted_count;
	progress_step(f->run->progress, f->run->done);
}

/* --- copying ------------------------------------------------------------------------------------- */

/* Up to `count` messages as one append.  *bad_out: the one that could not be read, which spoils the append. */
static enum store_err
append_batch(struct folder_run *f, struct append *ap, struct source_message *const *batch,
    size_t count, const struct source_message **bad_out, bool *taken)
{
	enum store_err err = STORE_OK;

	*bad_out = NULL;
	append_in_bulk(ap);
	for (size_t i = 0; i < count && err == STORE_OK; i++) {
		const struct source_message *m = batch[i];
		struct append_message_info info = { .flags = m->flags,
			.keywords = m->keywords,
			.keyword_count = m->keyword_count,
			.uid = f->same ? m->uid : 0,
			.unique = m->unique };
		const char *problem = NULL;
		int fd;

		taken[i] = false;
		err = source_message_open(f->run->tree, f->folder, m, &fd);
		if (err == STORE_NOT_FOUND) { /* expunged meanwhile */
			err = STORE_OK;
			continue;
		}
		if (err != STORE_OK) {
			problem = strerror(errno);
		} else {
			err = maildir_bytes_append(ap, &info, fd, &problem);
			close(fd);
		}
		taken[i] = err == STORE_OK;
		if (problem != NULL) {
			say(f, m->path, problem);
			f->result.failed++;
			*bad_out = m;
			return STORE_IO;
		}
	}
	return err;
}

static void
note_copied(struct folder_run *f, struct source_message *const *batch, size_t count,
    const bool *taken, const struct uidset *uids)
{
	uint32_t uid = 0;

	for (size_t i = 0; i < count; i++) {
		if (!taken[i])
			continue;
		uid = uidset_next(uids, uid);
		remember(f, batch[i], uid);
		f->result.copied++;
		f->result.uids_kept += f->same && batch[i]->uid != 0 && uid == batch[i]->uid;
	}
}

/* Takes as many as fit; *count says how many, and how many are dealt with.  One that cannot be read is left out. */
static enum store_err
copy_batch(struct folder_run *f, struct source_message **batch, size_t count)
{
	bool taken[IMPORT_BATCH_MESSAGES];
	const struct source_message *bad = NULL;
	struct append *ap = NULL;
	struct uidset uids = { 0 };
	uint32_t uidvalidity;
	enum store_err err;

	do {
		err = append_begin(f->run->mail, f->folder->name, &ap);
		if (err != STORE_OK)
			break;
		err = append_batch(f, ap, batch, count, &bad, taken);
		if (err == STORE_OK)
			err = append_commit(ap, &uidvalidity, &uids);
		append_end(ap);
		if (bad != NULL) {
			size_t at = 0;

			while (batch[at] != bad)
				at++;
			memmove(&batch[at], &batch[at + 1], (count - at - 1) * sizeof(*batch));
			count--;
		}
	} while (bad != NULL && count > 0);
	if (bad != NULL)
		err = STORE_OK; /* it was the last */
	else if (err == STORE_OK)
		note_copied(f, batch, count, taken, &uids);
	uidset_free(&uids);
	return err;
}

/* Where the batch that begins at `from` ends: messages with a UID and those without do not mix. */
static size_t
batch_end(const struct folder_run *f, size_t from)
{
	size_t end = from + 1;

	while (end < f->wanted_count && end - from < IMPORT_BATCH_MESSAGES &&
	       (f->wanted[end]->uid == 0) == (f->wanted[from]->uid == 0))
		end++;
	return end;
}

static enum store_err
take_uids(struct folder_run *f, uint32_t uidnext)
{
	return f->same ? account_take_uids(
			     f->run->mail, f->folder->name, f->source.uidvalidity, uidnext)
		       : STORE_OK;
}

static enum store_err
copy_messages(struct folder_run *f)
{
	enum store_err err = STORE_OK;

	for (size_t from = 0, end; from < f->wanted_count && err == STORE_OK; from = end) {
		end = batch_end(f, from);
		if (f->wanted[from]->uid == 0) /* behind all that were given there */
			err = take_uids(f, f->source.uidnext);
		if (err == STORE_OK)
			err = copy_batch(f, &f->wanted[from], end - from);
		f->run->done += end - from;
		progress_step(f->run->progress, f->run->done);
	}
	return err;
}

/* --- changes since the last run ------------------------------------------------------------------ */

/* Names of a that are not among b. */
static size_t
keywords_without(
    const char **out, const char *const *a, size_t a_count, const char *const *b, size_t b_count)
{
	size_t n = 0;

	for (size_t i = 0; i < a_count; i++)
		if (!has_keyword(b, b_count, a[i]))
			out[n++] = a[i];
	return n;
}

static enum store_err
store_difference(struct mailbox *box, const struct flag_update *u, enum flags_mode mode)
{
	static const struct import_entry NOTHING = { 0 };
	const struct import_entry *e = u->before != NULL ? u->before : &NOTHING;
	const char *names[MAILBOX_KEYWORDS_MAX];
	struct flags_change change = { .mode = mode, .keywords = names };
	struct uidset uids = { 0 };
	enum store_err err = STORE_OK;

	if (mode == FLAGS_ADD) {
		change.flags = u->now->flags & ~e->flags;
		change.keyword_count = keywords_without(
		    names, u->now->keywords, u->now->keyword_count, e->keywords, e->keyword_count);
	} else {
		change.flags = e->flags & ~u->now->flags;
		change.keyword_count = keywords_without(
		    names, e->keywords, e->keyword_count, u->now->keywords, u->now->keyword_count);
	}
	uidset_add(&uids, u->uid);
	if (change.flags != 0 || change.keyword_count > 0)
		err = mailbox_store_flags(box, &uids, &change, NULL);
	uidset_free(&uids);
	return err;
}

/* The changes made there are made here: what was set or taken there since, not what is set here. */
static enum store_err
apply_updates(struct folder_run *f, struct mailbox *box)
{
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < f->update_count && err == STORE_OK; i++) {
		struct flag_update *u = &f->updates[i];

		err = store_difference(box, u, FLAGS_ADD);
		if (err == STORE_OK)
			err = store_difference(box, u, FLAGS_REMOVE);
		if (err != STORE_OK || u->before == NULL)
			continue;
		u->before->flags = u->now->flags;
		import_ledger_set_keywords(
		    &f->ledger, u->before, u->now->keywords, u->now->keyword_count);
		f->ledger_changed = true;
	}
	return err;
}

static enum store_err
expunge_gone(struct folder_run *f, struct mailbox *box)
{
	struct flags_change change = { .mode = FLAGS_ADD, .flags = MESSAGE_DELETED };
	enum store_err err = mailbox_store_flags(box, &f->gone, &change, NULL);
	size_t kept = 0;

	if (err == STORE_OK)
		err = mailbox_expunge(box, &f->gone, NULL);
	if (err != STORE_OK)
		return err;
	for (size_t i = 0; i < f->ledger.count; i++)
		if (f->ledger.entries[i].seen ||
		    f->ledger.entries[i].source_uidvalidity != f->source.uidvalidity)
			f->ledger.entries[kept++] = f->ledger.entries[i];
	f->ledger.count = f->ledger.sorted_count = kept;
	f->ledger_changed = true;
	return STORE_OK;
}

static enum store_err
follow_changes(struct folder_run *f)
{
	bool expunge = f->run->options->expunge && uidset_count(&f->gone) > 0;
	struct mailbox *box;
	enum store_err err;

	if (f->update_count == 0 && !expunge)
		return STORE_OK;
	err = mailbox_open(f->run->mail, f->folder->name, false, &box);
	if (err != STORE_OK)
		return err;
	err = apply_updates(f, box);
	if (err == STORE_OK && expunge)
		err = expunge_gone(f, box);
	mailbox_close(box);
	return err;
}

/* --- one mailbox, all mailboxes ------------------------------------------------------------------ */

static enum store_err
write_ledger(struct folder_run *f)
{
	int fd;
	enum store_err err;

	if (!f->ledger_changed && f->ledger.found)
		return STORE_OK;
	err = open_folder_here(f, "", &fd);
	if (err == STORE_OK) {
		err = import_ledger_write(fd, &f->ledger);
		close(fd);
	}
	return err;
}

/* Who may do what with it, the first time, and where nothing is said here.  A damaged list is left behind. */
static enum store_err
take_acl(struct folder_run *f)
{
	const char *dir = f->folder->dir;
	char *path = mem_printf("%s%s%s", dir, *dir != '\0' ? "/" : "", ACL_FILE);
	struct buf text = { 0 };
	struct acl there = { 0 }, here = { 0 };
	enum store_err err = dir_read_file(f->run->tree->fd, path, ACL_FILE_MAX_BYTES, &text);

	if (err != STORE_OK) {
		err = STORE_OK;
	} else if (!acl_parse((struct str){ buf_cstr(&text), text.len }, &there)) {
		say(f, path, "is damaged and stays behind");
	} else if (there.count > 0) {
		err = account_acl_read(f->run->mail, f->folder->name, &here);
		if (err == STORE_OK && here.count == 0)
			err = account_acl_put(f->run->mail, f->folder->name, &there);
	}
	acl_free(&there);
	acl_free(&here);
	buf_free(&text);
	free(path);
	return err;
}

static enum store_err
carry_out(struct folder_run *f)
{
	enum store_err err, noted;

	/* New UIDs are said before the first message that could be mistaken for another is there. */
	err = f->conflict || f->restart ? account_renew_uids(f->run->mail, f->folder->name)
					: STORE_OK;
	if (f->conflict)
		f->same = false;
	if (err == STORE_OK && !f->ledger.found)
		err = take_acl(f);
	if (err == STORE_OK)
		err = take_uids(f, 1);
	if (err == STORE_OK && f->same)
		err = account_lease_uids(
		    f->run->mail, f->folder->name, f->source.uidnext + (uint32_t)f->wanted_count);
	if (err == STORE_OK)
		err = follow_changes(f);
	if (err == STORE_OK) {
		note_present(f);
		err = copy_messages(f);
	}
	if (err == STORE_OK)
		err = take_uids(f, f->source.uidnext);
	/* Also of a part; but while nothing is here, nothing says that an import was. */
	noted = err == STORE_OK || f->ledger.count > 0 ? write_ledger(f) : STORE_OK;
	return err != STORE_OK ? err : noted;
}

static bool
import_folder(struct run *run, const struct source_folder *folder, maildir_import_row_fn *row,
    void *arg, bool *first_out)
{
	struct folder_run f = { .run = run, .folder = folder };
	enum store_err err = source_mailbox_read(run->tree, folder, &f.source);
	bool gone = err == STORE_NOT_FOUND;

	f.result.mailbox = folder->name;
	if (err == STORE_OK)
		err = look_here(&f);
	*first_out = f.ledger.count == 0 && f.present_count == 0;
	if (err == STORE_OK) {
		plan(&f);
		if (!run->options->dry_run)
			err = carry_out(&f);
		else
			f.result.copied = f.wanted_count;
	}
	if (err != STORE_OK && !gone)
		say(&f, store_err_text(err), "");
	if (!gone && row != NULL) {
		progress_hide(run->progress);
		row(arg, &f.result);
	}
	source_mailbox_free(&f.source);
	import_ledger_free(&f.ledger);
	arena_free(&f.arena);
	uidset_free(&f.gone);
	free(f.present);
	free(f.wanted);
	free(f.updates);
	return err == STORE_OK || gone;
}

/* Two imports at once would not see what the other brings. */
static int
lock_account(struct account *mail, const char *label)
{
	int fd = openat(account_dir_fd(mail), LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (errno == EWOULDBLOCK)
		admin_refuse("%s: another import into it is at work", label);
	else
		admin_refuse("%s: %s: %s", label, LOCK_FILE, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

bool
maildir_import(struct account *mail, const struct source_tree *tree, const char *label,
    const struct maildir_import_options *options, maildir_import_row_fn *row, void *arg)
{
	struct run run = {
		.mail = mail, .tree = tree, .label = label, .options = options, .all_well = true
	};
	int lock = options->dry_run ? -1 : lock_account(mail, label);
	bool *first;

	if (!options->dry_run && lock < 0)
		return false;
	first = mem_zalloc((tree->count + 1) * sizeof(*first));
	run.progress = progress_begin(label, source_tree_count(tree));
	for (size_t i = 0; i < tree->count; i++)
		if (!import_folder(&run, &tree->folders[i], row, arg, &first[i]))
			run.all_well = false;
	progress_end(run.progress);
	if (!options->dry_run && !maildir_uses_take(mail, tree, first, label))
		run.all_well = false;
	free(first);
	if (lock >= 0)
		close(lock);
	return run.all_well;
}
