/* The spool: whole, and not waiting for too long. */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "store/spool.h"

static void
check_age(struct doctor *d, const char *dir)
{
	uint64_t warn_s = config_duration_s(d->a->config, "submitd.delay_warning");
	struct spool_counts counts;
	enum store_err err = spool_count(d->a->spool, &counts);
	int64_t now = (int64_t)time(NULL);

	if (err != STORE_OK)
		doctor_fail(d, "spool", "look into the log", "%s: %s", dir, store_err_text(err));
	else if (counts.oldest != 0 && now - counts.oldest > (int64_t)warn_s)
		doctor_warn(d, "spool", "mailadmin queue list shows the relay's answers",
		    "%" PRIu64 " message%s waiting, the oldest for %" PRId64 " hours",
		    counts.messages, counts.messages == 1 ? "" : "s", (now - counts.oldest) / 3600);
	else
		doctor_ok(d, "spool", "%" PRIu64 " message%s waiting, %" PRIu64 " held",
		    counts.messages, counts.messages == 1 ? "" : "s", counts.held);
}

void
doctor_spool(struct doctor *d)
{
	const char *dir = config_string(d->a->config, "store.spool");
	struct buf problems = { 0 };
	enum store_err err;

	if (access(dir, R_OK | W_OK | X_OK) != 0)
		return; /* doctor_paths() has said why, or it will be made */
	err = spool_open(dir, NULL, d->a->log, &d->a->spool);
	if (err == STORE_OK)
		err = spool_check(d->a->spool, &problems);
	if (err != STORE_OK)
		doctor_fail(d, "spool", "stop submitd and lda, keep a copy, look into the log",
		    "%s: %s", dir, store_err_text(err));
	else if (problems.len > 0)
		doctor_fail(d, "spool",
		    "stop submitd and lda, keep a copy; what lies in msg/ can be handed in again",
		    "%s: %.*s", dir, (int)strcspn(buf_cstr(&problems), "\n"), buf_cstr(&problems));
	else
		check_age(d, dir);
	buf_free(&problems);
}
