#include "net/loop.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net/internal.h"

#define DIRTY_ROUNDS 4 /* of streams that write in on_drained, before the loop polls again */

struct net_post {
	struct net_post *next;
	void (*fn)(void *arg);
	void *arg;
};

struct net_timer {
	uv_timer_t uv;
	void (*on_timer)(void *arg);
	void *arg;
};

struct net_poll {
	uv_poll_t uv;
	void (*on_readable)(void *arg);
	void *arg;
};

struct net_job {
	uv_work_t uv;
	struct net_loop *loop;
	void (*run)(void *arg);
	void (*done)(void *arg);
	void *arg;
};

static void
on_post(uv_async_t *h) /* takes the whole list, so that posts made meanwhile wait for the next */
{
	struct net_loop *loop = h->data;
	struct net_post *p, *next;

	pthread_mutex_lock(&loop->post_lock);
	p = loop->posts;
	loop->posts = NULL;
	loop->posts_end = &loop->posts;
	pthread_mutex_unlock(&loop->post_lock);
	for (; p != NULL; p = next) {
		next = p->next;
		p->fn(p->arg);
		free(p);
	}
}

void
net_loop_post(struct net_loop *loop, void (*fn)(void *arg), void *arg)
{
	struct net_post *p = mem_alloc(sizeof(*p));

	*p = (struct net_post){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&loop->post_lock);
	*loop->posts_end = p;
	loop->posts_end = &p->next;
	pthread_mutex_unlock(&loop->post_lock);
	uv_async_send(&loop->post);
}

static void
on_idle(uv_idle_t *h) /* is there only to keep the loop from sleeping */
{
	(void)h;
}

static void
on_prepare(uv_prepare_t *h)
{
	struct net_loop *loop = h->data;

	for (int i = 0; i < DIRTY_ROUNDS && loop->dirty != NULL; i++)
		net_streams_look_after(loop);
	if (loop->dirty != NULL)
		uv_idle_start(&loop->idle, on_idle);
	else
		uv_idle_stop(&loop->idle);
}

struct net_loop *
net_loop_new(struct log *log)
{
	struct net_loop *loop = mem_zalloc(sizeof(*loop));

	loop->log = log;
	loop->posts_end = &loop->posts;
	loop->read_buf = mem_alloc(NET_READ_BYTES);
	pthread_mutex_init(&loop->post_lock, NULL);
	if (uv_loop_init(&loop->uv) != 0 || uv_async_init(&loop->uv, &loop->post, on_post) != 0) {
		log_error(log, "loop", "error=%s", "cannot make an event loop");
		exit(71); /* EX_OSERR: no descriptors, as bad as no memory */
	}
	uv_prepare_init(&loop->uv, &loop->prepare);
	uv_idle_init(&loop->uv, &loop->idle);
	uv_timer_init(&loop->uv, &loop->rest);
	loop->post.data = loop->prepare.data = loop->idle.data = loop->rest.data = loop;
	uv_prepare_start(&loop->prepare, on_prepare);
	return loop;
}

void
net_loop_run(struct net_loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void
net_loop_stop(struct net_loop *loop)
{
	uv_stop(&loop->uv);
}

static void
close_if_open(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

void
net_loop_free(struct net_loop *loop)
{
	if (loop == NULL)
		return;
	while (loop->jobs > 0 || loop->streams != NULL) {
		net_streams_abort_all(loop);
		uv_run(&loop->uv, UV_RUN_ONCE);
	}
	net_watches_free(loop);
	uv_walk(&loop->uv, close_if_open, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	on_post(&loop->post);
	uv_loop_close(&loop->uv);
	pthread_mutex_destroy(&loop->post_lock);
	buf_free(&loop->cipher);
	free(loop->read_buf);
	free(loop);
}

struct log *
net_loop_log(const struct net_loop *loop)
{
	return loop->log;
}

uint64_t
net_loop_now_ms(const struct net_loop *loop)
{
	return uv_now(&loop->uv);
}

/* --- timers --- */

static void
on_timer(uv_timer_t *h)
{
	struct net_timer *t = h->data;

	t->on_timer(t->arg);
}

struct net_timer *
net_timer_new(struct net_loop *loop, void (*fn)(void *arg), void *arg)
{
	struct net_timer *t = mem_zalloc(sizeof(*t));

	uv_timer_init(&loop->uv, &t->uv);
	t->uv.data = t;
	t->on_timer = fn;
	t->arg = arg;
	return t;
}

void
net_timer_start_ms(struct net_timer *t, uint64_t delay_ms)
{
	uv_timer_start(&t->uv, on_timer, delay_ms, 0);
}

void
net_timer_start_s(struct net_timer *t, unsigned delay_s)
{
	net_timer_start_ms(t, (uint64_t)delay_s * 1000);
}

void
net_timer_stop(struct net_timer *t)
{
	uv_timer_stop(&t->uv);
}

static void
on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

void
net_timer_free(struct net_timer *t)
{
	if (t != NULL)
		uv_close((uv_handle_t *)&t->uv, on_timer_closed);
}

/* --- descriptors --- */

static void
on_poll(uv_poll_t *h, int status, int events)
{
	struct net_poll *p = h->data;

	(void)status, (void)events; /* also in error: who reads will find it */
	p->on_readable(p->arg);
}

struct net_poll *
net_poll_new(struct net_loop *loop, int fd, void (*fn)(void *arg), void *arg)
{
	struct net_poll *p = mem_zalloc(sizeof(*p));

	uv_poll_init(&loop->uv, &p->uv, fd);
	p->uv.data = p;
	p->on_readable = fn;
	p->arg = arg;
	uv_poll_start(&p->uv, UV_READABLE, on_poll);
	return p;
}

static void
on_poll_closed(uv_handle_t *h)
{
	free(h->data);
}

void
net_poll_free(struct net_poll *p)
{
	if (p != NULL)
		uv_close((uv_handle_t *)&p->uv, on_poll_closed);
}

/* --- jobs --- */

static void
job_run(uv_work_t *w) /* on a pool thread */
{
	struct net_job *job = w->data;

	job->run(job->arg);
}

static void
on_job_done(uv_work_t *w, int status)
{
	struct net_job *job = w->data;

	(void)status; /* nobody cancels */
	job->loop->jobs--;
	if (job->done != NULL)
		job->done(job->arg);
	free(job);
}

void
net_job_run(struct net_loop *loop, void (*run)(void *arg), void (*done)(void *arg), void *arg)
{
	struct net_job *job = mem_zalloc(sizeof(*job));

	*job = (struct net_job){ .loop = loop, .run = run, .done = done, .arg = arg };
	job->uv.data = job;
	loop->jobs++;
	uv_queue_work(&loop->uv, &job->uv, job_run, on_job_done);
}

size_t
net_jobs_in_flight(const struct net_loop *loop)
{
	return loop->jobs;
}
