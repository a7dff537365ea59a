/* export mbox: mailboxes as mbox files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/mbox.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "base/mem.h"
#include "store/dir.h"
#include "store/mailbox.h"

#define WRITE_BYTES (256 * 1024)
#define HEAD_BYTES  (16 * 1024) /* where a Return-Path is looked for */

/* One mailbox on its way out. */
struct export
{
	struct admin *a;
	struct account *mail;
	struct mailbox *box;
	const char *name;
	int fd;
	struct buf out; /* not yet in the file */
	struct mbox_writer writer;
	struct progress *progress;
	struct mailbox_facts facts;
	uint32_t written, gone;
	bool failed; /* errno says why, or `err` */
	enum store_err err;
};

/* --- the file ----------------------------------------------------------------------------------- */

static bool
flush(struct export *e)
{
	size_t done = 0;

	while (done < e->out.len) {
		ssize_t n = write(e->fd, e->out.data + done, e->out.len - done);

		if (n < 0 && errno != EINTR) {
			e->failed = true;
			return false;
		}
		if (n > 0)
			done += (size_t)n;
	}
	buf_reset(&e->out);
	return true;
}

static bool
on_write(void *arg, const char *bytes, size_t len)
{
	struct export *e = arg;

	buf_add(&e->out, bytes, len);
	return e->out.len < WRITE_BYTES || flush(e);
}

/* --- one message -------------------------------------------------------------------------------- */

/* The address of the Return-Path field on top; the caller's, NULL if there is none. */
static char *
find_sender(struct str head)
{
	struct cursor c = cursor_from(head);
	struct str line;

	while (cursor_take_line(&c, &line) && str_trim(line).len > 0) {
		struct cursor field = cursor_from(line);
		struct str value;

		if (!cursor_take_nocase(&field, STR("Return-Path:")))
			continue;
		value = str_trim((struct str){ field.p, cursor_left(&field) });
		if (value.len > 2 && value.p[0] == '<' && value.p[value.len - 1] == '>')
			return mem_strndup(value.p + 1, value.len - 2);
		return NULL;
	}
	return NULL;
}

static bool
copy_file(struct export *e, int fd, const struct mbox_meta *meta)
{
	char *bytes = mem_alloc(WRITE_BYTES);
	struct mbox_meta whole = *meta;
	char *sender = NULL;
	bool ok = true;
	ssize_t n;

	for (uint64_t at = 0; ok; at += (uint64_t)n) {
		do
			n = pread(fd, bytes, WRITE_BYTES, (off_t)at);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			e->failed = true;
		if (at == 0 && n >= 0) {
			sender = find_sender(
			    (struct str){ bytes, (size_t)n < HEAD_BYTES ? (size_t)n : HEAD_BYTES });
			whole.sender = sender;
			ok = mbox_write_begin(&e->writer, &whole);
		}
		if (n <= 0)
			break;
		ok = ok && mbox_write(&e->writer, bytes, (size_t)n);
	}
	free(sender);
	free(bytes);
	return !e->failed && ok && mbox_write_end(&e->writer);
}

static bool
on_message(void *arg, const struct message *m)
{
	struct export *e = arg;
	const char *keywords[MAILBOX_KEYWORDS_MAX];
	struct mbox_meta meta = { .date_s = m->internaldate_s,
		.flags = m->flags & MESSAGE_FLAGS_ALL,
		.keywords = keywords,
		.uid = m->uid };
	int fd;

	for (unsigned i = 0; i < mailbox_keyword_count(e->box); i++) {
		const char *name = mailbox_keyword_name(e->box, i);

		if (keyword_set_has(&m->keywords, i) && name != NULL && *name != '\0')
			keywords[meta.keyword_count++] = name;
	}
	if (e->written == 0) {
		meta.uidvalidity = e->facts.uidvalidity;
		meta.uidnext = e->facts.uidnext;
	}
	e->err = mailbox_message_open(e->box, m->uid, &fd);
	if (e->err == STORE_NOT_FOUND) { /* expunged meanwhile */
		e->err = STORE_OK;
		e->gone++;
		return true;
	}
	if (e->err != STORE_OK)
		return false;
	e->written++;
	progress_step(e->progress, e->written);
	if (!copy_file(e, fd, &meta))
		e->failed = true;
	close(fd);
	return !e->failed;
}

/* --- one mailbox -------------------------------------------------------------------------------- */

static enum admin_status
write_messages(struct export *e)
{
	enum store_err err = mailbox_open(e->mail, e->name, true, &e->box);

	if (err != STORE_OK)
		return admin_result(err, e->name);
	mailbox_facts(e->box, &e->facts);
	e->progress = progress_begin(e->name, e->facts.messages);
	err = mailbox_messages(e->box, mailbox_view(e->box), on_message, e);
	progress_end(e->progress);
	mailbox_close(e->box);
	if (err == STORE_OK)
		err = e->err;
	return admin_result(err, e->name);
}

/* Into `path`, which is not there yet, on disk when it returns. */
static enum admin_status
write_file(struct export *e, const char *path)
{
	enum admin_status status;

	e->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (e->fd < 0)
		return admin_refuse("%s: %s", path, strerror(errno));
	e->writer = (struct mbox_writer){ .write = on_write, .arg = e };
	status = write_messages(e);
	if (status == ADMIN_DONE && (e->failed || !flush(e) || fsync(e->fd) != 0))
		status = admin_refuse("%s: %s", path, strerror(errno));
	if (close(e->fd) != 0 && status == ADMIN_DONE)
		status = admin_refuse("%s: %s", path, strerror(errno));
	if (status != ADMIN_DONE)
		unlink(path);
	mbox_writer_free(&e->writer);
	buf_free(&e->out);
	return status;
}

static void
add_row(json_t *rows, const struct export *e, const char *path)
{
	json_array_append_new(rows, json_pack("{so so si}", "mailbox", output_string(e->name),
					"file", output_string(path), "messages", (int)e->written));
}

static bool
sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent = slash == NULL   ? mem_strdup(".")
		       : slash == path ? mem_strdup("/")
				       : mem_strndup(path, (size_t)(slash - path));
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	free(parent);
	return ok;
}

/* In place under its name, which nothing has. */
static enum admin_status
put_in_place(const char *made, const char *path)
{
	enum store_err err = dir_rename_new(AT_FDCWD, made, AT_FDCWD, path);

	if (err == STORE_EXISTS)
		return admin_refuse("%s exists already", path);
	if (err != STORE_OK || !sync_parent(path))
		return admin_refuse("%s: %s", path, strerror(errno));
	return ADMIN_DONE;
}

static enum admin_status
refuse_existing(const char *path, const char *made)
{
	if (access(path, F_OK) == 0)
		return admin_refuse("%s exists already", path);
	if (access(made, F_OK) == 0)
		return admin_refuse("%s is left of an export that did not end: remove it", made);
	return ADMIN_DONE;
}

static enum admin_status
export_one(struct admin *a, struct account *mail, const char *name, const char *path, json_t *rows)
{
	struct export e = { .a = a, .mail = mail, .name = name };
	char *made = mem_printf("%s.new", path);
	enum admin_status status = refuse_existing(path, made);

	if (status == ADMIN_DONE)
		status = write_file(&e, made);
	if (status == ADMIN_DONE) {
		status = put_in_place(made, path);
		if (status != ADMIN_DONE)
			unlink(made);
	}
	if (status == ADMIN_DONE)
		add_row(rows, &e, path);
	free(made);
	return status;
}

/* --- all of an account -------------------------------------------------------------------------- */

/* "DIR/Lists/C.mbox"; a level that begins with a dot begins with '_': hidden files are overlooked. */
static char *
path_of(const char *dir, const char *name, bool make_dirs)
{
	struct buf path = { 0 };

	buf_adds(&path, dir);
	for (const char *level = name; *level != '\0';) {
		size_t len = strcspn(level, "/");

		buf_printf(&path, "/%s%.*s", *level == '.' ? "_" : "", (int)len, level);
		level += len;
		if (*level == '/') {
			level++;
			if (make_dirs)
				mkdir(
				    buf_cstr(&path), DIR_MODE); /* if it fails, so does the file */
		}
	}
	buf_adds(&path, ".mbox");
	return buf_take(&path);
}

/* Every directory in it, so that the names of files are durable too. */
static bool
sync_tree(const char *dir, const struct mailbox_list *list)
{
	bool ok = true;

	for (size_t i = 0; i < list->count && ok; i++) {
		char *path = path_of(dir, list->boxes[i].name, false);

		for (char *slash; ok && strlen(path) > strlen(dir);) {
			if ((list->boxes[i].attributes & MAILBOX_NONEXISTENT) == 0)
				ok = sync_parent(path);
			slash = strrchr(path, '/');
			*slash = '\0';
		}
		free(path);
	}
	return ok;
}

static enum admin_status
write_all(struct admin *a, struct account *mail, const char *made, const char *dir,
    const struct mailbox_list *list, json_t *rows)
{
	enum admin_status status = ADMIN_DONE;

	for (size_t i = 0; i < list->count && status == ADMIN_DONE; i++) {
		struct export e = { .a = a, .mail = mail, .name = list->boxes[i].name };
		char *path, *shown;

		if ((list->boxes[i].attributes & MAILBOX_NONEXISTENT) != 0)
			continue;
		path = path_of(made, e.name, true);
		shown = path_of(dir, e.name, false);
		status = write_file(&e, path);
		if (status == ADMIN_DONE)
			add_row(rows, &e, shown);
		free(path);
		free(shown);
	}
	if (status == ADMIN_DONE && !sync_tree(made, list))
		status = admin_refuse("%s: %s", made, strerror(errno));
	return status;
}

static enum admin_status
export_all(struct admin *a, struct account *mail, const char *dir, json_t *rows)
{
	char *made = mem_printf("%s.new", dir);
	struct mailbox_list list = { 0 };
	enum admin_status status = refuse_existing(dir, made);
	enum store_err err;

	if (status == ADMIN_DONE && mkdir(made, DIR_MODE) != 0)
		status = admin_refuse("%s: %s", made, strerror(errno));
	if (status == ADMIN_DONE) {
		err = account_list(mail, &list);
		status = err == STORE_OK ? write_all(a, mail, made, dir, &list, rows)
					 : admin_result(err, a->args[0]);
		if (status == ADMIN_DONE)
			status = put_in_place(made, dir);
		if (status != ADMIN_DONE)
			dir_remove_tree(AT_FDCWD, made);
	}
	mailbox_list_free(&list);
	free(made);
	return status;
}

/* --- the command -------------------------------------------------------------------------------- */

static const struct output_column COLUMNS[] = {
	{ "mailbox", "MAILBOX", OUTPUT_TEXT },
	{ "messages", "MESSAGES", OUTPUT_TEXT },
	{ "file", "FILE", OUTPUT_TEXT },
};

static enum admin_status
export_run(struct admin *a)
{
	const char *name = admin_option(a, "--mailbox");
	struct account_row row = { 0 };
	struct account *mail = NULL;
	json_t *rows = json_array();
	char *path = mem_strdup(a->args[1]);
	enum admin_status status = ADMIN_REFUSED;

	for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
	if (admin_find_account(a, a->args[0], &row) && admin_open_mail(a, &row, &mail))
		status = name != NULL ? export_one(a, mail, name, path, rows)
				      : export_all(a, mail, path, rows);
	if (status == ADMIN_DONE)
		status = output_list(rows, COLUMNS, ARRAY_LEN(COLUMNS), a->json) ? ADMIN_DONE
										 : ADMIN_REFUSED;
	else
		json_decref(rows);
	account_close(mail);
	account_row_free(&row);
	free(path);
	return status;
}

const struct admin_command admin_cmd_export_mbox = {
	.group = "export",
	.name = "mbox",
	.args = "ADDRESS MBOX",
	.args_least = 2,
	.args_most = 2,
	.options = {
	    { "--mailbox", "MAILBOX", "this one, into a file; else all, into a directory" },
	    { "--json", NULL, "as JSON" },
	},
	.summary = "Writes mailboxes as mbox files that any mail program reads.",
	.help = "In mboxrd, with flags, keywords and UIDs in Status, X-Status, X-Keywords and X-UID. "
		" It is made as\nMBOX.new, by the server's user, and gets its name when all is on disk; "
		"what exists is not touched.",
	.example = "mailadmin export mbox ann@example.org /srv/export/ann",
	.run = export_run,
};
