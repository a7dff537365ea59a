/* What a snapshot has of an account; nothing in it is changed, not even what opening a mailbox would mend. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/output.h"
#include "admin/restore.h"
#include "base/mem.h"
#include "store/dir.h"
#include "store/folder.h"
#include "store/header.h"
#include "store/mailbox_name.h"
#include "store/mime.h"
#include "store/sanger_mailbox.h"
#include "store/subscriptions.h"
#include "store/uidlist.h"

#define NS_PER_S         INT64_C(1000000000)
#define SMALL_FILE_MAX   65536
#define HEADER_MAX_BYTES 65536

/* --- opening ------------------------------------------------------------------------------------ */

static bool
read_manifest(struct restore *r, struct saved_account *s)
{
	char *path = mem_printf("manifest/%s", s->place);
	const struct manifest_entry *known;
	struct file_digest digest;
	enum store_err err = manifest_read(r->fd, path, true, &s->manifest, &digest);

	if (err == STORE_NOT_FOUND) {
		admin_refuse("%s has no mail of %s", r->path, s->address);
	} else if (err == STORE_OK) {
		known = manifest_find_path(&r->server, path);
		if (known == NULL || !file_digest_eq(&known->digest, &digest)) {
			admin_refuse("%s/%s is not what was saved", r->path, path);
			err = r->damaged_too ? STORE_OK : STORE_CORRUPT;
		}
	}
	free(path);
	return err == STORE_OK;
}

/* The UIDs of an adopted tree's messages are in its list. */
static void
read_uids(struct saved_folder *f)
{
	struct uidlist list = { 0 };

	if (uidlist_read_dovecot(f->fd, &list) != STORE_OK &&
	    uidlist_read_courier(f->fd, &list) != STORE_OK)
		return;
	for (size_t i = 0; i < f->count && list.uid_validity == f->uidvalidity; i++) {
		const struct uidlist_entry *e =
		    f->messages[i].uid == 0 ? uidlist_find(&list, f->messages[i].parsed.base)
					    : NULL;

		if (e != NULL)
			f->messages[i].uid = e->uid;
	}
	uidlist_free(&list);
}

static void
read_identity(struct saved_folder *f)
{
	struct sanger_mailbox box = { 0 };
	struct buf text = { 0 };
	unsigned version;

	if (dir_read_file(f->fd, "sanger-mailbox", SMALL_FILE_MAX, &text) == STORE_OK &&
	    sanger_mailbox_parse((struct str){ text.data, text.len }, &box, &version)) {
		f->uidvalidity = box.uid_validity;
		f->is_trash = strstr(box.special_use, "\\Trash") != NULL;
		sanger_mailbox_free(&box);
	}
	buf_free(&text);
}

static void
add_message(struct saved_folder *f, const struct manifest_entry *e)
{
	const char *name = strrchr(e->path, '/') + 1;
	struct saved_message m = { .entry = e, .name = name, .in_new = name[-2] == 'w' };

	if (!maildir_name_parse(str_from(name), &m.parsed))
		return;
	m.uid = m.in_new ? 0 : m.parsed.uid;
	if (f->count % 256 == 0)
		f->messages = mem_realloc_array(f->messages, f->count + 256, sizeof(*f->messages));
	f->messages[f->count++] = m;
}

static struct saved_folder *
find_folder(struct saved_account *s, struct str dir)
{
	for (size_t i = 0; i < s->folder_count; i++)
		if (str_eq(str_from(s->folders[i].dir), dir))
			return &s->folders[i];
	return NULL;
}

/* By UID; those without come behind, in the order of their arrival. */
static int
by_uid(const void *a, const void *b)
{
	const struct saved_message *x = a, *y = b;
	uint32_t u = x->uid != 0 ? x->uid : UINT32_MAX, w = y->uid != 0 ? y->uid : UINT32_MAX;

	if (u != w)
		return u < w ? -1 : 1;
	if (x->entry->mtime_ns != y->entry->mtime_ns)
		return x->entry->mtime_ns < y->entry->mtime_ns ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void
read_messages(struct saved_account *s)
{
	struct saved_folder *f = NULL;

	for (size_t i = 0; i < s->manifest.count; i++) {
		struct str dir, unique;

		if (!manifest_path_is_message(s->manifest.entries[i].path, &dir, &unique))
			continue;
		if (f == NULL || !str_eq(str_from(f->dir), dir))
			f = find_folder(s, dir);
		if (f != NULL)
			add_message(f, &s->manifest.entries[i]);
	}
	for (size_t i = 0; i < s->folder_count; i++) {
		read_uids(&s->folders[i]);
		if (s->folders[i].count > 0)
			qsort(s->folders[i].messages, s->folders[i].count,
			    sizeof(struct saved_message), by_uid);
	}
}

static bool
open_folder(struct saved_account *s, const char *name, const struct subscriptions *subs)
{
	struct saved_folder f = { .name = mem_strdup(name), .fd = -1 };
	struct buf dir = { 0 };
	char *path;

	if (folder_path(s->home->fd, name, &dir) == STORE_OK && dir.len > 0)
		buf_addc(&dir, '/');
	f.dir = buf_take(&dir);
	path = mem_printf("%s.", f.dir);
	if (dir_open(s->home->fd, path, &f.fd) == STORE_OK) {
		keywords_read(f.fd, &f.keywords);
		keyword_list_read(f.fd, &f.extra);
		read_identity(&f);
		f.is_subscribed = subscriptions_has(subs, name);
	}
	free(path);
	s->folders = mem_realloc_array(s->folders, s->folder_count + 1, sizeof(*s->folders));
	s->folders[s->folder_count++] = f;
	return f.fd >= 0;
}

static bool
open_folders(struct saved_account *s)
{
	struct folder_list list = { 0 };
	struct subscriptions subs = { 0 };
	bool ok = folder_list(s->home, &list) == STORE_OK;

	if (ok)
		subscriptions_read(s->home, &subs);
	for (size_t i = 0; ok && i < list.count; i++)
		if (list.items[i].selectable)
			ok = open_folder(s, list.items[i].name, &subs);
	if (!ok)
		admin_refuse("the snapshot's folders of %s cannot be read", s->address);
	subscriptions_free(&subs);
	folder_list_free(&list);
	return ok;
}

bool
saved_open(struct restore *r, const char *localpart, const char *domain, struct saved_account *s)
{
	enum store_err err;

	*s = (struct saved_account){ .localpart = localpart,
		.domain = domain,
		.address = mem_printf("%s@%s", localpart, domain),
		.place = mem_printf("%s/%s", domain, localpart) };
	ascii_lower_all(s->place, strlen(s->place));
	if (!read_manifest(r, s))
		return false;
	err = home_open(r->saved_root, localpart, domain, false, &s->home);
	if (err != STORE_OK) {
		admin_refuse("%s/mail/%s: %s", r->path, s->place, store_err_text(err));
		return false;
	}
	if (!open_folders(s))
		return false;
	read_messages(s);
	return true;
}

void
saved_close(struct saved_account *s)
{
	for (size_t i = 0; i < s->folder_count; i++) {
		struct saved_folder *f = &s->folders[i];

		if (f->fd >= 0)
			close(f->fd);
		keywords_free(&f->keywords);
		keyword_list_free(&f->extra);
		free(f->messages);
		free(f->dir);
		free(f->name);
	}
	free(s->folders);
	home_close(s->home);
	manifest_free(&s->manifest);
	free(s->address);
	free(s->place);
	*s = (struct saved_account){ 0 };
}

/* --- choosing ----------------------------------------------------------------------------------- */

static int
open_message(struct saved_folder *f, const struct saved_message *m)
{
	char *path = mem_printf("%s/%s", m->in_new ? "new" : "cur", m->name);
	int fd = -1;

	dir_open_file(f->fd, path, O_RDONLY | O_NONBLOCK, 0, &fd);
	free(path);
	return fd;
}

static void
read_head(int fd, struct buf *out)
{
	ssize_t n;

	buf_reserve(out, HEADER_MAX_BYTES);
	n = pread(fd, out->data, HEADER_MAX_BYTES, 0);
	out->len = n > 0 ? (size_t)n : 0;
}

/* The id alone: blanks and <> do not matter. */
static struct str
bare_id(struct str id)
{
	id = str_trim(id);
	if (id.len > 0 && id.p[0] == '<') {
		id.p++;
		id.len--;
	}
	if (id.len > 0 && id.p[id.len - 1] == '>')
		id.len--;
	return id;
}

static bool
has_message_id(int fd, const char *wanted)
{
	struct header_field field;
	struct buf head = { 0 };
	bool has;

	read_head(fd, &head);
	has = header_find((struct str){ head.data, head.len }, "Message-ID", &field) &&
	      str_eq(bare_id(field.value), bare_id(str_from(wanted)));
	buf_free(&head);
	return has;
}

static bool
matches_search(const struct restore_choice *c, int fd)
{
	struct mime_message *m = mime_parse_fd(fd);
	bool *matched = mem_zalloc(c->search_count * sizeof(*matched));
	bool all = m != NULL && search_text_run(c->search, fd, m, matched);

	for (size_t i = 0; i < c->search_count; i++)
		all = all && matched[i];
	free(matched);
	mime_message_free(m);
	return all;
}

/* What needs no look into the file goes first. */
static bool
is_wanted(const struct restore_choice *c, struct saved_folder *f, const struct saved_message *m)
{
	int64_t date_s = m->entry->mtime_ns / NS_PER_S;
	bool wanted = true;
	int fd;

	if ((c->has_uids && !uidset_contains(&c->uids, m->uid)) ||
	    (c->has_since && date_s < c->since_s) || (c->has_until && date_s >= c->until_s))
		return false;
	if (c->message_id == NULL && c->search == NULL)
		return true;
	fd = open_message(f, m);
	if (fd < 0)
		return false;
	if (c->message_id != NULL)
		wanted = has_message_id(fd, c->message_id);
	if (wanted && c->search != NULL)
		wanted = matches_search(c, fd);
	close(fd);
	return wanted;
}

void
saved_choose(struct restore *r, struct saved_folder *f)
{
	const struct restore_choice *c = &r->choice;
	bool here = c->mailbox == NULL || strcmp(c->mailbox, f->name) == 0;

	for (size_t i = 0; i < f->count; i++)
		f->messages[i].wanted = here && is_wanted(c, f, &f->messages[i]);
}

const char **
saved_keywords(const struct saved_folder *f, const struct saved_message *m, size_t *count_out)
{
	const struct keyword_entry *more = keyword_list_find(&f->extra, m->parsed.unique);
	const char **names = mem_alloc(
	    (KEYWORDS_LETTERS + (more != NULL ? more->name_count : 0) + 1) * sizeof(*names));

	*count_out = 0;
	for (unsigned i = 0; i < KEYWORDS_LETTERS; i++)
		if ((m->parsed.keywords >> i & 1) != 0 && f->keywords.names[i] != NULL)
			names[(*count_out)++] = f->keywords.names[i];
	if ((m->parsed.flags & MAILDIR_PASSED) != 0)
		names[(*count_out)++] = "$Forwarded";
	for (size_t i = 0; more != NULL && i < more->name_count; i++)
		names[(*count_out)++] = more->names[i];
	return names;
}

/* --- showing ------------------------------------------------------------------------------------ */

static json_t *
field_json(struct str head, const char *name)
{
	struct header_field field;
	struct buf text = { 0 };
	json_t *value;

	if (!header_find(head, name, &field))
		return json_null();
	header_decode(&text, field.value);
	value = output_string(buf_cstr(&text));
	buf_free(&text);
	return value;
}

void
saved_show(struct restore *r, const struct saved_account *s, const struct saved_folder *f,
    const struct saved_message *m, const char *state)
{
	int fd = open_message((struct saved_folder *)(uintptr_t)f, m);
	struct buf buf = { 0 };
	struct str head;

	if (fd >= 0) {
		read_head(fd, &buf);
		close(fd);
	}
	head = (struct str){ buf.len > 0 ? buf.data : "", buf.len };
	json_array_append_new(r->rows,
	    json_pack("{so so sI sI so so so so}", "account", output_string(s->address), "mailbox",
		output_string(f->name), "uid", (json_int_t)m->uid, "date",
		(json_int_t)(m->entry->mtime_ns / NS_PER_S), "from", field_json(head, "From"),
		"subject", field_json(head, "Subject"), "message_id",
		field_json(head, "Message-ID"), "state", output_string(state)));
	buf_free(&buf);
}

/* --- copying ------------------------------------------------------------------------------------ */

static bool
is_allowed(
    struct restore *r, const struct saved_account *s, const struct manifest_entry *e, bool sound)
{
	if (sound)
		return true;
	r->damaged++;
	admin_refuse("%s: %s is not what was saved: %s", s->address, e->path,
	    r->damaged_too ? "restored as it is" : "left out");
	return r->damaged_too;
}

bool
saved_is_sound(
    struct restore *r, const struct saved_account *s, const struct manifest_entry *e, int fd)
{
	struct file_digest digest;
	uint64_t size;
	bool sound = fd >= 0 && file_digest_fd(fd, &size, &digest) == STORE_OK &&
		     file_digest_eq(&digest, &e->digest);

	return is_allowed(r, s, e, sound) && fd >= 0;
}

enum store_err
saved_copy(struct restore *r, const struct saved_account *s, const struct manifest_entry *e,
    int to_fd, const char *to)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = e->mtime_ns / NS_PER_S, .tv_nsec = e->mtime_ns % NS_PER_S } };
	struct file_digest digest;
	uint64_t size;
	int from, fd;
	enum store_err err = dir_open_file(s->home->fd, e->path, O_RDONLY | O_NONBLOCK, 0, &from);

	if (err != STORE_OK) {
		is_allowed(r, s, e, false);
		return STORE_CORRUPT;
	}
	if (times[1].tv_nsec < 0) {
		times[1].tv_nsec += NS_PER_S;
		times[1].tv_sec--;
	}
	err = dir_open_file(to_fd, to, O_RDWR | O_CREAT | O_EXCL, FILE_MODE, &fd);
	if (err == STORE_OK) {
		err = file_copy(from, fd, &r->clone, &size, &digest);
		if (err == STORE_OK && futimens(fd, times) != 0)
			err = dir_err(errno);
		if (close(fd) != 0 && err == STORE_OK)
			err = dir_err(errno);
		if (err == STORE_OK && !is_allowed(r, s, e, file_digest_eq(&digest, &e->digest)))
			err = STORE_CORRUPT;
		if (err != STORE_OK)
			unlinkat(to_fd, to, 0);
	}
	close(from);
	return err;
}
