/* One account: its tree, or its mailboxes, or some of its messages; then its row in the account database. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/output.h"
#include "admin/restore.h"
#include "base/mem.h"
#include "store/account_acl.h"
#include "store/account_restore.h"
#include "store/folder.h"
#include "store/mailbox.h"

void
restore_report(struct restore *r, const struct saved_account *s, const char *mailbox,
    size_t restored, size_t there, size_t damaged, const char *how)
{
	json_array_append_new(r->rows,
	    json_pack("{so so sI sI sI so}", "account", output_string(s->address), "mailbox",
		output_string(mailbox), "restored", (json_int_t)restored, "there",
		(json_int_t)there, "damaged", (json_int_t)damaged, "how", output_string(how)));
}

static bool
is_whole(const struct restore *r)
{
	return r->choice.mailbox == NULL && !r->choice.some && r->into == NULL;
}

static bool
fail(struct restore *r, enum store_err err, const char *what)
{
	r->failed = true;
	admin_result(err, what);
	return false;
}

/* --- the row ------------------------------------------------------------------------------------ */

static bool
has_row(struct restore *r, const char *localpart, const char *domain)
{
	struct account_row row = { 0 };
	bool has = account_db_find(r->a->accounts, str_from(localpart), str_from(domain), &row) ==
		   STORE_OK;

	account_row_free(&row);
	return has;
}

/* Behind the mail: who logs in at once finds it.  Not in the snapshot: the account had been deleted before, and only its
 * mail was left. */
static bool
restore_row(struct restore *r, struct saved_account *s)
{
	const char *db = config_string(r->a->config, "store.account_db");
	char *copy = mem_printf("%s/user.db", r->path);
	struct account_restored done = { 0 };
	enum store_err err = STORE_OK;

	if (!has_row(r, s->localpart, s->domain)) {
		if (!r->dry)
			err = account_restore(db, copy, str_from(s->localpart), str_from(s->domain),
			    r->a->log, &done);
		if (err == STORE_OK)
			restore_report(
			    r, s, NULL, 0, 0, 0, "account with password, filters and aliases");
		else if (err == STORE_NOT_FOUND)
			admin_refuse(
			    "%s: the snapshot has its mail, but no such account", s->address);
		else if (err == STORE_EXISTS)
			admin_refuse("%s is an alias by now: mailadmin alias delete", s->address);
		if (done.aliases_taken > 0)
			admin_refuse("%s: %zu of its aliases belong to others by now", s->address,
			    done.aliases_taken);
	}
	free(copy);
	return err == STORE_OK || err == STORE_NOT_FOUND || fail(r, err, s->address);
}

/* --- mailboxes ---------------------------------------------------------------------------------- */

/* Of what is wanted, leaves out what is there. */
static void
leave_out(struct restore *r, struct saved_account *s, struct saved_folder *f, struct tally *t,
    const char *target)
{
	size_t there = 0;

	for (size_t i = 0; i < f->count; i++) {
		struct saved_message *m = &f->messages[i];

		if (!m->wanted || !tally_has(t, m->entry, target, f->is_trash))
			continue;
		m->wanted = false;
		there++;
		if (r->choice.some)
			saved_show(r, s, f, m, "there");
	}
	r->there += there;
	if (there > 0 && !r->choice.some)
		restore_report(r, s, target, 0, there, 0, "there");
}

static size_t
count_wanted(const struct saved_folder *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->count; i++)
		n += f->messages[i].wanted;
	return n;
}

static void
show_wanted(struct restore *r, struct saved_account *s, struct saved_folder *f)
{
	for (size_t i = 0; i < f->count && r->choice.some; i++)
		if (f->messages[i].wanted)
			saved_show(
			    r, s, f, &f->messages[i], r->dry ? "would be restored" : "restored");
}

/* The mailbox of --into is made where it is missing. */
static enum store_err
make_target(struct restore *r, struct account *acct, const char *target)
{
	enum store_err err;

	if (r->into == NULL || r->dry)
		return STORE_OK;
	err = account_create_mailbox(acct, target, SPECIAL_NONE);
	if (err == STORE_OK)
		account_subscribe(acct, target);
	return err == STORE_EXISTS ? STORE_OK : err;
}

static enum store_err
restore_one(struct restore *r, struct saved_account *s, struct saved_folder *f,
    struct account *acct, struct home *home, struct tally *t)
{
	const char *target = r->into != NULL ? r->into : f->name;
	bool missing = r->into == NULL && !folder_exists(home, f->name);
	enum store_err err = STORE_EXISTS;

	saved_choose(r, f);
	if (count_wanted(f) > 0)
		leave_out(r, s, f, t, target);
	if (count_wanted(f) == 0 && (!missing || r->choice.some))
		return STORE_OK;
	if (missing)
		err = restore_folder(r, s, f, acct, home);
	if (err == STORE_EXISTS) { /* it is there, or somebody has made it in between */
		err = make_target(r, acct, target);
		if (err == STORE_OK)
			err = restore_messages(r, s, f, acct, target);
	}
	if (err == STORE_OK)
		show_wanted(r, s, f);
	return err;
}

/* A tally of the one mailbox, or of all where all is restored. */
static struct tally *
new_tally(struct restore *r, struct account *acct, struct saved_account *s, const char *target)
{
	return tally_new(r, acct, s, is_whole(r) ? NULL : target);
}

static bool
restore_mailboxes(
    struct restore *r, struct saved_account *s, struct account *acct, struct home *home)
{
	const char *only = r->choice.mailbox;
	struct tally *t = is_whole(r) || r->into != NULL ? new_tally(r, acct, s, r->into) : NULL;
	bool found = only == NULL, one_tally = t != NULL;
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < s->folder_count && err == STORE_OK; i++) {
		struct saved_folder *f = &s->folders[i];

		if (only != NULL && strcmp(f->name, only) != 0)
			continue;
		found = true;
		if (!one_tally)
			t = new_tally(r, acct, s, f->name);
		if (t == NULL)
			err = STORE_IO;
		else
			err = restore_one(r, s, f, acct, home, t);
		if (!one_tally) {
			tally_free(t);
			t = NULL;
		}
	}
	tally_free(t);
	if (!r->dry)
		account_quota_recount(acct);
	if (!found)
		return admin_refuse("%s has no mailbox %s in it", r->path, only), false;
	return err == STORE_OK || fail(r, err, s->address);
}

/* --- the account -------------------------------------------------------------------------------- */

/* Into what is there.  An account whose tree is missing gets one, if it exists at all. */
static bool
restore_into(struct restore *r, struct saved_account *s)
{
	bool row = has_row(r, s->localpart, s->domain);
	struct account *acct = NULL;
	struct home *home = NULL;
	enum store_err err = account_open(
	    r->a->store, s->localpart, s->domain, row && !r->dry ? ACCOUNT_CREATE : 0, &acct);
	bool ok;

	if (err == STORE_NOT_FOUND)
		return admin_refuse(
			   "there is no account %s: restore it as a whole first", s->address),
		       false;
	if (err == STORE_OK)
		err = home_open(r->live_root, s->localpart, s->domain, false, &home);
	ok = err == STORE_OK ? restore_mailboxes(r, s, acct, home) : fail(r, err, s->address);
	home_close(home);
	account_close(acct);
	return ok;
}

bool
restore_account(struct restore *r, const char *localpart, const char *domain)
{
	struct saved_account saved;
	enum store_err err = STORE_EXISTS;
	bool ok = saved_open(r, localpart, domain, &saved);

	if (ok && is_whole(r)) {
		struct home *home;

		if (home_open(r->live_root, localpart, domain, false, &home) == STORE_OK)
			home_close(home);
		else
			err = restore_tree(r, &saved);
	}
	if (ok && err == STORE_EXISTS)
		ok = restore_into(r, &saved);
	else if (ok && err != STORE_OK)
		ok = fail(r, err, saved.address);
	if (ok && is_whole(r))
		ok = restore_row(r, &saved);
	if (!r->dry)
		shares_forget(config_string(r->a->config, "store.mail_root"));
	saved_close(&saved);
	return ok;
}
