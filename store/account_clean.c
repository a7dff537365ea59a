#include "store/account_clean.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/account_internal.h"
#include "store/dir.h"
#include "store/folder.h"

static const char *const CORRUPT_PREFIXES[] = { "index.db.corrupt-", "search.db.corrupt-" };

struct indexes {
	int fd;
	bool dry_run;
	size_t *count;
};

/* "index.db.corrupt-1790000000" */
static bool
is_set_aside(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(CORRUPT_PREFIXES); i++) {
		size_t len = strlen(CORRUPT_PREFIXES[i]);

		if (strncmp(name, CORRUPT_PREFIXES[i], len) == 0)
			return name[len] != '\0' &&
			       strspn(name + len, "0123456789") == strlen(name + len);
	}
	return false;
}

static bool
on_index(void *arg, const char *name, unsigned char type)
{
	struct indexes *i = arg;
	struct stat st;

	(void)type;
	if (!is_set_aside(name) || fstatat(i->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(st.st_mode) || time(NULL) - st.st_ctime < ACCOUNT_CORRUPT_KEEP_S)
		return true;
	if (i->dry_run || unlinkat(i->fd, name, 0) == 0)
		(*i->count)++;
	return true;
}

static void
clean_indexes(struct account *acct, bool dry_run, size_t *count_out)
{
	struct indexes i = { .dry_run = dry_run, .count = count_out };

	i.fd = open(acct->index_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (i.fd < 0)
		return; /* no index yet */
	dir_list(i.fd, on_index, &i);
	close(i.fd);
}

static enum store_err
clean_folders(struct account *acct, bool dry_run, size_t *count_out)
{
	struct folder_list folders = { 0 };
	enum store_err err = folder_list(acct->home, &folders);

	for (size_t i = 0; i < folders.count && err == STORE_OK; i++) {
		struct maildir dir;
		size_t removed = 0;

		if (!folders.items[i].selectable)
			continue;
		err = maildir_open(acct->home, folders.items[i].name, &dir);
		if (err == STORE_NOT_FOUND) { /* deleted meanwhile */
			err = STORE_OK;
			continue;
		}
		if (err != STORE_OK)
			break;
		err = folder_clean_tmp(&dir, time(NULL), dry_run, &removed);
		*count_out += removed;
		maildir_close(&dir);
	}
	folder_list_free(&folders);
	return err;
}

enum store_err
account_clean(struct account *acct, bool dry_run, struct account_cleaned *out)
{
	enum store_err err = STORE_OK;

	*out = (struct account_cleaned){ 0 };
	if (!dry_run) {
		err = account_lock(acct);
		if (err == STORE_OK) {
			err = folder_clean(acct->home);
			account_unlock(acct);
		}
	}
	clean_indexes(acct, dry_run, &out->indexes);
	return err == STORE_OK ? clean_folders(acct, dry_run, &out->tmp_files) : err;
}
