#include "statusd/quotas.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "net/loop.h"
#include "service/account_quota.h"
#include "service/service.h"
#include "store/dir.h"
#include "store/root.h"

struct quotas {
	struct service *sv;
	struct store_root *root;
	struct net_timer *timer;
	pthread_mutex_t mutex; /* of found */
	struct quotas_found found;
};

void
quotas_found_free(struct quotas_found *f)
{
	for (size_t i = 0; i < f->row_count; i++)
		free(f->rows[i].address);
	free(f->rows);
	*f = (struct quotas_found){ 0 };
}

void
quotas_get(struct quotas *q, struct quotas_found *out)
{
	pthread_mutex_lock(&q->mutex);
	*out = q->found;
	out->rows = mem_zalloc((out->row_count + 1) * sizeof(*out->rows));
	for (size_t i = 0; i < out->row_count; i++) {
		out->rows[i] = q->found.rows[i];
		out->rows[i].address = mem_strdup(q->found.rows[i].address);
	}
	pthread_mutex_unlock(&q->mutex);
}

/* --- in a job ----------------------------------------------------------------------------------- */

/* As the last writer left it; nothing is counted anew here.  False: there is no such file. */
static bool
read_usage(const struct quotas *q, const struct account_row *row, struct quota_usage *usage)
{
	struct quota_limits limits;
	struct buf text = { 0 };
	struct home *home;
	bool ok;

	if (home_open(q->root, row->localpart, row->domain, false, &home) != STORE_OK)
		return false;
	ok = dir_read_file(home->fd, "maildirsize", QUOTA_FILE_MAX_BYTES, &text) == STORE_OK &&
	     quota_parse((struct str){ text.data, text.len }, &limits, usage);
	home_close(home);
	buf_free(&text);
	return ok;
}

static void
look_at(struct quotas *q, const struct account_row *row, struct quotas_found *found)
{
	struct quota_limits limits = account_quota_limits(q->sv->accounts, row, q->sv->config);
	struct quota_rules rules = { .limit_bytes = limits.bytes,
		.limit_messages = limits.messages };
	struct quota_usage usage = { 0 };
	uint64_t percent;

	if (!quota_is_limited(&rules) || !read_usage(q, row, &usage))
		return;
	percent = quota_percent(&rules, &usage);
	if (percent < config_integer(q->sv->config, "statusd.quota_percent"))
		return;
	found->rows = mem_realloc_array(found->rows, found->near + 1, sizeof(*found->rows));
	found->rows[found->near++] = (struct quota_account){
		.address = mem_printf("%s@%s", row->localpart, row->domain),
		.used_bytes = usage.bytes,
		.limit_bytes = limits.bytes,
		.used_messages = usage.count,
		.limit_messages = limits.messages,
		.percent = percent < 9999 ? (unsigned)percent : 9999,
	};
}

static int
compare_percent(const void *a, const void *b)
{
	const struct quota_account *x = a, *y = b;

	return (x->percent < y->percent) - (x->percent > y->percent);
}

static void
run_look(void *arg)
{
	struct quotas *q = arg;
	struct quotas_found found = { .when = time(NULL) }, old;
	struct account_row *rows;

	if (account_db_list(q->sv->accounts, NULL, &rows, &found.accounts) != STORE_OK)
		return; /* logged; what was found before stays, with its time */
	for (size_t i = 0; i < found.accounts; i++)
		look_at(q, &rows[i], &found);
	account_rows_free(rows, found.accounts);
	if (found.near > 0)
		qsort(found.rows, found.near, sizeof(*found.rows), compare_percent);
	found.row_count = found.near < QUOTAS_SHOWN ? found.near : QUOTAS_SHOWN;
	for (size_t i = found.row_count; i < found.near; i++)
		free(found.rows[i].address);
	pthread_mutex_lock(&q->mutex);
	old = q->found;
	q->found = found;
	pthread_mutex_unlock(&q->mutex);
	quotas_found_free(&old);
}

/* --- on the loop -------------------------------------------------------------------------------- */

static void
on_looked(void *arg)
{
	struct quotas *q = arg;

	if (q->timer != NULL)
		net_timer_start_s(q->timer, QUOTAS_EVERY_S);
}

static void
on_time(void *arg)
{
	struct quotas *q = arg;

	net_job_run(q->sv->loop, run_look, on_looked, q);
}

struct quotas *
quotas_open(struct service *sv)
{
	struct quotas *q = mem_zalloc(sizeof(*q));

	q->sv = sv;
	pthread_mutex_init(&q->mutex, NULL);
	if (store_root_open(config_string(sv->config, "store.mail_root"), sv->log, &q->root) !=
	    STORE_OK) {
		quotas_close(q);
		return NULL;
	}
	q->timer = net_timer_new(sv->loop, on_time, q);
	net_timer_start_ms(q->timer, 0);
	return q;
}

void
quotas_drain(struct quotas *q)
{
	net_timer_free(q->timer);
	q->timer = NULL;
}

void
quotas_close(struct quotas *q)
{
	if (q == NULL)
		return;
	net_timer_free(q->timer);
	store_root_close(q->root);
	quotas_found_free(&q->found);
	pthread_mutex_destroy(&q->mutex);
	free(q);
}
