#include "store/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

#define DAY_S         (24 * 60 * 60)
#define FILES_SHARE   16 /* one file has at most this part of all bytes */
#define FILE_MIN      (64 * 1024)
#define LOOK_AGAIN_S  60 /* after trouble, and whether somebody removed the file */
#define NUMBER_MAX    999999
#define FILE_NAME_FMT "%s-%06u.jsonl"

struct records {
	char *dir;
	uint64_t keep_s, all_max, file_max;
	const struct log *log;
	pthread_mutex_t mutex; /* changing the file */
	int fd;                /* -1: none.  Its number stays, whatever file it means */
	_Atomic int64_t day;   /* of the open file, days since 1970; -1: none */
	_Atomic int64_t look_s;
	atomic_bool torn; /* the last line has no end */
	atomic_bool complained;
};

/* --- putting together --------------------------------------------------------------------------- */

/* The bytes of a well-formed UTF-8 character, 0 if there is none. */
static size_t
utf8_length(const char *p, size_t len)
{
	unsigned char c = (unsigned char)*p;
	size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;

	return n <= len && text_is_utf8((struct str){ p, n }) ? n : 0;
}

/* How many bytes stand in JSON as they are. */
static size_t
plain_length(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && (unsigned char)s[n] >= 0x20 && (unsigned char)s[n] < 0x7F &&
	       s[n] != '"' && s[n] != '\\')
		n++;
	return n;
}

/* One character that is not plain; returns its length. */
static size_t
add_special(struct buf *b, const char *s, size_t len)
{
	static const char HEX[] = "0123456789abcdef";
	unsigned char c = (unsigned char)*s;
	size_t n;

	if (c == '"' || c == '\\') {
		buf_addc(b, '\\');
		buf_addc(b, (char)c);
		return 1;
	}
	if (c < 0x80) {
		buf_adds(b, "\\u00");
		buf_addc(b, HEX[c >> 4]);
		buf_addc(b, HEX[c & 15]);
		return 1;
	}
	n = utf8_length(s, len);
	if (n == 0)
		buf_adds(b, "\xEF\xBF\xBD");
	else
		buf_add(b, s, n);
	return n > 0 ? n : 1;
}

static void
add_string(struct buf *b, const char *s, size_t len)
{
	size_t start = b->len, end;

	buf_addc(b, '"');
	for (size_t i = 0; i < len && b->len - start < RECORD_VALUE_MAX_BYTES;) {
		end = RECORD_VALUE_MAX_BYTES - (b->len - start);
		end = plain_length(s + i, len - i < end ? len - i : end);
		buf_add(b, s + i, end);
		i += end > 0 ? end : add_special(b, s + i, len - i);
	}
	buf_addc(b, '"');
}

/* False: there is no room for another member. */
static bool
add_key(struct record *r, const char *key)
{
	if (r->text.len > RECORD_LINE_MAX_BYTES - 2 * RECORD_VALUE_MAX_BYTES - 64)
		r->full = true;
	if (r->full)
		return false;
	if (!r->first)
		buf_addc(&r->text, ',');
	r->first = false;
	if ((r->arrays >> r->depth & 1) == 0) {
		add_string(&r->text, key, strlen(key));
		buf_addc(&r->text, ':');
	}
	return true;
}

void
record_begin(struct record *r, const char *event)
{
	struct timespec now;

	*r = (struct record){ .first = true };
	buf_reserve(&r->text, 1024);
	clock_gettime(CLOCK_REALTIME, &now);
	buf_printf(&r->text, "{\"time\":%lld.%03ld", (long long)now.tv_sec, now.tv_nsec / 1000000);
	r->first = false;
	record_text(r, "event", event);
}

void
record_text_of(struct record *r, const char *key, const char *value, size_t len)
{
	if (value != NULL && add_key(r, key))
		add_string(&r->text, value, len);
}

void
record_text(struct record *r, const char *key, const char *value)
{
	if (value != NULL)
		record_text_of(r, key, value, strlen(value));
}

void
record_number(struct record *r, const char *key, int64_t value)
{
	if (add_key(r, key))
		buf_printf(&r->text, "%lld", (long long)value);
}

void
record_flag(struct record *r, const char *key, bool value)
{
	if (value && add_key(r, key))
		buf_adds(&r->text, "true");
}

/* What has no room is counted, so that its end is known. */
static void
open_inner(struct record *r, const char *key, bool array)
{
	if (r->depth == 31 || !add_key(r, key)) {
		r->full = true;
		r->skipped++;
		return;
	}
	r->depth++;
	buf_addc(&r->text, array ? '[' : '{');
	r->arrays = (r->arrays & ~(1U << r->depth)) | (uint32_t)array << r->depth;
	r->first = true;
}

void
record_object(struct record *r, const char *key)
{
	open_inner(r, key, false);
}

void
record_array(struct record *r, const char *key)
{
	open_inner(r, key, true);
}

void
record_end(struct record *r)
{
	if (r->skipped > 0) {
		r->skipped--;
		return;
	}
	buf_addc(&r->text, (r->arrays >> r->depth & 1) != 0 ? ']' : '}');
	r->depth--;
	r->first = false;
}

/* --- files -------------------------------------------------------------------------------------- */

static int64_t
now_s(void)
{
	return (int64_t)time(NULL);
}

/* Of one of our files, "20261121-000001.jsonl"; 0: it is none. */
static unsigned
number_of(const char *name)
{
	unsigned day, number;
	char again[32];

	if (sscanf(name, "%8u-%6u", &day, &number) != 2)
		return 0;
	snprintf(again, sizeof(again), "%08u-%06u.jsonl", day % 100000000, number % 1000000);
	return strcmp(name, again) == 0 ? number : 0;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
is_ours(const struct dirent *e)
{
	return number_of(e->d_name) > 0;
}

/* Once, until something has been written again. */
static void
complain(struct records *rs, const char *what)
{
	if (!atomic_exchange(&rs->complained, true))
		log_warn(
		    rs->log, "record", "path=%s do=%s error=%s", rs->dir, what, strerror(errno));
}

/* What is too old, and the oldest of too much.  Others may do the same at this moment. */
static size_t
prune(int dir_fd, uint64_t keep_s, uint64_t all_max, bool dry_run)
{
	struct dirent **names;
	uint64_t bytes = 0;
	size_t removed = 0;
	int count = scandirat(dir_fd, ".", &names, is_ours, by_name);

	for (int i = count - 1; i >= 0; i--) { /* the newest first */
		struct stat st;

		if (fstatat(dir_fd, names[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			bytes += (uint64_t)st.st_size;
			if ((bytes > all_max || st.st_mtime < now_s() - (int64_t)keep_s) &&
			    (dry_run || unlinkat(dir_fd, names[i]->d_name, 0) == 0))
				removed++;
		}
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	return removed;
}

size_t
records_prune(const char *dir, uint64_t keep_s, uint64_t all_max_bytes, bool dry_run)
{
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t removed = 0;

	if (dir_fd >= 0) {
		removed = prune(dir_fd, keep_s, all_max_bytes, dry_run);
		close(dir_fd);
	}
	return removed;
}

static unsigned
highest_of_day(int dir_fd, const char *day)
{
	struct dirent **names;
	unsigned highest = 1;
	int count = scandirat(dir_fd, ".", &names, is_ours, by_name);

	for (int i = 0; i < count; i++) {
		if (strncmp(names[i]->d_name, day, 8) == 0)
			highest = number_of(names[i]->d_name);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	return highest;
}

/* The file that lines go to now; -1 with errno. */
static int
open_current(const struct records *rs, int dir_fd, int64_t now)
{
	char day[16], name[48];
	time_t when = (time_t)now;
	struct stat st;
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(day, sizeof(day), "%Y%m%d", &tm);
	for (unsigned n = highest_of_day(dir_fd, day); n <= NUMBER_MAX; n++) {
		int fd;

		snprintf(name, sizeof(name), FILE_NAME_FMT, day, n);
		fd = openat(dir_fd, name,
		    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
		if (fd < 0)
			return -1;
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    (uint64_t)st.st_size < rs->file_max)
			return fd;
		close(fd);
	}
	errno = EFBIG;
	return -1;
}

static int
open_dir(const char *dir)
{
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Under the mutex.  A thread in the middle of a write is not disturbed: the number stays. */
static void
change_file(struct records *rs, int64_t now)
{
	int dir_fd, fd = -1;

	mkdir(rs->dir, 0750);
	dir_fd = open_dir(rs->dir);
	if (dir_fd >= 0) {
		prune(dir_fd, rs->keep_s, rs->all_max, false);
		fd = open_current(rs, dir_fd, now);
	}
	rs->look_s = now + LOOK_AGAIN_S;
	if (fd < 0) {
		complain(rs, "open");
		rs->day = -1; /* nothing is written until we look again */
	} else if (rs->fd < 0) {
		rs->fd = fd;
		rs->day = now / DAY_S;
	} else {
		if (dup3(fd, rs->fd, O_CLOEXEC) >= 0)
			rs->day = now / DAY_S;
		close(fd);
	}
	if (dir_fd >= 0)
		close(dir_fd);
}

struct records *
records_open(const char *dir, uint64_t keep_s, uint64_t all_max_bytes, const struct log *log)
{
	struct records *rs;

	if (keep_s == 0)
		return NULL;
	rs = mem_zalloc(sizeof(*rs));
	rs->dir = mem_strdup(dir);
	rs->keep_s = keep_s;
	rs->all_max = all_max_bytes;
	rs->file_max = all_max_bytes / FILES_SHARE;
	if (rs->file_max < FILE_MIN)
		rs->file_max = FILE_MIN;
	rs->log = log;
	rs->fd = -1;
	rs->day = -1;
	pthread_mutex_init(&rs->mutex, NULL);
	change_file(rs, now_s());
	return rs;
}

void
records_close(struct records *rs)
{
	if (rs == NULL)
		return;
	if (rs->fd >= 0)
		close(rs->fd);
	pthread_mutex_destroy(&rs->mutex);
	free(rs->dir);
	free(rs);
}

/* A new day, or a file that somebody removed. */
static bool
is_due(const struct records *rs, int64_t now)
{
	struct stat st;

	if (rs->day != now / DAY_S)
		return rs->day >= 0 || now >= rs->look_s;
	return now >= rs->look_s && (fstat(rs->fd, &st) < 0 || st.st_nlink == 0);
}

static void
renew(struct records *rs, int64_t now)
{
	pthread_mutex_lock(&rs->mutex);
	if (is_due(rs, now))
		change_file(rs, now);
	else if (now >= rs->look_s)
		rs->look_s = now + LOOK_AGAIN_S;
	pthread_mutex_unlock(&rs->mutex);
}

static void
renew_if_large(struct records *rs, int64_t now)
{
	/* behind what has just been appended */
	off_t size = lseek(rs->fd, 0, SEEK_CUR);

	if (size < 0 || (uint64_t)size < rs->file_max)
		return;
	pthread_mutex_lock(&rs->mutex);
	size = lseek(rs->fd, 0, SEEK_CUR);
	if (size >= 0 && (uint64_t)size >= rs->file_max)
		change_file(rs, now);
	pthread_mutex_unlock(&rs->mutex);
}

static void
write_line(struct records *rs, struct buf *line)
{
	int64_t now = now_s();
	ssize_t done;

	if (rs->day != now / DAY_S || now >= rs->look_s)
		renew(rs, now);
	if (rs->day < 0)
		return;
	if (atomic_exchange(&rs->torn, false) && write(rs->fd, "\n", 1) != 1)
		errno = 0;
	do
		done = write(rs->fd, line->data, line->len);
	while (done < 0 && errno == EINTR);
	if (done == (ssize_t)line->len) {
		rs->complained = false;
		renew_if_large(rs, now);
		return;
	}
	if (done > 0) {
		rs->torn = true;
		errno = ENOSPC;
	}
	complain(rs, "write");
}

void
records_add(struct records *rs, struct record *r)
{
	if (rs != NULL) {
		while (r->depth > 0 || r->skipped > 0)
			record_end(r);
		buf_adds(&r->text, "}\n");
		write_line(rs, &r->text);
	}
	buf_free(&r->text);
}

/* --- reading ------------------------------------------------------------------------------------ */

/* Every record begins with its time, and inside of one a quote has a backslash in front. */
char *
record_line_start(char *line, size_t len)
{
	static const struct str MARK = STR("{\"time\":");
	char *start = line;

	for (struct str rest = { line, len };;) {
		size_t at = str_find(rest, MARK);

		if (at == SIZE_MAX)
			return start;
		start = line + len - rest.len + at;
		rest.p += at + MARK.len;
		rest.len -= at + MARK.len;
	}
}

static bool
read_file(int dir_fd, const char *name, int64_t since, record_line_fn *each, void *arg)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	size_t room = 0;
	bool more = true;
	char *line = NULL;
	struct stat st;
	ssize_t len;
	FILE *f;

	if (fd < 0)
		return true; /* gone meanwhile */
	f = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_mtime >= since ? fdopen(fd, "r")
									       : NULL;
	if (f == NULL) {
		close(fd);
		return true;
	}
	while (more && (len = getline(&line, &room, f)) >= 0) {
		if (len > 0 && line[len - 1] == '\n')
			line[--len] = '\0';
		more = each(arg, line, (size_t)len);
	}
	free(line);
	fclose(f);
	return more;
}

bool
records_read(const char *dir, int64_t since, record_line_fn *each, void *arg)
{
	int dir_fd = open_dir(dir), count;
	struct dirent **names;
	bool more = true;

	if (dir_fd < 0)
		return false;
	count = scandirat(dir_fd, ".", &names, is_ours, by_name);
	for (int i = 0; i < count; i++) {
		more = more && read_file(dir_fd, names[i]->d_name, since, each, arg);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	close(dir_fd);
	return more && count >= 0;
}
