/* Disk space, and what the kernel gives. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "base/mem.h"
#include "base/settings.h"

#define INOTIFY_INSTANCES_LEAST 128   /* one per worker, and those of everything else */
#define INOTIFY_WATCHES_LEAST   65536 /* two per mailbox that somebody has selected */
#define SPACE_WARN_FACTOR       4     /* times the floor */
#define LANDLOCK_VERSION_FLAG   1U    /* LANDLOCK_CREATE_RULESET_VERSION */
#define LANDLOCK_ABI_LEAST      2     /* before it a sandbox could not rename between folders */

/* --- disk --------------------------------------------------------------------------------------- */

static void
check_space(struct doctor *d, const char *setting)
{
	const char *path = config_string(d->a->config, setting);
	uint64_t floor = config_size(d->a->config, "store.free_space_floor"), free_bytes;
	struct statvfs fs;
	char *dir;

	if (path == NULL || *path == '\0')
		return;
	dir = mem_strdup(path);
	while (statvfs(dir, &fs) != 0 && strrchr(dir, '/') > dir)
		*strrchr(dir, '/') = '\0';
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (statvfs(dir, &fs) != 0)
		doctor_warn(
		    d, "space", "see the findings on permissions", "%s: %s", path, strerror(errno));
	else if (free_bytes < floor)
		doctor_fail(d, "space", "make room: deliveries and submissions are put off",
		    "%s (%s): %" PRIu64 " MB free, below store.free_space_floor", path, setting,
		    free_bytes >> 20);
	else if (fs.f_files > 0 && fs.f_favail < 1000)
		doctor_fail(d, "space", "make room: each message is a file",
		    "%s (%s): no free inodes", path, setting);
	else if (free_bytes < floor * SPACE_WARN_FACTOR)
		doctor_warn(d, "space", "make room soon", "%s (%s): %" PRIu64 " MB free", path,
		    setting, free_bytes >> 20);
	else
		doctor_ok(
		    d, "space", "%s (%s): %" PRIu64 " MB free", path, setting, free_bytes >> 20);
	free(dir);
}

/* --- kernel ------------------------------------------------------------------------------------- */

static void
check_limit(struct doctor *d, const char *name, unsigned long least, const char *hint)
{
	char *path = mem_printf("/proc/sys/fs/inotify/%s", name);
	FILE *f = fopen(path, "re");
	unsigned long value = 0;

	if (f == NULL || fscanf(f, "%lu", &value) != 1)
		doctor_warn(d, "inotify", "without inotify, IDLE looks only every 30 s",
		    "%s cannot be read", path);
	else if (value < least)
		doctor_warn(d, "inotify", hint, "fs.inotify.%s is %lu", name, value);
	else
		doctor_ok(d, "inotify", "fs.inotify.%s is %lu", name, value);
	if (f != NULL)
		fclose(f);
	free(path);
}

static void
check_openat2(struct doctor *d)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	long fd = syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof(how));

	if (fd >= 0)
		close((int)fd);
	if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
		doctor_ok(d, "kernel", "openat2 is there");
	else
		doctor_warn(d, "kernel", "a kernel from 5.6 has it",
		    "no openat2: paths are walked one step at a time, which is as safe but slower");
}

static void
check_landlock(struct doctor *d)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);

	if (!config_bool(d->a->config, "server.sandbox"))
		doctor_warn(d, "kernel", "set server.sandbox = yes", "the sandbox is off");
	else if (abi >= LANDLOCK_ABI_LEAST)
		doctor_ok(d, "kernel", "Landlock is there (version %ld)", abi);
	else
		doctor_warn(d, "kernel", "a kernel from 5.19 with lsm=landlock has it",
		    "no usable Landlock: workers see all files that their user may see");
}

void
doctor_system(struct doctor *d)
{
	check_space(d, "store.mail_root");
	check_space(d, "store.index_root");
	check_space(d, "store.spool");
	check_space(d, "store.account_db");
	check_limit(d, "max_user_instances", INOTIFY_INSTANCES_LEAST,
	    "sysctl -w fs.inotify.max_user_instances=1024, and keep it in /etc/sysctl.d");
	check_limit(d, "max_user_watches", INOTIFY_WATCHES_LEAST,
	    "sysctl -w fs.inotify.max_user_watches=524288, and keep it in /etc/sysctl.d");
	check_openat2(d);
	check_landlock(d);
}
