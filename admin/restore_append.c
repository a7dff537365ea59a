/* Messages of a snapshot into a mailbox that is there; rule 3 of restore.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/progress.h"
#include "admin/restore.h"
#include "base/mem.h"
#include "store/dir.h"
#include "store/mailbox.h"
#include "store/sync.h"

#define CHUNK_BYTES (256 * 1024)
#define NS_PER_S    INT64_C(1000000000)

struct appending {
	struct restore *r;
	struct saved_account *saved;
	struct saved_folder *folder;
	struct account *acct;
	const char *mailbox;
	bool same; /* the mailbox is the one that was saved: UIDs may stay */
	struct append *ap;
	size_t in_batch;
	uint64_t batch_bytes;
	char *chunk;
};

static enum store_err
pour(struct appending *w, int fd)
{
	enum store_err err = STORE_OK;
	off_t at = 0;

	while (err == STORE_OK) {
		ssize_t n = pread(fd, w->chunk, CHUNK_BYTES, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = dir_err(errno);
		if (n <= 0)
			break;
		err = append_write(w->ap, w->chunk, (size_t)n);
		at += n;
	}
	return err;
}

static enum store_err
commit(struct appending *w)
{
	uint32_t uidvalidity;
	enum store_err err = STORE_OK;

	if (w->ap != NULL && w->in_batch > 0)
		err = append_commit(w->ap, &uidvalidity, NULL);
	append_end(w->ap);
	w->ap = NULL;
	w->in_batch = 0;
	w->batch_bytes = 0;
	return err;
}

/* The unique part of its name stays, so that the next backup knows it again. */
static enum store_err
add(struct appending *w, const struct saved_message *m, int fd)
{
	char *unique = mem_strndup(m->parsed.unique.p, m->parsed.unique.len);
	struct append_message_info info = {
		.flags = sync_flags_of(m->parsed.flags),
		.internaldate_s = m->entry->mtime_ns / NS_PER_S,
		.announced_bytes = m->entry->size,
		.uid = w->same ? m->uid : 0,
		.unique = unique,
		.quota_exempt = true,
		.keep_bytes = true,
	};
	const char **keywords = saved_keywords(w->folder, m, &info.keyword_count);
	enum store_err err = STORE_OK;

	info.keywords = keywords;
	if (info.internaldate_s < 0)
		info.internaldate_s = 0;
	if (w->ap == NULL) {
		err = append_begin(w->acct, w->mailbox, &w->ap);
		if (err == STORE_OK)
			append_in_bulk(w->ap);
	}
	if (err == STORE_OK)
		err = append_message(w->ap, &info);
	if (err == STORE_OK)
		err = pour(w, fd);
	w->in_batch++;
	w->batch_bytes += m->entry->size;
	free(keywords);
	free(unique);
	return err;
}

static enum store_err
one(struct appending *w, const struct saved_message *m)
{
	enum store_err err = STORE_OK;
	int fd = -1;

	dir_open_file(w->saved->home->fd, m->entry->path, O_RDONLY | O_NONBLOCK, 0, &fd);
	if (!saved_is_sound(w->r, w->saved, m->entry, fd)) {
		if (fd >= 0)
			close(fd);
		return STORE_CORRUPT;
	}
	if (!w->r->dry)
		err = add(w, m, fd);
	close(fd);
	if (err == STORE_OK &&
	    (w->in_batch >= RESTORE_BATCH || w->batch_bytes >= RESTORE_BATCH_BYTES))
		err = commit(w);
	return err;
}

static bool
is_same_mailbox(struct appending *w)
{
	struct mailbox_status status;

	return w->r->into == NULL && account_status(w->acct, w->mailbox, &status) == STORE_OK &&
	       status.uidvalidity == w->folder->uidvalidity;
}

enum store_err
restore_messages(struct restore *r, struct saved_account *saved, struct saved_folder *folder,
    struct account *acct, const char *mailbox)
{
	struct appending w = { .r = r,
		.saved = saved,
		.folder = folder,
		.acct = acct,
		.mailbox = mailbox,
		.chunk = mem_alloc(CHUNK_BYTES) };
	struct progress *progress = progress_begin(folder->name, folder->count);
	size_t damaged = r->damaged, done = 0, batch = 0;
	enum store_err err = STORE_OK, last;

	w.same = is_same_mailbox(&w);
	for (size_t i = 0; i < folder->count && err == STORE_OK; i++) {
		if (!folder->messages[i].wanted)
			continue;
		err = one(&w, &folder->messages[i]);
		if (err == STORE_CORRUPT) {
			folder->messages[i].wanted = false;
			err = STORE_OK;
			continue;
		}
		batch++;
		if (w.in_batch == 0 && err == STORE_OK) {
			done += batch;
			batch = 0;
		}
		progress_step(progress, i + 1);
	}
	last = err == STORE_OK ? commit(&w) : err;
	if (err == STORE_OK && last == STORE_OK)
		done += batch;
	append_end(w.ap);
	progress_end(progress);
	free(w.chunk);
	r->restored += done;
	if (!r->choice.some)
		restore_report(r, saved, mailbox, done, 0, r->damaged - damaged, "appended");
	return last;
}
