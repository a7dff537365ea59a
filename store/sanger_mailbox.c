#include "store/sanger_mailbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/dir.h"
#include "store/mailbox_name.h"

#define MAILBOX_FILE   "sanger-mailbox"
#define ACCOUNT_FILE   "sanger-account"
#define FILE_MAX_BYTES (64 * 1024)
#define VERSION        1
#define END_LINE       "end"

static const char *const UID_SOURCES[] = {
	[SANGER_UIDS_OWN] = "own",
	[SANGER_UIDS_DOVECOT] = "dovecot",
	[SANGER_UIDS_COURIER] = "courier",
};

/* One line's `key value`. */
static bool
next_line(struct cursor *c, struct str *key_out, struct str *value_out)
{
	const char *end, *blank;

	if (cursor_at_end(c) || (end = memchr(c->p, '\n', cursor_left(c))) == NULL)
		return false;
	*key_out = (struct str){ c->p, (size_t)(end - c->p) };
	*value_out = (struct str){ end, 0 };
	blank = key_out->len > 0 ? memchr(key_out->p, ' ', key_out->len) : NULL;
	if (blank != NULL) {
		*value_out = (struct str){ blank + 1, (size_t)(end - blank - 1) };
		key_out->len = (size_t)(blank - key_out->p);
	}
	c->p = end + 1;
	return true;
}

/* First line: the file's kind and version.  0: not that kind. */
static unsigned
take_version(struct cursor *c, const char *kind)
{
	struct str key, value;
	uint64_t version;

	if (!next_line(c, &key, &value) || !str_eq(key, str_from(kind)) ||
	    !text_u64(value, UINT32_MAX, &version))
		return 0;
	return (unsigned)version;
}

static bool
take_u32(struct str value, uint32_t least, uint32_t *out)
{
	uint64_t v;

	if (!text_u64(value, UINT32_MAX, &v) || v < least)
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool
is_mailbox_id(struct str id)
{
	if (id.len != SANGER_MAILBOX_ID_BYTES - 1)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!ascii_is_alnum(id.p[i]) && id.p[i] != '-' && id.p[i] != '_')
			return false;
	return true;
}

static bool
take_uid_source(struct str value, enum sanger_uid_source *out)
{
	for (size_t i = 0; i < ARRAY_LEN(UID_SOURCES); i++)
		if (str_eq(value, str_from(UID_SOURCES[i]))) {
			*out = (enum sanger_uid_source)i;
			return true;
		}
	return false;
}

/* False: a value that cannot be, so the file is damaged. */
static bool
take_line(struct sanger_mailbox *m, struct str key, struct str value)
{
	if (str_eq(key, STR("uidvalidity")))
		return take_u32(value, 1, &m->uid_validity);
	if (str_eq(key, STR("uid-lease")))
		return take_u32(value, 1, &m->uid_lease);
	if (str_eq(key, STR("modseq-lease")))
		return text_u64(value, INT64_MAX, &m->modseq_lease) && m->modseq_lease > 0;
	if (str_eq(key, STR("uid-source")))
		return take_uid_source(value, &m->uid_source);
	if (str_eq(key, STR("mailbox-id"))) {
		if (!is_mailbox_id(value))
			return false;
		memcpy(m->mailbox_id, value.p, value.len);
		return true;
	}
	if (str_eq(key, STR("special-use"))) {
		if (value.len >= sizeof(m->special_use) || memchr(value.p, '\0', value.len) != NULL)
			return false;
		memset(m->special_use, 0, sizeof(m->special_use));
		memcpy(m->special_use, value.p, value.len);
		return true;
	}
	buf_add(&m->unknown, key.p, (size_t)(value.p + value.len + 1 - key.p));
	return true;
}

bool
sanger_mailbox_parse(struct str text, struct sanger_mailbox *mailbox_out, unsigned *version_out)
{
	struct cursor c = cursor_from(text);
	struct str key, value;
	bool complete = false, ok = true;

	*mailbox_out = (struct sanger_mailbox){ 0 };
	*version_out = take_version(&c, MAILBOX_FILE);
	if (*version_out != VERSION)
		return false;
	while (ok && !complete && next_line(&c, &key, &value)) {
		if (str_eq(key, STR(END_LINE)))
			complete = true;
		else
			ok = take_line(mailbox_out, key, value);
	}
	if (ok && complete && mailbox_out->uid_validity != 0 && mailbox_out->uid_lease != 0 &&
	    mailbox_out->modseq_lease != 0 && mailbox_out->mailbox_id[0] != '\0')
		return true;
	sanger_mailbox_free(mailbox_out);
	return false;
}

void
sanger_mailbox_format(struct buf *out, const struct sanger_mailbox *m)
{
	buf_printf(out, MAILBOX_FILE " %d\n", VERSION);
	buf_printf(out, "uidvalidity %u\n", (unsigned)m->uid_validity);
	buf_printf(out, "mailbox-id %s\n", m->mailbox_id);
	buf_printf(out, "uid-lease %u\n", (unsigned)m->uid_lease);
	buf_printf(out, "modseq-lease %llu\n", (unsigned long long)m->modseq_lease);
	buf_printf(out, "uid-source %s\n", UID_SOURCES[m->uid_source]);
	if (m->special_use[0] != '\0')
		buf_printf(out, "special-use %s\n", m->special_use);
	buf_add(out, m->unknown.data, m->unknown.len);
	buf_adds(out, END_LINE "\n");
}

void
sanger_mailbox_free(struct sanger_mailbox *mailbox)
{
	buf_free(&mailbox->unknown);
	*mailbox = (struct sanger_mailbox){ 0 };
}

static enum store_err
file_failed(const struct home *home, const char *file, const char *op, enum store_err err)
{
	if (err != STORE_OK && err != STORE_NOT_FOUND)
		log_error(home->log, "mailbox-file", "user=%s@%s file=%s op=%s reason=%s errno=%s",
		    home->localpart, home->domain, file, op, store_err_text(err), strerror(errno));
	return err;
}

/* For an administrator to look at; the way is free for a new one. */
static void
set_aside(const struct home *home, int fd, const char *file)
{
	char *aside = mem_printf("%s.damaged", file);

	log_error(home->log, "mailbox-file-damaged", "user=%s@%s file=%s kept_as=%s",
	    home->localpart, home->domain, file, aside);
	renameat(fd, file, fd, aside);
	free(aside);
}

enum store_err
sanger_mailbox_read(const struct home *home, int folder_fd, struct sanger_mailbox *mailbox_out)
{
	struct buf text = { 0 };
	unsigned version = 0;
	enum store_err err = dir_read_file(folder_fd, MAILBOX_FILE, FILE_MAX_BYTES, &text);

	*mailbox_out = (struct sanger_mailbox){ 0 };
	if (err != STORE_OK && err != STORE_LIMIT) {
		buf_free(&text);
		return file_failed(home, MAILBOX_FILE, "read", err);
	}
	if (err == STORE_LIMIT ||
	    !sanger_mailbox_parse((struct str){ text.data, text.len }, mailbox_out, &version)) {
		err = version > VERSION ? STORE_VERSION : STORE_NOT_FOUND;
		if (err == STORE_NOT_FOUND)
			set_aside(home, folder_fd, MAILBOX_FILE);
	}
	buf_free(&text);
	return err;
}

enum store_err
sanger_mailbox_write(const struct home *home, int folder_fd, const struct sanger_mailbox *mailbox)
{
	struct buf text = { 0 };
	enum store_err err;

	sanger_mailbox_format(&text, mailbox);
	err = dir_replace_file(folder_fd, MAILBOX_FILE, (struct str){ text.data, text.len }, true);
	buf_free(&text);
	return file_failed(home, MAILBOX_FILE, "write", err);
}

/* sanger-account: the highest UIDVALIDITY ever given, and what else a newer version may keep there. */
struct account_file {
	uint32_t highest;
	struct buf unknown;
};

static bool
account_parse(struct str text, struct account_file *account_out, unsigned *version_out)
{
	struct cursor c = cursor_from(text);
	struct str key, value;
	bool found = false;

	*account_out = (struct account_file){ 0 };
	*version_out = take_version(&c, ACCOUNT_FILE);
	if (*version_out != VERSION)
		return false;
	while (next_line(&c, &key, &value)) {
		if (str_eq(key, STR(END_LINE)) && found)
			return true;
		if (str_eq(key, STR("uidvalidity-highest")))
			found = take_u32(value, 0, &account_out->highest);
		else
			buf_add(&account_out->unknown, key.p,
			    (size_t)(value.p + value.len + 1 - key.p));
	}
	buf_free(&account_out->unknown);
	return false;
}

struct highest_scan {
	const struct home *home;
	uint32_t highest;
};

static void
scan_folder(struct highest_scan *scan, int folder_fd)
{
	struct sanger_mailbox m;

	if (sanger_mailbox_read(scan->home, folder_fd, &m) != STORE_OK)
		return;
	if (m.uid_validity > scan->highest)
		scan->highest = m.uid_validity;
	sanger_mailbox_free(&m);
}

static bool
scan_entry(void *arg, const char *name, unsigned char type)
{
	struct highest_scan *scan = arg;
	int fd;

	if (type == DT_DIR && name[0] == '.' && dir_open(scan->home->fd, name, &fd) == STORE_OK) {
		scan_folder(scan, fd);
		close(fd);
	}
	return true;
}

static enum store_err
account_read(const struct home *home, struct account_file *account_out)
{
	struct buf text = { 0 };
	struct highest_scan scan = { .home = home };
	unsigned version = 0;
	enum store_err err = dir_read_file(home->fd, ACCOUNT_FILE, FILE_MAX_BYTES, &text);
	bool good = err == STORE_OK &&
		    account_parse((struct str){ text.data, text.len }, account_out, &version);

	buf_free(&text);
	if (good)
		return STORE_OK;
	*account_out = (struct account_file){ 0 };
	if (version > VERSION)
		return STORE_VERSION;
	if (err == STORE_OK || err == STORE_LIMIT)
		set_aside(home, home->fd, ACCOUNT_FILE);
	else if (err != STORE_NOT_FOUND)
		return file_failed(home, ACCOUNT_FILE, "read", err);
	scan_folder(&scan, home->fd);
	err = dir_list(home->fd, scan_entry, &scan);
	account_out->highest = scan.highest;
	return file_failed(home, ACCOUNT_FILE, "scan", err);
}

static enum store_err
account_write(const struct home *home, const struct account_file *account)
{
	struct buf text = { 0 };
	enum store_err err;

	buf_printf(&text, ACCOUNT_FILE " %d\nuidvalidity-highest %u\n", VERSION,
	    (unsigned)account->highest);
	buf_add(&text, account->unknown.data, account->unknown.len);
	buf_adds(&text, END_LINE "\n");
	err = dir_replace_file(home->fd, ACCOUNT_FILE, (struct str){ text.data, text.len }, true);
	buf_free(&text);
	return file_failed(home, ACCOUNT_FILE, "write", err);
}

enum store_err
sanger_uid_validity_new(const struct home *home, uint32_t *uid_validity_out)
{
	struct account_file account;
	enum store_err err = account_read(home, &account);
	time_t now = time(NULL);

	if (err == STORE_OK && account.highest == UINT32_MAX)
		err = file_failed(home, ACCOUNT_FILE, "uidvalidity", STORE_LIMIT);
	if (err == STORE_OK) {
		account.highest++;
		if (now > 0 && now < UINT32_MAX && (uint32_t)now > account.highest)
			account.highest = (uint32_t)now;
		*uid_validity_out = account.highest;
		err = account_write(home, &account);
	}
	buf_free(&account.unknown);
	return err;
}

enum store_err
sanger_uid_validity_seen(const struct home *home, uint32_t uid_validity)
{
	struct account_file account;
	enum store_err err = account_read(home, &account);

	if (err == STORE_OK && account.highest < uid_validity) {
		account.highest = uid_validity;
		err = account_write(home, &account);
	}
	buf_free(&account.unknown);
	return err;
}

void
sanger_mailbox_id_new(char id_out[SANGER_MAILBOX_ID_BYTES])
{
	unsigned char random[16];
	struct buf text = { 0 };

	if (getentropy(random, sizeof(random)) != 0)
		abort(); /* cannot be for 16 bytes */
	base64_encode(&text, random, sizeof(random));
	for (size_t i = 0; i + 1 < SANGER_MAILBOX_ID_BYTES; i++) { /* base64url, RFC 4648 §5 */
		char c = text.data[i];

		id_out[i] = c == '+' ? '-' : c == '/' ? '_' : c;
	}
	id_out[SANGER_MAILBOX_ID_BYTES - 1] = '\0';
	buf_free(&text);
}

enum store_err
sanger_mailbox_new(const struct home *home, struct sanger_mailbox *mailbox_out)
{
	*mailbox_out = (struct sanger_mailbox){ .uid_lease = 1, .modseq_lease = 1 };
	sanger_mailbox_id_new(mailbox_out->mailbox_id);
	return sanger_uid_validity_new(home, &mailbox_out->uid_validity);
}
