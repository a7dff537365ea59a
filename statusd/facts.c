#include "statusd/facts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "service/hostname.h"
#include "service/service.h"

/* --- daemons ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	const char *listen[4]; /* settings; without an address in any of them it is not wanted */
} DAEMONS[FACTS_DAEMONS] = {
	{ "imapd", { "imapd.listen_tls", "imapd.listen_starttls" } },
	{ "submitd", { "submitd.listen_tls", "submitd.listen_starttls" } },
	{ "lda", { "lda.listen_lmtp", "lda.listen_smtp" } },
	{ "managesieved", { "managesieved.listen_tls", "managesieved.listen_starttls" } },
	{ "statusd", { "statusd.listen", "statusd.listen_public" } },
};

static bool
is_wanted(const struct config *c, const char *const *listen)
{
	for (size_t i = 0; listen[i] != NULL; i++)
		if (config_count(c, listen[i]) > 0)
			return true;
	return false;
}

/* A daemon that does not run has left no file, or one that nobody holds. */
static void
gather_daemon(const struct service *sv, size_t i, int64_t now, struct facts_daemon *d)
{
	const char *run_dir = config_string(sv->config, "server.run_dir"), *why = NULL;
	char *path = mem_printf("%s/%s.metrics", run_dir, DAEMONS[i].name);

	d->name = DAEMONS[i].name;
	d->wanted = is_wanted(sv->config, DAEMONS[i].listen);
	d->counts = metrics_read(path, now, &why);
	d->running = d->counts != NULL && d->counts->alive;
	if (d->counts == NULL && errno != ENOENT)
		log_error(sv->log, "metrics", "path=%s error=%s", path, why);
	free(path);
}

uint64_t
facts_sum(const struct facts_daemon *d, const char *name, const char *label_value)
{
	uint64_t sum = 0;

	for (size_t i = 0; d->counts != NULL && i < d->counts->value_count; i++) {
		const struct metrics_value *v = &d->counts->values[i];

		if (strcmp(v->name, name) == 0 &&
		    (label_value == NULL ||
			(v->label_count > 0 && strcmp(v->label_values[0], label_value) == 0)))
			sum += v->count;
	}
	return sum;
}

/* --- failed logins ------------------------------------------------------------------------------ */

static int
compare_ips(const void *a, const void *b)
{
	const struct facts_source *x = a, *y = b;

	return memcmp(&x->ip, &y->ip, sizeof(x->ip));
}

static int
compare_days(const void *a, const void *b)
{
	const struct facts_source *x = a, *y = b;

	return (x->day < y->day) - (x->day > y->day);
}

static void
add_failures(struct facts *f, const struct metrics_failures *one)
{
	struct facts_source s = {
		.ip = one->ip, .last = one->last, .hour = one->hours[0] + one->hours[1]
	};

	for (size_t h = 0; h < METRICS_SOURCE_HOURS; h++)
		s.day += one->hours[h];
	f->failed_hour += s.hour;
	f->failed_day += s.day;
	f->sources[f->source_count++] = s;
}

/* What workers and daemons have counted of the same address is one row. */
static void
merge_sources(struct facts *f)
{
	size_t kept = 0;

	qsort(f->sources, f->source_count, sizeof(*f->sources), compare_ips);
	for (size_t i = 1; i < f->source_count; i++) {
		struct facts_source *to = &f->sources[kept], *from = &f->sources[i];

		if (compare_ips(to, from) != 0) {
			f->sources[++kept] = *from;
			continue;
		}
		to->hour += from->hour;
		to->day += from->day;
		to->last = to->last > from->last ? to->last : from->last;
	}
	f->source_total = f->source_count > 0 ? kept + 1 : 0;
	f->source_count = f->source_total;
	qsort(f->sources, f->source_count, sizeof(*f->sources), compare_days);
	if (f->source_count > FACTS_SOURCES_MAX)
		f->source_count = FACTS_SOURCES_MAX;
}

static void
gather_sources(struct facts *f)
{
	size_t most = 1;

	for (size_t d = 0; d < FACTS_DAEMONS; d++)
		most += f->daemons[d].counts != NULL ? f->daemons[d].counts->failure_count : 0;
	f->sources = mem_zalloc(most * sizeof(*f->sources));
	for (size_t d = 0; d < FACTS_DAEMONS; d++) {
		const struct metrics_reading *r = f->daemons[d].counts;

		for (size_t i = 0; r != NULL && i < r->failure_count; i++)
			add_failures(f, &r->failures[i]);
	}
	merge_sources(f);
}

/* --- disks -------------------------------------------------------------------------------------- */

static const struct {
	const char *setting, *use;
} PLACES[] = {
	{ "store.mail_root", "mail" },
	{ "store.index_root", "indexes" },
	{ "store.spool", "spool" },
	{ "store.account_db", "accounts" },
	{ "log.file", "log" },
	{ "backup.dir", "backups" },
	{ "publish.dir", "published" },
};

static void
add_use(struct facts_disk *disk, const char *use)
{
	char *uses = disk->uses != NULL ? mem_printf("%s, %s", disk->uses, use) : mem_strdup(use);

	free(disk->uses);
	disk->uses = uses;
}

static struct facts_disk *
find_disk(struct facts *f, uint64_t device)
{
	for (size_t i = 0; i < f->disk_count; i++)
		if (f->disks[i].device == device)
			return &f->disks[i];
	return NULL;
}

static void
gather_disk(struct facts *f, const char *path, const char *use, uint64_t floor_bytes)
{
	struct facts_disk *disk;
	struct statvfs fs;
	struct stat st;

	if (stat(path, &st) != 0 || statvfs(path, &fs) != 0)
		return; /* not made yet */
	disk = find_disk(f, st.st_dev);
	if (disk == NULL && f->disk_count < FACTS_DISKS_MAX) {
		disk = &f->disks[f->disk_count++];
		*disk = (struct facts_disk){ .path = path,
			.device = st.st_dev,
			.size_bytes = (uint64_t)fs.f_blocks * fs.f_frsize,
			.free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize };
		disk->low = disk->free_bytes < floor_bytes;
	}
	if (disk != NULL)
		add_use(disk, use);
}

static void
gather_disks(const struct config *c, struct facts *f)
{
	for (size_t i = 0; i < ARRAY_LEN(PLACES); i++) {
		const char *path = config_string(c, PLACES[i].setting);

		if (path != NULL && *path != '\0')
			gather_disk(
			    f, path, PLACES[i].use, config_size(c, "store.free_space_floor"));
	}
}

/* --- all ---------------------------------------------------------------------------------------- */

static void
gather_queue(struct spool *spool, bool whole, struct facts *f)
{
	f->queue_err = spool_count(spool, &f->queue);
	if (f->queue_err == STORE_OK && whole)
		f->queue_err =
		    spool_count_relays(spool, FACTS_RELAYS_MAX, &f->relays, &f->relay_count);
	if (f->queue_err == STORE_OK && whole)
		f->queue_err =
		    spool_list(spool, NULL, FACTS_OLDEST_MAX, &f->oldest, &f->oldest_count);
}

void
facts_gather(struct service *sv, struct quotas *quotas, bool queue_too, struct facts *f)
{
	*f = (struct facts){ .now = time(NULL) };
	f->hostname = service_hostname(sv->config);
	f->publish_dir = config_string(sv->config, "publish.dir");
	f->backup_dir = config_string(sv->config, "backup.dir");
	for (size_t i = 0; i < FACTS_DAEMONS; i++)
		gather_daemon(sv, i, f->now, &f->daemons[i]);
	gather_sources(f);
	gather_disks(sv->config, f);
	gather_queue(sv->spool, queue_too, f);
	quotas_get(quotas, &f->quotas);
	status_file_read(f->publish_dir, &f->publish);
	status_file_read(f->backup_dir, &f->backup);
}

void
facts_free(struct facts *f)
{
	for (size_t i = 0; i < FACTS_DAEMONS; i++)
		metrics_reading_free(f->daemons[i].counts);
	for (size_t i = 0; i < f->disk_count; i++)
		free(f->disks[i].uses);
	spool_relay_counts_free(f->relays, f->relay_count);
	spool_messages_free(f->oldest, f->oldest_count);
	quotas_found_free(&f->quotas);
	status_file_free(&f->publish);
	status_file_free(&f->backup);
	free(f->sources);
	free(f->hostname);
	*f = (struct facts){ 0 };
}
