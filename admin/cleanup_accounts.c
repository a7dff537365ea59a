/* Each account: Trash and Junk by age, leftovers, and what was kept for its time.
 *
 * The age of a message in Trash is since it came there, by the first number in its file's name: a delivery, an APPEND, a COPY
 * and a MOVE all make a new name with the second of that day, and no flag and no backup changes it.  The file's mtime is no
 * use, as it is INTERNALDATE and moves along; ctime is only for names that say nothing: it may be younger than the truth, so
 * it errs on the side of keeping. */
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/cleanup.h"
#include "admin/progress.h"
#include "base/mem.h"
#include "service/account_quota.h"
#include "store/account_clean.h"
#include "store/kept.h"
#include "store/mailbox.h"

struct ageing {
	struct mailbox *box;
	int64_t before;
	struct uidset old;
};

static int64_t
ctime_of(struct mailbox *box, uint32_t uid)
{
	struct stat st;
	int64_t when = INT64_MAX; /* what cannot be looked at stays */
	int fd;

	if (mailbox_message_open(box, uid, &fd) != STORE_OK)
		return when;
	if (fstat(fd, &st) == 0)
		when = st.st_ctim.tv_sec;
	close(fd);
	return when;
}

static bool
on_message(void *arg, const struct message *m)
{
	struct ageing *g = arg;
	int64_t since = m->saved_s != 0 ? m->saved_s : ctime_of(g->box, m->uid);

	if (since < g->before)
		uidset_add(&g->old, m->uid);
	return true;
}

/* Read-only as long as there is nothing to do: that takes \Recent from nobody. */
static enum store_err
empty_mailbox(
    struct cleanup *c, struct account *mail, const char *name, uint64_t days, size_t *count)
{
	struct ageing g = { .before = (int64_t)time(NULL) - (int64_t)(days * STORE_DAY_S) };
	struct uidset gone = { 0 };
	enum store_err err = mailbox_open(mail, name, true, &g.box);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	err = mailbox_messages(g.box, mailbox_view(g.box), on_message, &g);
	mailbox_close(g.box);
	if (err == STORE_OK && c->dry) {
		*count += uidset_count(&g.old);
	} else if (err == STORE_OK && !uidset_is_empty(&g.old)) {
		err = mailbox_open(mail, name, false, &g.box);
		if (err == STORE_OK) {
			err = mailbox_expunge_with(g.box, &g.old, MAILBOX_EXPUNGE_UNMARKED, &gone);
			mailbox_close(g.box);
		}
		*count += uidset_count(&gone);
	}
	uidset_free(&g.old);
	uidset_free(&gone);
	return err;
}

static enum store_err
empty_special(struct cleanup *c, struct account *mail, enum special_use use, const char *setting,
    size_t *count)
{
	uint64_t days = config_integer(c->a->config, setting);
	struct buf name = { 0 };
	enum store_err err;

	if (days == 0)
		return STORE_OK;
	err = account_find_special(mail, use, &name);
	if (err == STORE_OK && name.len > 0)
		err = empty_mailbox(c, mail, buf_cstr(&name), days, count);
	buf_free(&name);
	return err;
}

static enum store_err
clean(struct cleanup *c, struct account *mail)
{
	struct account_cleaned cleaned = { 0 };
	struct kept_pruned pruned = { 0 };
	enum store_err errs[4];

	errs[0] = empty_special(c, mail, SPECIAL_TRASH, "cleanup.trash_days", &c->trash);
	errs[1] = empty_special(c, mail, SPECIAL_JUNK, "cleanup.junk_days", &c->junk);
	errs[2] = account_clean(mail, c->dry, &cleaned);
	errs[3] =
	    kept_prune(mail, config_integer(c->a->config, "store.undelete_days") * STORE_DAY_S,
		config_size(c->a->config, "store.undelete_size"), c->dry, &pruned);
	c->tmp_files += cleaned.tmp_files;
	c->indexes += cleaned.indexes;
	c->kept += pruned.messages;
	c->kept_bytes += pruned.bytes;
	for (size_t i = 0; i < ARRAY_LEN(errs); i++) /* one does not stop the next */
		if (errs[i] != STORE_OK)
			return errs[i];
	return STORE_OK;
}

static void
clean_account(struct cleanup *c, const struct account_row *row)
{
	struct quota_limits limits;
	struct account *mail;
	enum store_err err = account_open(c->a->store, row->localpart, row->domain, 0, &mail);

	if (err == STORE_NOT_FOUND)
		return; /* no mail yet */
	if (err == STORE_OK) {
		limits = account_quota_limits(c->a->accounts, row, c->a->config);
		account_set_quota_limits(mail, &limits);
		err = clean(c, mail);
		account_close(mail);
	}
	c->accounts++;
	if (err != STORE_OK)
		cleanup_problem(c, "%s@%s: %s", row->localpart, row->domain, store_err_text(err));
	store_idle(c->a->store);
}

void
cleanup_accounts(struct cleanup *c)
{
	struct account_row *rows;
	struct progress *p;
	size_t count;
	enum store_err err = account_db_list(c->a->accounts, NULL, &rows, &count);

	if (err != STORE_OK) {
		cleanup_problem(c, "account list: %s", store_err_text(err));
		return;
	}
	p = progress_begin("Cleaning up", count);
	for (size_t i = 0; i < count; i++) {
		progress_step(p, i);
		clean_account(c, &rows[i]);
	}
	progress_end(p);
	account_rows_free(rows, count);
}
