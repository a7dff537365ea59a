/* Crossings on disk:
 *
 *	sanger-crossing 1
 *	from 1795306728 INBOX                  UIDVALIDITY and name of the mailbox that loses the messages
 *	to bob@example.org Projects/2026       account and mailbox that get them
 *	17 1795306730.M5P7Q1.host              UID there, unique part of the name here
 *	end 1                                  how many
 */
#include "store/crossing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/folder.h"
#include "store/mailbox_internal.h"
#include "store/maildir_name.h"

#define DIRECTORY      "sanger-crossings"
#define HEADER         STR("sanger-crossing 1\n")
#define FILE_MAX_BYTES (256u * 1024 * 1024)

struct crossing {
	int dir_fd, fd; /* the latter holds the lock */
	char name[DIR_UNIQUE_MAX_BYTES];
};

/* --- beginning --------------------------------------------------------------------------------- */

static void
write_text(struct buf *out, struct mailbox *from, struct account *to, const char *to_name,
    const struct crossing_item *items, size_t count)
{
	buf_add(out, HEADER.p, HEADER.len);
	buf_printf(out, "from %u %s\n", from->facts.uidvalidity, from->name);
	buf_printf(out, "to %s %s\n", to->address, to_name);
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%u %s\n", items[i].uid, items[i].unique);
	buf_printf(out, "end %zu\n", count);
}

static bool
lock(int fd, bool wait)
{
	int r;

	do {
		r = flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
	} while (r != 0 && errno == EINTR);
	return r == 0;
}

/* Somebody may take it for one that was left before we have locked it: then it is gone, and we make another. */
static enum store_err
make_locked(struct crossing *c)
{
	for (;;) {
		enum store_err err;
		struct stat st;

		dir_unique_name(c->name);
		err =
		    dir_open_file(c->dir_fd, c->name, O_RDWR | O_CREAT | O_EXCL, FILE_MODE, &c->fd);
		if (err != STORE_OK)
			return err;
		if (!lock(c->fd, true) || fstat(c->fd, &st) != 0)
			return dir_err(errno);
		if (st.st_nlink > 0)
			return STORE_OK;
		close(c->fd);
		c->fd = -1;
	}
}

enum store_err
crossing_begin(struct mailbox *from, struct account *to, const char *to_name,
    const struct crossing_item *items, size_t count, struct crossing **crossing_out)
{
	struct crossing *c = mem_zalloc(sizeof(*c));
	struct buf text = { 0 };
	int home_fd = from->acct->home->fd;
	enum store_err err;

	c->dir_fd = c->fd = -1;
	write_text(&text, from, to, to_name, items, count);
	err = dir_make(home_fd, DIRECTORY);
	if (err == STORE_OK)
		err = dir_open(home_fd, DIRECTORY, &c->dir_fd);
	if (err == STORE_OK)
		err = make_locked(c);
	if (err == STORE_OK)
		err = dir_write_all(c->fd, (struct str){ buf_cstr(&text), text.len })
			  ? STORE_OK
			  : dir_err(errno);
	if (err == STORE_OK)
		err = dir_sync(c->fd);
	if (err == STORE_OK)
		err = dir_sync(c->dir_fd);
	buf_free(&text);
	if (err == STORE_OK) {
		*crossing_out = c;
		return STORE_OK;
	}
	log_error(account_log(from->acct), "crossing", "account=%s op=begin result=%s",
	    from->acct->address, store_err_text(err));
	crossing_end(c, true);
	return err;
}

void
crossing_end(struct crossing *c, bool over)
{
	if (c == NULL)
		return;
	if (over && c->fd >= 0)
		unlinkat(c->dir_fd, c->name, 0); /* one that stays finds nothing to do */
	if (c->fd >= 0)
		close(c->fd);
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

		if (cursor_take_nocase(&at, STR("end ")))
			return cursor_take_u64(&at, &count) && cursor_at_end(&at) &&
			       cursor_at_end(&c) && count == l->count;
		if (!cursor_take_u32(&at, &item.uid) || !cursor_take(&at, ' '))
			return false;
		item.unique = arena_strndup(&l->arena, at.p, cursor_left(&at));
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
	struct uidset *uids; /* in the source */
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
	if (item != NULL)
		uidset_add(a->uids, item->uid);
	free(unique);
	return true;
}

/* Which of them are in the destination, durably.  STORE_NOT_FOUND: there is no such mailbox any more. */
static enum store_err
find_arrived(struct account *acct, const struct left *l, struct uidset *uids)
{
	struct arrived a = { .left = l, .uids = uids };
	struct maildir dest;
	struct home *home;
	enum store_err err = home_open(acct->st->root, l->to_local, l->to_domain, false, &home);

	if (err != STORE_OK)
		return err;
	err = maildir_open(home, l->to, &dest);
	if (err == STORE_OK) {
		err = dir_list(dest.cur_fd, look_at_name, &a);
		if (err == STORE_OK)
			err = dir_sync(dest.cur_fd);
		maildir_close(&dest);
	}
	home_close(home);
	return err;
}

static enum store_err
expunge(struct account *acct, const struct left *l, const struct uidset *uids)
{
	struct mailbox *box;
	enum store_err err = mailbox_open_aside(acct, l->from, &box);

	if (err != STORE_OK)
		return err;
	if (box->facts.uidvalidity == l->uidvalidity)
		err = mailbox_expunge_with(box, uids, MAILBOX_EXPUNGE_UNMARKED, NULL);
	mailbox_close(box);
	return err;
}

/* STORE_OK: nothing is left to do. */
static enum store_err
finish(struct account *acct, struct left *l)
{
	struct uidset uids = { 0 };
	enum store_err err;

	if (l->count > 0)
		qsort(l->items, l->count, sizeof(*l->items), by_unique);
	err = find_arrived(acct, l, &uids);
	if (err == STORE_OK && !uidset_is_empty(&uids))
		err = expunge(acct, l, &uids);
	log_info(account_log(acct), "crossing-finished",
	    "account=%s mailbox=%s to=%s@%s messages=%u arrived=%u result=%s", acct->address,
	    l->from, l->to_local, l->to_domain, (unsigned)l->count, uidset_count(&uids),
	    store_err_text(err));
	uidset_free(&uids);
	return err == STORE_NOT_FOUND ? STORE_OK : err; /* one of the mailboxes is gone */
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
	int fd;

	(void)type;
	if (dir_open_file(look->dir_fd, name, O_RDWR, 0, &fd) != STORE_OK)
		return true;
	if (lock(fd, false) &&
	    dir_read_file(look->dir_fd, name, FILE_MAX_BYTES, &text) == STORE_OK) {
		if (parse((struct str){ buf_cstr(&text), text.len }, &left))
			err = finish(look->acct, &left);
		if (err == STORE_OK)
			unlinkat(look->dir_fd, name, 0);
	}
	left_free(&left);
	buf_free(&text);
	close(fd);
	return true;
}

void
crossing_finish_all(struct account *acct)
{
	struct looking look = { .acct = acct };

	if (dir_open(acct->home->fd, DIRECTORY, &look.dir_fd) != STORE_OK)
		return;
	dir_list(look.dir_fd, look_at_file, &look);
	close(look.dir_fd);
}
