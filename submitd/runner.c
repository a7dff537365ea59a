#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "net/loop.h"
#include "service/service.h"
#include "submitd/runner_internal.h"

#define RUNNER_LOOK_S  60 /* a look at the spool even if nothing woke us */
#define RUNNER_HOUSE_S (10 * 60)

static void look(struct runner *r);

/* --- looking for work --------------------------------------------------------------------------- */

/* While no relay is up the queue stands still: messages keep their turn, their attempts and their pauses.
 * But what is old, or has a time set for its delivery, is looked at, as its sender may have to be told. */
static void
run_claim(void *arg)
{
	struct runner *r = arg;
	struct spool *spool = r->sv->spool;
	int64_t now = time(NULL);
	int64_t old = now - (int64_t)config_duration_s(r->sv->config, "submitd.delay_warning");

	if (now - r->housekept >= RUNNER_HOUSE_S || now < r->housekept) {
		r->housekept = now;
		spool_expire_parked(spool, now);
	}
	r->claimed = NULL;
	r->next_due = INT64_MAX;
	r->err = r->shut ? spool_claim_overdue(spool, now, old, &r->claimed)
			 : spool_claim(spool, now, &r->claimed);
	if (r->err != STORE_NOT_FOUND)
		return;
	if ((r->shut ? spool_next_deadline(spool, now, &r->next_due)
		     : spool_next_due(spool, &r->next_due)) != STORE_OK)
		r->next_due = INT64_MAX;
}

static void
sleep_until(struct runner *r, int64_t when)
{
	int64_t wait_s = when - time(NULL);
	uint64_t wait_ms = wait_s < 1               ? 1000
			   : wait_s > RUNNER_LOOK_S ? RUNNER_LOOK_S * 1000
						    : (uint64_t)wait_s * 1000;
	uint64_t probe_ms;

	if (!relays_are_up(r->relays, &probe_ms) && probe_ms < wait_ms)
		wait_ms = probe_ms;
	net_timer_start_ms(r->timer, wait_ms + 1);
}

static void
on_claimed(void *arg)
{
	struct runner *r = arg;
	bool again = r->again;

	r->claiming = r->again = false;
	net_worker_release(r->sv->worker);
	if (r->err == STORE_OK) {
		attempt_start(r, r->claimed);
		look(r);
	} else if (r->err == STORE_NOT_FOUND) {
		sleep_until(r, r->next_due);
		if (again)
			look(r);
	} else {
		log_error(r->sv->log, "spool", "error=%s", store_err_text(r->err));
		sleep_until(r, time(NULL) + RUNNER_TROUBLE_S);
	}
}

static void
look(struct runner *r)
{
	uint64_t probe_ms;
	bool up = relays_are_up(r->relays, &probe_ms);

	if (r->draining || r->active >= r->active_max)
		return;
	if (r->claiming) {
		r->again = true;
		return;
	}
	/* Of relays that are down one message at a time finds out whether they still are. */
	r->shut = !up && (probe_ms > 0 || r->active > 0);
	r->claiming = true;
	net_worker_hold(r->sv->worker);
	net_job_run(r->sv->loop, run_claim, on_claimed, r);
}

void
runner_attempt_over(struct runner *r)
{
	r->active--;
	net_worker_release(r->sv->worker);
	look(r);
}

static void
on_relay_up(void *arg)
{
	look(arg);
}

static void
run_sweep(void *arg)
{
	struct runner *r = arg;

	spool_sweep(r->sv->spool);
}

static void
on_swept(void *arg)
{
	struct runner *r = arg;

	net_worker_release(r->sv->worker);
}

/* The first one sweeps too: a job would start the pool's threads, which must not be older than the sandbox. */
static void
on_timer(void *arg)
{
	struct runner *r = arg;

	if (!r->swept) {
		r->swept = true;
		net_worker_hold(r->sv->worker);
		net_job_run(r->sv->loop, run_sweep, on_swept, r);
	}
	look(r);
}

static void
on_wake(void *arg, unsigned seen)
{
	(void)seen;
	look(arg);
}

struct runner *
runner_open(struct service *sv, const char *hostname)
{
	struct runner *r = mem_zalloc(sizeof(*r));
	char *wake = mem_printf("%s/wake", config_string(sv->config, "store.spool"));

	r->sv = sv;
	r->hostname = mem_strdup(hostname);
	r->active_max = (unsigned)config_integer(sv->config, "submitd.relay_connections");
	r->relays = relays_open(sv, hostname, on_relay_up, r);
	r->timer = net_timer_new(sv->loop, on_timer, r);
	r->watch = net_watch_new(sv->loop, wake, NET_WATCH_ATTRIB | NET_WATCH_MODIFY, on_wake, r);
	if (r->watch == NULL)
		log_warn(sv->log, "no-watch", "path=%s error=%s", wake, strerror(errno));
	free(wake);
	if (r->relays == NULL) {
		runner_close(r);
		return NULL;
	}
	net_timer_start_ms(r->timer, 0);
	return r;
}

void
runner_drain(struct runner *r)
{
	r->draining = true;
	net_timer_stop(r->timer);
	net_watch_free(r->watch);
	r->watch = NULL;
}

void
runner_close(struct runner *r)
{
	if (r == NULL)
		return;
	net_watch_free(r->watch);
	net_timer_free(r->timer);
	relays_close(r->relays);
	free(r->hostname);
	free(r);
}
