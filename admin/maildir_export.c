#include "admin/maildir_export.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/dovecot_log.h"
#include "admin/progress.h"
#include "base/mem.h"
#include "store/account_acl.h"
#include "store/dir.h"
#include "store/keywords.h"
#include "store/mailbox.h"
#include "store/maildir_name.h"
#include "store/subscriptions.h"

#define MARK_FILE  "sanger-export" /* in DIR.new: it is ours, and may go */
#define GUID_BYTES 16
#define COPY_BYTES (1024 * 1024)
#define LIST_FLUSH (256 * 1024)

struct exporting {
	struct account *mail;
	struct mailbox_list list;
	char **names; /* of list's mailboxes in the tree */
	const char *label;
	const struct maildir_export_options *options;
	struct home home; /* DIR.new, as store/ wants it */
	struct progress *progress;
	uint64_t done;
};

/* One mailbox under way. */
struct box_export {
	struct exporting *e;
	struct mailbox *box;
	int fd, cur_fd;
	int list_fd;
	struct buf list; /* of dovecot-uidlist, not written yet */
	/* By the mailbox's number of a keyword: its letter, or KEYWORDS_LETTERS: none. */
	unsigned letters[MAILBOX_KEYWORDS_MAX];
	size_t uses[MAILBOX_KEYWORDS_MAX];
	/* Keywords without a letter: for Dovecot, NULL where there are none, and for us. */
	struct dovecot_log *beyond;
	struct keyword_list extra;
	struct maildir_export_result result;
	enum store_err err;
};

static bool
failed(const struct exporting *e, const char *what)
{
	int errnum = errno;

	progress_hide(e->progress);
	admin_refuse("%s: %s: %s", e->label, what, strerror(errnum));
	return false;
}

/* --- names --------------------------------------------------------------------------------------- */

static bool
is_taken(const struct exporting *e, size_t below, const char *name)
{
	for (size_t i = 0; i < e->list.count; i++)
		if (strcmp(e->list.boxes[i].name, name) == 0 ||
		    (i < below && strcmp(e->names[i], name) == 0))
			return true;
	return false;
}

/* A dot divides levels in Dovecot's trees and cannot be in one. */
static void
choose_names(struct exporting *e)
{
	e->names = mem_zalloc((e->list.count + 1) * sizeof(char *));
	for (size_t i = 0; i < e->list.count; i++) {
		char *name = mem_strdup(e->list.boxes[i].name);
		bool dots = strchr(name, '.') != NULL;

		for (char *p = name; (p = strchr(p, '.')) != NULL;)
			*p = '_';
		while (dots && is_taken(e, i, name)) {
			char *longer = mem_printf("%s_", name);

			free(name);
			name = longer;
		}
		e->names[i] = name;
	}
}

static void
free_names(struct exporting *e)
{
	for (size_t i = 0; i < e->list.count && e->names != NULL; i++)
		free(e->names[i]);
	free(e->names);
	mailbox_list_free(&e->list);
}

/* --- messages ------------------------------------------------------------------------------------ */

static const struct {
	unsigned flag;
	uint32_t letter;
} FLAGS[] = {
	{ MESSAGE_ANSWERED, MAILDIR_REPLIED },
	{ MESSAGE_FLAGGED, MAILDIR_FLAGGED },
	{ MESSAGE_DELETED, MAILDIR_TRASHED },
	{ MESSAGE_SEEN, MAILDIR_SEEN },
	{ MESSAGE_DRAFT, MAILDIR_DRAFT },
};

static uint32_t
flag_letters(unsigned flags)
{
	uint32_t letters = 0;

	for (size_t i = 0; i < ARRAY_LEN(FLAGS); i++)
		if ((flags & FLAGS[i].flag) != 0)
			letters |= FLAGS[i].letter;
	return letters;
}

static bool
copy_bytes(int from, int to, off_t size)
{
	while (size > 0) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			break;
		size -= n;
	}
	errno = EIO; /* for a file that ended early */
	return size == 0;
}

/* Where the kernel cannot copy between the two file systems. */
static bool
copy_by_hand(int from, int to, off_t size)
{
	char *bytes = mem_alloc(COPY_BYTES);
	off_t at = 0;
	bool ok = ftruncate(to, 0) == 0 && lseek(to, 0, SEEK_SET) == 0;

	while (ok && at < size) {
		ssize_t n = pread(from, bytes, COPY_BYTES, at), done = 0;

		ok = n > 0;
		while (ok && done < n) {
			ssize_t w = write(to, bytes + done, (size_t)(n - done));

			ok = w > 0;
			done += ok ? w : 0;
		}
		at += ok ? n : 0;
	}
	free(bytes);
	return ok;
}

static bool
copy_file(int from, int dir_fd, const char *name, off_t size, int64_t mtime_s)
{
	const struct timespec times[2] = { { .tv_sec = mtime_s }, { .tv_sec = mtime_s } };
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
	bool ok = fd >= 0 && (copy_bytes(from, fd, size) || copy_by_hand(from, fd, size)) &&
		  futimens(fd, times) == 0;
	int errnum = errno;

	if (fd >= 0 && close(fd) != 0 && ok)
		return false;
	if (fd >= 0 && !ok)
		unlinkat(dir_fd, name, 0);
	errno = errnum;
	return ok;
}

static bool
link_file(int from, int dir_fd, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", from);
	return linkat(AT_FDCWD, path, dir_fd, name, AT_SYMLINK_FOLLOW) == 0;
}

/* The unique part it has here, so that it is known again wherever it goes. */
static void
name_message(struct buf *out, const char *here, const struct message *m, off_t size,
    uint32_t keywords, bool fresh)
{
	struct maildir_name name;

	buf_reset(out);
	if (fresh || !maildir_name_parse(str_from(here), &name))
		maildir_name_new(
		    out, (uint64_t)size, m->size_bytes, 0, true, flag_letters(m->flags), keywords);
	else
		maildir_name_build(out, name.unique, (uint64_t)size, m->size_bytes, 0, true,
		    flag_letters(m->flags), keywords);
}

static uint32_t
keyword_letters(struct box_export *b, const struct message *m)
{
	uint32_t letters = 0;

	for (unsigned i = 0; i < mailbox_keyword_count(b->box); i++) {
		if (!keyword_set_has(&m->keywords, i))
			continue;
		if (b->letters[i] < KEYWORDS_LETTERS)
			letters |= UINT32_C(1) << b->letters[i];
		else if (b->beyond != NULL)
			dovecot_log_keyword(b->beyond, i, m->uid);
	}
	return letters;
}

/* By the name it got: for whoever reads the tree as we do. */
static void
note_extra(struct box_export *b, const struct message *m, struct str unique)
{
	struct str names[MAILBOX_KEYWORDS_MAX];
	size_t count = 0;

	for (unsigned i = 0; i < mailbox_keyword_count(b->box); i++)
		if (keyword_set_has(&m->keywords, i) && b->letters[i] == KEYWORDS_LETTERS &&
		    b->uses[i] > 0)
			names[count++] = str_from(mailbox_keyword_name(b->box, i));
	if (count > 0)
		keyword_list_set(&b->extra, unique, names, count);
}

static bool
flush_list(struct box_export *b)
{
	size_t done = 0;

	while (done < b->list.len) {
		ssize_t n = write(b->list_fd, b->list.data + done, b->list.len - done);

		if (n < 0)
			return failed(b->e, "dovecot-uidlist");
		done += (size_t)n;
	}
	buf_reset(&b->list);
	return true;
}

static bool
place(struct box_export *b, const struct message *m, int from, const char *here)
{
	uint32_t keywords = keyword_letters(b, m);
	struct buf name = { 0 };
	struct maildir_name parsed;
	struct stat st;
	bool ok = fstat(from, &st) == 0, fresh = false;

	do {
		name_message(&name, here, m, st.st_size, keywords, fresh);
		if (ok)
			ok = b->e->options->link ? link_file(from, b->cur_fd, buf_cstr(&name))
						 : copy_file(from, b->cur_fd, buf_cstr(&name),
						       st.st_size, m->internaldate_s);
		fresh = !ok && errno == EEXIST && !fresh;
		ok = ok || fresh;
	} while (fresh);
	ok = ok && maildir_name_parse((struct str){ name.data, name.len }, &parsed);
	if (ok) {
		buf_printf(
		    &b->list, "%u :%.*s\n", (unsigned)m->uid, (int)parsed.base.len, parsed.base.p);
		if (b->beyond != NULL)
			note_extra(b, m, parsed.unique);
	} else {
		ok = failed(b->e, b->e->options->link && errno == EXDEV
				      ? "--link works on one file system only"
				      : here);
	}
	buf_free(&name);
	return ok;
}

static bool
on_message(void *arg, const struct message *m)
{
	struct box_export *b = arg;
	struct buf here = { 0 };
	bool ok = true;
	int fd;

	b->err = mailbox_message_open_named(b->box, m->uid, &fd, &here);
	if (b->err == STORE_NOT_FOUND) {
		b->err = STORE_OK;
	} else if (b->err == STORE_OK) {
		ok =
		    place(b, m, fd, buf_cstr(&here)) && (b->list.len < LIST_FLUSH || flush_list(b));
		close(fd);
		b->result.messages++;
		if (b->beyond != NULL)
			dovecot_log_message(b->beyond, m->uid, m->flags);
	}
	buf_free(&here);
	progress_step(b->e->progress, ++b->e->done);
	if (!ok)
		b->err = STORE_IO;
	return b->err == STORE_OK;
}

/* --- keywords ------------------------------------------------------------------------------------ */

static bool
on_counted(void *arg, const struct message *m)
{
	struct box_export *b = arg;

	for (unsigned i = 0; i < MAILBOX_KEYWORDS_MAX; i++)
		b->uses[i] += keyword_set_has(&m->keywords, i);
	return true;
}

/* The most used get the letters, in the order they have here. */
static size_t
threshold(const struct box_export *b)
{
	size_t least = 1;

	for (;; least++) {
		size_t n = 0, next = SIZE_MAX;

		for (unsigned i = 0; i < MAILBOX_KEYWORDS_MAX; i++) {
			n += b->uses[i] >= least;
			if (b->uses[i] >= least && b->uses[i] < next)
				next = b->uses[i];
		}
		if (n <= KEYWORDS_LETTERS)
			return least;
		least = next;
	}
}

/* Of as many as are used equally often the first: at `least` - 1 some letters are left. */
static void
give_letters(struct box_export *b, struct buf *file)
{
	size_t least = threshold(b), above = 0;
	unsigned letter = 0;

	for (unsigned i = 0; i < MAILBOX_KEYWORDS_MAX; i++)
		above += b->uses[i] >= least;
	for (unsigned i = 0; i < MAILBOX_KEYWORDS_MAX; i++) {
		const char *name = mailbox_keyword_name(b->box, i);
		bool fits = b->uses[i] >= least;

		b->letters[i] = KEYWORDS_LETTERS;
		if (b->uses[i] == 0 || name == NULL || *name == '\0')
			continue;
		b->result.keywords++;
		if (!fits && b->uses[i] == least - 1 && above < KEYWORDS_LETTERS) {
			fits = true;
			above++;
		}
		if (!fits) {
			b->result.beyond++;
			continue;
		}
		b->letters[i] = letter;
		buf_printf(file, "%u %s\n", letter++, name);
	}
}

static bool
write_file(struct box_export *b, const char *name, const struct buf *bytes)
{
	enum store_err err =
	    dir_replace_file(b->fd, name, (struct str){ bytes->data, bytes->len }, false);

	return err == STORE_OK || failed(b->e, name);
}

static bool
prepare_keywords(struct box_export *b)
{
	struct buf file = { 0 };
	struct mailbox_facts facts;
	bool ok = mailbox_messages(b->box, mailbox_view(b->box), on_counted, b) == STORE_OK;

	if (!ok)
		return false;
	give_letters(b, &file);
	if (file.len > 0)
		ok = write_file(b, "dovecot-keywords", &file);
	buf_free(&file);
	if (b->result.beyond == 0)
		return ok;
	mailbox_facts(b->box, &facts);
	b->beyond = dovecot_log_new(facts.uidvalidity, facts.uidnext);
	for (unsigned i = 0; i < MAILBOX_KEYWORDS_MAX; i++)
		if (b->uses[i] > 0 && mailbox_keyword_name(b->box, i) != NULL)
			dovecot_log_name(b->beyond, i, mailbox_keyword_name(b->box, i));
	return ok;
}

/* --- one mailbox --------------------------------------------------------------------------------- */

static bool
make_folder(struct box_export *b, const char *folder)
{
	static const char *const SUBS[] = { "tmp", "new", "cur" };
	bool ok = *folder == '\0' || mkdirat(b->e->home.fd, folder, DIR_MODE) == 0;

	ok = ok && dir_open(b->e->home.fd, *folder != '\0' ? folder : ".", &b->fd) == STORE_OK;
	for (size_t i = 0; i < ARRAY_LEN(SUBS) && ok; i++)
		ok = mkdirat(b->fd, SUBS[i], DIR_MODE) == 0;
	ok = ok && dir_open(b->fd, "cur", &b->cur_fd) == STORE_OK;
	if (ok && *folder != '\0') {
		int fd = openat(b->fd, "maildirfolder", O_WRONLY | O_CREAT | O_CLOEXEC, FILE_MODE);

		ok = fd >= 0;
		if (ok)
			close(fd);
	}
	return ok || failed(b->e, folder);
}

static bool
begin_list(struct box_export *b)
{
	unsigned char guid[GUID_BYTES];
	struct mailbox_facts facts;

	mailbox_facts(b->box, &facts);
	b->result.uidvalidity = facts.uidvalidity;
	b->result.uidnext = facts.uidnext;
	b->list_fd =
	    openat(b->fd, "dovecot-uidlist", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
	if (b->list_fd < 0)
		return failed(b->e, "dovecot-uidlist");
	if (getentropy(guid, sizeof(guid)) != 0)
		abort(); /* cannot be for 16 bytes */
	buf_printf(&b->list, "3 V%u N%u G", (unsigned)facts.uidvalidity, (unsigned)facts.uidnext);
	hex_encode(&b->list, guid, sizeof(guid));
	buf_addc(&b->list, '\n');
	return true;
}

/* Who may do what with it; one that is damaged says nothing to anybody. */
static bool
write_acl(struct box_export *b)
{
	struct acl acl;
	struct buf bytes = { 0 };
	bool ok = true;

	if (account_acl_current(b->e->mail, mailbox_name(b->box), &b->e->options->tenures, &acl) ==
		STORE_OK &&
	    acl.count > 0) {
		acl_forget_tenures(&acl);
		acl_format(&bytes, &acl);
		ok = write_file(b, ACL_FILE, &bytes);
	}
	acl_free(&acl);
	buf_free(&bytes);
	return ok;
}

static bool
write_messages(struct box_export *b)
{
	enum store_err err;

	if (!prepare_keywords(b) || !begin_list(b))
		return false;
	err = mailbox_messages(b->box, mailbox_view(b->box), on_message, b);
	if (err == STORE_OK)
		err = b->err;
	if (err != STORE_OK) {
		admin_refuse("%s: %s: %s", b->e->label, mailbox_name(b->box), store_err_text(err));
		return false;
	}
	if (!flush_list(b))
		return false;
	if (b->beyond != NULL) {
		struct buf bytes = { 0 };
		bool ok;

		dovecot_log_format(b->beyond, &bytes);
		ok = write_file(b, "dovecot.index.log", &bytes) &&
		     (keyword_list_write(b->fd, &b->extra) == STORE_OK ||
			 failed(b->e, "sanger-keywords"));
		buf_free(&bytes);
		return ok;
	}
	return true;
}

static void
close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

static bool
export_box(struct exporting *e, size_t i, maildir_export_row_fn *row, void *arg)
{
	const char *name = e->list.boxes[i].name;
	struct box_export b = { .e = e, .fd = -1, .cur_fd = -1, .list_fd = -1 };
	struct buf folder = { 0 };
	enum store_err err = mailbox_open(e->mail, name, true, &b.box);
	bool ok = err == STORE_OK;

	b.result.mailbox = name;
	b.result.name = e->names[i];
	if (err == STORE_NOT_FOUND)
		return true; /* deleted meanwhile */
	if (!ok)
		admin_refuse("%s: %s: %s", e->label, name, store_err_text(err));
	ok = ok && mailbox_name_to_folder(&folder, str_from(e->names[i])) == STORE_OK &&
	     make_folder(&b, buf_cstr(&folder)) && write_acl(&b) && write_messages(&b);
	if (ok) {
		progress_hide(e->progress);
		row(arg, &b.result);
	}
	mailbox_close(b.box);
	dovecot_log_free(b.beyond);
	keyword_list_free(&b.extra);
	buf_free(&b.list);
	buf_free(&folder);
	close_if_open(b.fd);
	close_if_open(b.cur_fd);
	close_if_open(b.list_fd);
	return ok;
}

/* --- the account --------------------------------------------------------------------------------- */

static bool
write_subscriptions(struct exporting *e)
{
	const char **names = mem_realloc_array(NULL, e->list.count + 1, sizeof(*names));
	size_t count = 0;
	enum store_err err;

	for (size_t i = 0; i < e->list.count; i++)
		if ((e->list.boxes[i].attributes & MAILBOX_SUBSCRIBED) != 0)
			names[count++] = e->names[i];
	err = count > 0 ? subscriptions_add(&e->home, names, count) : STORE_OK;
	free(names);
	return err == STORE_OK || failed(e, "subscriptions");
}

static uint64_t
count_messages(struct exporting *e)
{
	const struct mailbox_list *list = &e->list;
	uint64_t total = 0;

	for (size_t i = 0; i < list->count; i++) {
		struct mailbox_status s;

		if ((list->boxes[i].attributes & MAILBOX_NONEXISTENT) == 0 &&
		    account_status(e->mail, list->boxes[i].name, &s) == STORE_OK)
			total += s.messages;
	}
	return total;
}

/* Everything on disk, with one sync of the file system. */
static bool
fill(struct exporting *e, maildir_export_row_fn *row, void *arg)
{
	const struct quota_rules rules = { .limit_bytes = e->options->limits.bytes,
		.limit_messages = e->options->limits.messages };
	struct quota_usage usage;
	enum store_err err = account_list(e->mail, &e->list);
	bool ok = admin_result(err, e->label) == ADMIN_DONE;

	choose_names(e);
	e->progress = progress_begin(e->label, ok ? count_messages(e) : 0);
	for (size_t i = 0; i < e->list.count && ok; i++)
		if ((e->list.boxes[i].attributes & MAILBOX_NONEXISTENT) == 0)
			ok = export_box(e, i, row, arg);
	ok = ok && write_subscriptions(e);
	ok =
	    ok && (quota_recount(&e->home, &rules, &usage) == STORE_OK || failed(e, "maildirsize"));
	ok = ok && (unlinkat(e->home.fd, MARK_FILE, 0) == 0 || failed(e, MARK_FILE));
	ok = ok && (syncfs(e->home.fd) == 0 || failed(e, "syncfs"));
	progress_end(e->progress);
	e->progress = NULL;
	free_names(e);
	return ok;
}

/* What a run that was stopped left goes; anything else stays where it is. */
static bool
make_new(struct exporting *e, int parent_fd, const char *name)
{
	char *mark = mem_printf("%s/" MARK_FILE, name);
	bool ours = dir_exists(parent_fd, mark);
	int fd;
	bool ok = true;

	if (ours && dir_remove_tree(parent_fd, name) != STORE_OK)
		ok = failed(e, name);
	if (ok && mkdirat(parent_fd, name, DIR_MODE) != 0)
		ok = failed(e, name);
	if (ok) {
		fd = openat(parent_fd, mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
		ok = fd >= 0 || failed(e, mark);
		if (fd >= 0)
			close(fd);
	}
	if (ok)
		ok = dir_open(parent_fd, name, &e->home.fd) == STORE_OK || failed(e, name);
	free(mark);
	return ok;
}

static bool
export_into(
    struct exporting *e, int parent_fd, const char *base, maildir_export_row_fn *row, void *arg)
{
	char *new = mem_printf("%s.new", base);
	bool ok;

	if (dir_exists(parent_fd, base)) {
		errno = EEXIST;
		ok = failed(e, base);
	} else {
		ok = make_new(e, parent_fd, new) && fill(e, row, arg);
	}
	if (ok && dir_rename_new(parent_fd, new, parent_fd, base) != STORE_OK)
		ok = failed(e, base);
	if (ok && fsync(parent_fd) != 0)
		ok = failed(e, base);
	if (e->home.fd >= 0)
		close(e->home.fd);
	free(new);
	return ok;
}

bool
maildir_export(struct account *mail, const char *dir, const char *label,
    const struct maildir_export_options *options, maildir_export_row_fn *row, void *arg)
{
	char empty[] = "";
	struct exporting e = { .mail = mail,
		.label = label,
		.options = options,
		.home = { .fd = -1, .domain = empty, .localpart = empty } };
	char *copy = mem_strdup(dir), *copy_2 = mem_strdup(dir);
	int parent_fd = open(dirname(copy_2), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok;

	if (parent_fd < 0)
		ok = failed(&e, copy_2);
	else
		ok = export_into(&e, parent_fd, basename(copy), row, arg);
	if (parent_fd >= 0)
		close(parent_fd);
	free(copy);
	free(copy_2);
	return ok;
}
