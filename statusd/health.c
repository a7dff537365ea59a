#include "statusd/health.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "net/tls.h"
#include "service/doors.h"
#include "service/service.h"

struct health {
	struct service *sv;
	struct quotas *quotas;
	struct net_tls *tls;
	pthread_mutex_t mutex; /* one looks at a time; the others take what he finds */
	int64_t looked_s;      /* monotonic; 0: never */
	struct buf problems;
};

static int64_t
monotonic_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec + 1;
}

void
health_problems(const struct facts *f, struct buf *problems)
{
	for (size_t i = 0; i < FACTS_DAEMONS; i++)
		if (f->daemons[i].wanted && !f->daemons[i].running)
			buf_printf(problems, "%s does not run\n", f->daemons[i].name);
	if (f->queue_err != STORE_OK)
		buf_printf(
		    problems, "the queue cannot be read: %s\n", store_err_text(f->queue_err));
	for (size_t i = 0; i < f->disk_count; i++)
		if (f->disks[i].low)
			buf_printf(problems, "too little space is free for %s (%s)\n",
			    f->disks[i].uses, f->disks[i].path);
}

static void
check_accounts(const struct health *h, struct buf *problems)
{
	struct account_row row = { 0 };
	enum store_err err = account_db_find_id(h->sv->accounts, -1, &row);

	if (err != STORE_NOT_FOUND)
		buf_printf(
		    problems, "the account database cannot be read: %s\n", store_err_text(err));
	account_row_free(&row);
}

/* Of daemons that run; of the others it is said already. */
static bool
is_running(const struct facts *f, const char *daemon)
{
	for (size_t i = 0; i < FACTS_DAEMONS; i++)
		if (strcmp(f->daemons[i].name, daemon) == 0)
			return f->daemons[i].running;
	return false;
}

static void
check_door(
    const struct health *h, const struct door *door, const char *address, struct buf *problems)
{
	struct door_answer answer;

	door_knock(door, address, h->tls, h->sv->log, &answer);
	if (!answer.ours)
		buf_printf(problems, "%s does not answer at %s (%s): %s\n", door->daemon, address,
		    door->setting,
		    *answer.why != '\0' ? answer.why
		    : answer.connected  ? "it does not greet as it should"
					: "no address");
}

static void
look(struct health *h)
{
	struct facts f;

	buf_reset(&h->problems);
	facts_gather(h->sv, h->quotas, false, &f);
	health_problems(&f, &h->problems);
	check_accounts(h, &h->problems);
	for (size_t i = 0; i < DOOR_COUNT; i++) {
		const struct door *door = &DOORS[i];

		if (strcmp(door->daemon, h->sv->spec->name) == 0 || !is_running(&f, door->daemon))
			continue;
		for (size_t n = 0; n < door_address_count(h->sv->config, door); n++)
			check_door(h, door, door_address(h->sv->config, door, n), &h->problems);
	}
	facts_free(&f);
}

bool
health_check(struct health *h, struct buf *problems)
{
	int64_t holds_s;
	bool ok;

	pthread_mutex_lock(&h->mutex);
	holds_s = h->problems.len == 0 ? HEALTH_HOLDS_S : HEALTH_HOLDS_BAD_S;
	if (h->looked_s == 0 || monotonic_s() >= h->looked_s + holds_s) {
		look(h);
		h->looked_s = monotonic_s();
	}
	ok = h->problems.len == 0;
	buf_add(problems, h->problems.data, h->problems.len);
	pthread_mutex_unlock(&h->mutex);
	return ok;
}

struct health *
health_open(struct service *sv, struct quotas *quotas)
{
	const struct net_tls_client_spec any = { .verify = NET_TLS_ANY };
	struct health *h = mem_zalloc(sizeof(*h));

	h->sv = sv;
	h->quotas = quotas;
	pthread_mutex_init(&h->mutex, NULL);
	h->tls = net_tls_client_new(&any, sv->log);
	if (h->tls != NULL)
		return h;
	health_close(h);
	return NULL;
}

void
health_close(struct health *h)
{
	if (h == NULL)
		return;
	net_tls_free(h->tls);
	buf_free(&h->problems);
	pthread_mutex_destroy(&h->mutex);
	free(h);
}
