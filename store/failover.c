#include "store/failover.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "store/account_internal.h"
#include "store/folder.h"
#include "store/sanger_mailbox.h"

#define UID_LEASE_MOST (UINT32_MAX - 4 * FAILOVER_UID_JUMP)

static enum store_err
begin_anew(const struct home *home, int folder_fd, struct sanger_mailbox *file)
{
	struct sanger_mailbox fresh;
	enum store_err err = sanger_mailbox_new(home, &fresh);

	if (err != STORE_OK)
		return err;
	snprintf(fresh.special_use, sizeof(fresh.special_use), "%s", file->special_use);
	err = sanger_mailbox_write(home, folder_fd, &fresh);
	sanger_mailbox_free(&fresh);
	return err;
}

/* A folder without the file was never opened there: no client has seen a UID. */
static enum store_err
jump_mailbox(const struct home *home, const char *name)
{
	struct sanger_mailbox file = { 0 };
	struct maildir dir;
	enum store_err err = maildir_open(home, name, &dir);

	if (err != STORE_OK)
		return err;
	err = sanger_mailbox_read(home, dir.fd, &file);
	if (err == STORE_OK && file.uid_lease > UID_LEASE_MOST) {
		err = begin_anew(home, dir.fd, &file);
	} else if (err == STORE_OK) {
		file.uid_lease += FAILOVER_UID_JUMP;
		file.modseq_lease += FAILOVER_MODSEQ_JUMP;
		err = sanger_mailbox_write(home, dir.fd, &file);
	}
	sanger_mailbox_free(&file);
	maildir_close(&dir);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

static enum store_err
jump_all(const struct home *home)
{
	struct folder_list folders = { 0 };
	enum store_err err = folder_list(home, &folders);

	if (err == STORE_OK)
		err = sanger_uid_validity_seen(home, (uint32_t)time(NULL));
	for (size_t i = 0; i < folders.count && err == STORE_OK; i++)
		if (folders.items[i].selectable)
			err = jump_mailbox(home, folders.items[i].name);
	folder_list_free(&folders);
	return err;
}

enum store_err
account_jump(struct account *acct)
{
	static const char *const FILES[] = { "index.db", "index.db-wal", "index.db-shm",
		"search.db", "search.db-wal", "search.db-shm" };
	enum store_err err = account_lock(acct);

	if (err != STORE_OK)
		return err;
	for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
		char *path = mem_printf("%s/%s", acct->index_dir, FILES[i]);

		unlink(path);
		free(path);
	}
	err = jump_all(acct->home);
	account_unlock(acct);
	return err;
}
