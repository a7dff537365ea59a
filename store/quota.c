#include "store/quota.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/dir.h"
#include "store/folder.h"
#include "store/mailbox_name.h"
#include "store/maildir_name.h"

#define QUOTA_FILE     "maildirsize"
#define LINE_MAX_BYTES 64
/* A recount is thrown away if somebody delivered meanwhile; and again, so many times. */
#define RECOUNT_TRIES 3

static enum store_err
failed(const struct home *home, const char *op, enum store_err err)
{
	if (err == STORE_IO || err == STORE_FULL)
		log_warn(home->log, "quota", "user=%s@%s op=%s errno=%s", home->localpart,
		    home->domain, op, strerror(errno));
	return err;
}

bool
quota_excludes(const struct quota_rules *rules, const char *name)
{
	for (size_t i = 0; rules->excluded != NULL && rules->excluded[i] != NULL; i++)
		if (strcmp(rules->excluded[i], name) == 0 ||
		    mailbox_name_is_below(str_from(name), str_from(rules->excluded[i])))
			return true;
	return false;
}

static uint64_t
percent(uint64_t used, uint64_t limit)
{
	uint64_t whole;

	if (limit == 0)
		return 0;
	if (used >= limit && used / limit > UINT64_MAX / 100)
		return UINT64_MAX;
	/* without used * 100, which may be more than 64 bits hold */
	whole = used / limit * 100;
	used %= limit;
	if (used <= UINT64_MAX / 100)
		return whole + used * 100 / limit;
	return whole + used / (limit / 100 + 1);
}

uint64_t
quota_percent(const struct quota_rules *rules, const struct quota_usage *usage)
{
	uint64_t bytes = percent(usage->bytes, rules->limit_bytes);
	uint64_t messages = percent(usage->count, rules->limit_messages);

	return bytes > messages ? bytes : messages;
}

/* "10485760S,1000C": sizes and counts, comma-separated, RFC-less but common.  What we do not know
 * is another program's definition, so the file is made anew for ours. */
static bool
parse_limits(struct str line, struct quota_limits *limits_out)
{
	struct cursor c = cursor_from(line);
	uint64_t value;

	*limits_out = (struct quota_limits){ 0 };
	while (!cursor_at_end(&c)) {
		if (!cursor_take_u64(&c, &value))
			return false;
		if (cursor_take(&c, 'S'))
			limits_out->bytes = value;
		else if (cursor_take(&c, 'C'))
			limits_out->messages = value;
		else
			return false;
		if (!cursor_at_end(&c) && !cursor_take(&c, ','))
			return false;
	}
	return true;
}

static bool
take_number(struct cursor *c, int64_t *value_out)
{
	bool minus;
	uint64_t value;

	while (cursor_take(c, ' '))
		;
	minus = cursor_take(c, '-');
	if (!cursor_take_u64(c, &value) || value > INT64_MAX)
		return false;
	*value_out = minus ? -(int64_t)value : (int64_t)value;
	return true;
}

bool
quota_parse(struct str text, struct quota_limits *limits_out, struct quota_usage *usage_out)
{
	struct cursor c = cursor_from(text);
	int64_t bytes = 0, count = 0, more_bytes, more_count;
	const char *end;
	bool first = true;

	for (; !cursor_at_end(&c); c.p = end + 1) {
		struct cursor line;

		end = memchr(c.p, '\n', cursor_left(&c));
		if (end == NULL)
			return false;
		line = (struct cursor){ c.p, end };
		if (first && !parse_limits((struct str){ c.p, (size_t)(end - c.p) }, limits_out))
			return false;
		if (!first &&
		    (!take_number(&line, &more_bytes) || !take_number(&line, &more_count) ||
			__builtin_add_overflow(bytes, more_bytes, &bytes) ||
			__builtin_add_overflow(count, more_count, &count)))
			return false;
		first = false;
	}
	if (first || bytes < 0 || count < 0)
		return false; /* more went than was there: something was missed */
	*usage_out = (struct quota_usage){ (uint64_t)bytes, (uint64_t)count };
	return true;
}

/* One folder's cur/ and new/, by the names. */
struct counting {
	int fd;
	struct quota_usage *usage;
};

static bool
count_message(void *arg, const char *file, unsigned char type)
{
	struct counting *c = arg;
	struct maildir_name name;
	struct stat st;

	if (type == DT_DIR || !maildir_name_parse(str_from(file), &name))
		return true;
	if (name.size == MAILDIR_SIZE_UNKNOWN) {
		if (fstatat(c->fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return true; /* just renamed: the other name is counted, or the next time */
		name.size = (uint64_t)st.st_size;
	}
	if (name.size > (uint64_t)INT64_MAX - c->usage->bytes)
		return true; /* no size can be that */
	c->usage->bytes += name.size;
	c->usage->count++;
	return true;
}

static enum store_err
count_folder(const struct home *home, const char *name, struct quota_usage *usage)
{
	struct maildir dir;
	enum store_err err = maildir_open(home, name, &dir);
	const int fds[] = { dir.new_fd, dir.cur_fd };

	for (size_t i = 0; err == STORE_OK && i < ARRAY_LEN(fds); i++)
		err = dir_list(fds[i], count_message, &(struct counting){ fds[i], usage });
	maildir_close(&dir);
	return err == STORE_NOT_FOUND ? STORE_OK : err; /* deleted meanwhile */
}

static enum store_err
count_all(const struct home *home, const struct quota_rules *rules, struct quota_usage *usage_out)
{
	struct folder_list list;
	enum store_err err = folder_list(home, &list);

	*usage_out = (struct quota_usage){ 0 };
	for (size_t i = 0; err == STORE_OK && i < list.count; i++)
		if (list.items[i].selectable && !quota_excludes(rules, list.items[i].name))
			err = count_folder(home, list.items[i].name, usage_out);
	folder_list_free(&list);
	return err;
}

/* Puts the file in place; the one before is not looked at. */
static enum store_err
write_file(
    const struct home *home, const struct quota_rules *rules, const struct quota_usage *usage)
{
	struct buf text = { 0 };
	enum store_err err;

	/* An unlimited account has the definition "0S", so that the line is never empty. */
	buf_printf(&text, "%lluS", (unsigned long long)rules->limit_bytes);
	if (rules->limit_messages > 0)
		buf_printf(&text, ",%lluC", (unsigned long long)rules->limit_messages);
	buf_addc(&text, '\n');
	buf_printf(&text, "%llu %llu\n", (unsigned long long)usage->bytes,
	    (unsigned long long)usage->count);
	err = dir_replace_file(home->fd, QUOTA_FILE, (struct str){ text.data, text.len }, false);
	buf_free(&text);
	return err;
}

/* The file as it is now, locked against (`exclusive`) or together with other writers of ours; -1:
 * there is none.  A lock on a file that has just been replaced is no lock. */
static int
open_locked(const struct home *home, bool exclusive)
{
	struct stat held, named;
	int fd;

	for (;;) {
		if (dir_open_file(home->fd, QUOTA_FILE, O_RDWR | O_APPEND, 0, &fd) != STORE_OK)
			return -1;
		while (flock(fd, exclusive ? LOCK_EX : LOCK_SH) < 0 && errno == EINTR)
			;
		if (fstat(fd, &held) == 0 &&
		    fstatat(home->fd, QUOTA_FILE, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		    held.st_ino == named.st_ino && held.st_dev == named.st_dev)
			return fd;
		close(fd);
	}
}

static bool
file_stat(const struct home *home, struct stat *st_out)
{
	*st_out = (struct stat){ 0 };
	return fstatat(home->fd, QUOTA_FILE, st_out, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Puts what was counted in place, unless a change was noted since `before`. */
static enum store_err
replace_if_same(const struct home *home, const struct quota_rules *rules,
    const struct quota_usage *usage, const struct stat *before, bool anyway)
{
	int fd = open_locked(home, true);
	enum store_err err = STORE_CHANGED;
	struct stat now;

	if (anyway || (fd < 0 && before->st_ino == 0) ||
	    (fd >= 0 && fstat(fd, &now) == 0 && now.st_ino == before->st_ino &&
		now.st_size == before->st_size))
		err = write_file(home, rules, usage);
	if (fd >= 0)
		close(fd);
	return err;
}

enum store_err
quota_recount(
    const struct home *home, const struct quota_rules *rules, struct quota_usage *usage_out)
{
	enum store_err err = STORE_CHANGED;
	struct stat before;

	for (int i = 1; i <= RECOUNT_TRIES && err == STORE_CHANGED; i++) {
		file_stat(home, &before);
		err = count_all(home, rules, usage_out);
		if (err == STORE_OK)
			err = replace_if_same(home, rules, usage_out, &before, i == RECOUNT_TRIES);
	}
	return failed(home, "recount", err);
}

static bool
is_old(const struct home *home)
{
	struct stat st;

	return fstatat(home->fd, QUOTA_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	       time(NULL) - st.st_mtime > QUOTA_RECOUNT_AGE_S;
}

enum store_err
quota_usage(const struct home *home, const struct quota_rules *rules, struct quota_usage *usage_out)
{
	struct buf text = { 0 };
	struct quota_limits limits = { 0 };
	enum store_err err = dir_read_file(home->fd, QUOTA_FILE, QUOTA_FILE_MAX_BYTES, &text);
	bool good = err == STORE_OK &&
		    quota_parse((struct str){ text.data, text.len }, &limits, usage_out) &&
		    limits.bytes == rules->limit_bytes && limits.messages == rules->limit_messages;

	buf_free(&text);
	if (err != STORE_OK && err != STORE_NOT_FOUND && err != STORE_LIMIT)
		return failed(home, "read", err);
	if (good && (quota_allows(rules, usage_out) || !is_old(home)))
		return STORE_OK;
	return quota_recount(home, rules, usage_out);
}

void
quota_room(const struct home *home, const struct quota_rules *rules, const char *name,
    struct quota_room *room_out)
{
	*room_out = (struct quota_room){ .rules = *rules };
	room_out->limited = quota_is_limited(rules) && !quota_excludes(rules, name) &&
			    quota_usage(home, rules, &room_out->usage) == STORE_OK;
}

bool
quota_room_take(struct quota_room *room, uint64_t bytes)
{
	if (room->limited && !quota_allows(&room->rules, &room->usage))
		return false;
	room->usage.bytes += bytes;
	room->usage.count++;
	return true;
}

enum store_err
quota_add(const struct home *home, const struct quota_rules *rules, const char *name, int64_t bytes,
    int64_t count)
{
	char line[LINE_MAX_BYTES];
	enum store_err err = STORE_OK;
	int fd, len;

	if (quota_excludes(rules, name) || (bytes == 0 && count == 0))
		return STORE_OK;
	errno = ENOENT;
	fd = open_locked(home, false);
	if (fd < 0)
		return errno == ENOENT ? STORE_OK : failed(home, "open", dir_err(errno));
	len = snprintf(line, sizeof(line), "%lld %lld\n", (long long)bytes, (long long)count);
	errno = ENOSPC; /* what a short write means */
	if (write(fd, line, (size_t)len) != len)
		err = failed(home, "write", dir_err(errno));
	close(fd);
	return err;
}
