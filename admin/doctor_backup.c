/* Is there a backup, and is it fresh? */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "admin/backup_status.h"
#include "admin/doctor.h"

#define STALE_S (36 * 60 * 60) /* the timer comes every night */
#define TIMER   "systemctl status sanger-backup.timer sanger-backup.service"

static bool
is_running(int dir_fd)
{
	int fd = openat(dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool running = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;

	if (fd >= 0)
		close(fd);
	return running;
}

static void
check_age(struct doctor *d, const struct backup_status *s, int dir_fd)
{
	int64_t succeeded = s->events[BACKUP_SUCCEEDED].at, failed = s->events[BACKUP_FAILED].at;
	int64_t began = s->events[BACKUP_BEGAN].at, now = time(NULL);

	if (began > succeeded && began > failed && !is_running(dir_fd))
		doctor_fail(d, "backup", "mailadmin backup goes on where it was",
		    "the backup that began %" PRId64 " hours ago was stopped",
		    (now - began) / 3600);
	else if (succeeded == 0)
		doctor_fail(d, "backup", "mailadmin backup", "there is no backup yet");
	else if (failed > succeeded)
		doctor_fail(d, "backup", "mailadmin backup says why",
		    "backups fail since %" PRId64 " hours (%s); the last one is %" PRId64
		    " hours old",
		    (now - failed) / 3600, s->events[BACKUP_FAILED].what, (now - succeeded) / 3600);
	else if (now - succeeded > STALE_S)
		doctor_fail(d, "backup", TIMER, "the last backup is %" PRId64 " hours old",
		    (now - succeeded) / 3600);
	else
		doctor_ok(d, "backup", "%s was made %" PRId64 " hours ago",
		    s->events[BACKUP_SUCCEEDED].what, (now - succeeded) / 3600);
}

void
doctor_backup(struct doctor *d)
{
	const char *dir = config_string(d->a->config, "backup.dir");
	struct backup_status status;
	int dir_fd;

	if (dir == NULL || *dir == '\0') {
		doctor_warn(d, "backup",
		    "set backup.dir and enable sanger-backup.timer; see howto.md",
		    "no backups are configured");
		return;
	}
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		doctor_fail(
		    d, "backup", "make it, for server.user alone", "%s: %s", dir, strerror(errno));
		return;
	}
	backup_status_read(dir_fd, &status);
	check_age(d, &status, dir_fd);
	if (status.events[BACKUP_DAMAGED].at != 0)
		doctor_fail(d, "backup", "mailadmin verify names what is damaged", "%s is damaged",
		    status.events[BACKUP_DAMAGED].what);
	backup_status_free(&status);
	close(dir_fd);
}
