#include "store/folder_cache.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/text.h"

struct cached_folder {
	struct open_folder folder; /* first: what callers hold */
	unsigned users;
	uint64_t last_use;
	bool stale; /* out of the table; the last user closes it */
};

struct folder_cache {
	pthread_mutex_t mutex; /* held for the table only, never while a disk is waited for */
	struct cached_folder **items;
	size_t count, max;
	uint64_t clock;
};

struct folder_cache *
folder_cache_new(size_t folders_max)
{
	struct folder_cache *cache = mem_zalloc(sizeof(*cache));

	pthread_mutex_init(&cache->mutex, NULL);
	cache->max = folders_max;
	cache->items = mem_realloc_array(NULL, folders_max, sizeof(struct cached_folder *));
	return cache;
}

static void
cached_folder_free(struct cached_folder *cf)
{
	maildir_close(&cf->folder.dir);
	home_close(cf->folder.home);
	free(cf->folder.name);
	free(cf);
}

void
folder_cache_free(struct folder_cache *cache)
{
	for (size_t i = 0; i < cache->count; i++)
		cached_folder_free(cache->items[i]);
	pthread_mutex_destroy(&cache->mutex);
	free(cache->items);
	free(cache);
}

static bool
matches(const struct cached_folder *cf, const char *localpart, const char *domain, const char *name)
{
	return strcmp(cf->folder.name, name) == 0 &&
	       ascii_eq_nocase(cf->folder.home->localpart, localpart) &&
	       ascii_eq_nocase(cf->folder.home->domain, domain);
}

static struct cached_folder *
take(struct folder_cache *cache, const char *localpart, const char *domain, const char *name)
{
	struct cached_folder *found = NULL;

	pthread_mutex_lock(&cache->mutex);
	for (size_t i = 0; found == NULL && i < cache->count; i++)
		if (matches(cache->items[i], localpart, domain, name))
			found = cache->items[i];
	if (found != NULL) {
		found->users++;
		found->last_use = ++cache->clock;
	}
	pthread_mutex_unlock(&cache->mutex);
	return found;
}

/* Takes it out of the table.  True: nobody uses it, the caller frees it. */
static bool
drop_at(struct folder_cache *cache, size_t at)
{
	struct cached_folder *cf = cache->items[at];

	cache->items[at] = cache->items[--cache->count];
	cf->stale = true;
	return cf->users == 0;
}

/* A stale one leaves the table, so that the next delivery opens the folder anew. */
static void
give_back(struct folder_cache *cache, struct cached_folder *cf, bool stale)
{
	bool last;

	pthread_mutex_lock(&cache->mutex);
	cf->users--;
	for (size_t i = 0; stale && i < cache->count; i++)
		if (cache->items[i] == cf) {
			drop_at(cache, i);
			break;
		}
	last = cf->stale && cf->users == 0;
	pthread_mutex_unlock(&cache->mutex);
	if (last)
		cached_folder_free(cf);
}

/* Adds one that is in use; the one unused for longest makes room.  If all are in use, it is not
 * kept: give_back() closes it. */
static void
keep(struct folder_cache *cache, struct cached_folder *cf)
{
	struct cached_folder *out = NULL;
	size_t oldest = SIZE_MAX;

	pthread_mutex_lock(&cache->mutex);
	cf->last_use = ++cache->clock;
	if (cache->count == cache->max) {
		for (size_t i = 0; i < cache->count; i++)
			if (cache->items[i]->users == 0 &&
			    (oldest == SIZE_MAX ||
				cache->items[i]->last_use < cache->items[oldest]->last_use))
				oldest = i;
		if (oldest != SIZE_MAX) {
			out = cache->items[oldest];
			drop_at(cache, oldest);
		}
	}
	if (cache->count < cache->max)
		cache->items[cache->count++] = cf;
	else
		cf->stale = true;
	pthread_mutex_unlock(&cache->mutex);
	if (out != NULL)
		cached_folder_free(out);
}

/* Do the account's names still lead to the directory held open? */
static bool
home_is_current(const struct home *home)
{
	char path[2 * ADDRESS_PART_MAX_BYTES + 2];
	struct stat held, named;
	size_t len = strlen(home->domain);

	memcpy(path, home->domain, len);
	path[len] = '/';
	strcpy(path + len + 1, home->localpart);
	return fstat(home->fd, &held) == 0 &&
	       fstatat(store_root_fd(home->root), path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

bool
folder_cache_is_current(const struct open_folder *folder)
{
	return home_is_current(folder->home) &&
	       maildir_is_current(&folder->dir, folder->home, folder->name);
}

enum store_err
folder_cache_get(struct store_root *root, const char *localpart, const char *domain,
    const char *name, bool create_home, struct open_folder **folder_out)
{
	struct folder_cache *cache = store_root_folder_cache(root);
	struct cached_folder *cf = take(cache, localpart, domain, name);
	enum store_err err;

	if (cf != NULL) {
		if (folder_cache_is_current(&cf->folder)) {
			*folder_out = &cf->folder;
			return STORE_OK;
		}
		give_back(cache, cf, true);
	}
	cf = mem_zalloc(sizeof(*cf));
	err = home_open(root, localpart, domain, create_home, &cf->folder.home);
	if (err == STORE_OK) {
		err = maildir_open(cf->folder.home, name, &cf->folder.dir);
		if (err != STORE_OK)
			home_close(cf->folder.home);
	}
	if (err != STORE_OK) {
		free(cf);
		return err;
	}
	cf->folder.name = mem_strdup(name);
	cf->users = 1;
	keep(cache, cf);
	*folder_out = &cf->folder;
	return STORE_OK;
}

void
folder_cache_put(struct store_root *root, struct open_folder *folder)
{
	give_back(store_root_folder_cache(root), (struct cached_folder *)folder, false);
}
