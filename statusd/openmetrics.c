#include "statusd/openmetrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* --- text --------------------------------------------------------------------------------------- */

/* escaped-string, OpenMetrics 1.0.0, ABNF. */
static void
add_escaped(struct buf *out, const char *s)
{
	for (; *s != '\0'; s++) {
		switch (*s) {
		case '\\': buf_adds(out, "\\\\"); break;
		case '"': buf_adds(out, "\\\""); break;
		case '\n': buf_adds(out, "\\n"); break;
		default: buf_addc(out, *s); break;
		}
	}
}

/* Seconds without superfluous zeros: "0.00025", "1.0". */
static void
add_seconds(struct buf *out, uint64_t ns)
{
	char digits[16];
	size_t len = 9;

	snprintf(digits, sizeof(digits), "%09" PRIu64, ns % 1000000000);
	while (len > 1 && digits[len - 1] == '0')
		len--;
	buf_printf(out, "%" PRIu64 ".%.*s", ns / 1000000000, (int)len, digits);
}

static void
add_family(struct buf *out, const char *name, const char *type, const char *unit, const char *help)
{
	buf_printf(out, "# TYPE %s %s\n", name, type);
	if (*unit != '\0')
		buf_printf(out, "# UNIT %s %s\n", name, unit);
	buf_printf(out, "# HELP %s ", name);
	add_escaped(out, help);
	buf_addc(out, '\n');
}

static void
add_label(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "%s%s=\"", out->data[out->len - 1] == '{' ? "" : ",", name);
	add_escaped(out, value);
	buf_addc(out, '"');
}

/* --- what daemons count ------------------------------------------------------------------------- */

struct sample {
	const char *daemon;
	const struct metrics_value *value;
	size_t order;
};

static void
add_labels(struct buf *out, const struct sample *s, const char *suffix, uint64_t le_ns, bool has_le)
{
	buf_printf(out, "%s%s{", s->value->name, suffix);
	add_label(out, "daemon", s->daemon);
	for (size_t i = 0; i < s->value->label_count; i++)
		add_label(out, s->value->label_names[i], s->value->label_values[i]);
	if (has_le) {
		buf_adds(out, ",le=\"");
		if (le_ns != 0)
			add_seconds(out, le_ns);
		else
			buf_adds(out, "+Inf");
		buf_addc(out, '"');
	}
	buf_adds(out, "} ");
}

/* Buckets are said as sums of all that are not larger. */
static void
add_histogram(struct buf *out, const struct sample *s)
{
	uint64_t sum = 0;

	for (size_t b = 0; b <= METRICS_BUCKETS; b++) {
		sum += s->value->buckets[b];
		add_labels(out, s, "_bucket", b < METRICS_BUCKETS ? METRICS_BOUNDS_NS[b] : 0, true);
		buf_printf(out, "%" PRIu64 "\n", sum);
	}
	add_labels(out, s, "_sum", 0, false);
	add_seconds(out, s->value->sum_ns);
	buf_addc(out, '\n');
	add_labels(out, s, "_count", 0, false);
	buf_printf(out, "%" PRIu64 "\n", sum);
}

static void
add_sample(struct buf *out, const struct sample *s)
{
	switch (s->value->type) {
	case METRIC_COUNTER:
		add_labels(out, s, "_total", 0, false);
		buf_printf(out, "%" PRIu64 "\n", s->value->count);
		break;
	case METRIC_GAUGE:
		add_labels(out, s, "", 0, false);
		buf_printf(out, "%" PRId64 "\n", s->value->level);
		break;
	case METRIC_HISTOGRAM: add_histogram(out, s); break;
	}
}

static int
compare_samples(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;
	int diff = strcmp(x->value->name, y->value->name);

	return diff != 0 ? diff : (x->order > y->order) - (x->order < y->order);
}

/* A daemon of another release may count something else under a name: then the first one's type holds, and the
 * other's samples are left out. */
static void
add_samples(struct buf *out, struct sample *samples, size_t count)
{
	static const char *const TYPES[] = { "counter", "gauge", "histogram" };
	const struct metrics_value *family = NULL;

	if (count > 0)
		qsort(samples, count, sizeof(*samples), compare_samples);
	for (size_t i = 0; i < count; i++) {
		const struct metrics_value *v = samples[i].value;

		if (family == NULL || strcmp(family->name, v->name) != 0) {
			family = v;
			add_family(out, v->name, TYPES[v->type], v->unit, v->help);
		}
		if (v->type == family->type)
			add_sample(out, &samples[i]);
	}
}

static void
add_counts(struct buf *out, const struct facts *f)
{
	struct sample *samples;
	size_t most = 1, count = 0;

	for (size_t d = 0; d < FACTS_DAEMONS; d++)
		most += f->daemons[d].counts != NULL ? f->daemons[d].counts->value_count : 0;
	samples = mem_zalloc(most * sizeof(*samples));
	for (size_t d = 0; d < FACTS_DAEMONS; d++) {
		const struct metrics_reading *r = f->daemons[d].counts;

		for (size_t i = 0; r != NULL && r->alive && i < r->value_count; i++, count++)
			samples[count] =
			    (struct sample){ f->daemons[d].name, &r->values[i], count };
	}
	add_samples(out, samples, count);
	free(samples);
}

/* --- what statusd finds ------------------------------------------------------------------------- */

static void
add_daemons(struct buf *out, const struct facts *f)
{
	add_family(out, "sanger_build", "info", "", "The release that runs.");
	for (size_t i = 0; i < FACTS_DAEMONS; i++) {
		const struct facts_daemon *d = &f->daemons[i];

		if (!d->running)
			continue;
		buf_adds(out, "sanger_build_info{");
		add_label(out, "daemon", d->name);
		add_label(out, "version", d->counts->release);
		buf_adds(out, "} 1\n");
	}
	add_family(out, "sanger_daemon_up", "gauge", "", "Whether a daemon that is to run does.");
	for (size_t i = 0; i < FACTS_DAEMONS; i++)
		if (f->daemons[i].wanted)
			buf_printf(out, "sanger_daemon_up{daemon=\"%s\"} %d\n", f->daemons[i].name,
			    f->daemons[i].running);
	add_family(out, "sanger_daemon_start_time_seconds", "gauge", "seconds",
	    "When a daemon was started, in Unix time.");
	for (size_t i = 0; i < FACTS_DAEMONS; i++)
		if (f->daemons[i].running)
			buf_printf(out,
			    "sanger_daemon_start_time_seconds{daemon=\"%s\"} %" PRId64 "\n",
			    f->daemons[i].name, f->daemons[i].counts->started);
}

static void
add_gauge(struct buf *out, const char *name, const char *unit, const char *help, uint64_t value)
{
	add_family(out, name, "gauge", unit, help);
	buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void
add_queue(struct buf *out, const struct facts *f)
{
	const struct spool_counts *q = &f->queue;
	uint64_t aside = q->held + q->claimed;
	uint64_t age = q->oldest > 0 && q->oldest < f->now ? (uint64_t)(f->now - q->oldest) : 0;

	if (f->queue_err != STORE_OK)
		return;
	add_family(out, "sanger_queue_messages", "gauge", "", "Messages in the spool.");
	buf_printf(out,
	    "sanger_queue_messages{state=\"waiting\"} %" PRIu64
	    "\nsanger_queue_messages{state=\"sending\"} %" PRIu64
	    "\nsanger_queue_messages{state=\"held\"} %" PRIu64
	    "\nsanger_queue_messages{state=\"parked\"} %" PRIu64 "\n",
	    q->messages > aside ? q->messages - aside : 0, q->claimed,
	    q->held > q->parked ? q->held - q->parked : 0, q->parked);
	add_gauge(out, "sanger_queue_recipients", "", "Recipients that are not done with.",
	    q->recipients_pending);
	add_gauge(
	    out, "sanger_queue_bytes", "bytes", "Size of all messages in the spool.", q->bytes);
	add_gauge(out, "sanger_queue_oldest_seconds", "seconds",
	    "How long the oldest message has been there; 0: none is.", age);
}

static void
add_disks(struct buf *out, const struct facts *f)
{
	static const char *const NAMES[] = { "sanger_disk_size_bytes", "sanger_disk_free_bytes" };
	static const char *const HELP[] = { "Size of a file system that holds something of ours.",
		"Free space there, as we may use it." };

	for (size_t n = 0; n < ARRAY_LEN(NAMES); n++) {
		add_family(out, NAMES[n], "gauge", "bytes", HELP[n]);
		for (size_t i = 0; i < f->disk_count; i++) {
			const struct facts_disk *d = &f->disks[i];

			buf_printf(out, "%s{", NAMES[n]);
			add_label(out, "path", d->path);
			add_label(out, "uses", d->uses);
			buf_printf(out, "} %" PRIu64 "\n", n == 0 ? d->size_bytes : d->free_bytes);
		}
	}
}

static void
add_time(struct buf *out, const char *name, const char *help, const struct status_line *line)
{
	if (line != NULL)
		add_gauge(out, name, "seconds", help, (uint64_t)line->at);
}

void
openmetrics_write(const struct facts *f, struct buf *out)
{
	add_daemons(out, f);
	add_queue(out, f);
	add_disks(out, f);
	if (f->quotas.when > 0) {
		add_gauge(out, "sanger_accounts", "", "Accounts.", f->quotas.accounts);
		add_gauge(out, "sanger_accounts_near_quota", "",
		    "Accounts that have used statusd.quota_percent of their quota.",
		    f->quotas.near);
	}
	add_time(out, "sanger_publish_success_timestamp_seconds",
	    "When the account database was last published, in Unix time.",
	    status_file_last(&f->publish, "published"));
	add_time(out, "sanger_backup_success_timestamp_seconds",
	    "When the last whole backup was made, in Unix time.",
	    status_file_last(&f->backup, "succeeded"));
	add_counts(out, f);
	buf_adds(out, "# EOF\n");
}
