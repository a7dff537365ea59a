/* Folders that deliveries go to, held open between deliveries: an account's directory and a
 * folder's tmp, new and cur.  One per store_root, shared by its threads.  Each use checks that the
 * names still lead to the same directories, so deleted, renamed and replaced ones are noticed. */
#ifndef STORE_FOLDER_CACHE_H
#define STORE_FOLDER_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "store/folder.h"
#include "store/root.h"

struct folder_cache;

struct open_folder {
	struct home *home;
	struct maildir dir;
	char *name; /* the mailbox's */
};

struct folder_cache *folder_cache_new(size_t folders_max);
void folder_cache_free(struct folder_cache *cache); /* no folder of it is in use any more */
struct folder_cache *store_root_folder_cache(struct store_root *root); /* borrowed */

/* Borrowed until folder_cache_put(). `create_home` as in home_open(). */
enum store_err folder_cache_get(struct store_root *root, const char *localpart, const char *domain,
    const char *name, bool create_home, struct open_folder **folder_out);
void folder_cache_put(struct store_root *root, struct open_folder *folder);
/* Does the mailbox's name still lead to this directory? */
bool folder_cache_is_current(const struct open_folder *folder);

#endif
