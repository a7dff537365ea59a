#include "net/metrics_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/metrics_file.h"

#define ROWS_AT     offsetof(struct metrics_file, rows)
#define BYTES_LEAST ROWS_AT
#define BYTES_MOST  sizeof(struct metrics_file)

_Static_assert(METRICS_HOURS == METRICS_SOURCE_HOURS, "a day");

/* --- is it one ---------------------------------------------------------------------------------- */

static bool
is_text(const char *s, size_t size)
{
	const char *end = memchr(s, '\0', size);

	for (; end != NULL && s < end; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return end != NULL;
}

/* metricname, label-name of OpenMetrics, without ':'. */
static bool
is_name(const char *s)
{
	if (*s == '\0' || ascii_is_digit(*s))
		return false;
	for (; *s != '\0'; s++)
		if (!ascii_is_alnum(*s) && *s != '_')
			return false;
	return true;
}

static bool
is_good_series(const struct metrics_series *s)
{
	bool ended = false;

	if (!is_text(s->name, sizeof(s->name)) || !is_name(s->name) ||
	    !is_text(s->unit, sizeof(s->unit)) || !is_text(s->help, sizeof(s->help)) ||
	    s->type > METRIC_HISTOGRAM)
		return false;
	for (size_t i = 0; i < METRICS_LABELS_MAX; i++) {
		if (!is_text(s->label_names[i], sizeof(s->label_names[i])) ||
		    !is_text(s->label_values[i], sizeof(s->label_values[i])))
			return false;
		if (*s->label_names[i] == '\0')
			ended = true;
		else if (ended || !is_name(s->label_names[i]))
			return false;
	}
	return s->cell <= METRICS_CELLS_MAX &&
	       METRICS_CELLS_OF(s->type) <= METRICS_CELLS_MAX - s->cell;
}

/* NULL, or what is wrong with the beginning of a file, which is there up to ROWS_AT. */
static const char *
problem(const struct metrics_file *f, uint64_t file_bytes)
{
	if (memcmp(f->magic, METRICS_MAGIC, sizeof(f->magic)) != 0)
		return "no file of metrics";
	if (f->version != METRICS_VERSION || f->size != sizeof(*f) || file_bytes != sizeof(*f))
		return "of another version, or damaged";
	if (f->series_count > METRICS_SERIES_MAX || f->rows_top > METRICS_ROWS ||
	    !is_text(f->daemon, sizeof(f->daemon)) || !is_text(f->release, sizeof(f->release)))
		return "damaged";
	for (uint32_t i = 0; i < f->series_count; i++)
		if (!is_good_series(&f->series[i]))
			return "damaged";
	return NULL;
}

/* --- what it says ------------------------------------------------------------------------------- */

static uint64_t
sum_cell(const struct metrics_file *f, uint32_t rows, uint32_t cell)
{
	uint64_t sum = 0;

	for (uint32_t r = 0; r < rows; r++)
		sum += f->rows[r].cells[cell];
	return sum;
}

static void
read_value(const struct metrics_file *f, uint32_t rows, const struct metrics_series *s,
    struct metrics_value *out)
{
	*out = (struct metrics_value){
		.name = s->name, .unit = s->unit, .help = s->help, .type = s->type
	};
	while (out->label_count < METRICS_LABELS_MAX && *s->label_names[out->label_count] != '\0') {
		out->label_names[out->label_count] = s->label_names[out->label_count];
		out->label_values[out->label_count] = s->label_values[out->label_count];
		out->label_count++;
	}
	if (s->type != METRIC_HISTOGRAM) {
		out->count = sum_cell(f, rows, s->cell);
		out->level = (int64_t)out->count;
		return;
	}
	for (uint32_t b = 0; b <= METRICS_BUCKETS; b++) {
		out->buckets[b] = sum_cell(f, rows, s->cell + b);
		out->count += out->buckets[b];
	}
	out->sum_ns = sum_cell(f, rows, s->cell + METRICS_BUCKETS + 1);
}

/* False: nothing failed from there within a day. */
static bool
read_source(const struct metrics_source *s, int64_t now, struct metrics_failures *out)
{
	int64_t last = s->last, hour = now / 3600, age = hour - last / 3600;

	if (s->key == 0 || last <= 0 || age >= METRICS_HOURS)
		return false;
	*out = (struct metrics_failures){ .last = last };
	for (size_t i = 0; i < sizeof(out->ip.b); i++)
		out->ip.b[i] = s->ip[i];
	for (int64_t back = age > 0 ? age : 0; back < METRICS_HOURS; back++)
		out->hours[back] = s->hours[(hour - back) % METRICS_HOURS];
	return true;
}

struct metrics_reading *
metrics_parse(struct str bytes, uint64_t file_bytes, int64_t now, const char **why_out)
{
	const struct metrics_file *f;
	struct metrics_reading *r;
	uint32_t rows;

	*why_out = bytes.len < BYTES_LEAST ? "too short" : NULL;
	if (*why_out != NULL)
		return NULL;
	r = mem_zalloc(sizeof(*r));
	r->bytes = mem_dup(bytes.p, bytes.len); /* aligned */
	f = r->bytes;
	*why_out = problem(f, file_bytes);
	if (*why_out == NULL &&
	    bytes.len < ROWS_AT + f->rows_top * sizeof(struct metrics_row)) /* cut just now */
		*why_out = "too short";
	if (*why_out != NULL || now < METRICS_HOURS * 3600) {
		metrics_reading_free(r);
		return NULL;
	}
	rows = f->rows_top;
	r->daemon = f->daemon;
	r->release = f->release;
	r->pid = f->pid;
	r->started = f->started;
	r->value_count = f->series_count;
	r->values = mem_zalloc((r->value_count + 1) * sizeof(*r->values));
	for (size_t i = 0; i < r->value_count; i++)
		read_value(f, rows, &f->series[i], &r->values[i]);
	r->failures = mem_zalloc(((size_t)rows * METRICS_SOURCES_MAX + 1) * sizeof(*r->failures));
	for (uint32_t row = 0; row < rows; row++)
		for (size_t i = 0; i < METRICS_SOURCES_MAX; i++)
			if (read_source(
				&f->rows[row].sources[i], now, &r->failures[r->failure_count]))
				r->failure_count++;
	return r;
}

void
metrics_reading_free(struct metrics_reading *r)
{
	if (r == NULL)
		return;
	free(r->values);
	free(r->failures);
	free(r->bytes);
	free(r);
}

/* --- the file ----------------------------------------------------------------------------------- */

/* As far as the rows in use go. */
static bool
read_bytes(int fd, struct buf *out)
{
	size_t want = ROWS_AT;
	ssize_t got = 1;

	buf_reserve(out, BYTES_MOST);
	while (got > 0 && out->len < want) {
		got = pread(fd, out->data + out->len, want - out->len, (off_t)out->len);
		out->len += got > 0 ? (size_t)got : 0;
		if (out->len == ROWS_AT && want == ROWS_AT) {
			uint32_t rows;

			memcpy(&rows, out->data + offsetof(struct metrics_file, rows_top),
			    sizeof(rows));
			want += (rows <= METRICS_ROWS ? rows : 0) * sizeof(struct metrics_row);
		}
	}
	return got >= 0;
}

struct metrics_reading *
metrics_read(const char *path, int64_t now, const char **why_out)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct metrics_reading *r = NULL;
	struct buf bytes = { 0 };
	struct stat st;

	*why_out = NULL;
	if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		*why_out = "no regular file";
		errno = 0;
	} else if (fd >= 0 && fstat(fd, &st) == 0 && read_bytes(fd, &bytes)) {
		r = metrics_parse(
		    (struct str){ bytes.data, bytes.len }, (uint64_t)st.st_size, now, why_out);
		if (r != NULL)
			r->alive = flock(fd, LOCK_SH | LOCK_NB) != 0;
		errno = 0;
	} else {
		*why_out = strerror(errno);
	}
	buf_free(&bytes);
	if (fd >= 0) {
		int error = errno;

		close(fd);
		errno = error;
	}
	return r;
}
