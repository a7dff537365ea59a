#include "admin/progress.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

#define COLUMNS_UNKNOWN 80
#define BAR_LEAST       8 /* columns between the brackets; with less room there is none */
#define BAR_MOST        40
#define GAP             2 /* between the parts */

/* A thread of its own draws, so that one long step shows too that time goes by. */
struct progress {
	char *what;
	uint64_t total, begun_ms;
	_Atomic uint64_t done;
	atomic_bool hidden; /* until the next step */
	pthread_t thread;
	pthread_mutex_t lock; /* over what follows, and the terminal */
	pthread_cond_t wake;
	bool ended;
	struct buf line; /* that stands there now */
};

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- the line ----------------------------------------------------------------------------------- */

/* "421", "12.3M": bytes and messages stay readable. */
static void
add_number(struct buf *out, uint64_t n)
{
	static const char UNITS[] = "kMGTPE";
	double value = (double)n;
	size_t unit = 0;

	if (n < 100000) {
		buf_printf(out, "%llu", (unsigned long long)n);
		return;
	}
	value /= 1000;
	while (value >= 999.95) {
		value /= 1000;
		unit++;
	}
	buf_printf(out, "%.1f%c", value, UNITS[unit]);
}

static void
add_time(struct buf *out, uint64_t seconds)
{
	unsigned long long s = seconds;

	if (s >= 3600)
		buf_printf(out, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
	else
		buf_printf(out, "%llu:%02llu", s / 60, s % 60);
}

/* What stands right of the bar: "421 of 1000  0:12 left", or "421  0:12" where the end is not known. */
static void
add_counts(struct buf *out, uint64_t done, uint64_t total, uint64_t elapsed_ms)
{
	if (total == 0 && done == 0) {
		add_time(out, elapsed_ms / 1000);
		return;
	}
	add_number(out, done);
	if (total > 0) {
		buf_adds(out, " of ");
		add_number(out, total);
	}
	if (total == 0) {
		buf_adds(out, "  ");
		add_time(out, elapsed_ms / 1000);
	} else if (done > 0) {
		double left = (double)elapsed_ms * (double)(total - done) / (double)done / 1000;

		if (left < 100.0 * 3600) {
			buf_adds(out, "  ");
			add_time(out, (uint64_t)(left + 0.5));
			buf_adds(out, " left");
		}
	}
}

static void
add_bar(struct buf *out, uint64_t done, uint64_t total, size_t columns)
{
	size_t full = (size_t)((double)done / (double)total * (double)columns);

	buf_addc(out, '[');
	for (size_t i = 0; i < columns; i++)
		buf_addc(out, i < full ? '=' : ' ');
	buf_adds(out, "]  ");
}

/* Up to `columns` characters of text that may come from outside; returns how many there were. */
static size_t
add_cut(struct buf *out, const char *text, size_t columns)
{
	size_t count = 0;

	for (; *text != '\0' && count < columns; count++) {
		size_t len = text_visible(text);

		if (len > 0)
			buf_add(out, text, len);
		else
			buf_addc(out, '?');
		text += len > 0 ? len : 1;
	}
	return count;
}

/* The numbers come first where there is little room, then the words, then the bar. */
void
progress_line(struct buf *out, const char *what, uint64_t done, uint64_t total, uint64_t elapsed_ms,
    size_t columns)
{
	struct buf percent = { 0 }, counts = { 0 };
	size_t words, fixed, room;

	if (total > 0 && done > total)
		done = total;
	if (total > 0)
		buf_printf(&percent, "%3u %%  ", (unsigned)((double)done * 100 / (double)total));
	add_counts(&counts, done, total, elapsed_ms);
	fixed = percent.len + counts.len;
	if (fixed + GAP < columns) {
		words = add_cut(out, what, columns - fixed - GAP);
		buf_adds(out, "  ");
		room = columns - words - GAP - fixed;
		buf_adds(out, buf_cstr(&percent));
		if (total > 0 && room >= BAR_LEAST + 2 + GAP) {
			room -= 2 + GAP;
			add_bar(out, done, total, room < BAR_MOST ? room : BAR_MOST);
		}
		buf_add(out, counts.data, counts.len);
	} else if (percent.len > 0 && percent.len - GAP <= columns) {
		buf_add(out, percent.data, percent.len - GAP);
	}
	buf_free(&percent);
	buf_free(&counts);
}

/* --- the terminal ------------------------------------------------------------------------------- */

/* The last column stays free: a terminal would go to the next line. */
static size_t
columns_now(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return COLUMNS_UNKNOWN - 1;
	return size.ws_col - 1U;
}

static size_t
characters(const struct buf *text)
{
	size_t count = 0;

	for (size_t i = 0; i < text->len; i++)
		count += ((unsigned char)text->data[i] & 0xc0) != 0x80;
	return count;
}

/* Blanks take away what the line before had more; a terminal that knows no escape codes can do that too.  A terminal
 * that has gone away is no reason to stop working. */
static void
put(struct progress *p, const struct buf *line)
{
	size_t count = characters(line), before = characters(&p->line);
	struct buf all = { 0 };

	buf_addc(&all, '\r');
	buf_add(&all, line->data, line->len);
	for (size_t i = count; i < before; i++)
		buf_addc(&all, ' ');
	if (count < before) { /* the cursor belongs behind the text */
		buf_addc(&all, '\r');
		buf_add(&all, line->data, line->len);
	}
	fwrite(all.data, 1, all.len, stderr);
	fflush(stderr);
	buf_free(&all);
	buf_reset(&p->line);
	buf_add(&p->line, line->data, line->len);
}

static void
take_away(struct progress *p)
{
	struct buf nothing = { 0 };

	if (p->line.len > 0)
		put(p, &nothing);
}

static void
draw(struct progress *p)
{
	struct buf line = { 0 };

	progress_line(
	    &line, p->what, atomic_load(&p->done), p->total, now_ms() - p->begun_ms, columns_now());
	if (line.len > 0 &&
	    !str_eq((struct str){ line.data, line.len }, (struct str){ p->line.data, p->line.len }))
		put(p, &line);
	buf_free(&line);
}

static struct timespec
time_of(uint64_t ms)
{
	return (struct timespec){ (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };
}

static void *
run(void *arg)
{
	struct progress *p = arg;
	struct timespec next = time_of(p->begun_ms + PROGRESS_QUIET_MS);

	pthread_mutex_lock(&p->lock);
	while (!p->ended) {
		if (pthread_cond_timedwait(&p->wake, &p->lock, &next) != ETIMEDOUT)
			continue;
		if (!atomic_load(&p->hidden))
			draw(p);
		next = time_of(now_ms() + PROGRESS_PAUSE_MS);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Signals are for the thread that works. */
static bool
start(struct progress *p)
{
	sigset_t all, before;
	bool ok;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ok = pthread_create(&p->thread, NULL, run, p) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ok;
}

static void
destroy(struct progress *p)
{
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	buf_free(&p->line);
	free(p->what);
	free(p);
}

struct progress *
progress_begin(const char *what, uint64_t total)
{
	pthread_condattr_t clock;
	struct progress *p;

	if (!isatty(STDERR_FILENO))
		return NULL;
	p = mem_zalloc(sizeof(*p));
	p->what = mem_strdup(what);
	p->total = total;
	p->begun_ms = now_ms();
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &clock);
	pthread_condattr_destroy(&clock);
	if (!start(p)) {
		destroy(p);
		return NULL;
	}
	return p;
}

void
progress_step(struct progress *p, uint64_t done)
{
	if (p == NULL)
		return;
	atomic_store_explicit(&p->done, done, memory_order_relaxed);
	atomic_store_explicit(&p->hidden, false, memory_order_relaxed);
}

void
progress_hide(struct progress *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	take_away(p);
	atomic_store(&p->hidden, true);
	pthread_mutex_unlock(&p->lock);
}

void
progress_end(struct progress *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->ended = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	take_away(p);
	destroy(p);
}
