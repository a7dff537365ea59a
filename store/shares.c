/* `.sanger-shares` in the mail root: who may share something with whom; see account_acl.h.
 *
 *	sanger-shares 1
 *	anyone<TAB>ann@example.org
 *	bob@example.org<TAB>ann@example.org       user, owner; sorted by bytes, each line once
 *	end 2                                     how many
 *
 * 1. Replaced atomically and fsynced, under a lock file of its own; readers take none.
 * 2. A pair that is not true any more costs a look; one that is missing hides a share, so it is written before the list.
 * 3. Lost or damaged, it is made anew from all lists by whoever asks next.
 * 4. An owner has at most SHARES_OF_OWNER_MAX lines. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/account_acl.h"
#include "store/account_internal.h"
#include "store/dir.h"
#include "store/dotlock.h"
#include "store/shares_internal.h"

#define HEADER  STR("sanger-shares 1\n")
#define ANYONE  "anyone"
#define WAIT_MS (10 * 1000)

/* --- the text ---------------------------------------------------------------------------------- */

/* Lines "user<TAB>owner", and how many of them there are said at the end. */
static bool
split(struct str text, struct str *pairs_out, size_t *count_out)
{
	size_t count = 0, len;
	struct buf end = { 0 };
	bool ok;

	if (!str_has_prefix(text, HEADER))
		return false;
	text = (struct str){ text.p + HEADER.len, text.len - HEADER.len };
	for (len = text.len; len > 1 && text.p[len - 2] != '\n';)
		len--;
	len = len > 0 ? len - 1 : 0; /* the last line begins here */
	for (size_t i = 0; i < len; i++)
		count += text.p[i] == '\n';
	buf_printf(&end, "end %zu\n", count);
	ok = str_eq(
	    (struct str){ text.p + len, text.len - len }, (struct str){ buf_cstr(&end), end.len });
	buf_free(&end);
	*pairs_out = (struct str){ text.p, len };
	*count_out = count;
	return ok;
}

bool
shares_parse(struct str text, size_t *pairs_out)
{
	struct str pairs;

	return split(text, &pairs, pairs_out);
}

static int
compare_lines(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Lines in an arena of their own. */
struct pairs {
	struct arena arena;
	const char **lines;
	size_t count, cap;
};

static void
pairs_add(struct pairs *p, const char *line, size_t len)
{
	if (p->count == p->cap) {
		p->cap = p->cap > 0 ? 2 * p->cap : 64;
		p->lines = mem_realloc_array(p->lines, p->cap, sizeof(*p->lines));
	}
	p->lines[p->count++] = arena_strndup(&p->arena, line, len);
}

static void
pairs_free(struct pairs *p)
{
	free(p->lines);
	arena_free(&p->arena);
	*p = (struct pairs){ 0 };
}

static void
pairs_sort(struct pairs *p)
{
	size_t kept = 0;

	if (p->count == 0)
		return;
	qsort(p->lines, p->count, sizeof(*p->lines), compare_lines);
	for (size_t i = 0; i < p->count; i++)
		if (kept == 0 || strcmp(p->lines[kept - 1], p->lines[i]) != 0)
			p->lines[kept++] = p->lines[i];
	p->count = kept;
}

static bool
pairs_same(const struct pairs *a, const struct pairs *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->lines[i], b->lines[i]) != 0)
			return false;
	return true;
}

/* Those of a text, but for those of `owner` ("": all). */
static void
pairs_of_text(struct str text, const char *owner, struct pairs *p)
{
	struct cursor c = cursor_from(text);
	struct str line;

	while (cursor_take_line(&c, &line)) {
		const char *tab = memchr(line.p, '\t', line.len);
		size_t user = tab != NULL ? (size_t)(tab - line.p) : line.len;

		if (tab == NULL || (line.len - user - 1 == strlen(owner) &&
				       memcmp(tab + 1, owner, strlen(owner)) == 0))
			continue;
		pairs_add(p, line.p, line.len);
	}
}

/* --- the file ---------------------------------------------------------------------------------- */

/* STORE_NOT_FOUND: there is none that can be used. */
static enum store_err
read_file(struct store *st, struct buf *out, struct str *pairs_out)
{
	enum store_err err =
	    dir_read_file(store_root_fd(st->root), SHARES_FILE, SHARES_FILE_MAX_BYTES, out);
	size_t count;

	if (err == STORE_LIMIT ||
	    (err == STORE_OK &&
		!split((struct str){ buf_cstr(out), out->len }, pairs_out, &count))) {
		log_warn(st->log, "shares-damaged", "file=%s/%s", st->mail_root, SHARES_FILE);
		return STORE_NOT_FOUND;
	}
	return err;
}

static enum store_err
write_file(struct store *st, struct pairs *p)
{
	struct buf text = { 0 };
	enum store_err err;

	pairs_sort(p);
	buf_add(&text, HEADER.p, HEADER.len);
	for (size_t i = 0; i < p->count; i++)
		buf_printf(&text, "%s\n", p->lines[i]);
	buf_printf(&text, "end %zu\n", p->count);
	err = dir_replace_file(
	    store_root_fd(st->root), SHARES_FILE, (struct str){ buf_cstr(&text), text.len }, true);
	if (err != STORE_OK)
		log_error(st->log, "shares", "op=write result=%s", store_err_text(err));
	buf_free(&text);
	return err;
}

static enum store_err
lock(struct store *st, struct dotlock *lock_out)
{
	enum store_err err = dotlock_take(store_root_fd(st->root), SHARES_FILE, WAIT_MS, lock_out);

	if (err != STORE_OK)
		log_error(st->log, "shares", "op=lock result=%s", store_err_text(err));
	return err;
}

/* --- what the lists say ------------------------------------------------------------------------ */

struct look {
	int home_fd;
	const char *owner;
	struct pairs own; /* sorted, each once */
	bool more;        /* than there may be */
};

static void
note_pair(struct look *l, const char *user)
{
	char *line = mem_printf("%s\t%s", user, l->owner);
	size_t low = 0, high = l->own.count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(l->own.lines[mid], line);

		if (order == 0) {
			free(line);
			return;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (l->own.count == SHARES_OF_OWNER_MAX) {
		l->more = true;
	} else {
		const char *kept;

		pairs_add(&l->own, line, strlen(line));
		kept = l->own.lines[l->own.count - 1];
		memmove(&l->own.lines[low + 1], &l->own.lines[low],
		    (l->own.count - 1 - low) * sizeof(*l->own.lines));
		l->own.lines[low] = kept;
	}
	free(line);
}

static void
add_entry(struct look *l, const struct acl_entry *e)
{
	char *user;

	if (e->id.negative || e->rights == 0)
		return;
	if (e->id.kind == ACL_ANYONE || e->id.kind == ACL_AUTHENTICATED) {
		note_pair(l, ANYONE);
	} else if (e->id.kind == ACL_USER) {
		user = acl_user_address(e->id.name, l->owner);
		if (strcmp(user, l->owner) != 0 && strpbrk(user, "\t\n") == NULL)
			note_pair(l, user);
		free(user);
	}
}

static void
look_at_list(struct look *l, const char *dir)
{
	char *path = mem_printf("%s%s", dir, ACL_FILE);
	struct buf text = { 0 };
	struct acl acl = { 0 };

	if (dir_read_file(l->home_fd, path, ACL_FILE_MAX_BYTES, &text) == STORE_OK &&
	    acl_parse((struct str){ buf_cstr(&text), text.len }, &acl))
		for (size_t i = 0; i < acl.count; i++)
			add_entry(l, &acl.entries[i]);
	acl_free(&acl);
	buf_free(&text);
	free(path);
}

static bool
look_at_folder(void *arg, const char *name, unsigned char type)
{
	struct look *l = arg;
	char *dir;

	if (type != DT_DIR || name[0] != '.')
		return true;
	dir = mem_printf("%s/", name);
	look_at_list(l, dir);
	free(dir);
	return true;
}

static enum store_err
look_at_account(struct store *st, int home_fd, const char *owner, struct pairs *out)
{
	struct look l = { .home_fd = home_fd, .owner = owner };
	enum store_err err;

	look_at_list(&l, "");
	err = dir_list(home_fd, look_at_folder, &l);
	for (size_t i = 0; i < l.own.count; i++)
		pairs_add(out, l.own.lines[i], strlen(l.own.lines[i]));
	if (l.more)
		log_warn(st->log, "shares-too-many", "account=%s taken=%zu", owner, l.own.count);
	pairs_free(&l.own);
	return err;
}

/* --- all accounts ------------------------------------------------------------------------------ */

struct walk {
	struct store *st;
	struct pairs *out;
	const char *domain;
	int root_fd, domain_fd;
	enum store_err err;
};

static bool
walk_account(void *arg, const char *name, unsigned char type)
{
	struct walk *w = arg;
	char *owner;
	int fd;

	if (type != DT_DIR || name[0] == '.' || dir_open(w->domain_fd, name, &fd) != STORE_OK)
		return true;
	owner = mem_printf("%s@%s", name, w->domain);
	w->err = look_at_account(w->st, fd, owner, w->out);
	free(owner);
	close(fd);
	return w->err == STORE_OK;
}

static bool
walk_domain(void *arg, const char *name, unsigned char type)
{
	struct walk *w = arg;

	if (type != DT_DIR || name[0] == '.' || strchr(name, '@') != NULL)
		return true;
	w->domain = name;
	w->err = dir_open(w->root_fd, name, &w->domain_fd);
	if (w->err == STORE_OK) {
		w->err = dir_list(w->domain_fd, walk_account, w);
		close(w->domain_fd);
	}
	return w->err == STORE_OK;
}

static enum store_err
rebuild_locked(struct store *st)
{
	struct pairs pairs = { 0 };
	struct walk w = { .st = st, .out = &pairs, .root_fd = store_root_fd(st->root) };
	enum store_err err = dir_list(w.root_fd, walk_domain, &w);

	if (err == STORE_OK)
		err = w.err;
	if (err == STORE_OK)
		err = write_file(st, &pairs);
	log_info(
	    st->log, "shares-rebuilt", "pairs=%zu result=%s", pairs.count, store_err_text(err));
	pairs_free(&pairs);
	return err;
}

void
shares_forget(const char *mail_root)
{
	char *path = mem_printf("%s/%s", mail_root, SHARES_FILE);

	unlink(path);
	free(path);
}

enum store_err
shares_rebuild(struct store *st)
{
	struct dotlock held;
	enum store_err err = lock(st, &held);

	if (err != STORE_OK)
		return err;
	err = rebuild_locked(st);
	dotlock_release(&held);
	return err;
}

/* The file's pairs, which are made if there are none. */
static enum store_err
read_or_rebuild(struct store *st, struct buf *out, struct str *pairs_out)
{
	enum store_err err = read_file(st, out, pairs_out);
	struct dotlock held;

	if (err != STORE_NOT_FOUND)
		return err;
	err = lock(st, &held);
	if (err != STORE_OK)
		return err;
	buf_reset(out);
	err = read_file(st, out, pairs_out); /* somebody may have been faster */
	if (err == STORE_NOT_FOUND) {
		buf_reset(out);
		err = rebuild_locked(st);
		if (err == STORE_OK)
			err = read_file(st, out, pairs_out);
	}
	dotlock_release(&held);
	return err;
}

/* --- changing and asking ----------------------------------------------------------------------- */

/* Has the owner no room for one more that is not there yet? */
static bool
is_full(struct str text, const char *owner, const char *pair)
{
	struct cursor c = cursor_from(text);
	size_t count = 0;
	struct str line;

	while (cursor_take_line(&c, &line)) {
		const char *tab = memchr(line.p, '\t', line.len);

		if (str_eq(line, str_from(pair)))
			return false;
		count += tab != NULL &&
			 str_eq((struct str){ tab + 1, (size_t)(line.p + line.len - tab) - 1 },
			     str_from(owner));
	}
	return count >= SHARES_OF_OWNER_MAX;
}

enum store_err
shares_note(struct account *acct, const struct acl_id *id)
{
	struct pairs pairs = { 0 };
	struct acl_entry entry = { .id = *id, .rights = ACL_LOOKUP };
	struct look l = { .owner = acct->address };
	struct buf text = { 0 };
	struct str old;
	struct dotlock held;
	enum store_err err = read_or_rebuild(acct->st, &text, &old);

	add_entry(&l, &entry);
	if (err != STORE_OK || l.own.count == 0)
		goto out;
	err = lock(acct->st, &held);
	if (err != STORE_OK)
		goto out;
	buf_reset(&text);
	err = read_file(acct->st, &text, &old);
	if (err == STORE_OK && is_full(old, acct->address, l.own.lines[0]))
		err = STORE_LIMIT;
	if (err == STORE_OK) {
		pairs_of_text(old, "", &pairs);
		pairs_add(&pairs, l.own.lines[0], strlen(l.own.lines[0]));
		err = write_file(acct->st, &pairs);
	}
	dotlock_release(&held);
out:
	pairs_free(&l.own);
	pairs_free(&pairs);
	buf_free(&text);
	return err;
}

enum store_err
shares_refresh(struct account *acct)
{
	struct pairs pairs = { 0 }, before = { 0 };
	struct buf text = { 0 };
	struct str old;
	struct dotlock held;
	enum store_err err = lock(acct->st, &held);

	if (err != STORE_OK)
		return err;
	err = read_file(acct->st, &text, &old);
	if (err == STORE_NOT_FOUND) {
		err = rebuild_locked(acct->st);
		goto out;
	}
	if (err == STORE_OK) {
		pairs_of_text(old, "", &before);
		pairs_of_text(old, acct->address, &pairs);
		err = look_at_account(acct->st, acct->home->fd, acct->address, &pairs);
		pairs_sort(&pairs);
	}
	if (err == STORE_OK && !pairs_same(&before, &pairs))
		err = write_file(acct->st, &pairs);
out:
	dotlock_release(&held);
	pairs_free(&before);
	pairs_free(&pairs);
	buf_free(&text);
	return err;
}

enum store_err
shares_with(struct store *st, const char *user, struct shares *out)
{
	struct buf text = { 0 };
	struct pairs owners = { 0 };
	struct str pairs, line;
	enum store_err err = read_or_rebuild(st, &text, &pairs);

	*out = (struct shares){ 0 };
	if (err == STORE_OK) {
		struct cursor c = cursor_from(pairs);

		while (cursor_take_line(&c, &line)) {
			const char *tab = memchr(line.p, '\t', line.len);
			struct str who = { line.p, tab != NULL ? (size_t)(tab - line.p) : 0 };

			if (tab != NULL &&
			    (str_eq(who, STR(ANYONE)) || str_eq(who, str_from(user))))
				pairs_add(&owners, tab + 1, line.len - who.len - 1);
		}
		pairs_sort(&owners);
	}
	buf_free(&text);
	*out = (struct shares){ owners.arena, owners.lines, owners.count };
	return err;
}

void
shares_free(struct shares *shares)
{
	free(shares->owners);
	arena_free(&shares->arena);
	*shares = (struct shares){ 0 };
}

bool
shares_has(struct store *st, const char *user, const char *owner)
{
	struct shares shares;
	bool has = shares_with(st, user, &shares) == STORE_OK && shares.count > 0 &&
		   bsearch(&owner, shares.owners, shares.count, sizeof(*shares.owners),
		       compare_lines) != NULL;

	shares_free(&shares);
	return has;
}
