#include "admin/backup_prune.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "admin/command.h"
#include "base/mem.h"
#include "store/dir.h"

#define DAY_S  INT64_C(86400)
#define WEEK_S (7 * DAY_S)
#define MONDAY (4 * DAY_S) /* 1970-01-05 */

/* --- the plan ----------------------------------------------------------------------------------- */

static int64_t
day_of(int64_t when)
{
	return when / DAY_S;
}

static int64_t
week_of(int64_t when)
{
	return (when - MONDAY + WEEK_S) / WEEK_S;
}

static int64_t
month_of(int64_t when)
{
	time_t t = when;
	struct tm tm;

	gmtime_r(&t, &tm);
	return tm.tm_year * 12 + tm.tm_mon;
}

static bool
is_good(const struct snapshot *s)
{
	return s->facts.problems == 0;
}

static int64_t
period_of(const struct snapshot *s, int64_t (*period)(int64_t))
{
	int64_t when = 0;

	snapshot_name_parse(s->name, &when);
	return period(when);
}

/* Keeps one of each of the last `count` periods. */
static void
keep_periods(
    const struct snapshot_list *list, uint64_t count, int64_t (*period)(int64_t), bool *keep)
{
	size_t i = list->count;

	while (i > 0 && count-- > 0) {
		int64_t this = period_of(&list->items[i - 1], period);
		size_t best = i - 1;

		for (; i > 0 && period_of(&list->items[i - 1], period) == this; i--)
			if (!is_good(&list->items[best]) && is_good(&list->items[i - 1]))
				best = i - 1;
		keep[best] = true;
	}
}

void
prune_plan(const struct snapshot_list *list, const struct prune_rules *rules, bool *keep_out)
{
	for (size_t i = 0; i < list->count; i++)
		keep_out[i] = i + 1 == list->count;
	keep_periods(list, rules->daily, day_of, keep_out);
	keep_periods(list, rules->weekly, week_of, keep_out);
	keep_periods(list, rules->monthly, month_of, keep_out);
	for (size_t i = list->count; i-- > 0;) {
		if (is_good(&list->items[i])) {
			keep_out[i] = true;
			return;
		}
	}
}

static bool
read_rule(const struct admin *a, const char *option, const char *setting, uint64_t *out)
{
	const char *text = admin_option(a, option);

	*out = config_integer(a->config, setting);
	if (text == NULL || text_u64(str_from(text), 10000, out))
		return true;
	admin_bad_usage(a, "%s %s: a number is needed", option, text);
	return false;
}

bool
prune_rules_read(const struct admin *a, struct prune_rules *r)
{
	return read_rule(a, "--keep-daily", "backup.keep_daily", &r->daily) &&
	       read_rule(a, "--keep-weekly", "backup.keep_weekly", &r->weekly) &&
	       read_rule(a, "--keep-monthly", "backup.keep_monthly", &r->monthly);
}

/* --- removing ----------------------------------------------------------------------------------- */

/* Renamed while nobody holds it; NULL: somebody does, or it cannot be. */
static char *
set_aside(int dir_fd, const char *dir, const char *name, bool *failed)
{
	char *gone = NULL;
	int fd;

	if (dir_open(dir_fd, name, &fd) != STORE_OK)
		return NULL;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		gone = mem_printf("%s" SNAPSHOT_GONE, name);
		if (renameat(dir_fd, name, dir_fd, gone) != 0) {
			admin_refuse("%s/%s: %s", dir, name, strerror(errno));
			*failed = true;
			free(gone);
			gone = NULL;
		}
	}
	close(fd);
	return gone;
}

struct leftovers {
	char **names;
	size_t count;
};

static bool
add_gone(void *arg, const char *name, unsigned char type)
{
	struct leftovers *l = arg;
	size_t len = strlen(name), end = strlen(SNAPSHOT_GONE);

	if (type == DT_DIR && len > end && strcmp(name + len - end, SNAPSHOT_GONE) == 0) {
		char *stem = mem_strndup(name, len - end);

		if (snapshot_name_parse(stem, NULL)) {
			l->names = mem_realloc_array(l->names, l->count + 1, sizeof(char *));
			l->names[l->count++] = mem_strdup(name);
		}
		free(stem);
	}
	return true;
}

static bool
remove_gone(int dir_fd, const char *dir)
{
	struct leftovers l = { 0 };
	bool ok = dir_list(dir_fd, add_gone, &l) == STORE_OK;

	for (size_t i = 0; i < l.count; i++) {
		enum store_err err = dir_remove_tree(dir_fd, l.names[i]);

		if (err != STORE_OK)
			admin_refuse("%s/%s: %s", dir, l.names[i], store_err_text(err));
		ok = ok && err == STORE_OK;
		free(l.names[i]);
	}
	free(l.names);
	return ok;
}

bool
prune_snapshots(int dir_fd, const char *dir, const struct prune_rules *rules, bool dry,
    void (*each)(void *arg, const char *name), void *arg)
{
	struct snapshot_list list;
	bool failed = snapshot_list(dir_fd, &list) != STORE_OK;
	bool *keep = mem_zalloc((list.count + 1) * sizeof(*keep));

	prune_plan(&list, rules, keep);
	for (size_t i = 0; i < list.count && !failed; i++) {
		char *gone = NULL;

		if (keep[i])
			continue;
		if (!dry)
			gone = set_aside(dir_fd, dir, list.items[i].name, &failed);
		if (dry || gone != NULL)
			each(arg, list.items[i].name);
		free(gone);
	}
	free(keep);
	snapshot_list_free(&list);
	if (dry)
		return !failed;
	return remove_gone(dir_fd, dir) && !failed;
}
