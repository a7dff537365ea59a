#include "admin/maildir_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/dir.h"
#include "store/folder.h"
#include "store/keywords.h"
#include "store/mailbox.h"
#include "store/maildir_name.h"
#include "store/mutf7.h"
#include "store/sanger_mailbox.h"
#include "store/uidlist.h"

#define OURS_MAX_BYTES (64 * 1024) /* of sanger-mailbox */

/* --- the tree ------------------------------------------------------------------------------------ */

static bool
is_directory(int at_fd, const char *path)
{
	struct stat st;

	return fstatat(at_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool
is_maildir(int at_fd, const char *dir)
{
	char *cur = mem_printf("%s%scur", dir, *dir != '\0' ? "/" : "");
	char *new = mem_printf("%s%snew", dir, *dir != '\0' ? "/" : "");
	bool is = is_directory(at_fd, cur) || is_directory(at_fd, new);

	free(cur);
	free(new);
	return is;
}

static void
add_folder(struct source_tree *tree, const char *name, const char *dir)
{
	if ((tree->count & (tree->count - 1)) == 0)
		tree->folders = mem_realloc_array(
		    tree->folders, tree->count == 0 ? 1 : 2 * tree->count, sizeof(*tree->folders));
	tree->folders[tree->count++] = (struct source_folder){ mem_strdup(name), mem_strdup(dir) };
}

/* A name nobody could have chosen here (raw 8-bit, broken UTF-7: "&=caf%E9") loses what makes it one. */
static void
add_creatable(struct source_tree *tree, struct buf *name, const char *dir)
{
	if (tree->count >= SOURCE_FOLDERS_MAX) {
		buf_printf(&tree->remarks, "%s: too many folders\n", dir);
		return;
	}
	for (size_t i = 0; i + 1 < name->len; i++)
		if (name->data[i] == '&' && name->data[i + 1] == '=' &&
		    (i == 0 || name->data[i - 1] == '/'))
			name->data[i] = '_';
	if (mailbox_name_problem((struct str){ name->data, name->len }) != NULL) {
		buf_printf(&tree->remarks, "%s: %s\n", dir,
		    mailbox_name_problem((struct str){ name->data, name->len }));
		return;
	}
	add_folder(tree, buf_cstr(name), dir);
}

struct listing {
	struct source_tree *tree;
	struct buf plain; /* names without a dot, each with its NUL: perhaps LAYOUT=fs */
};

static bool
on_tree_entry(void *arg, const char *name, unsigned char type)
{
	struct listing *l = arg;
	struct buf mailbox = { 0 };

	if (type == DT_LNK && name[0] == '.')
		buf_printf(&l->tree->remarks, "%s: a symbolic link, which is not followed\n", name);
	if (type != DT_DIR)
		return true;
	if (name[0] != '.') {
		buf_add(&l->plain, name, strlen(name) + 1);
	} else if (is_maildir(l->tree->fd, name) && folder_name(l->tree->fd, name, &mailbox)) {
		add_creatable(l->tree, &mailbox, name);
	}
	buf_free(&mailbox);
	return true;
}

void
source_fs_name(struct buf *out, const char *dir)
{
	struct cursor c = cursor_from(str_from(dir));

	for (;;) {
		struct str level = { c.p, 0 };
		struct buf decoded = { 0 };

		while (!cursor_at_end(&c) && *c.p != '/')
			c.p++;
		level.len = (size_t)(c.p - level.p);
		if (mutf7_decode(&decoded, level))
			buf_add(out, decoded.data, decoded.len);
		else
			for (size_t i = 0; i < level.len; i++)
				buf_addc(
				    out, level.p[i] > ' ' && level.p[i] < 0x7f ? level.p[i] : '_');
		buf_free(&decoded);
		if (!cursor_take(&c, '/'))
			return;
		buf_addc(out, '/');
	}
}

static bool
is_own_directory(const char *name)
{
	static const char *const NAMES[] = { "cur", "new", "tmp", "courierimapkeywords",
		"courierimaphieracl", "sanger-training", "sanger-expunged", "sieve" };

	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
		if (strcmp(name, NAMES[i]) == 0)
			return true;
	return name[0] == '.' || strncmp(name, "sanger-", 7) == 0 || strncmp(name, "dbox-", 5) == 0;
}

struct fs_walk {
	struct source_tree *tree;
	const char *dir; /* "" at the top */
	int depth;
	size_t found;
	bool add;
};

static void walk_fs(struct source_tree *tree, const char *dir, int depth, bool add, size_t *found);

static bool
on_fs_entry(void *arg, const char *name, unsigned char type)
{
	struct fs_walk *w = arg;
	char *dir;

	if (type != DT_DIR || is_own_directory(name))
		return true;
	dir = mem_printf("%s%s%s", w->dir, *w->dir != '\0' ? "/" : "", name);
	if (is_maildir(w->tree->fd, dir)) {
		struct buf mailbox = { 0 };

		w->found++;
		source_fs_name(&mailbox, dir);
		if (w->add && !mailbox_name_is_inbox(buf_cstr(&mailbox)))
			add_creatable(w->tree, &mailbox, dir);
		else if (w->add && !is_maildir(w->tree->fd, ""))
			add_folder(w->tree, "INBOX", dir);
		buf_free(&mailbox);
	}
	walk_fs(w->tree, dir, w->depth + 1, w->add, &w->found);
	free(dir);
	return true;
}

static void
walk_fs(struct source_tree *tree, const char *dir, int depth, bool add, size_t *found)
{
	struct fs_walk w = { tree, dir, depth, 0, add };
	int fd;

	if (depth > SOURCE_DEPTH_MAX ||
	    dir_open(tree->fd, *dir != '\0' ? dir : ".", &fd) != STORE_OK)
		return;
	dir_list(fd, on_fs_entry, &w);
	close(fd);
	*found += w.found;
}

static int
by_name(const void *a, const void *b)
{
	const struct source_folder *x = a, *y = b;
	bool x_inbox = mailbox_name_is_inbox(x->name), y_inbox = mailbox_name_is_inbox(y->name);

	if (x_inbox != y_inbox)
		return x_inbox ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Two directories that came out at one name (which only mended names can) stay apart. */
static void
keep_apart(struct source_tree *tree)
{
	for (size_t i = 1; i < tree->count; i++) {
		struct source_folder *f = &tree->folders[i];

		for (unsigned n = 2; strcmp(f->name, tree->folders[i - 1].name) == 0; n++) {
			char *other = mem_printf("%s-%u", f->name, n);

			free(f->name);
			f->name = other;
		}
	}
}

/* What stands there instead of a Maildir. */
static void
say_what_it_is(const struct source_tree *tree, struct buf *problem)
{
	if (is_directory(tree->fd, "mailboxes") && is_directory(tree->fd, "storage"))
		buf_printf(problem,
		    "%s is Dovecot's mdbox, which only Dovecot reads: use mailadmin import imap, "
		    "or make a Maildir of it with doveadm sync",
		    tree->path);
	else if (is_directory(tree->fd, "mailboxes"))
		buf_printf(problem,
		    "%s is Dovecot's sdbox, which only Dovecot reads: use mailadmin import imap, "
		    "or make a Maildir of it with doveadm sync",
		    tree->path);
	else if (is_maildir(tree->fd, "Maildir"))
		buf_printf(
		    problem, "%s has a Maildir in it: give %s/Maildir", tree->path, tree->path);
	else
		buf_printf(problem, "%s is no Maildir: it has neither cur nor new", tree->path);
}

static bool
open_top(struct source_tree *tree, struct buf *problem)
{
	struct stat st;

	tree->fd = open(tree->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree->fd >= 0)
		return true;
	if (errno == ENOTDIR && stat(tree->path, &st) == 0 && S_ISREG(st.st_mode))
		buf_printf(problem,
		    "%s is a file, perhaps an mbox: for that there is mailadmin import mbox",
		    tree->path);
	else
		buf_printf(problem, "%s: %s", tree->path, strerror(errno));
	return false;
}

/* Directories without a dot that are Maildirs are mailboxes of LAYOUT=fs, unless the tree has folders of Maildir++. */
static void
add_fs_folders(struct source_tree *tree)
{
	size_t found = 0;
	bool plus = false;

	for (size_t i = 0; i < tree->count; i++)
		plus = plus || tree->folders[i].dir[0] == '.';
	walk_fs(tree, "", 1, !plus, &found);
	if (plus && found > 0)
		buf_printf(&tree->remarks,
		    "%zu director%s without a dot in front look like Maildirs: no folders of this "
		    "tree, "
		    "left aside\n",
		    found, found == 1 ? "y" : "ies");
}

bool
source_tree_open(const char *path, struct source_tree *tree, struct buf *problem)
{
	struct listing l = { .tree = tree };

	*tree = (struct source_tree){ .path = mem_strdup(path), .fd = -1 };
	if (!open_top(tree, problem))
		return false;
	if (is_maildir(tree->fd, ""))
		add_folder(tree, "INBOX", "");
	if (dir_list(tree->fd, on_tree_entry, &l) != STORE_OK)
		buf_printf(problem, "%s: %s", path, strerror(errno));
	buf_free(&l.plain);
	if (problem->len > 0)
		return false;
	add_fs_folders(tree);
	if (tree->count == 0 ||
	    (is_directory(tree->fd, "mailboxes") && !is_maildir(tree->fd, ""))) {
		say_what_it_is(tree, problem);
		return false;
	}
	qsort(tree->folders, tree->count, sizeof(*tree->folders), by_name);
	keep_apart(tree);
	return true;
}

void
source_tree_close(struct source_tree *tree)
{
	for (size_t i = 0; i < tree->count; i++) {
		free(tree->folders[i].name);
		free(tree->folders[i].dir);
	}
	free(tree->folders);
	free(tree->path);
	buf_free(&tree->remarks);
	if (tree->fd >= 0)
		close(tree->fd);
	*tree = (struct source_tree){ .fd = -1 };
}

void
source_tree_subscriptions(const struct source_tree *tree, struct subscriptions *subs_out)
{
	struct home home = {
		.fd = tree->fd, .domain = (char[]){ "" }, .localpart = (char[]){ "" }
	};

	if (subscriptions_read(&home, subs_out) != STORE_OK)
		*subs_out = (struct subscriptions){ 0 };
}

static bool
count_entry(void *arg, const char *name, unsigned char type)
{
	(void)type;
	*(uint64_t *)arg += name[0] != '.';
	return true;
}

uint64_t
source_tree_count(const struct source_tree *tree)
{
	static const char *const DIRS[] = { "new", "cur" };
	uint64_t count = 0;

	for (size_t i = 0; i < 2 * tree->count; i++) {
		const char *dir = tree->folders[i / 2].dir;
		char *path = mem_printf("%s%s%s", dir, *dir != '\0' ? "/" : "", DIRS[i % 2]);
		int fd;

		if (dir_open(tree->fd, path, &fd) == STORE_OK) {
			dir_list(fd, count_entry, &count);
			close(fd);
		}
		free(path);
	}
	return count;
}

/* --- one mailbox --------------------------------------------------------------------------------- */

static const struct {
	uint32_t letter;
	unsigned flag;
} FLAGS[] = {
	{ MAILDIR_DRAFT, MESSAGE_DRAFT },
	{ MAILDIR_FLAGGED, MESSAGE_FLAGGED },
	{ MAILDIR_REPLIED, MESSAGE_ANSWERED },
	{ MAILDIR_SEEN, MESSAGE_SEEN },
	{ MAILDIR_TRASHED, MESSAGE_DELETED },
};

/* A folder's lists while it is read. */
struct reading {
	struct source_mailbox *box;
	int fd;
	bool in_new;
	struct keywords letters;
	struct keyword_list extra;
	struct uidlist uids;
	struct sanger_mailbox ours;
	uint32_t letters_used;
};

static bool
has_keyword(const struct source_message *m, const char *name)
{
	for (size_t i = 0; i < m->keyword_count; i++)
		if (ascii_eq_nocase(m->keywords[i], name))
			return true;
	return false;
}

static void
add_keyword(struct reading *r, struct source_message *m, const char *name)
{
	const char **grown;

	if (!keyword_is_valid(str_from(name)) || strlen(name) >= MAILBOX_KEYWORD_MAX_BYTES) {
		r->box->damaged_lines++;
		return;
	}
	if (has_keyword(m, name) || m->keyword_count >= MAILBOX_KEYWORDS_MAX)
		return;
	grown = arena_alloc(&r->box->arena, (m->keyword_count + 1) * sizeof(*grown));
	if (m->keyword_count > 0)
		memcpy(grown, m->keywords, m->keyword_count * sizeof(*grown));
	grown[m->keyword_count++] = arena_strdup(&r->box->arena, name);
	m->keywords = grown;
}

static void
take_keywords(struct reading *r, const struct maildir_name *name, struct source_message *m)
{
	const struct keyword_entry *extra = keyword_list_find(&r->extra, name->unique);

	r->letters_used |= name->keywords;
	for (unsigned i = 0; i < KEYWORDS_LETTERS; i++)
		if ((name->keywords >> i & 1) != 0 && r->letters.names[i] != NULL)
			add_keyword(r, m, r->letters.names[i]);
	for (size_t i = 0; extra != NULL && i < extra->name_count; i++)
		add_keyword(r, m, extra->names[i]);
	if ((name->flags & MAILDIR_PASSED) != 0)
		add_keyword(r, m, "$Forwarded");
}

static uint32_t
uid_of(const struct reading *r, const struct maildir_name *name)
{
	const struct uidlist_entry *listed =
	    r->uids.count > 0 ? uidlist_find(&r->uids, name->base) : NULL;

	if (listed != NULL)
		return listed->uid;
	if (r->box->kind == SOURCE_SANGER && !r->in_new && name->uid < r->ours.uid_lease)
		return name->uid;
	return 0;
}

static bool
on_message(void *arg, const char *file, unsigned char type)
{
	struct reading *r = arg;
	struct source_mailbox *box = r->box;
	struct source_message m = { 0 };
	struct maildir_name name;
	struct buf stem = { 0 };

	if ((type != DT_REG && type != DT_UNKNOWN) || !maildir_name_parse(str_from(file), &name) ||
	    name.unique.len == 0)
		return true;
	maildir_name_stem(&stem, &name);
	m.stem = arena_strndup(&box->arena, stem.data, stem.len);
	m.unique = arena_strndup(&box->arena, name.unique.p, name.unique.len);
	m.path = arena_printf(&box->arena, "%s/%s", r->in_new ? "new" : "cur", file);
	for (size_t i = 0; i < ARRAY_LEN(FLAGS); i++)
		if ((name.flags & FLAGS[i].letter) != 0)
			m.flags |= FLAGS[i].flag;
	take_keywords(r, &name, &m);
	if ((box->count & (box->count - 1)) == 0)
		box->messages = mem_realloc_array(
		    box->messages, box->count == 0 ? 1 : 2 * box->count, sizeof(*box->messages));
	box->messages[box->count++] = m;
	buf_free(&stem);
	return true;
}

static enum store_err
list_messages(struct reading *r, const char *dir)
{
	int fd;
	enum store_err err = dir_open(r->fd, dir, &fd);

	if (err == STORE_NOT_FOUND)
		return STORE_OK;
	if (err != STORE_OK)
		return err;
	r->in_new = strcmp(dir, "new") == 0;
	err = dir_list(fd, on_message, r);
	close(fd);
	return err;
}

static int
by_unique(const void *a, const void *b)
{
	const struct source_message *x = a, *y = b;
	int order = strcmp(x->unique, y->unique);

	return order != 0 ? order : strcmp(x->stem, y->stem);
}

/* By UID, then by arrival: names begin with the second. */
static int
by_uid(const void *a, const void *b)
{
	const struct source_message *x = a, *y = b;
	uint32_t u = x->uid - 1, v = y->uid - 1; /* 0 goes last */
	unsigned long long s, t;

	if (u != v)
		return u < v ? -1 : 1;
	s = strtoull(x->stem, NULL, 10);
	t = strtoull(y->stem, NULL, 10);
	if (s != t)
		return s < t ? -1 : 1;
	return strcmp(x->path, y->path);
}

static bool
is_there(const struct reading *r, const struct source_message *m)
{
	struct stat st;

	return fstatat(r->fd, m->path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A message that was renamed while we listed stands there twice: the name that is gone goes.  Where both are there they are
 * two messages, and the second has no UID. */
static void
settle_names(struct reading *r)
{
	struct source_mailbox *box = r->box;
	size_t kept = 0;

	if (box->count > 1)
		qsort(box->messages, box->count, sizeof(*box->messages), by_unique);
	for (size_t i = 0; i < box->count; i++) {
		struct source_message m = box->messages[i];
		struct source_message *last = kept > 0 ? &box->messages[kept - 1] : NULL;

		if (last != NULL && strcmp(last->stem, m.stem) == 0) {
			if (!is_there(r, &m))
				continue;
			if (!is_there(r, last)) {
				*last = m;
				continue;
			}
			m.stem = arena_printf(&box->arena, "%s/%s", m.path, m.stem);
			m.uid = 0;
		}
		box->messages[kept++] = m;
	}
	box->count = kept;
	for (size_t i = 0; i < box->count; i++) {
		const char *unique = box->messages[i].unique;
		size_t end = i + 1;

		while (end < box->count && strcmp(box->messages[end].unique, unique) == 0)
			end++;
		for (size_t k = i; end - i > 1 && k < end; k++)
			box->messages[k].unique = NULL;
		i = end - 1;
	}
}

/* A UID is one message's. */
static void
settle_uids(struct source_mailbox *box)
{
	bool again = false;

	if (box->count > 1)
		qsort(box->messages, box->count, sizeof(*box->messages), by_uid);
	for (size_t i = box->count; i-- > 1;)
		if (box->messages[i].uid != 0 && box->messages[i].uid == box->messages[i - 1].uid) {
			box->messages[i].uid = 0;
			again = true;
		}
	if (again)
		qsort(box->messages, box->count, sizeof(*box->messages), by_uid);
}

static bool
read_ours(int folder_fd, struct sanger_mailbox *ours)
{
	struct buf text = { 0 };
	unsigned version;
	bool ok = dir_read_file(folder_fd, "sanger-mailbox", OURS_MAX_BYTES, &text) == STORE_OK &&
		  sanger_mailbox_parse((struct str){ text.data, text.len }, ours, &version);

	buf_free(&text);
	return ok;
}

/* Whose list has the UIDs.  It is read after the names, so that it knows as many of them as possible. */
static void
read_uid_lists(struct reading *r)
{
	struct source_mailbox *box = r->box;
	enum store_err dovecot, courier = STORE_NOT_FOUND;

	if (read_ours(r->fd, &r->ours)) {
		box->kind = SOURCE_SANGER;
		box->uidvalidity = r->ours.uid_validity;
		box->uidnext = r->ours.uid_lease;
	}
	if (box->kind == SOURCE_SANGER && r->ours.uid_source == SANGER_UIDS_OWN)
		return;
	dovecot = uidlist_read_dovecot(r->fd, &r->uids);
	if (dovecot != STORE_OK)
		courier = uidlist_read_courier(r->fd, &r->uids);
	if (dovecot != STORE_OK && courier != STORE_OK) {
		box->damaged_lines += dovecot == STORE_CORRUPT || courier == STORE_CORRUPT;
		return;
	}
	box->damaged_lines += r->uids.skipped_lines;
	if (box->kind == SOURCE_SANGER) {
		if (r->uids.uid_validity != box->uidvalidity)
			uidlist_free(&r->uids);
		return;
	}
	box->kind = dovecot == STORE_OK ? SOURCE_DOVECOT : SOURCE_COURIER;
	box->uidvalidity = r->uids.uid_validity;
	box->uidnext = r->uids.next_uid;
}

static void
read_keywords(struct reading *r)
{
	if (keywords_read(r->fd, &r->letters) != STORE_OK)
		r->box->damaged_lines++;
	if (keyword_list_read(r->fd, &r->extra) != STORE_OK)
		r->box->damaged_lines++;
	if (r->extra.count == 0) {
		keyword_list_free(&r->extra);
		keyword_list_read_courier(r->fd, &r->extra);
	}
}

static int
by_text(const void *a, const void *b)
{
	return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

static void
count_keywords(struct reading *r)
{
	struct source_mailbox *box = r->box;
	const char **all;
	size_t total = 0, n = 0;

	for (size_t i = 0; i < box->count; i++)
		total += box->messages[i].keyword_count;
	all = mem_realloc_array(NULL, total + 1, sizeof(*all));
	for (size_t i = 0; i < box->count; i++)
		for (size_t k = 0; k < box->messages[i].keyword_count; k++)
			all[n++] = box->messages[i].keywords[k];
	qsort(all, n, sizeof(*all), by_text);
	for (size_t i = 0; i < n; i++)
		box->keyword_count += i == 0 || strcasecmp(all[i], all[i - 1]) != 0;
	free(all);
	for (unsigned i = 0; i < KEYWORDS_LETTERS; i++)
		box->damaged_lines +=
		    (r->letters_used >> i & 1) != 0 && r->letters.names[i] == NULL;
}

static void
give_uids(struct reading *r)
{
	struct source_mailbox *box = r->box;

	for (size_t i = 0; i < box->count; i++) {
		const char *file = strchr(box->messages[i].path, '/') + 1;
		struct maildir_name name;

		r->in_new = box->messages[i].path[0] == 'n';
		if (maildir_name_parse(str_from(file), &name))
			box->messages[i].uid = uid_of(r, &name);
		if (box->messages[i].uid >= box->uidnext)
			box->messages[i].uid = 0;
	}
}

enum store_err
source_mailbox_read(
    const struct source_tree *tree, const struct source_folder *folder, struct source_mailbox *box)
{
	struct reading r = { .box = box };
	enum store_err err;

	*box = (struct source_mailbox){ 0 };
	err = dir_open(tree->fd, *folder->dir != '\0' ? folder->dir : ".", &r.fd);
	if (err != STORE_OK)
		return err;
	read_keywords(&r);
	err = list_messages(&r, "new");
	if (err == STORE_OK)
		err = list_messages(&r, "cur");
	if (err == STORE_OK) {
		read_uid_lists(&r);
		give_uids(&r);
		settle_names(&r);
		settle_uids(box);
		count_keywords(&r);
	}
	uidlist_free(&r.uids);
	keywords_free(&r.letters);
	keyword_list_free(&r.extra);
	sanger_mailbox_free(&r.ours);
	close(r.fd);
	return err;
}

void
source_mailbox_free(struct source_mailbox *box)
{
	free(box->messages);
	arena_free(&box->arena);
	*box = (struct source_mailbox){ 0 };
}

enum special_use
source_folder_use(const struct source_tree *tree, const struct source_folder *folder)
{
	struct sanger_mailbox ours = { 0 };
	enum special_use use = SPECIAL_NONE;
	int fd;

	if (dir_open(tree->fd, *folder->dir != '\0' ? folder->dir : ".", &fd) != STORE_OK)
		return SPECIAL_NONE;
	if (read_ours(fd, &ours)) {
		special_use_parse(ours.special_use, &use);
		sanger_mailbox_free(&ours);
	}
	close(fd);
	return use;
}

/* --- one message --------------------------------------------------------------------------------- */

struct search {
	const char *stem;
	char *found;
};

static bool
on_candidate(void *arg, const char *file, unsigned char type)
{
	struct search *s = arg;
	struct maildir_name name;
	struct buf stem = { 0 };

	(void)type;
	if (maildir_name_parse(str_from(file), &name)) {
		maildir_name_stem(&stem, &name);
		if (strcmp(buf_cstr(&stem), s->stem) == 0)
			s->found = mem_strdup(file);
	}
	buf_free(&stem);
	return s->found == NULL;
}

/* It got other flags, or was taken out of new/. */
static enum store_err
open_renamed(int folder_fd, const char *stem, int *fd_out)
{
	static const char *const DIRS[] = { "cur", "new" };
	enum store_err err = STORE_NOT_FOUND;

	for (size_t i = 0; i < 2 * ARRAY_LEN(DIRS) && err == STORE_NOT_FOUND; i++) {
		struct search s = { .stem = stem };
		int fd;

		if (dir_open(folder_fd, DIRS[i % 2], &fd) != STORE_OK)
			continue;
		dir_list(fd, on_candidate, &s);
		if (s.found != NULL)
			err = dir_open_file(fd, s.found, O_RDONLY, 0, fd_out);
		free(s.found);
		close(fd);
	}
	return err;
}

enum store_err
source_message_open(const struct source_tree *tree, const struct source_folder *folder,
    const struct source_message *m, int *fd_out)
{
	int fd;
	enum store_err err = dir_open(tree->fd, *folder->dir != '\0' ? folder->dir : ".", &fd);

	if (err != STORE_OK)
		return err;
	err = dir_open_file(fd, m->path, O_RDONLY, 0, fd_out);
	if (err == STORE_NOT_FOUND)
		err = open_renamed(fd, m->stem, fd_out);
	close(fd);
	return err;
}
