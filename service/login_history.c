#include "service/login_history.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "store/root.h"

#define BUCKETS 1024

/* One kind of logins of one account. */
struct pending {
	struct pending *next; /* in its bucket */
	uint32_t hash;
	char *localpart, *domain;
	struct state_login login;
};

struct login_history {
	struct store_root *root;
	const struct log *log;
	pthread_mutex_t mutex;
	struct pending *buckets[BUCKETS];
	size_t count;
	uint64_t lost;     /* for want of room, since the last writing */
	int64_t first_s;   /* when the oldest came, monotonic; count > 0 */
	int64_t written_s; /* when it was last written */
};

static int64_t
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

struct login_history *
login_history_new(const char *mail_root, const struct log *log)
{
	struct login_history *h = mem_zalloc(sizeof(*h));

	h->log = log;
	h->written_s = -LOGIN_HISTORY_EVERY_S;
	pthread_mutex_init(&h->mutex, NULL);
	if (store_root_open(mail_root, log, &h->root) == STORE_OK)
		return h;
	login_history_free(h);
	return NULL;
}

static void
pending_free(struct pending *p)
{
	free(p->localpart);
	free(p->domain);
	free(p->login.source);
	free(p->login.client);
	free(p->login.protocol);
	free(p->login.method);
	free(p->login.app);
	free(p->login.outcome);
	free(p);
}

void
login_history_free(struct login_history *h)
{
	if (h == NULL)
		return;
	if (h->root != NULL)
		login_history_write(h);
	store_root_close(h->root);
	pthread_mutex_destroy(&h->mutex);
	free(h);
}

/* --- counting ----------------------------------------------------------------------------------- */

/* FNV-1a over the text and its NUL. */
static uint32_t
hash_text(uint32_t hash, const char *text)
{
	do {
		hash = (hash ^ (unsigned char)*text) * UINT32_C(16777619);
	} while (*text++ != '\0');
	return hash;
}

static uint32_t
hash_of(const char *localpart, const char *domain, const struct state_login *l)
{
	uint32_t hash = UINT32_C(2166136261);

	hash = hash_text(hash_text(hash, localpart), domain);
	hash = hash_text(hash_text(hash, l->source), l->client);
	hash = hash_text(hash_text(hash, l->protocol), l->method);
	return hash_text(hash_text(hash, l->app), l->outcome);
}

static bool
is_same(
    const struct pending *p, const char *localpart, const char *domain, const struct state_login *l)
{
	return strcmp(p->localpart, localpart) == 0 && strcmp(p->domain, domain) == 0 &&
	       strcmp(p->login.source, l->source) == 0 && strcmp(p->login.client, l->client) == 0 &&
	       strcmp(p->login.protocol, l->protocol) == 0 &&
	       strcmp(p->login.method, l->method) == 0 && strcmp(p->login.app, l->app) == 0 &&
	       strcmp(p->login.outcome, l->outcome) == 0;
}

static struct pending *
pending_new(const char *localpart, const char *domain, const struct state_login *l)
{
	struct pending *p = mem_zalloc(sizeof(*p));

	p->localpart = mem_strdup(localpart);
	p->domain = mem_strdup(domain);
	p->login = *l;
	p->login.source = mem_strdup(l->source);
	p->login.client = mem_strdup(l->client);
	p->login.protocol = mem_strdup(l->protocol);
	p->login.method = mem_strdup(l->method);
	p->login.app = mem_strdup(l->app);
	p->login.outcome = mem_strdup(l->outcome);
	return p;
}

static void
sum_up(struct state_login *sum, const struct state_login *l)
{
	sum->first_s = l->first_s < sum->first_s ? l->first_s : sum->first_s;
	sum->last_s = l->last_s > sum->last_s ? l->last_s : sum->last_s;
	sum->count += l->count;
	sum->delayed += l->delayed;
	sum->app_id = l->app_id;
}

static void
add_pending(
    struct login_history *h, const char *localpart, const char *domain, const struct state_login *l)
{
	uint32_t hash = hash_of(localpart, domain, l);
	struct pending **slot = &h->buckets[hash % BUCKETS], *p = *slot;

	while (p != NULL && (p->hash != hash || !is_same(p, localpart, domain, l)))
		p = p->next;
	if (p != NULL) {
		sum_up(&p->login, l);
		return;
	}
	if (h->count == LOGIN_HISTORY_PENDING_MAX) {
		h->lost++;
		return;
	}
	if (h->count++ == 0)
		h->first_s = now_s();
	p = pending_new(localpart, domain, l);
	p->hash = hash;
	p->next = *slot;
	*slot = p;
}

void
login_history_add(struct login_history *h, const char *localpart, const char *domain,
    const struct state_login *login)
{
	pthread_mutex_lock(&h->mutex);
	add_pending(h, localpart, domain, login);
	pthread_mutex_unlock(&h->mutex);
}

bool
login_history_is_due(struct login_history *h)
{
	int64_t now = now_s();
	bool due;

	pthread_mutex_lock(&h->mutex);
	due = h->count > 0 && now >= h->first_s + LOGIN_HISTORY_FIRST_S &&
	      now >= h->written_s + LOGIN_HISTORY_EVERY_S;
	pthread_mutex_unlock(&h->mutex);
	return due;
}

/* --- writing ------------------------------------------------------------------------------------ */

static int
compare_accounts(const void *a, const void *b)
{
	const struct pending *x = *(struct pending *const *)a, *y = *(struct pending *const *)b;
	int order = strcmp(x->domain, y->domain);

	return order != 0 ? order : strcmp(x->localpart, y->localpart);
}

/* All that is pending, the caller's, by account; what is lost is said here. */
static struct pending **
take_pending(struct login_history *h, size_t *count_out)
{
	struct pending **all;
	uint64_t lost;
	size_t n = 0;

	pthread_mutex_lock(&h->mutex);
	all = mem_realloc_array(NULL, h->count + 1, sizeof(struct pending *));
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct pending *p = h->buckets[i]; p != NULL; p = p->next)
			all[n++] = p;
		h->buckets[i] = NULL;
	}
	h->count = 0;
	h->written_s = now_s();
	lost = h->lost;
	h->lost = 0;
	pthread_mutex_unlock(&h->mutex);
	if (lost > 0)
		log_warn(h->log, "login-history", "lost=%llu reason=%s", (unsigned long long)lost,
		    "too many kinds of logins at once");
	qsort(all, n, sizeof(struct pending *), compare_accounts);
	*count_out = n;
	return all;
}

/* `rows` are those of one account. */
static void
write_account(struct login_history *h, struct pending *const *rows, size_t count)
{
	struct state_login *logins = mem_realloc_array(NULL, count, sizeof(*logins));
	struct home *home;
	struct state *state;

	for (size_t i = 0; i < count; i++)
		logins[i] = rows[i]->login;
	if (home_open(h->root, rows[0]->localpart, rows[0]->domain, false, &home) == STORE_OK) {
		if (state_open(home->fd, true, h->log, &state) == STORE_OK) {
			state_logins_add(state, logins, count); /* an error is logged */
			state_close(state);
		}
		home_close(home);
	}
	free(logins);
}

void
login_history_write(struct login_history *h)
{
	size_t count, next;
	struct pending **all = take_pending(h, &count);

	for (size_t i = 0; i < count; i = next) {
		for (next = i + 1; next < count && compare_accounts(&all[i], &all[next]) == 0;)
			next++;
		write_account(h, &all[i], next - i);
	}
	for (size_t i = 0; i < count; i++)
		pending_free(all[i]);
	free(all);
}
