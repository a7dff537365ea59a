/* Does the daily clean-up run? */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "admin/cleanup.h"
#include "admin/doctor.h"
#include "base/mem.h"

#define STALE_S (3 * 24 * 60 * 60) /* the timer comes every day */

void
doctor_cleanup(struct doctor *d)
{
	static const char HINT[] = "systemctl enable --now sanger-cleanup.timer";
	const struct config *config = d->a->config;
	bool wanted = config_integer(config, "cleanup.trash_days") > 0 ||
		      config_integer(config, "cleanup.junk_days") > 0;
	char *dir = cleanup_removed_dir(config);
	struct cleanup_status status;
	int64_t now = time(NULL);

	cleanup_status_read(dir, &status);
	if (status.failed != 0)
		doctor_warn(d, "cleanup", "mailadmin cleanup says what it was",
		    "the last mailadmin cleanup had problems, %" PRId64 " hours ago",
		    (now - status.failed) / 3600);
	else if (status.cleaned == 0 && wanted)
		doctor_warn(d, "cleanup", HINT,
		    "Trash or Junk is to be emptied by age, but mailadmin cleanup has never run");
	else if (status.cleaned == 0)
		doctor_ok(d, "cleanup", "mailadmin cleanup has not run yet");
	else if (now - status.cleaned > STALE_S)
		doctor_warn(d, "cleanup", HINT,
		    "mailadmin cleanup has not run for %" PRId64 " days",
		    (now - status.cleaned) / (24 * 3600));
	else
		doctor_ok(d, "cleanup", "mailadmin cleanup ran %" PRId64 " hours ago",
		    (now - status.cleaned) / 3600);
	free(dir);
}
