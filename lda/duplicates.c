#include "lda/duplicates.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lda/delivery_record.h"
#include "sending/loops.h"
#include "service/service.h"
#include "store/dir.h"
#include "store/state.h"

#define LOCK_FILE     "duplicate.lock"
#define LOCK_PAUSE_MS 20

/* --- the lock ----------------------------------------------------------------------------------- */

/* The byte that stands for the digest: two messages on one byte wait for each other, no more. */
static off_t
byte_of(const char digest[POUR_DIGEST_BYTES])
{
	char first[8] = { 0 };

	memcpy(first, digest, 7);
	return (off_t)strtoul(first, NULL, 16);
}

static enum lda_verdict
lock(struct lda_delivery *d, const char digest[POUR_DIGEST_BYTES])
{
	/* of this descriptor, not of the process: deliveries of one process are divided too */
	struct flock range = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte_of(digest), .l_len = 1
	};
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };

	d->once.fd =
	    openat(d->home->fd, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (d->once.fd < 0) {
		log_error(d->lda->sv->log, "duplicates", "account=%s doing=lock error=%s",
		    d->account, store_err_text(dir_err(errno)));
		return LDA_TEMPORARY;
	}
	for (int tries = DUPLICATE_WAIT_S * 1000 / LOCK_PAUSE_MS; tries > 0; tries--) {
		if (fcntl(d->once.fd, F_OFD_SETLK, &range) == 0)
			return LDA_OK;
		nanosleep(&pause, NULL);
	}
	log_info(d->lda->sv->log, "duplicates", "account=%s id=%s error=%s", d->account,
	    d->envelope->id, "the same message is being delivered");
	return LDA_TEMPORARY;
}

/* --- deliveries --------------------------------------------------------------------------------- */

/* Another recipient of this transaction that is the same account (an alias, a detail). */
static bool
has_sibling(const struct lda_delivery *d)
{
	for (size_t i = 0; i < d->envelope->sibling_count; i++)
		if (strcmp(d->envelope->siblings[i]->account, d->account) == 0)
			return true;
	return false;
}

static void
note_duplicate(struct lda_delivery *d)
{
	struct decision by = { .language = "none", .script = "lda.duplicate_window" };

	d->once.is_duplicate = true;
	log_info(d->lda->sv->log, "duplicate", "account=%s rcpt=%s from=%s id=%s", d->account,
	    d->rcpt->address, d->envelope->sender, d->envelope->id);
	delivery_record_note(d, "duplicate", by, "it was delivered before");
}

enum lda_verdict
duplicates_begin(struct lda_delivery *d)
{
	const struct view *view;
	const char *asked;
	char digest[POUR_DIGEST_BYTES];
	enum lda_verdict v;
	bool known = false;

	if (d->lda->duplicate_window_s == 0 || d->envelope->mailbox != NULL)
		return LDA_OK;
	view = delivery_view(d);
	if (view == NULL)
		return LDA_TEMPORARY;
	if (!duplicate_digest(view, digest))
		return LDA_OK;
	if (has_sibling(d)) {
		note_duplicate(d);
		return LDA_OK;
	}
	v = lock(d, digest);
	if (v != LDA_OK)
		return v;
	d->once.key = arena_printf(&d->arena, "delivered %s", digest);
	d->once.ended_key = arena_printf(&d->arena, "ended %s", digest);
	asked = loop_is_marked(view, d->account) ? d->once.ended_key : d->once.key;
	/* A memory that fails costs a duplicate, not a message. */
	if (state_open(d->home->fd, true, d->lda->sv->log, &d->once.state) == STORE_OK)
		state_remembered(d->once.state, asked, d->now, &known);
	if (known)
		note_duplicate(d);
	return LDA_OK;
}

void
duplicates_remember(struct lda_delivery *d)
{
	uint64_t window_s = d->lda->duplicate_window_s;

	if (d->once.state == NULL || d->once.is_duplicate)
		return;
	state_remember(d->once.state, d->once.key, window_s, d->now);
	/* noted only where it may come back, or has */
	if (d->copy_count > 0 &&
	    (d->redirect_count > 0 || loop_is_marked(delivery_view(d), d->account)))
		state_remember(d->once.state, d->once.ended_key, window_s, d->now);
}

void
duplicates_end(struct lda_delivery *d)
{
	state_close(d->once.state);
	d->once.state = NULL;
	if (d->once.fd >= 0)
		close(d->once.fd); /* and with it the lock */
	d->once.fd = -1;
}
