#include "filter/cache.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

#define HASH_BYTES 32 /* SHA-256 */
#define BUCKETS    1024

struct filter_cached {
	struct filter_cached *bucket_next;
	struct filter_cached *newer, *older; /* by last use, while it is in the table */
	uint8_t hash[HASH_BYTES];
	size_t bytes;
	unsigned refs;             /* users, and one while it is in the table */
	struct filter *filter;     /* NULL: it does not compile */
	struct filter_error error; /* then why */
};

struct filter_cache {
	pthread_mutex_t mutex; /* all below, and refs */
	size_t entries_max, bytes_max;
	size_t entries, bytes; /* in the table */
	struct filter_cached *buckets[BUCKETS];
	struct filter_cached *newest, *oldest;
};

struct filter_cache *
filter_cache_new(size_t entries_max, size_t bytes_max)
{
	struct filter_cache *c = mem_zalloc(sizeof(*c));

	pthread_mutex_init(&c->mutex, NULL);
	c->entries_max = entries_max > 0 ? entries_max : FILTER_CACHE_ENTRIES;
	c->bytes_max = bytes_max > 0 ? bytes_max : FILTER_CACHE_BYTES;
	return c;
}

static void
unref(struct filter_cached *e)
{
	if (--e->refs > 0)
		return;
	filter_free(e->filter);
	free(e);
}

static struct filter_cached **
bucket(struct filter_cache *c, const uint8_t hash[HASH_BYTES])
{
	return &c->buckets[(hash[0] | (unsigned)hash[1] << 8) % BUCKETS];
}

static void
unlink_use(struct filter_cache *c, struct filter_cached *e)
{
	if (c->newest == e)
		c->newest = e->older;
	if (c->oldest == e)
		c->oldest = e->newer;
	if (e->newer != NULL)
		e->newer->older = e->older;
	if (e->older != NULL)
		e->older->newer = e->newer;
	e->newer = e->older = NULL;
}

static void
link_newest(struct filter_cache *c, struct filter_cached *e)
{
	e->older = c->newest;
	*(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
}

static void
drop(struct filter_cache *c, struct filter_cached *e)
{
	struct filter_cached **at = bucket(c, e->hash);

	while (*at != e)
		at = &(*at)->bucket_next;
	*at = e->bucket_next;
	unlink_use(c, e);
	c->entries--;
	c->bytes -= e->bytes;
	unref(e);
}

void
filter_cache_free(struct filter_cache *cache)
{
	if (cache == NULL)
		return;
	while (cache->oldest != NULL)
		drop(cache, cache->oldest);
	pthread_mutex_destroy(&cache->mutex);
	free(cache);
}

/* With a reference for the caller, or NULL. */
static struct filter_cached *
find(struct filter_cache *c, const uint8_t hash[HASH_BYTES])
{
	struct filter_cached *e = *bucket(c, hash);

	while (e != NULL && memcmp(e->hash, hash, HASH_BYTES) != 0)
		e = e->bucket_next;
	if (e == NULL)
		return NULL;
	e->refs++;
	unlink_use(c, e);
	link_newest(c, e);
	return e;
}

static void
insert(struct filter_cache *c, struct filter_cached *e)
{
	struct filter_cached **at = bucket(c, e->hash);

	e->bucket_next = *at;
	*at = e;
	e->refs++;
	link_newest(c, e);
	c->entries++;
	c->bytes += e->bytes;
	while (c->oldest != NULL && (c->entries > c->entries_max || c->bytes > c->bytes_max))
		drop(c, c->oldest); /* perhaps `e` itself; its user keeps it */
}

/* Compiles outside of the mutex: others are not kept waiting by a large script.  *cached_out is NULL where nothing
 * shall be remembered. */
static enum filter_status
compile(struct filter_cache *c, const uint8_t hash[HASH_BYTES], struct str text,
    struct filter_cached **cached_out, struct filter_error *error_out)
{
	struct filter_cached *e = mem_zalloc(sizeof(*e)), *other;
	enum filter_status status = filter_compile(text, &e->filter, &e->error, NULL);

	*cached_out = NULL;
	if (status != FILTER_OK && status != FILTER_COMPILE_ERROR) {
		*error_out = e->error;
		free(e);
		return status;
	}
	memcpy(e->hash, hash, HASH_BYTES);
	e->bytes = sizeof(*e) + (e->filter != NULL ? filter_bytes(e->filter) : 0);
	e->refs = 1;
	pthread_mutex_lock(&c->mutex);
	other = find(c, hash); /* somebody did the same meanwhile */
	if (other == NULL)
		insert(c, e);
	pthread_mutex_unlock(&c->mutex);
	if (other != NULL)
		unref(e); /* nobody else has seen it */
	*cached_out = other != NULL ? other : e;
	return status;
}

enum filter_status
filter_cache_get(struct filter_cache *cache, struct str text, struct filter_cached **cached_out,
    struct filter_error *error_out)
{
	uint8_t hash[HASH_BYTES];
	struct filter_cached *e;
	enum filter_status status = FILTER_OK;

	*error_out = (struct filter_error){ 0 };
	if (EVP_Digest(text.len > 0 ? text.p : "", text.len, hash, NULL, EVP_sha256(), NULL) != 1)
		abort();
	pthread_mutex_lock(&cache->mutex);
	e = find(cache, hash);
	pthread_mutex_unlock(&cache->mutex);
	if (e == NULL)
		status = compile(cache, hash, text, &e, error_out);
	if (e != NULL && e->filter == NULL) {
		*error_out = e->error;
		filter_cache_release(cache, e);
		e = NULL;
		status = FILTER_COMPILE_ERROR;
	}
	*cached_out = e;
	return status;
}

const struct filter *
filter_cached_filter(const struct filter_cached *cached)
{
	return cached->filter;
}

void
filter_cache_release(struct filter_cache *cache, struct filter_cached *cached)
{
	if (cached == NULL)
		return;
	pthread_mutex_lock(&cache->mutex);
	unref(cached);
	pthread_mutex_unlock(&cache->mutex);
}
