#include "net/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "net/metrics_file.h"

#define US UINT64_C(1000)
#define MS (1000 * US)
#define S  (1000 * MS)

const uint64_t METRICS_BOUNDS_NS[METRICS_BUCKETS] = { 100 * US, 250 * US, 500 * US, MS, 2500 * US,
	5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, S, 2500 * MS, 5 * S,
	10 * S, 30 * S, 60 * S, 300 * S };

struct metrics {
	struct metrics_file *file;
	struct metrics_row *row; /* of this worker; NULL in the parent, who counts nothing */
	char *path, *temp;
	int lock_fd; /* locked as long as the parent lives */
	struct log *log;
	bool published, full;
};

/* --- the parent --- */

static int
make_file(const char *path, uid_t uid, gid_t gid)
{
	int fd;

	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return -1;
	if (ftruncate(fd, sizeof(struct metrics_file)) == 0 &&
	    (geteuid() != 0 || fchown(fd, uid, gid) == 0))
		return fd;
	close(fd);
	unlink(path);
	return -1;
}

static struct metrics_file *
map_file(int fd)
{
	void *p =
	    mmap(NULL, sizeof(struct metrics_file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p != MAP_FAILED ? p : NULL;
}

struct metrics *
metrics_new(const char *path, const char *daemon, uid_t uid, gid_t gid, struct log *log)
{
	char *temp = mem_printf("%s.new", path);
	int fd = make_file(temp, uid, gid);
	struct metrics_file *file = fd >= 0 ? map_file(fd) : NULL;
	struct metrics *m;

	if (file == NULL)
		log_error(log, "metrics", "path=%s error=%s hint=%s", temp, strerror(errno),
		    "nothing is counted");
	if (file == NULL) {
		if (fd >= 0)
			close(fd);
		free(temp);
		return NULL;
	}
	flock(fd, LOCK_EX | LOCK_NB); /* nobody else knows it */
	memcpy(file->magic, METRICS_MAGIC, sizeof(file->magic));
	file->version = METRICS_VERSION;
	file->size = sizeof(*file);
	file->pid = getpid();
	file->started = time(NULL);
	snprintf(file->daemon, sizeof(file->daemon), "%s", daemon);
	snprintf(file->release, sizeof(file->release), "%s", SANGER_VERSION);
	m = mem_zalloc(sizeof(*m));
	*m = (struct metrics){
		.file = file, .path = mem_strdup(path), .temp = temp, .lock_fd = fd, .log = log
	};
	return m;
}

void
metrics_publish(struct metrics *m)
{
	if (m == NULL || m->published)
		return;
	m->published = rename(m->temp, m->path) == 0;
	if (!m->published)
		log_error(m->log, "metrics", "path=%s error=%s", m->path, strerror(errno));
}

void
metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	unlink(m->published ? m->path : m->temp);
	munmap(m->file, sizeof(*m->file));
	close(m->lock_fd);
	free(m->path);
	free(m->temp);
	free(m);
}

/* As much as fits, and ASCII; the rest of `to` is NULs. */
static void
set_text(char *to, size_t size, const char *from, size_t len)
{
	for (size_t i = 0; i < len && i < size - 1; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
}

static void
describe(const struct metric *metric, const char *const *values, struct metrics_series *s)
{
	const char *label = metric->labels;

	*s = (struct metrics_series){ .type = metric->type };
	set_text(s->name, sizeof(s->name), metric->name, strlen(metric->name));
	set_text(s->unit, sizeof(s->unit), metric->unit, strlen(metric->unit));
	set_text(s->help, sizeof(s->help), metric->help, strlen(metric->help));
	for (size_t i = 0; i < METRICS_LABELS_MAX && *label != '\0'; i++) {
		size_t len = strcspn(label, " ");

		set_text(s->label_names[i], sizeof(s->label_names[i]), label, len);
		set_text(
		    s->label_values[i], sizeof(s->label_values[i]), values[i], strlen(values[i]));
		label += len + strspn(label + len, " ");
	}
}

static uint32_t
find_series(const struct metrics_file *file, const struct metrics_series *want)
{
	for (uint32_t i = 0; i < file->series_count; i++)
		if (strcmp(file->series[i].name, want->name) == 0 &&
		    memcmp(file->series[i].label_values, want->label_values,
			sizeof(want->label_values)) == 0)
			return file->series[i].cell;
	return METRICS_NONE;
}

/* Readers see the number of series last. */
static uint32_t
append_series(struct metrics *m, struct metrics_series *s)
{
	struct metrics_file *file = m->file;
	uint32_t count = file->series_count, cells = METRICS_CELLS_OF(s->type);

	if (count == METRICS_SERIES_MAX || file->cells_used + cells > METRICS_CELLS_MAX) {
		if (!m->full)
			log_error(m->log, "metrics", "path=%s error=%s", m->path, "it is full");
		m->full = true;
		return METRICS_NONE;
	}
	s->cell = file->cells_used;
	file->series[count] = *s;
	file->cells_used += cells;
	file->series_count = count + 1;
	return s->cell;
}

uint32_t
metrics_series(struct metrics *m, const struct metric *metric, const char *const *values)
{
	struct metrics_series s;
	uint32_t cell;

	if (m == NULL)
		return METRICS_NONE;
	describe(metric, values, &s);
	cell = find_series(m->file, &s);
	return cell != METRICS_NONE ? cell : append_series(m, &s);
}

void
metrics_worker_gone(struct metrics *m, unsigned row)
{
	if (m == NULL)
		return;
	for (uint32_t i = 0; i < m->file->series_count; i++)
		if (m->file->series[i].type == METRIC_GAUGE)
			m->file->rows[row].cells[m->file->series[i].cell] = 0;
}

/* --- a worker --- */

void
metrics_worker_begin(struct metrics *m, unsigned row)
{
	uint32_t top;

	if (m == NULL)
		return;
	close(m->lock_fd); /* the lock is the parent's alone now */
	m->lock_fd = -1;
	top = m->file->rows_top;
	while (top <= row && !atomic_compare_exchange_weak(&m->file->rows_top, &top, row + 1))
		;
	m->row = &m->file->rows[row];
}

static void
add_to(struct metrics *m, uint32_t cell, uint64_t n)
{
	atomic_fetch_add_explicit(&m->row->cells[cell], n, memory_order_relaxed);
}

void
metrics_add(struct metrics *m, uint32_t series, uint64_t n)
{
	if (m != NULL && m->row != NULL && series != METRICS_NONE)
		add_to(m, series, n);
}

void
metrics_change(struct metrics *m, uint32_t series, int64_t by)
{
	metrics_add(m, series, (uint64_t)by);
}

/* The first bucket whose bound it does not pass. */
static uint32_t
bucket_of(uint64_t ns)
{
	uint32_t low = 0, high = METRICS_BUCKETS;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (ns <= METRICS_BOUNDS_NS[middle])
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

void
metrics_time_ns(struct metrics *m, uint32_t series, uint64_t ns)
{
	if (m == NULL || m->row == NULL || series == METRICS_NONE)
		return;
	add_to(m, series + bucket_of(ns), 1);
	add_to(m, series + METRICS_BUCKETS + 1, ns);
}

uint64_t
metrics_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * S + (uint64_t)ts.tv_nsec;
}

/* --- failed logins --- */

static uint64_t
key_of(const struct net_ip *ip)
{
	uint64_t half[2];

	memcpy(half, ip->b, sizeof(half));
	half[0] = half[0] * 0x9e3779b97f4a7c15u ^ half[1];
	return half[0] != 0 ? half[0] : 1;
}

/* Its place; a new one takes that of the address which has been quiet longest. */
static struct metrics_source *
source_of(struct metrics_row *row, const struct net_ip *ip)
{
	struct metrics_source *oldest = &row->sources[0];
	uint64_t key = key_of(ip);

	for (size_t i = 0; i < METRICS_SOURCES_MAX; i++) {
		struct metrics_source *s = &row->sources[i];

		if (s->key == key)
			return s;
		if (s->last < oldest->last)
			oldest = s;
	}
	oldest->key = 0;
	oldest->last = 0;
	for (size_t i = 0; i < METRICS_HOURS; i++)
		oldest->hours[i] = 0;
	for (size_t i = 0; i < sizeof(ip->b); i++)
		oldest->ip[i] = ip->b[i];
	oldest->key = key;
	return oldest;
}

void
metrics_login_failed(struct metrics *m, const struct net_ip *ip)
{
	int64_t now = time(NULL), hour = now / 3600, last;
	struct metrics_source *s;

	if (m == NULL || m->row == NULL || ip == NULL)
		return;
	s = source_of(m->row, ip);
	last = s->last / 3600;
	if (last < hour - METRICS_HOURS)
		last = hour - METRICS_HOURS;
	while (last < hour) /* hours of silence, and of the day before */
		s->hours[++last % METRICS_HOURS] = 0;
	s->hours[hour % METRICS_HOURS]++;
	s->last = now;
}
