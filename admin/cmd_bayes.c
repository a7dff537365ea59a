/* bayes: the training folders of all accounts into one archive for the relay's sa-learn; and making them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/bayes.h"
#include "admin/commands.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "admin/tar.h"
#include "base/mem.h"
#include "store/dir.h"
#include "store/mailbox.h"

#define ARCHIVE_MAX_BYTES ((uint64_t)4 * 1024 * 1024 * 1024) /* the rest goes into the next one */
#define PLAN_MAX_BYTES    ((size_t)64 * 1024 * 1024)

struct bayes {
	struct admin *a;
	const char *dir;
	int dir_fd;
	bool dry;
	char name[40]; /* of the archive, without .tar */
	struct tar tar;
	bool tar_failed;
	struct bayes_plan plan;
	/* for people */
	size_t accounts, archived[2], left;
	uint64_t bytes;
	char *finished; /* what an earlier run left */
};

/* --- one account into the archive --------------------------------------------------------------- */

struct folder_run {
	struct bayes *b;
	struct mailbox *box;
	const char *address;
	enum training_kind kind;
	struct uidset uids;
	size_t room;
};

/* The files' names are ours: unique, and short enough for every tar. */
static bool
add_member(struct bayes *b, enum training_kind kind, const char *address, int fd)
{
	char name[TAR_NAME_MAX + 1];
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	if (b->bytes + (uint64_t)st.st_size > ARCHIVE_MAX_BYTES) {
		b->left++;
		return false;
	}
	snprintf(name, sizeof(name), "%s/cur/%07zu.%.70s", training_kind_name(kind),
	    b->archived[kind] + 1, address);
	if (!b->dry && !tar_file(&b->tar, name, st.st_mtime, fd, (uint64_t)st.st_size)) {
		b->tar_failed = true;
		return false;
	}
	b->archived[kind]++;
	b->bytes += (uint64_t)st.st_size;
	return true;
}

/* What its owner has marked as deleted is nobody's lesson. */
static bool
on_message(void *arg, const struct message *m)
{
	struct folder_run *f = arg;
	int fd;

	if ((m->flags & MESSAGE_DELETED) != 0)
		return true;
	if (f->room == 0) {
		f->b->left++;
		return true;
	}
	if (mailbox_message_open(f->box, m->uid, &fd) != STORE_OK)
		return true;
	if (add_member(f->b, f->kind, f->address, fd)) {
		uidset_add(&f->uids, m->uid);
		f->room--;
	}
	close(fd);
	return !f->b->tar_failed;
}

static enum store_err
archive_folder(
    struct bayes *b, struct account *mail, const char *address, enum training_kind kind, size_t max)
{
	const char *folder = config_string(
	    b->a->config, kind == TRAINING_SPAM ? "training.spam_folder" : "training.ham_folder");
	struct folder_run f = { .b = b, .address = address, .kind = kind, .room = max };
	struct mailbox_facts facts;
	struct bayes_item *item;
	enum store_err err = mailbox_open(mail, folder, true, &f.box);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	mailbox_facts(f.box, &facts);
	err = mailbox_messages(f.box, mailbox_view(f.box), on_message, &f);
	if (!uidset_is_empty(&f.uids)) {
		item = bayes_plan_add(&b->plan, address, kind);
		item->mailbox = mem_strdup(folder);
		item->uidvalidity = facts.uidvalidity;
		uidset_swap(&item->uids, &f.uids);
	}
	uidset_free(&f.uids);
	mailbox_close(f.box);
	return err;
}

static enum store_err
archive_collected(
    struct bayes *b, struct account *mail, const char *address, enum training_kind kind)
{
	size_t count, max = (size_t)config_integer(b->a->config, "training.messages_max");
	char **names;
	enum store_err err = training_list(mail, kind, &names, &count);

	for (size_t i = 0; i < count; i++) {
		int fd;

		if (i < max && !b->tar_failed &&
		    training_open(mail, kind, names[i], &fd) == STORE_OK) {
			if (add_member(b, kind, address, fd))
				bayes_plan_add(&b->plan, address, kind)->name =
				    mem_strdup(names[i]);
			close(fd);
		}
		free(names[i]);
	}
	free(names);
	return err;
}

static bool
archive_account(struct bayes *b, const struct account_row *row)
{
	size_t max = (size_t)config_integer(b->a->config, "training.messages_max");
	char *address = account_row_address(row);
	struct account *mail = NULL;
	size_t before = b->plan.count;
	enum store_err err = account_open(b->a->store, row->localpart, row->domain, 0, &mail);

	for (int kind = TRAINING_SPAM; err == STORE_OK && kind <= TRAINING_HAM; kind++) {
		err = archive_folder(b, mail, address, (enum training_kind)kind, max);
		if (err == STORE_OK)
			err = archive_collected(b, mail, address, (enum training_kind)kind);
	}
	account_close(mail);
	b->accounts += b->plan.count > before;
	if (err != STORE_OK && err != STORE_NOT_FOUND) /* the others go on */
		admin_result(err, address);
	free(address);
	return (err == STORE_OK || err == STORE_NOT_FOUND) && !b->tar_failed;
}

/* --- the archive -------------------------------------------------------------------------------- */

static char *
file_of(const struct bayes *b, const char *end)
{
	return mem_printf("%s%s", b->name, end);
}

static bool
rename_durably(const struct bayes *b, const char *from, const char *to)
{
	char *old = file_of(b, from), *new = file_of(b, to);
	bool ok = renameat(b->dir_fd, old, b->dir_fd, new) == 0 && fsync(b->dir_fd) == 0;

	free(old);
	free(new);
	return ok;
}

static void
remove_file(const struct bayes *b, const char *end)
{
	char *name = file_of(b, end);

	unlinkat(b->dir_fd, name, 0);
	free(name);
}

static bool
begin_archive(struct bayes *b)
{
	time_t now = time(NULL);
	char *name;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(b->name, sizeof(b->name) - 8, "%Y%m%d-%H%M%S", &tm);
	for (unsigned n = 2; n < 1000; n++) { /* two runs in one second */
		name = file_of(b, ".tar");
		bool taken = dir_exists(b->dir_fd, name);

		free(name);
		if (!taken)
			break;
		snprintf(b->name + 15, sizeof(b->name) - 15, "-%u", n);
	}
	name = file_of(b, ".tar.new");
	b->tar.fd =
	    openat(b->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	free(name);
	return b->tar.fd >= 0 && tar_directory(&b->tar, "spam/", now) &&
	       tar_directory(&b->tar, "spam/cur/", now) &&
	       tar_directory(&b->tar, "spam/new/", now) && tar_directory(&b->tar, "ham/", now) &&
	       tar_directory(&b->tar, "ham/cur/", now) && tar_directory(&b->tar, "ham/new/", now);
}

/* Steps 1 and 2 of bayes.h. */
static bool
seal_archive(struct bayes *b)
{
	struct buf text = { 0 };
	char *plan = file_of(b, ".plan");
	bool ok = tar_end(&b->tar) && fsync(b->tar.fd) == 0 && fsync(b->dir_fd) == 0;

	bayes_plan_format(&b->plan, &text);
	if (ok && dir_replace_file(b->dir_fd, plan, (struct str){ text.data, text.len }, true) !=
		      STORE_OK)
		ok = false;
	buf_free(&text);
	free(plan);
	return ok;
}

/* Steps 3 and 4, as far as they are not done. */
static bool
finish(struct bayes *b, const struct bayes_plan *plan)
{
	if (!rename_durably(b, ".tar.new", ".tar") && errno != ENOENT) {
		admin_refuse("%s/%s.tar: %s", b->dir, b->name, strerror(errno));
		return false;
	}
	if (!bayes_plan_carry_out(b->a, plan))
		return false;
	remove_file(b, ".plan");
	return fsync(b->dir_fd) == 0;
}

/* --- what an earlier run left ------------------------------------------------------------------- */

struct leftovers {
	char **plans, **stale; /* names without their ends; and whole names */
	size_t plan_count, stale_count;
};

static void
add_name(char ***names, size_t *count, const char *name, size_t len)
{
	*names = mem_realloc_array(*names, *count + 1, sizeof(char *));
	(*names)[(*count)++] = mem_strndup(name, len);
}

static bool
ends_in(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len > end_len && len - end_len < 32 && strcmp(name + len - end_len, end) == 0 &&
	       strspn(name, "0123456789-") == len - end_len;
}

static bool
on_entry(void *arg, const char *name, unsigned char type)
{
	struct leftovers *l = arg;

	(void)type;
	if (ends_in(name, ".plan"))
		add_name(&l->plans, &l->plan_count, name, strlen(name) - 5);
	if (ends_in(name, ".tar.new") ||
	    strncmp(name + strspn(name, "0123456789-"), ".plan.new.", 10) == 0)
		add_name(&l->stale, &l->stale_count, name, strlen(name));
	return true;
}

static bool
finish_one(struct bayes *b, const char *name)
{
	struct bayes_plan plan = { 0 };
	struct buf text = { 0 };
	char *file;
	enum store_err err;
	bool ok;

	snprintf(b->name, sizeof(b->name), "%s", name);
	file = file_of(b, ".plan");
	err = dir_read_file(b->dir_fd, file, PLAN_MAX_BYTES, &text);
	ok = err == STORE_OK && bayes_plan_parse((struct str){ text.data, text.len }, &plan);
	if (!ok)
		admin_refuse("%s/%s: cannot be read; nothing was changed", b->dir, file);
	if (ok && !b->dry)
		ok = finish(b, &plan);
	if (ok) {
		free(b->finished);
		b->finished = mem_printf("%s/%s.tar", b->dir, name);
	}
	bayes_plan_free(&plan);
	buf_free(&text);
	free(file);
	return ok;
}

static bool
finish_leftovers(struct bayes *b)
{
	struct leftovers l = { 0 };
	bool ok = dir_list(b->dir_fd, on_entry, &l) == STORE_OK;

	for (size_t i = 0; i < l.plan_count; i++) {
		ok = ok && finish_one(b, l.plans[i]);
		free(l.plans[i]);
	}
	for (size_t i = 0; i < l.stale_count; i++) { /* those with a plan have their name by now */
		if (ok && !b->dry)
			unlinkat(b->dir_fd, l.stale[i], 0);
		free(l.stale[i]);
	}
	free(l.plans);
	free(l.stale);
	return ok;
}

/* --- a run -------------------------------------------------------------------------------------- */

static bool
archive_all(struct bayes *b)
{
	struct account_row *rows;
	size_t count;
	struct progress *progress;
	bool ok = true;
	enum store_err err = account_db_list(b->a->accounts, NULL, &rows, &count);

	if (err != STORE_OK) {
		admin_result(err, "account list");
		return false;
	}
	progress = progress_begin("Looking for training mail, accounts", count);
	for (size_t i = 0; i < count && !b->tar_failed; i++) {
		ok = archive_account(b, &rows[i]) && ok;
		store_idle(b->a->store);
		progress_step(progress, i + 1);
	}
	progress_end(progress);
	account_rows_free(rows, count);
	return ok;
}

static bool
run_archive(struct bayes *b)
{
	bool ok, some;

	if (!finish_leftovers(b))
		return false;
	if (!b->dry && !begin_archive(b)) {
		admin_refuse("%s/%s.tar.new: %s", b->dir, b->name, strerror(errno));
		return false;
	}
	ok = archive_all(b);
	some = b->archived[0] + b->archived[1] > 0;
	if (b->dry)
		return ok;
	if (b->tar_failed || (some && !seal_archive(b))) {
		admin_refuse(
		    "%s/%s.tar.new: %s; nothing was changed", b->dir, b->name, strerror(errno));
		remove_file(b, ".tar.new");
		return false;
	}
	if (!some) {
		remove_file(b, ".tar.new");
		return ok;
	}
	return finish(b, &b->plan) && ok;
}

static const struct output_column COLUMNS[] = {
	{ "archive", "Archive", OUTPUT_TEXT },
	{ "accounts", "Accounts", OUTPUT_TEXT },
	{ "spam", "Spam", OUTPUT_TEXT },
	{ "ham", "Ham", OUTPUT_TEXT },
	{ "bytes", "Size", OUTPUT_BYTES },
	{ "left", "Left for the next run", OUTPUT_TEXT },
	{ "finished", "Finished first", OUTPUT_TEXT },
};

static bool
summarise(struct bayes *b)
{
	bool some = b->archived[0] + b->archived[1] > 0;
	char *archive = some && !b->dry ? mem_printf("%s/%s.tar", b->dir, b->name) : NULL;
	json_t *object = json_pack("{so sI sI sI sI sI so sb}", "archive", output_string(archive),
	    "accounts", (json_int_t)b->accounts, "spam", (json_int_t)b->archived[TRAINING_SPAM],
	    "ham", (json_int_t)b->archived[TRAINING_HAM], "bytes", (json_int_t)b->bytes, "left",
	    (json_int_t)b->left, "finished", output_string(b->finished), "dry_run", b->dry);

	free(archive);
	return output_object(object, COLUMNS, ARRAY_LEN(COLUMNS), b->a->json);
}

static enum admin_status
archive_run(struct admin *a)
{
	struct bayes b = { .a = a,
		.dir = a->args[0],
		.tar = { .fd = -1 },
		.dry = admin_option(a, "--dry-run") != NULL };
	bool ok = false;

	if (!admin_open_accounts(a) || !admin_open_store(a))
		return ADMIN_REFUSED;
	b.dir_fd = open(b.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b.dir_fd < 0)
		return admin_refuse("%s: %s", b.dir, strerror(errno));
	if (flock(b.dir_fd, LOCK_EX | LOCK_NB) != 0) {
		admin_refuse("%s: another run is at work there", b.dir);
	} else {
		ok = run_archive(&b);
		ok = summarise(&b) && ok; /* also of what was done before a failure */
	}
	if (b.tar.fd >= 0)
		close(b.tar.fd);
	close(b.dir_fd);
	bayes_plan_free(&b.plan);
	free(b.finished);
	return ok ? ADMIN_DONE : ADMIN_REFUSED;
}

/* --- making the folders ------------------------------------------------------------------------- */

static bool
create_for(struct admin *a, const struct account_row *row)
{
	static const char *const SETTINGS_OF[] = { "training.spam_folder", "training.ham_folder" };
	char *address = account_row_address(row);
	struct account *mail = NULL;
	bool ok = admin_open_mail(a, row, &mail);

	for (size_t i = 0; ok && i < ARRAY_LEN(SETTINGS_OF); i++) {
		const char *folder = config_string(a->config, SETTINGS_OF[i]);
		enum store_err err = account_create_mailbox(mail, folder, SPECIAL_NONE);

		if (err == STORE_OK || err == STORE_EXISTS)
			err = account_subscribe(mail, folder);
		ok = admin_result(err, address) == ADMIN_DONE;
	}
	account_close(mail);
	free(address);
	return ok;
}

static enum admin_status
create_all(struct admin *a)
{
	struct account_row *rows;
	size_t count;
	bool ok = true;
	struct progress *progress;
	enum store_err err = account_db_list(a->accounts, NULL, &rows, &count);

	if (err != STORE_OK)
		return admin_result(err, "account list");
	progress = progress_begin("Making training folders", count);
	for (size_t i = 0; i < count; i++) {
		ok = create_for(a, &rows[i]) && ok;
		store_idle(a->store);
		progress_step(progress, i + 1);
	}
	progress_end(progress);
	account_rows_free(rows, count);
	return ok ? ADMIN_DONE : ADMIN_REFUSED;
}

static enum admin_status
create_run(struct admin *a, const char *address)
{
	struct account_row row = { 0 };
	enum admin_status status;

	if (!admin_open_accounts(a) || !admin_open_store(a))
		return ADMIN_REFUSED;
	if (address == NULL)
		return create_all(a);
	if (!admin_find_account(a, address, &row))
		return ADMIN_REFUSED;
	status = create_for(a, &row) ? ADMIN_DONE : ADMIN_REFUSED;
	account_row_free(&row);
	return status;
}

static enum admin_status
run(struct admin *a)
{
	const char *one = admin_option(a, "--create");
	bool all = admin_option(a, "--create-all") != NULL;

	if ((one != NULL) + all + (a->arg_count == 1) != 1)
		return admin_bad_usage(a, "a directory, --create or --create-all is needed");
	return a->arg_count == 1 ? archive_run(a) : create_run(a, one);
}

const struct admin_command admin_cmd_bayes = {
	.group = "bayes",
	.args = "[DIR]",
	.args_most = 1,
	.options = { { "--create", "ADDRESS", "make and subscribe one account's training folders" },
	    { "--create-all", NULL, "the same for every account" },
	    { "--dry-run", NULL, "only say what would be archived" },
	    { "--json", NULL, "the summary as JSON" } },
	.summary = "Archives what users collected for the spam filter, then empties their folders.",
	.help =
	    "Writes DIR/YYYYMMDD-HHMMSS.tar with spam/cur/ and ham/cur/, for sa-learn.  Spam is "
	    "then\n"
	    "removed, ham goes back to INBOX as it was.  A run that was stopped is finished by the "
	    "next.\n"
	    "The folders are training.spam_folder and training.ham_folder; what imapd collected\n"
	    "(imapd.junk_training) goes along.",
	.example = "mailadmin bayes /var/lib/sanger/training",
	.removes = true,
	.run = run,
};
