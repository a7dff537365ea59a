/* One thread does for all what would take each a sync of its own. */
#include "store/spool_internal.h"

void
spool_group_init(struct spool_group *g)
{
	*g = (struct spool_group){ 0 };
	pthread_mutex_init(&g->mutex, NULL);
	pthread_cond_init(&g->over, NULL);
}

void
spool_group_end(struct spool_group *g)
{
	pthread_mutex_destroy(&g->mutex);
	pthread_cond_destroy(&g->over);
}

/* With the group's mutex held. */
static void
lead(struct spool *spool, struct spool_group *g, spool_group_fn *run)
{
	struct spool_waiting *first = g->first, *next;

	g->first = g->last = NULL;
	g->led = true;
	pthread_mutex_unlock(&g->mutex);
	run(spool, first);
	pthread_mutex_lock(&g->mutex);
	for (struct spool_waiting *w = first; w != NULL; w = next) {
		next = w->next; /* w is gone once its thread sees `done` */
		w->done = true;
	}
	g->led = false;
	pthread_cond_broadcast(&g->over);
}

void
spool_group_join(
    struct spool *spool, struct spool_group *g, struct spool_waiting *w, spool_group_fn *run)
{
	w->next = NULL;
	w->done = false;
	pthread_mutex_lock(&g->mutex);
	if (g->last != NULL)
		g->last->next = w;
	else
		g->first = w;
	g->last = w;
	while (!w->done) {
		if (g->led)
			pthread_cond_wait(&g->over, &g->mutex);
		else
			lead(spool, g, run);
	}
	pthread_mutex_unlock(&g->mutex);
}

/* --- rows --------------------------------------------------------------------------------------- */

/* These are answers, and nothing was written. */
static bool
is_answer(enum store_err err)
{
	return err == STORE_OK || err == STORE_LIMIT || err == STORE_NOT_FOUND;
}

/* From `first` up to `end`, in one transaction.  False if one of them failed before the COMMIT, and so nothing
 * has become of the others. */
static bool
write_rows(struct spool *spool, struct spool_waiting *first, const struct spool_waiting *end)
{
	enum store_err err = sql_exec(&spool->sql, "BEGIN IMMEDIATE");
	bool began = err == STORE_OK, failed = false;

	for (struct spool_waiting *w = first; err == STORE_OK && w != end; w = w->next) {
		w->err = w->write(spool, w);
		if (!is_answer(w->err))
			err = w->err;
	}
	failed = began && err != STORE_OK;
	if (began)
		err = sql_end(&spool->sql, err);
	for (struct spool_waiting *w = first; err != STORE_OK && w != end; w = w->next)
		w->err = err;
	return !failed;
}

/* A failed statement takes no others with it: then each has its own transaction. */
static void
write_group(struct spool *spool, struct spool_waiting *first)
{
	pthread_mutex_lock(&spool->mutex);
	if (!write_rows(spool, first, NULL) && first->next != NULL)
		for (struct spool_waiting *w = first; w != NULL; w = w->next)
			(void)write_rows(spool, w, w->next);
	pthread_mutex_unlock(&spool->mutex);
}

enum store_err
spool_write_together(struct spool *spool, struct spool_waiting *w)
{
	spool_group_join(spool, &spool->rows, w, write_group);
	return w->err;
}
