#include "store/account.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "store/account_internal.h"
#include "store/dir.h"
#include "store/folder.h"
#include "store/mailbox_name.h"
#include "store/sanger_mailbox.h"
#include "store/search_index.h"
#include "store/subscriptions.h"

enum store_search
store_search_parse(const char *word)
{
	return strcmp(word, "no") == 0       ? STORE_SEARCH_NEVER
	       : strcmp(word, "always") == 0 ? STORE_SEARCH_ALWAYS
					     : STORE_SEARCH_SEARCHED;
}

/* --- the process's context --------------------------------------------------------------------- */

struct store *
store_open(const struct store_options *o)
{
	struct store *st = mem_zalloc(sizeof(*st));

	st->log = o->log;
	st->mail_root = realpath(o->mail_root, NULL);
	if (st->mail_root == NULL ||
	    store_root_open(st->mail_root, o->log, &st->root) != STORE_OK) {
		log_error(o->log, "mail-root", "path=%s errno=%d error=%s", o->mail_root, errno,
		    strerror(errno));
		free(st->mail_root);
		free(st);
		return NULL;
	}
	if (o->index_root != NULL && o->index_root[0] != '\0') {
		st->index_root = realpath(o->index_root, NULL);
		if (st->index_root == NULL)
			st->index_root = mem_strdup(o->index_root);
	}
	st->quota_exempt = mem_zalloc((o->quota_exempt_count + 1) * sizeof(*st->quota_exempt));
	for (size_t i = 0; i < o->quota_exempt_count; i++)
		st->quota_exempt[i] = mem_strdup(o->quota_exempt[i]);
	st->index_open_max = o->index_open_max != 0 ? o->index_open_max : STORE_INDEX_OPEN_MAX;
	st->free_floor_bytes = o->free_floor_bytes;
	st->keep_s = o->keep_s;
	st->keep_max_bytes = o->keep_max_bytes;
	st->search = o->search;
	st->search_max_bytes = o->search_max_bytes;
	pthread_mutex_init(&st->mutex, NULL);
	return st;
}

static void
account_free(struct account *acct)
{
	if (acct->ix != NULL) {
		index_close(acct->ix);
		atomic_fetch_sub(&acct->st->index_open_count, 1);
	}
	search_index_close(acct->search);
	search_index_close(acct->building);
	home_close(acct->home);
	pthread_mutex_destroy(&acct->search_mutex);
	pthread_mutex_destroy(&acct->build_mutex);
	pthread_mutex_destroy(&acct->write_mutex);
	pthread_mutex_destroy(&acct->db_mutex);
	free(acct->localpart);
	free(acct->domain);
	free(acct->address);
	free(acct->path);
	free(acct->index_dir);
	free(acct);
}

void
store_close(struct store *st)
{
	if (st == NULL)
		return;
	for (size_t i = 0; i < ACCOUNT_BUCKETS; i++) {
		while (st->buckets[i] != NULL) {
			struct account *acct = st->buckets[i];

			st->buckets[i] = acct->next;
			account_free(acct);
		}
	}
	store_root_close(st->root);
	pthread_mutex_destroy(&st->mutex);
	for (size_t i = 0; st->quota_exempt[i] != NULL; i++)
		free((void *)(uintptr_t)st->quota_exempt[i]);
	free(st->quota_exempt);
	free(st->mail_root);
	free(st->index_root);
	free(st);
}

static long long
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec;
}

static void
account_index_close(struct account *acct)
{
	if (acct->ix == NULL)
		return;
	index_close(acct->ix);
	acct->ix = NULL;
	atomic_store(&acct->index_is_open, false);
	atomic_fetch_sub(&acct->st->index_open_count, 1);
}

static void
search_close_idle(pthread_mutex_t *mutex, struct search_index **ix)
{
	if (pthread_mutex_trylock(mutex) != 0)
		return;
	search_index_close(*ix);
	*ix = NULL;
	pthread_mutex_unlock(mutex);
}

/* Closes the connections that were not used since before_s, and forgets accounts that nobody has open.  One that is at
 * work is not idle. */
static void
close_idle(struct store *st, long long before_s)
{
	pthread_mutex_lock(&st->mutex);
	for (size_t i = 0; i < ACCOUNT_BUCKETS; i++) {
		for (struct account **at = &st->buckets[i]; *at != NULL;) {
			struct account *acct = *at;

			if (atomic_load(&acct->used_s) > before_s) {
				at = &acct->next;
				continue;
			}
			if (acct->refs == 0) {
				*at = acct->next;
				account_free(acct);
				continue;
			}
			if (pthread_mutex_trylock(&acct->db_mutex) == 0) {
				account_index_close(acct);
				pthread_mutex_unlock(&acct->db_mutex);
			}
			search_close_idle(&acct->build_mutex, &acct->building);
			search_close_idle(&acct->search_mutex, &acct->search);
			at = &acct->next;
		}
	}
	pthread_mutex_unlock(&st->mutex);
}

void
store_idle(struct store *st)
{
	close_idle(st, now_s() - STORE_INDEX_IDLE_S);
}

/* Too many connections: those go that were idle for half as long, and so on. */
static void
bound_indexes(struct store *st)
{
	for (long long age = STORE_INDEX_IDLE_S / 2; age >= 0; age = age > 0 ? age / 2 : -1) {
		if (atomic_load(&st->index_open_count) < st->index_open_max)
			return;
		close_idle(st, now_s() - age - 1);
	}
}

/* --- accounts ---------------------------------------------------------------------------------- */

static struct account **
bucket(struct store *st, const char *address)
{
	uint32_t hash = 2166136261u;

	for (const char *p = address; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	return &st->buckets[hash % ACCOUNT_BUCKETS];
}

static void
init_mutex(pthread_mutex_t *m)
{
	pthread_mutex_init(m, NULL);
}

static struct account *
account_new(struct store *st, struct home *home)
{
	struct account *acct = mem_zalloc(sizeof(*acct));

	acct->st = st;
	acct->home = home;
	acct->lock.fd = -1;
	acct->localpart = mem_strdup(home->localpart);
	acct->domain = mem_strdup(home->domain);
	acct->address = mem_printf("%s@%s", home->localpart, home->domain);
	acct->path = mem_printf("%s/%s/%s", st->mail_root, home->domain, home->localpart);
	acct->index_dir = st->index_root == NULL ? mem_strdup(acct->path)
						 : mem_printf("%s/%s/%s", st->index_root,
						       home->domain, home->localpart);
	init_mutex(&acct->write_mutex);
	init_mutex(&acct->db_mutex);
	init_mutex(&acct->search_mutex);
	init_mutex(&acct->build_mutex);
	return acct;
}

/* Is the directory of a known account still the one at its path? */
static bool
is_same_directory(const struct home *a, const struct home *b)
{
	struct stat sa, sb;

	return fstat(a->fd, &sa) == 0 && fstat(b->fd, &sb) == 0 && sa.st_ino == sb.st_ino &&
	       sa.st_dev == sb.st_dev;
}

/* Takes over `home`. */
static struct account *
account_share(struct store *st, struct home *home)
{
	char *address = mem_printf("%s@%s", home->localpart, home->domain);
	struct account **head = bucket(st, address), **at, *acct;

	pthread_mutex_lock(&st->mutex);
	for (at = head; *at != NULL && strcmp((*at)->address, address) != 0;)
		at = &(*at)->next;
	acct = *at;
	if (acct != NULL && !is_same_directory(acct->home, home)) { /* deleted and made again */
		*at = acct->next;
		acct->detached = true;
		if (acct->refs == 0)
			account_free(acct);
		acct = NULL;
	}
	if (acct != NULL) {
		home_close(home);
	} else {
		acct = account_new(st, home);
		acct->next = *head;
		*head = acct;
	}
	acct->refs++;
	atomic_store(&acct->used_s, now_s());
	pthread_mutex_unlock(&st->mutex);
	free(address);
	return acct;
}

struct account *
account_ref(struct account *acct)
{
	pthread_mutex_lock(&acct->st->mutex);
	acct->refs++;
	pthread_mutex_unlock(&acct->st->mutex);
	return acct;
}

void
account_close(struct account *acct)
{
	struct store *st;
	bool last;

	if (acct == NULL)
		return;
	st = acct->st;
	pthread_mutex_lock(&st->mutex);
	acct->refs--;
	last = acct->refs == 0 && acct->detached; /* others stay warm until store_idle() */
	if (last)
		account_free(acct);
	pthread_mutex_unlock(&st->mutex);
}

static const struct {
	const char *name;
	enum special_use use;
} DEFAULT_FOLDERS[] = {
	{ "Archive", SPECIAL_ARCHIVE },
	{ "Drafts", SPECIAL_DRAFTS },
	{ "Junk", SPECIAL_JUNK },
	{ "Sent", SPECIAL_SENT },
	{ "Trash", SPECIAL_TRASH },
};

static bool
is_default_folder(const char *name)
{
	if (mailbox_name_is_inbox(name))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(DEFAULT_FOLDERS); i++) {
		if (strcmp(DEFAULT_FOLDERS[i].name, name) == 0)
			return true;
	}
	return false;
}

/* A tree without subscriptions and without any other folder is a new one (or one whose making was cut short). */
static bool
wants_default_folders(const struct account *acct)
{
	struct folder_list list = { 0 };
	bool wanted;

	if (account_has_file(acct->home->fd, "subscriptions") ||
	    account_has_file(acct->home->fd, "courierimapsubscribed"))
		return false;
	wanted = folder_list(acct->home, &list) == STORE_OK;
	for (size_t i = 0; i < list.count; i++)
		wanted = wanted && is_default_folder(list.items[i].name);
	folder_list_free(&list);
	return wanted;
}

/* The subscriptions come last and with one write: they say that the rest is there. */
static enum store_err
make_default_folders(struct account *acct)
{
	const char *names[ARRAY_LEN(DEFAULT_FOLDERS) + 1] = { "INBOX" };
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < ARRAY_LEN(DEFAULT_FOLDERS); i++) {
		err = account_create_mailbox(acct, DEFAULT_FOLDERS[i].name, DEFAULT_FOLDERS[i].use);
		if (err != STORE_OK && err != STORE_EXISTS && err != STORE_OVER_QUOTA)
			return err;
		names[i + 1] = DEFAULT_FOLDERS[i].name;
	}
	return subscriptions_add(acct->home, names, ARRAY_LEN(names));
}

enum store_err
account_open(struct store *st, const char *localpart, const char *domain, unsigned flags,
    struct account **acct_out)
{
	struct home *home;
	struct account *acct;
	enum store_err err;

	err = home_open(st->root, localpart, domain, (flags & ACCOUNT_CREATE) != 0, &home);
	if (err != STORE_OK)
		return err;
	acct = account_share(st, home);
	if ((flags & ACCOUNT_CREATE) != 0 && wants_default_folders(acct)) {
		err = make_default_folders(acct);
		if (err != STORE_OK) {
			account_close(acct);
			return err;
		}
	}
	*acct_out = acct;
	return STORE_OK;
}

const char *
account_address(const struct account *acct)
{
	return acct->address;
}

const struct log *
account_log(const struct account *acct)
{
	return acct->st->log;
}

const char *
account_path(const struct account *acct)
{
	return acct->path;
}

int
account_dir_fd(const struct account *acct)
{
	return acct->home->fd;
}

enum store_err
account_folder_prefix(const struct account *acct, const char *name, struct buf *out)
{
	enum store_err err = folder_path(acct->home->fd, name, out);

	if (err == STORE_OK && out->len > 0)
		buf_addc(out, '/');
	return err;
}

/* --- locks and transactions -------------------------------------------------------------------- */

/* Waits for a mutex, but not for ever. */
static bool
lock_within(pthread_mutex_t *m, int seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	return pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &until) == 0;
}

static void
make_index_dir(const struct account *acct)
{
	char *domain_dir;

	if (acct->st->index_root == NULL)
		return;
	domain_dir = mem_printf("%s/%s", acct->st->index_root, acct->domain);
	mkdir(acct->st->index_root, DIR_MODE);
	mkdir(domain_dir, DIR_MODE);
	mkdir(acct->index_dir, DIR_MODE); /* what fails shows when the index is opened */
	free(domain_dir);
}

static enum store_err
ensure_index(struct account *acct, bool create)
{
	enum store_err err;

	atomic_store(&acct->used_s, now_s());
	if (acct->ix != NULL && !index_is_current(acct->ix)) {
		log_warn(acct->st->log, "index-replaced", "account=%s", acct->address);
		account_index_close(acct);
	}
	if (acct->ix != NULL)
		return STORE_OK;
	if (create)
		make_index_dir(acct);
	err = index_open(acct->index_dir, create, acct->st->log, &acct->ix);
	if (err == STORE_OK) {
		atomic_store(&acct->index_is_open, true);
		atomic_fetch_add(&acct->st->index_open_count, 1);
	}
	return err;
}

/* Makes room for another connection; without a lock held, since it takes the store's. */
static void
before_index(struct account *acct)
{
	if (!atomic_load(&acct->index_is_open) &&
	    atomic_load(&acct->st->index_open_count) >= acct->st->index_open_max)
		bound_indexes(acct->st);
}

enum store_err
account_read_begin(struct account *acct)
{
	enum store_err err;

	before_index(acct);
	if (!lock_within(&acct->db_mutex, STORE_LOCK_WAIT_S))
		return STORE_BUSY;
	err = ensure_index(acct, false);
	if (err == STORE_CORRUPT)
		err = STORE_NOT_FOUND; /* the writer that makes it anew sets it aside */
	if (err == STORE_OK)
		err = index_begin(acct->ix, false);
	if (err != STORE_OK)
		pthread_mutex_unlock(&acct->db_mutex);
	return err;
}

void
account_read_end(struct account *acct)
{
	index_rollback(acct->ix);
	pthread_mutex_unlock(&acct->db_mutex);
}

enum store_err
account_lock_within(struct account *acct, int seconds)
{
	enum store_err err;

	if (!lock_within(&acct->write_mutex, seconds))
		return STORE_BUSY;
	err = home_lock(acct->home, seconds * 1000, &acct->lock);
	if (err != STORE_OK) {
		pthread_mutex_unlock(&acct->write_mutex);
		return err;
	}
	if (!acct->cleaned) {
		folder_clean(acct->home);
		acct->cleaned = true;
	}
	return STORE_OK;
}

enum store_err
account_lock(struct account *acct)
{
	return account_lock_within(acct, STORE_LOCK_WAIT_S);
}

void
account_unlock(struct account *acct)
{
	home_unlock(&acct->lock);
	pthread_mutex_unlock(&acct->write_mutex);
}

enum store_err
account_write_begin(struct account *acct)
{
	enum store_err err;

	before_index(acct);
	err = account_lock(acct);
	if (err != STORE_OK)
		return err;
	if (!lock_within(&acct->db_mutex, STORE_LOCK_WAIT_S)) {
		err = STORE_BUSY;
		goto unlock;
	}
	err = ensure_index(acct, true);
	if (err == STORE_OK)
		err = index_begin(acct->ix, true);
	if (err == STORE_OK)
		err = account_finish_moves(acct);
	if (err == STORE_OK)
		return STORE_OK;
	if (acct->ix != NULL)
		index_rollback(acct->ix);
	pthread_mutex_unlock(&acct->db_mutex);
unlock:
	account_unlock(acct);
	return err;
}

enum store_err
account_write_commit(struct account *acct, enum store_err err)
{
	if (err == STORE_OK)
		return index_commit(acct->ix);
	index_rollback(acct->ix);
	return err;
}

void
account_write_unlock(struct account *acct)
{
	pthread_mutex_unlock(&acct->db_mutex);
	account_unlock(acct);
}

enum store_err
account_write_end(struct account *acct, enum store_err err)
{
	err = account_write_commit(acct, err);
	account_write_unlock(acct);
	return err;
}

/* Sets the file aside under the writer lock: whoever opens the index next makes a new one. */
void
account_index_damaged(struct account *acct)
{
	char *from = mem_printf("%s/index.db", acct->index_dir);
	char *to = mem_printf("%s.corrupt-%lld", from, (long long)time(NULL));

	if (!lock_within(&acct->write_mutex, STORE_LOCK_WAIT_S))
		goto out;
	if (home_lock(acct->home, STORE_LOCK_WAIT_S * 1000, &acct->lock) == STORE_OK) {
		pthread_mutex_lock(&acct->db_mutex);
		/* unless somebody else has replaced it already */
		if (acct->ix == NULL || index_is_current(acct->ix)) {
			log_error(acct->st->log, "index-corrupt", "account=%s kept=%s",
			    acct->address, to);
			if (rename(from, to) != 0)
				unlink(from);
		}
		account_index_close(acct);
		pthread_mutex_unlock(&acct->db_mutex);
		home_unlock(&acct->lock);
	}
	pthread_mutex_unlock(&acct->write_mutex);
out:
	free(from);
	free(to);
}

bool
account_should_retry(struct account *acct, enum store_err err, int *tries)
{
	if (err != STORE_CORRUPT || (*tries)++ > 0)
		return false;
	account_index_damaged(acct);
	return true;
}

/* --- quota ------------------------------------------------------------------------------------- */

void
account_set_quota_limit(struct account *acct, uint64_t limit_bytes)
{
	atomic_store(&acct->quota_limit_bytes, limit_bytes);
}

void
account_set_quota_limits(struct account *acct, const struct quota_limits *limits)
{
	atomic_store(&acct->quota_limit_bytes, limits->bytes);
	atomic_store(&acct->quota_limit_messages, limits->messages);
	atomic_store(&acct->message_max_bytes, limits->message_bytes);
	atomic_store(&acct->mailboxes_max, limits->mailboxes);
}

uint64_t
account_message_max_bytes(const struct account *acct)
{
	return atomic_load(&acct->message_max_bytes);
}

struct quota_rules
account_quota_rules(const struct account *acct)
{
	return (struct quota_rules){
		.limit_bytes = atomic_load(&acct->quota_limit_bytes),
		.limit_messages = atomic_load(&acct->quota_limit_messages),
		.excluded = acct->st->quota_exempt,
	};
}

enum store_err
account_count_mailboxes(struct account *acct, uint64_t *count_out)
{
	struct quota_rules rules = account_quota_rules(acct);
	struct folder_list list = { 0 };
	enum store_err err = folder_list(acct->home, &list);

	*count_out = 0;
	for (size_t i = 0; i < list.count; i++)
		*count_out +=
		    list.items[i].selectable && !quota_excludes(&rules, list.items[i].name);
	folder_list_free(&list);
	return err;
}

static enum store_err
quota_answer(struct account *acct, struct account_quota *out,
    enum store_err (*ask)(const struct home *, const struct quota_rules *, struct quota_usage *))
{
	struct quota_rules rules = account_quota_rules(acct);
	struct quota_usage usage = { 0 };
	enum store_err err = ask(acct->home, &rules, &usage);

	*out = (struct account_quota){
		.used_bytes = usage.bytes,
		.used_messages = usage.count,
		.limit_bytes = rules.limit_bytes,
		.limit_messages = rules.limit_messages,
		.limit_mailboxes = atomic_load(&acct->mailboxes_max),
	};
	if (err == STORE_OK && out->limit_mailboxes > 0)
		err = account_count_mailboxes(acct, &out->used_mailboxes);
	return err;
}

enum store_err
account_quota(struct account *acct, struct account_quota *out)
{
	return quota_answer(acct, out, quota_usage);
}

enum store_err
account_quota_recount(struct account *acct)
{
	struct account_quota ignored;

	return quota_answer(acct, &ignored, quota_recount);
}

bool
account_quota_counts(const struct account *acct, const char *name)
{
	struct quota_rules rules = account_quota_rules(acct);

	return !quota_excludes(&rules, name);
}
