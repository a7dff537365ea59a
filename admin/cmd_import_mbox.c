/* import mbox: mail from mbox files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/import_batch.h"
#include "admin/mbox.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "base/mem.h"
#include "store/mailbox_name.h"

#define FILES_MAX  1000
#define LEVELS_MAX 20
#define SEEN_LEAST 1024 /* a power of two */

/* How often a message was met in this file, and how often it was imported before. */
struct seen {
	uint8_t digest[IMPORT_DIGEST_BYTES];
	uint32_t met, before;
	bool used;
};

/* One mbox file, opened by whoever typed the command. */
struct file {
	char *path, *mailbox;
	int fd;
	uint64_t size;
};
struct work {
	struct admin *a;
	struct account *mail;
	struct import_record *record; /* NULL: a dry run into an account without one */
	struct import_message *message;
	struct file *files;
	size_t count;
	bool dry_run, failed;
	json_t *rows;

	/* the file at hand */
	const struct file *file;
	struct import_box box;
	struct import_batch *batch;
	struct seen *seen; /* a hash table */
	size_t seen_count, seen_cap;
	uint32_t uid, messages, already, imported, expunged;
};

/* --- which files, and what they become ---------------------------------------------------------- */

/* The last level for a file "Name.mbox". */
static char *
level_of(const char *name)
{
	size_t len = strlen(name);

	if (len > 5 && ascii_eq_nocase(name + len - 5, ".mbox"))
		len -= 5;
	else if (len > 4 &&
		 ascii_eq_nocase(name + len - 4, ".sbd")) /* Thunderbird's folders in folders */
		len -= 4;
	return mem_strndup(name, len);
}

static char *
below(const char *prefix, const char *name)
{
	char *level = level_of(name), *full;

	if (*prefix == '\0' && ascii_eq_nocase(level, "inbox"))
		full = mem_strdup("INBOX");
	else
		full = mem_printf("%s%s%s", prefix, *prefix != '\0' ? "/" : "", level);
	free(level);
	return full;
}

/* Takes `mailbox` over. */
static enum admin_status
add_file(struct work *w, const char *path, char *mailbox)
{
	struct file *f;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	enum admin_status status = ADMIN_DONE;
	const char *problem = mailbox_name_problem(str_from(mailbox));

	if (fd < 0 || fstat(fd, &st) != 0)
		status = admin_refuse("%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		status = admin_refuse("%s is no file", path);
	else if (problem != NULL && !mailbox_name_is_inbox(mailbox))
		status = admin_refuse("%s: mailbox %s: %s", path, mailbox, problem);
	else if (w->count == FILES_MAX)
		status = admin_refuse("%s: more than %d files", path, FILES_MAX);
	if (status != ADMIN_DONE) {
		if (fd >= 0)
			close(fd);
		free(mailbox);
		return status;
	}
	w->files = mem_realloc_array(w->files, w->count + 1, sizeof(*w->files));
	f = &w->files[w->count++];
	*f = (struct file){ mem_strdup(path), mailbox, fd, (uint64_t)st.st_size };
	return ADMIN_DONE;
}

static int
is_shown(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return *e->d_name != '.' && !(len > 4 && strcmp(e->d_name + len - 4, ".msf") == 0);
}

static enum admin_status add_directory(
    struct work *w, const char *path, const char *prefix, unsigned depth);

/* `name` in a directory: a file, or more of them.  Apple's "Name.mbox/mbox" is mailbox Name. */
static enum admin_status
add_entry(struct work *w, const char *dir, const char *name, const char *prefix, unsigned depth)
{
	char *path = mem_printf("%s/%s", dir, name), *mailbox;
	struct stat st;
	enum admin_status status = ADMIN_DONE;

	if (lstat(path, &st) != 0) {
		status = admin_refuse("%s: %s", path, strerror(errno));
	} else if (S_ISDIR(st.st_mode)) {
		mailbox = below(prefix, name);
		status = add_directory(w, path, mailbox, depth + 1);
		free(mailbox);
	} else if (S_ISREG(st.st_mode)) {
		status = add_file(w, path,
		    strcmp(name, "mbox") == 0 && *prefix != '\0' ? mem_strdup(prefix)
								 : below(prefix, name));
	}
	free(path);
	return status;
}

static enum admin_status
add_directory(struct work *w, const char *path, const char *prefix, unsigned depth)
{
	struct dirent **entries;
	enum admin_status status = ADMIN_DONE;
	int count;

	if (depth > LEVELS_MAX)
		return admin_refuse("%s: too many levels", path);
	count = scandir(path, &entries, is_shown, alphasort);
	if (count < 0)
		return admin_refuse("%s: %s", path, strerror(errno));
	for (int i = 0; i < count; i++) {
		if (status == ADMIN_DONE)
			status = add_entry(w, path, entries[i]->d_name, prefix, depth);
		free(entries[i]);
	}
	free(entries);
	return status;
}

static enum admin_status
add_argument(struct work *w, const char *path)
{
	const char *mailbox = admin_option(w->a, "--mailbox"), *slash;
	struct stat st;
	char *bare = mem_strdup(path);
	enum admin_status status;

	for (size_t len = strlen(bare); len > 1 && bare[len - 1] == '/'; len--)
		bare[len - 1] = '\0';
	slash = strrchr(bare, '/');
	if (stat(bare, &st) != 0)
		status = admin_refuse("%s: %s", bare, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		status = add_directory(w, bare, mailbox != NULL ? mailbox : "", 1);
	else
		status = add_file(w, bare,
		    mailbox != NULL ? mem_strdup(mailbox)
				    : below("", slash != NULL ? slash + 1 : bare));
	free(bare);
	return status;
}

/* Before we become server.user: files may be readable for root alone. */
static enum admin_status
open_files(struct work *w)
{
	struct rlimit files;
	enum admin_status status = ADMIN_DONE;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	for (size_t i = 1; i < w->a->arg_count && status == ADMIN_DONE; i++)
		status = add_argument(w, w->a->args[i]);
	if (status == ADMIN_DONE && w->count == 0)
		status = admin_refuse("%s: there is no file in it", w->a->args[1]);
	return status;
}

/* --- what is there already ---------------------------------------------------------------------- */

static struct seen *
find_seen(struct work *w, const uint8_t *digest)
{
	size_t at;

	memcpy(&at, digest, sizeof(at));
	for (at &= w->seen_cap - 1; w->seen[at].used; at = (at + 1) & (w->seen_cap - 1))
		if (memcmp(w->seen[at].digest, digest, IMPORT_DIGEST_BYTES) == 0)
			break;
	return &w->seen[at];
}

static void
grow_seen(struct work *w)
{
	struct seen *old = w->seen;
	size_t cap = w->seen_cap;

	w->seen_cap = cap == 0 ? SEEN_LEAST : 2 * cap;
	w->seen = mem_zalloc(w->seen_cap * sizeof(*w->seen));
	for (size_t i = 0; i < cap; i++)
		if (old[i].used)
			*find_seen(w, old[i].digest) = old[i];
	free(old);
}

/* The same message may stand several times in a file: the third is imported already if three were. */
static enum store_err
is_known(struct work *w, const uint8_t *digest, bool *known_out)
{
	struct seen *s;
	enum store_err err = STORE_OK;

	if (2 * w->seen_count >= w->seen_cap)
		grow_seen(w);
	s = find_seen(w, digest);
	if (!s->used) {
		s->used = true;
		memcpy(s->digest, digest, IMPORT_DIGEST_BYTES);
		w->seen_count++;
		if (w->record != NULL && w->box.id != 0)
			err = import_record_count(w->record, w->box.id, digest, &s->before);
	}
	*known_out = ++s->met <= s->before;
	return err;
}

/* --- one file ----------------------------------------------------------------------------------- */

static ssize_t
read_file(void *arg, void *bytes, size_t size, uint64_t at)
{
	const struct file *f = arg;
	ssize_t n;

	do
		n = pread(f->fd, bytes, size, (off_t)at);
	while (n < 0 && errno == EINTR);
	return n;
}

static bool
on_bytes(void *arg, const char *bytes, size_t len)
{
	struct work *w = arg;

	return import_message_write(w->message, bytes, len);
}

static enum store_err
take_message(struct work *w, const struct mbox_message *m)
{
	struct import_item item = { .flags = m->flags,
		.keywords = m->keywords,
		.keyword_count = m->keyword_count,
		.date_s = m->date_s,
		.size = import_message_size(w->message) };
	bool known;
	enum store_err err;

	w->messages++;
	if (m->expunged) {
		w->expunged++;
		return STORE_OK;
	}
	import_message_digest(w->message, item.digest);
	err = is_known(w, item.digest, &known);
	if (err != STORE_OK)
		return err;
	if (known) {
		w->already++;
		return STORE_OK;
	}
	item.uid = ++w->uid;
	w->imported++;
	return w->dry_run ? STORE_OK : import_batch_add(w->batch, &item, w->message);
}

static enum admin_status
read_messages(struct work *w)
{
	const struct mbox_source source = { read_file, (void *)(uintptr_t)w->file };
	struct mbox *mbox = mbox_new(&source);
	struct mbox_message m = { 0 };
	struct progress *progress = progress_begin(w->file->mailbox, w->file->size);
	enum mbox_result got = MBOX_MESSAGE;
	enum store_err err = STORE_OK, committed = STORE_OK;

	while (err == STORE_OK && got == MBOX_MESSAGE) {
		import_message_begin(w->message);
		got = mbox_next(mbox, on_bytes, w, &m);
		if (got == MBOX_MESSAGE)
			err = take_message(w, &m);
		progress_step(progress, mbox_at(mbox));
	}
	progress_end(progress);
	if (w->batch != NULL) /* what was read before an error is good */
		committed = import_batch_commit(w->batch);
	mbox_message_free(&m);
	mbox_free(mbox);
	if (err == STORE_OK)
		err = committed;
	if (err != STORE_OK)
		return admin_refuse("%s: message at byte %llu: %s", w->file->path,
		    (unsigned long long)m.at, store_err_text(err));
	if (got == MBOX_NONE)
		return admin_refuse(
		    "%s is no mbox: it does not begin with a line \"From …\"", w->file->path);
	if (got != MBOX_END)
		return admin_refuse("%s: at byte %llu: %s", w->file->path, (unsigned long long)m.at,
		    strerror(errno));
	return ADMIN_DONE;
}

/* The mailbox, its row in the record, and the batch. */
static enum store_err
prepare(struct work *w)
{
	struct mailbox_status status;
	enum store_err err = STORE_NOT_FOUND;

	w->box = (struct import_box){ .source = "mbox:", .name = w->file->mailbox };
	if (w->record != NULL)
		err = import_record_find_box(w->record, &w->box);
	if (err == STORE_NOT_FOUND) {
		w->box.local = mem_strdup(w->file->mailbox);
		err = STORE_OK;
	}
	if (err != STORE_OK || w->dry_run)
		return err;
	err = account_status(w->mail, w->box.local, &status);
	if (err == STORE_NOT_FOUND) {
		err = account_create_mailbox(w->mail, w->box.local, SPECIAL_NONE);
		if (err == STORE_OK)
			err = account_subscribe(w->mail, w->box.local);
		if (err == STORE_OK)
			err = account_status(w->mail, w->box.local, &status);
	}
	/* Somebody removed the mailbox that it was imported into: then nothing of it is here. */
	if (err == STORE_OK && w->box.id != 0 && w->box.local_uidvalidity != status.uidvalidity)
		err = import_record_drop_rows(w->record, w->box.id);
	if (err == STORE_OK) {
		w->box.local_uidvalidity = status.uidvalidity;
		err = import_record_put_box(w->record, &w->box);
	}
	if (err == STORE_OK)
		err = import_record_last_uid(w->record, w->box.id, &w->uid);
	if (err == STORE_OK)
		err = import_batch_new(w->mail, w->record, &w->box, &w->batch);
	return err;
}

static void
import_file(struct work *w, const struct file *f)
{
	enum store_err err;
	enum admin_status status;

	w->file = f;
	err = prepare(w);
	status = err == STORE_OK ? read_messages(w) : admin_result(err, f->mailbox);
	if (w->batch != NULL && status != ADMIN_DONE)
		w->imported = import_batch_facts(w->batch).imported;
	if (w->batch != NULL && import_batch_facts(w->batch).keywords_dropped > 0)
		fprintf(stderr,
		    "mailadmin: %s: more keywords than a mailbox can have; some were left out\n",
		    f->mailbox);
	json_array_append_new(w->rows,
	    json_pack("{so so ss si si si si}", "file", output_string(f->path), "mailbox",
		output_string(f->mailbox), "status", status == ADMIN_DONE ? "done" : "failed",
		"messages", (int)w->messages, "already", (int)w->already, "imported",
		(int)w->imported, "deleted", (int)w->expunged));
	w->failed |= status != ADMIN_DONE;
	import_batch_free(w->batch);
	w->batch = NULL;
	free(w->box.local);
	free(w->seen);
	w->seen = NULL;
	w->seen_count = w->seen_cap = 0;
	w->uid = w->messages = w->already = w->imported = w->expunged = 0;
}

/* --- the command -------------------------------------------------------------------------------- */

static const struct output_column COLUMNS[] = {
	{ "file", "FILE", OUTPUT_TEXT },
	{ "mailbox", "MAILBOX", OUTPUT_TEXT },
	{ "status", "STATUS", OUTPUT_TEXT },
	{ "messages", "MESSAGES", OUTPUT_TEXT },
	{ "already", "ALREADY", OUTPUT_TEXT },
	{ "imported", "IMPORTED", OUTPUT_TEXT },
	{ "deleted", "DELETED", OUTPUT_TEXT },
};

static enum admin_status
import_files(struct work *w)
{
	enum store_err err = import_record_open(w->mail, w->a->log, !w->dry_run, &w->record);

	if (err == STORE_BUSY)
		return admin_refuse("another import into %s is running", w->a->args[0]);
	if (err != STORE_OK)
		return admin_refuse(
		    "%s/%s: %s", account_path(w->mail), IMPORT_RECORD_FILE, store_err_text(err));
	w->message = import_message_new(account_dir_fd(w->mail));
	w->rows = json_array();
	for (size_t i = 0; i < w->count; i++)
		import_file(w, &w->files[i]);
	if (!w->dry_run)
		account_quota_recount(w->mail);
	import_message_free(w->message);
	import_record_close(w->record);
	return output_list(w->rows, COLUMNS, ARRAY_LEN(COLUMNS), w->a->json) && !w->failed
		   ? ADMIN_DONE
		   : ADMIN_REFUSED;
}

static enum admin_status
import_run(struct admin *a)
{
	struct work w = { .a = a, .dry_run = admin_option(a, "--dry-run") != NULL };
	struct account_row row = { 0 };
	enum admin_status status = open_files(&w);

	if (status == ADMIN_DONE && (!admin_start(a) || !admin_find_account(a, a->args[0], &row) ||
					!admin_open_mail(a, &row, &w.mail)))
		status = ADMIN_REFUSED;
	if (status == ADMIN_DONE)
		status = import_files(&w);
	account_close(w.mail);
	account_row_free(&row);
	for (size_t i = 0; i < w.count; i++) {
		close(w.files[i].fd);
		free(w.files[i].path);
		free(w.files[i].mailbox);
	}
	free(w.files);
	return status;
}

const struct admin_command admin_cmd_import_mbox = {
	.group = "import",
	.name = "mbox",
	.args = "ADDRESS MBOX...",
	.args_least = 2,
	.args_most = ADMIN_ARGS_MAX,
	.options = {
	    { "--mailbox", "MAILBOX", "where the mail goes; of a directory: below it" },
	    { "--dry-run", NULL, "read, and say what would be done" },
	    { "--json", NULL, "as JSON" },
	},
	.summary = "Brings mail from mbox files; a directory's files become mailboxes.",
	.help = "Without --mailbox a file's name is the mailbox's.  Flags and keywords come along "
		"(Status, X-Status,\nX-Keywords, Thunderbird's fields); the From_ line says the date. "
		" Given again, it brings only what\nis new: messages are known by a digest of all their "
		"bytes.  The files are only read.",
	.example = "mailadmin import mbox ann@example.org /home/ann/Mail/lists.mbox --mailbox Lists",
	.before_config = true,
	.run = import_run,
};
