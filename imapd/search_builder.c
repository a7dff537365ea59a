#include "imapd/search_builder.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "imapd/imapd.h"
#include "imapd/session.h"
#include "net/loop.h"
#include "store/mailbox_search.h"

struct wish {
	struct wish *next;
	struct account *acct;
	char *mailbox;
};

struct search_builder {
	struct net_loop *loop;
	struct net_timer *timer;
	bool waiting; /* the timer or a job is under way; the loop's */
	bool stopped;
	struct wish *now; /* the job's */
	enum store_err err;
	bool done;
	uint64_t waited_ms; /* for a processor, or for the disk */

	pthread_mutex_t mutex; /* what follows */
	struct wish *first;
	size_t count;
};

static void
wish_free(struct wish *w)
{
	account_close(w->acct);
	free(w->mailbox);
	free(w);
}

/* --- the queue, from any thread ---------------------------------------------------------------- */

/* False: it is there, or there are too many. */
static bool
put_last(struct search_builder *b, struct wish *w)
{
	struct wish **at = &b->first;
	bool put;

	pthread_mutex_lock(&b->mutex);
	while (*at != NULL && ((*at)->acct != w->acct || strcmp((*at)->mailbox, w->mailbox) != 0))
		at = &(*at)->next;
	put = *at == NULL && b->count < SEARCH_BUILD_QUEUE_MAX;
	if (put) {
		w->next = NULL;
		*at = w;
		b->count++;
	}
	pthread_mutex_unlock(&b->mutex);
	return put;
}

static struct wish *
take_first(struct search_builder *b)
{
	struct wish *w;

	pthread_mutex_lock(&b->mutex);
	w = b->first;
	if (w != NULL) {
		b->first = w->next;
		b->count--;
	}
	pthread_mutex_unlock(&b->mutex);
	return w;
}

/* --- slices ------------------------------------------------------------------------------------ */

static uint64_t
clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void
on_slice(void *arg) /* the job */
{
	struct search_builder *b = arg;
	uint64_t took = clock_ms(CLOCK_MONOTONIC), worked = clock_ms(CLOCK_THREAD_CPUTIME_ID);

	b->err =
	    account_search_build(b->now->acct, b->now->mailbox, SEARCH_BUILD_SLICE_MS, &b->done);
	if (b->err != STORE_BUSY && b->done) {
		wish_free(b->now);
		b->now = NULL;
	}
	took = clock_ms(CLOCK_MONOTONIC) - took;
	worked = clock_ms(CLOCK_THREAD_CPUTIME_ID) - worked;
	b->waited_ms = took > worked ? took - worked : 0;
}

static uint64_t
pause_ms(const struct search_builder *b)
{
	uint64_t ms = SEARCH_BUILD_PAUSE_MS + b->waited_ms;

	return ms < SEARCH_BUILD_BUSY_MS ? ms : SEARCH_BUILD_BUSY_MS;
}

/* A mailbox that is not done goes behind the others. */
static void
on_slice_done(void *arg)
{
	struct search_builder *b = arg;

	if (b->now != NULL && !put_last(b, b->now))
		wish_free(b->now); /* it was asked for again meanwhile */
	b->now = NULL;
	if (!b->stopped)
		net_timer_start_ms(
		    b->timer, b->err == STORE_BUSY ? SEARCH_BUILD_BUSY_MS : pause_ms(b));
}

static void
on_time(void *arg)
{
	struct search_builder *b = arg;

	b->now = b->stopped ? NULL : take_first(b);
	b->waiting = b->now != NULL;
	if (b->now != NULL)
		net_job_run(b->loop, on_slice, on_slice_done, b);
}

static void
on_wish(void *arg)
{
	struct search_builder *b = arg;

	if (b->waiting || b->stopped)
		return;
	b->waiting = true;
	net_timer_start_ms(b->timer, SEARCH_BUILD_DELAY_MS);
}

static void
on_wanted(void *arg, struct account *acct, const char *mailbox)
{
	struct search_builder *b = arg;
	struct wish *w = mem_zalloc(sizeof(*w));

	w->acct = account_ref(acct);
	w->mailbox = mem_strdup(mailbox);
	if (put_last(b, w))
		net_loop_post(b->loop, on_wish, b);
	else
		wish_free(w);
}

void
search_builder_look(struct search_builder *b, struct account *acct, const char *mailbox)
{
	if (b != NULL && account_search_is_kept(acct))
		on_wanted(b, acct, mailbox);
}

void
imap_search_look(struct imap_session *s)
{
	if (s->imapd != NULL)
		search_builder_look(
		    s->imapd->searches, mailbox_account(s->box), mailbox_name(s->box));
}

/* --- life -------------------------------------------------------------------------------------- */

struct search_builder *
search_builder_new(struct store *st, struct net_loop *loop)
{
	struct search_builder *b = mem_zalloc(sizeof(*b));

	b->loop = loop;
	b->timer = net_timer_new(loop, on_time, b);
	pthread_mutex_init(&b->mutex, NULL);
	store_on_search_wanted(st, on_wanted, b);
	return b;
}

void
search_builder_stop(struct search_builder *b)
{
	b->stopped = true;
	net_timer_stop(b->timer);
}

void
search_builder_free(struct search_builder *b)
{
	struct wish *w;

	if (b == NULL || b->now != NULL) /* a job that the end has cut off: the process goes */
		return;
	while ((w = take_first(b)) != NULL)
		wish_free(w);
	net_timer_free(b->timer);
	pthread_mutex_destroy(&b->mutex);
	free(b);
}
