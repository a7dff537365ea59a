/* Crossings on disk:
 *
 *	sanger-crossing 1
 *	from 1795306728 INBOX                  UIDVALIDITY and name of the mailbox that loses the messages
 *	to bob@example.org Projects/2026       account and mailbox that get them
 *	17 1795306730.M5P7Q1.host 1795301.M2P3Q1.host    UID, unique part of the name there, and of the one that goes
 *	end 1                                  how many
 */
#include "store/crossing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/folder.h"
#include "store/mailbox_internal.h"
#include "store/maildir_name.h"

#define DIRECTORY      "sanger-crossings"
#define LOCK           "lock"
#define LOCK_STEP_MS   10
#define HEADER         STR("sanger-crossing 1\n")
#define FILE_MAX_BYTES (256u * 1024 * 1024)

struct crossing {
	struct account *from;
	int dir_fd, lock_fd;
	char name[DIR_UNIQUE_MAX_BYTES]; /* empty: nothing is noted yet */
};

static void finish_left(struct account *acct, int dir_fd);

/* --- beginning --------------------------------------------------------------------------------- */

static void
write_text(struct buf *out, struct mailbox *from, struct account *to, const char *to_name,
    const struct crossing_item *items, size_t count)
{
	buf_add(out, HEADER.p, HEADER.len);
	buf_printf(out, "from %u %s\n", from->facts.uidvalidity, from->name);
	buf_printf(out, "to %s %s\n", to->address, to_name);
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%u %s %s\n", items[i].uid, items[i].unique, items[i].from_unique);
	buf_printf(out, "end %zu\n", count);
}

/* STORE_BUSY: somebody has it. */
static enum store_err
lock(int dir_fd, int wait_ms, int *fd_out)
{
	const struct timespec pause = { .tv_nsec = LOCK_STEP_MS * 1000000 };
	enum store_err err;

	*fd_out = -1;
	err = dir_open_file(dir_fd, LOCK, O_RDWR | O_CREAT, FILE_MODE, fd_out);

	while (err == STORE_OK && flock(*fd_out, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			err = dir_err(errno);
		else if (wait_ms <= 0)
			err = STORE_BUSY;
		else
			nanosleep(&pause, NULL);
		wait_ms -= LOCK_STEP_MS;
	}
	if (err != STORE_OK && *fd_out >= 0) {
		close(*fd_out);
		*fd_out = -1;
	}
	return err;
}

static enum store_err
failed(struct crossing *c, const char *op, enum store_err err)
{
	if (err != STORE_OK)
		log_error(account_log(c->from), "crossing", "account=%s op=%s result=%s",
		    c->from->address, op, store_err_text(err));
	return err;
}

enum store_err
crossing_begin(struct account *from, struct crossing **crossing_out)
{
	struct crossing *c = mem_zalloc(sizeof(*c));
	enum store_err err = dir_make(from->home->fd, DIRECTORY);

	*c = (struct crossing){ .from = from, .dir_fd = -1, .lock_fd = -1 };
	if (err == STORE_OK)
		err = dir_open(from->home->fd, DIRECTORY, &c->dir_fd);
	if (err == STORE_NOT_FOUND) /* something else has its name; no mailbox is missing */
		err = STORE_IO;
	if (err == STORE_OK)
		err = lock(c->dir_fd, STORE_LOCK_WAIT_S * 1000, &c->lock_fd);
	if (failed(c, "begin", err) != STORE_OK) {
		crossing_end(c, true);
		return err;
	}
	finish_left(from, c->dir_fd);
	*crossing_out = c;
	return STORE_OK;
}

enum store_err
crossing_note(struct crossing *c, struct mailbox *from, struct account *to, const char *to_name,
    const struct crossing_item *items, size_t count)
{
	struct buf text = { 0 };
	enum store_err err;

	write_text(&text, from, to, to_name, items, count);
	dir_unique_name(c->name);
	err = dir_replace_file(c->dir_fd, c->name, (struct str){ text.data, text.len }, true);
	buf_free(&text);
	return failed(c, "note", err);
}

void
crossing_end(struct crossing *c, bool over)
{
	if (c == NULL)
		return;
	if (over && c->name[0] != '\0')
		unlinkat(c->dir_fd, c->name, 0); /* one that stays finds nothing to do */
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	if (c->dir_fd >= 0)
		close(c->dir_fd);
	free(c);
}

/* --- reading ----------------------------------------------------------------------------------- */

struct left {
	struct arena arena;
	uint32_t uidvalidity;
	const char *from, *to_local, *to_domain, *to;
	struct crossing_item *items; /* sorted by their uniques */
	size_t count;
};

static int
by_unique(const void *a, const void *b)
{
	const struct crossing_item *x = a, *y = b;

	return strcmp(x->unique, y->unique);
}

/* "from" and "to" */
static bool
parse_places(struct cursor *c, struct left *l)
{
	struct str line, rest;
	struct cursor at;
	const char *blank, *sign;

	if (!cursor_take_line(c, &line))
		return false;
	at = cursor_from(line);
	if (!cursor_take_nocase(&at, STR("from ")) || !cursor_take_u32(&at, &l->uidvalidity) ||
	    !cursor_take(&at, ' '))
		return false;
	l->from = arena_strndup(&l->arena, at.p, cursor_left(&at));
	if (!cursor_take_line(c, &line))
		return false;
	at = cursor_from(line);
	if (!cursor_take_nocase(&at, STR("to ")))
		return false;
	rest = (struct str){ at.p, cursor_left(&at) };
	blank = memchr(rest.p, ' ', rest.len);
	sign = blank != NULL ? memrchr(rest.p, '@', (size_t)(blank - rest.p)) : NULL;
	if (sign == NULL)
		return false;
	l->to_local = arena_strndup(&l->arena, rest.p, (size_t)(sign - rest.p));
	l->to_domain = arena_strndup(&l->arena, sign + 1, (size_t)(blank - sign) - 1);
	l->to = arena_strndup(&l->arena, blank + 1, rest.len - (size_t)(blank + 1 - rest.p));
	return true;
}

/* False: it was not written to its end, so nothing had been done. */
static bool
parse(struct str text, struct left *l)
{
	struct cursor c = cursor_from(text);
	size_t cap = 0;
	struct str line;
	uint64_t count;

	if (!str_has_prefix(text, HEADER))
		return false;
	c.p += HEADER.len;
	if (!parse_places(&c, l))
		return false;
	while (cursor_take_line(&c, &line)) {
		struct cursor at = cursor_from(line);
		struct crossing_item item;
		const char *blank;

		if (cursor_take_nocase(&at, STR("end ")))
			return cursor_take_u64(&at, &count) && cursor_at_end(&at) &&
			       cursor_at_end(&c) && count == l->count;
		if (!cursor_take_u32(&at, &item.uid) || !cursor_take(&at, ' '))
			return false;
		blank = memchr(at.p, ' ', cursor_left(&at));
		if (blank == NULL)
			return false;
		item.unique = arena_strndup(&l->arena, at.p, (size_t)(blank - at.p));
		at.p = blank + 1;
		item.from_unique = arena_strndup(&l->arena, at.p, cursor_left(&at));
		if (l->count == cap) {
			cap = cap > 0 ? 2 * cap : 64;
			l->items = mem_realloc_array(l->items, cap, sizeof(*l->items));
		}
		l->items[l->count++] = item;
	}
	return false;
}

static void
left_free(struct left *l)
{
	free(l->items);
	arena_free(&l->arena);
}

/* --- ending what was left ---------------------------------------------------------------------- */

struct arrived {
	const struct left *left;
	const struct crossing_item **items;
	size_t count;
};

static bool
look_at_name(void *arg, const char *name, unsigned char type)
{
	struct arrived *a = arg;
	struct maildir_name parsed;
	struct crossing_item key, *item;
	char *unique;

	(void)type;
	if (!maildir_name_parse(str_from(name), &parsed))
		return true;
	unique = mem_strndup(parsed.unique.p, parsed.unique.len);
	key = (struct crossing_item){ .unique = unique };
	item = a->left->count == 0
		   ? NULL
		   : bsearch(&key, a->left->items, a->left->count, sizeof(key), by_unique);
	if (item != NULL) {
		if ((a->count & (a->count - 1)) == 0)
			a->items = mem_realloc_array(
			    a->items, a->count == 0 ? 1 : 2 * a->count, sizeof(*a->items));
		a->items[a->count++] = item;
	}
	free(unique);
	return true;
}

/* Which of them are in the destination, durably.  STORE_NOT_FOUND: there is no such mailbox any more. */
static enum store_err
find_arrived(struct account *acct, struct arrived *a)
{
	const struct left *l = a->left;
	struct maildir dest;
	struct home *home;
	enum store_err err = home_open(acct->st->root, l->to_local, l->to_domain, false, &home);

	if (err != STORE_OK)
		return err;
	err = maildir_open(home, l->to, &dest);
	if (err == STORE_OK) {
		err = dir_list(dest.cur_fd, look_at_name, a);
		if (err == STORE_OK)
			err = dir_sync(dest.cur_fd);
		maildir_close(&dest);
	}
	home_close(home);
	return err;
}

/* Adds it if its UID is still of the message that went.  What is gone is passed over. */
static enum store_err
choose(struct mailbox *box, const struct crossing_item *item, struct uidset *uids)
{
	struct buf name = { 0 };
	struct maildir_name parsed;
	int fd;
	enum store_err err = mailbox_message_open_named(box, item->uid, &fd, &name);

	if (err == STORE_OK) {
		close(fd);
		if (maildir_name_parse((struct str){ buf_cstr(&name), name.len }, &parsed) &&
		    str_eq(parsed.unique, str_from(item->from_unique)))
			uidset_add(uids, item->uid);
	}
	buf_free(&name);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

static enum store_err
expunge(struct account *acct, const struct arrived *a)
{
	struct uidset uids = { 0 };
	struct mailbox *box;
	enum store_err err = mailbox_open_aside(acct, a->left->from, &box);

	if (err != STORE_OK)
		return err;
	if (box->facts.uidvalidity == a->left->uidvalidity)
		for (size_t i = 0; i < a->count && err == STORE_OK; i++)
			err = choose(box, a->items[i], &uids);
	if (err == STORE_OK && !uidset_is_empty(&uids))
		err = mailbox_expunge_with(box, &uids, MAILBOX_EXPUNGE_UNMARKED, NULL);
	uidset_free(&uids);
	mailbox_close(box);
	return err;
}

/* STORE_OK: nothing is left to do. */
static enum store_err
finish(struct account *acct, struct left *l)
{
	struct arrived a = { .left = l };
	enum store_err err;

	if (l->count > 0)
		qsort(l->items, l->count, sizeof(*l->items), by_unique);
	err = find_arrived(acct, &a);
	if (err == STORE_OK && a.count > 0)
		err = expunge(acct, &a);
	log_info(account_log(acct), "crossing-finished",
	    "account=%s mailbox=%s to=%s@%s messages=%u arrived=%u result=%s", acct->address,
	    l->from, l->to_local, l->to_domain, (unsigned)l->count, (unsigned)a.count,
	    store_err_text(err));
	free(a.items);
	/* One of the mailboxes is gone, or a damaged name is none. */
	return err == STORE_NOT_FOUND || err == STORE_INVALID ? STORE_OK : err;
}

struct looking {
	struct account *acct;
	int dir_fd;
};

static bool
look_at_file(void *arg, const char *name, unsigned char type)
{
	struct looking *look = arg;
	struct buf text = { 0 };
	struct left left = { 0 };
	enum store_err err = STORE_OK;

	(void)type;
	if (strcmp(name, LOCK) == 0 ||
	    dir_read_file(look->dir_fd, name, FILE_MAX_BYTES, &text) != STORE_OK)
		return true;
	if (parse((struct str){ buf_cstr(&text), text.len }, &left))
		err = finish(look->acct, &left);
	else
		log_info(account_log(look->acct), "crossing-unfinished", "account=%s file=%s",
		    look->acct->address, name);
	if (err == STORE_OK)
		unlinkat(look->dir_fd, name, 0);
	left_free(&left);
	buf_free(&text);
	return true;
}

/* Under the lock. */
static void
finish_left(struct account *acct, int dir_fd)
{
	struct looking look = { acct, dir_fd };

	dir_list(dir_fd, look_at_file, &look);
}

void
crossing_finish_all(struct account *acct)
{
	int dir_fd, lock_fd;

	if (dir_open(acct->home->fd, DIRECTORY, &dir_fd) != STORE_OK)
		return;
	if (lock(dir_fd, 0, &lock_fd) == STORE_OK) {
		finish_left(acct, dir_fd);
		close(lock_fd);
	}
	close(dir_fd);
}
