/* The mail tree: each account's opens, its parts belong to us, usage is what the files say, and
 * nobody's mail lies about without an account. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "base/mem.h"
#include "store/account_acl.h"
#include "store/dir.h"
#include "store/mailbox_search.h"

#define SEARCH_READ_MAX_BYTES (UINT64_C(1) << 30) /* of all search.db files together */

struct tally {
	size_t opened, without_tree, sampled;
	size_t dovecot, courier;
	size_t odd_owner;
	char odd_path[512];  /* the first one */
	uint64_t read_bytes; /* of search.db files */
	size_t damaged_lists;
	char damaged_list[400]; /* the first */
};

/* --- one account -------------------------------------------------------------------------------- */

static void
look_at_owner(struct tally *t, int dir_fd, const char *dir_path, const char *name)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_uid == geteuid())
		return;
	if (t->odd_owner++ == 0)
		snprintf(t->odd_path, sizeof(t->odd_path), "%s/%s", dir_path, name);
}

/* The account's directory and each folder's, but not every message. */
static void
look_at_entries(struct tally *t, const struct account *mail)
{
	const char *path = account_path(mail);
	DIR *dir = opendir(path);
	const struct dirent *e;

	if (dir == NULL)
		return;
	look_at_owner(t, dirfd(dir), path, ".");
	while ((e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			look_at_owner(t, dirfd(dir), path, e->d_name);
		t->dovecot += strcmp(e->d_name, "dovecot-uidlist") == 0;
		t->courier += strcmp(e->d_name, "courierimapuiddb") == 0;
	}
	closedir(dir);
}

/* The Maildir++ rules let programs forget about maildirsize; counting mends it. */
static void
check_usage(struct doctor *d, struct account *mail)
{
	struct account_quota noted, counted;

	if (account_quota(mail, &noted) != STORE_OK || account_quota_recount(mail) != STORE_OK ||
	    account_quota(mail, &counted) != STORE_OK)
		doctor_fail(d, "mail", "look into the log", "%s: usage cannot be counted",
		    account_address(mail));
	else if (noted.used_bytes != counted.used_bytes)
		doctor_warn(d, "mail",
		    "nothing: it has been mended; mail that came meanwhile is no harm",
		    "%s: maildirsize said %" PRIu64 " bytes, there are %" PRIu64,
		    account_address(mail), noted.used_bytes, counted.used_bytes);
}

/* A cache: what is wrong with it goes away with it. */
static void
check_search(struct doctor *d, struct tally *t, struct account *mail)
{
	static const char *const FOUND[] = {
		[ACCOUNT_SEARCH_DAMAGED] = "is damaged",
		[ACCOUNT_SEARCH_STALE] = "has texts of mail that is gone",
		[ACCOUNT_SEARCH_LARGE] = "is larger than store.search_index_size",
	};
	uint64_t left =
	    t->read_bytes < SEARCH_READ_MAX_BYTES ? SEARCH_READ_MAX_BYTES - t->read_bytes : 0;
	uint64_t bytes;
	enum account_search found = account_search_check(mail, left, &bytes);

	if (bytes <= left)
		t->read_bytes += bytes;
	if (found != ACCOUNT_SEARCH_NONE && found != ACCOUNT_SEARCH_FINE)
		doctor_warn(d, "mail",
		    "nothing: it has been removed, and is made anew when somebody searches",
		    "%s: search.db %s", account_address(mail), FOUND[found]);
}

/* A damaged list of who may do what gives nobody but the owner anything. */
static void
check_lists(struct tally *t, struct account *mail)
{
	struct mailbox_list boxes = { 0 };

	if (account_list(mail, &boxes) != STORE_OK)
		boxes.count = 0;
	for (size_t i = 0; i < boxes.count; i++) {
		struct acl acl;

		if ((boxes.boxes[i].attributes & MAILBOX_NONEXISTENT) != 0)
			continue;
		if (account_acl_read(mail, boxes.boxes[i].name, &acl) == STORE_CORRUPT &&
		    t->damaged_lists++ == 0)
			snprintf(t->damaged_list, sizeof(t->damaged_list), "%s %s",
			    account_address(mail), boxes.boxes[i].name);
		acl_free(&acl);
	}
	mailbox_list_free(&boxes);
}

static void
check_account(struct doctor *d, struct tally *t, const struct account_row *row)
{
	struct mailbox_list boxes = { 0 };
	struct account *mail;
	enum store_err err = account_open(d->a->store, row->localpart, row->domain, 0, &mail);

	if (err == STORE_NOT_FOUND) {
		t->without_tree++;
		return;
	}
	if (err == STORE_OK)
		check_lists(t, mail);
	if (err == STORE_OK && t->sampled < DOCTOR_SAMPLE_ACCOUNTS) {
		t->sampled++;
		err = account_list(mail, &boxes);
		mailbox_list_free(&boxes);
		look_at_entries(t, mail);
		if (err == STORE_OK)
			check_usage(d, mail);
		if (err == STORE_OK)
			check_search(d, t, mail);
	}
	if (err == STORE_OK)
		t->opened++;
	else
		doctor_fail(d, "mail",
		    "chown -R the directory to server.user; the log names the file",
		    "the mail of %s@%s cannot be opened: %s", row->localpart, row->domain,
		    store_err_text(err));
	account_close(mail);
	store_idle(d->a->store);
}

/* --- trees without an account ------------------------------------------------------------------- */

struct strays {
	struct doctor *d;
	const char *domain;
	size_t count;
	char first[300];
};

/* The mail of an account that has another address, and no mail, as long as nobody goes on. */
static bool
is_half_renamed(struct doctor *d, const char *localpart, const char *domain)
{
	struct buf note = { 0 };
	bool found = admin_rename_note(d->a, localpart, domain, &note);

	if (found)
		doctor_fail(d, "mail", "give the command again",
		    "mailadmin account rename %s was stopped half-way", buf_cstr(&note));
	buf_free(&note);
	return found;
}

static bool
look_for_stray(void *arg, const char *name, unsigned char type)
{
	struct strays *s = arg;
	struct account_row row = { 0 };

	if (type != DT_DIR || name[0] == '.')
		return true;
	if (account_db_find(s->d->a->accounts, str_from(name), str_from(s->domain), &row) ==
		STORE_NOT_FOUND &&
	    !is_half_renamed(s->d, name, s->domain) && s->count++ == 0)
		snprintf(s->first, sizeof(s->first), "%s/%s", s->domain, name);
	account_row_free(&row);
	return true;
}

static bool
look_into_domain(void *arg, const char *name, unsigned char type)
{
	struct strays *s = arg;
	const char *root = config_string(s->d->a->config, "store.mail_root");
	char *path;
	int fd;

	if (type != DT_DIR || name[0] == '.')
		return true;
	path = mem_printf("%s/%s", root, name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(path);
	s->domain = name;
	if (fd >= 0) {
		dir_list(fd, look_for_stray, s);
		close(fd);
	}
	return true;
}

static void
check_strays(struct doctor *d)
{
	const char *root = config_string(d->a->config, "store.mail_root");
	struct strays s = { .d = d };
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	dir_list(fd, look_into_domain, &s);
	close(fd);
	if (s.count > 0)
		doctor_warn(d, "mail",
		    "mailadmin cleanup moves it away, mailadmin account add gives it back to a "
		    "user",
		    "%zu mail tree%s without an account, the first: %s/%s", s.count,
		    s.count == 1 ? "" : "s", root, s.first);
}

/* --- all ---------------------------------------------------------------------------------------- */

static void
report(struct doctor *d, const struct tally *t)
{
	doctor_ok(d, "mail", "%zu mail tree%s opened, %zu looked into; %zu not made yet", t->opened,
	    t->opened == 1 ? "" : "s", t->sampled, t->without_tree);
	if (t->odd_owner > 0)
		doctor_fail(d, "mail", "chown -R the mail tree to server.user",
		    "%zu entr%s not the daemons' own, the first: %s", t->odd_owner,
		    t->odd_owner == 1 ? "y is" : "ies are", t->odd_path);
	if (t->damaged_lists > 0)
		doctor_warn(d, "mail",
		    "mend dovecot-acl in the mailbox, or mailadmin mailbox unshare ADDRESS MAILBOX",
		    "%zu mailbox%s with a damaged list of who may do what, shared with nobody; the "
		    "first: %s",
		    t->damaged_lists, t->damaged_lists == 1 ? "" : "es", t->damaged_list);
	if (t->dovecot > 0)
		doctor_ok(d, "mail", "%zu tree%s adopted from Dovecot, UIDs go on", t->dovecot,
		    t->dovecot == 1 ? "" : "s");
	if (t->courier > 0)
		doctor_ok(d, "mail", "%zu tree%s adopted from Courier, UIDs go on", t->courier,
		    t->courier == 1 ? "" : "s");
}

void
doctor_mail(struct doctor *d)
{
	struct tally t = { 0 };
	struct account_row *rows;
	size_t count;

	if (!d->accounts_ok ||
	    access(config_string(d->a->config, "store.mail_root"), R_OK | X_OK) != 0)
		return; /* said already */
	if (!admin_open_store(d->a) ||
	    account_db_list(d->a->accounts, NULL, &rows, &count) != STORE_OK) {
		doctor_fail(d, "mail", "look into the log", "the mail tree cannot be opened");
		return;
	}
	for (size_t i = 0; i < count; i++)
		check_account(d, &t, &rows[i]);
	account_rows_free(rows, count);
	check_strays(d);
	report(d, &t);
}
