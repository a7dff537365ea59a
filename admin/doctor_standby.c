/* Does the standby get its copies? */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "base/mem.h"
#include "store/role.h"

#define STALE_S (60 * 60) /* the timer comes every 15 minutes */

/* The time stamp of what standby-sync leaves; 0: it never came through. */
static int64_t
last_sync(const struct config *config)
{
	const char *snapshots = config_string(config, "backup.dir");
	char *path;
	struct stat st;
	int64_t when = 0;

	if (snapshots == NULL || *snapshots == '\0')
		return 0;
	path = mem_printf("%s/standby-sync.done", snapshots);
	if (stat(path, &st) == 0)
		when = st.st_mtim.tv_sec;
	free(path);
	return when;
}

void
doctor_standby(struct doctor *d)
{
	static const char HINT[] =
	    "sanger-standby-sync says why; systemctl status sanger-standby.timer";
	const struct config *config = d->a->config;
	const char *peer = config_string(config, "standby.peer");
	const char *problem = role_problem(config_string(config, "store.mail_root"));
	int64_t synced, age;

	if (problem != NULL)
		doctor_fail(
		    d, "standby", "doc/failover.md", "daemons do not start here: %s", problem);
	if (problem != NULL || peer == NULL || *peer == '\0')
		return;
	synced = last_sync(config);
	age = (int64_t)time(NULL) - synced;
	if (synced == 0)
		doctor_warn(d, "standby", HINT, "%s has never got a copy", peer);
	else if (age > STALE_S)
		doctor_warn(d, "standby", HINT, "the copy at %s is %" PRId64 " minutes old", peer,
		    age / 60);
	else
		doctor_ok(d, "standby", "%s got a copy %" PRId64 " minutes ago", peer, age / 60);
}
