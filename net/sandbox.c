#include "net/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sanitizer.h"

/* Newer than the headers of Debian 12; the values are the kernel's ABI. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define LANDLOCK_ABI_REFER    2 /* before it, every rename between directories is refused */
#define LANDLOCK_ABI_TRUNCATE 3

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                                   \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |                          \
	    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                          \
	    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SYM |                            \
	    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                          \
	    LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE)
#define FS_NEVER                                                                                   \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
#define FS_OF_FILES                                                                                \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

/* What the libraries open by name: name look-ups, time zones, character sets, modules of OpenSSL and
 * SASL, certificates of CAs, the load and memory of the machine. */
static const struct net_sandbox_path LIBRARY_PATHS[] = {
	{ "/etc", NET_READ },
	{ "/usr", NET_READ },
	{ "/lib", NET_READ },
	{ "/lib64", NET_READ },
	{ "/run/systemd/resolve", NET_READ },
	{ "/run/resolvconf", NET_READ },
	{ "/run/NetworkManager", NET_READ },
	{ "/dev/urandom", NET_READ },
	{ "/dev/random", NET_READ },
	{ "/dev/null", NET_WRITE },
	{ "/proc/self", NET_READ },
	{ "/proc/loadavg", NET_READ },
	{ "/proc/meminfo", NET_READ },
	{ "/proc/stat", NET_READ },
	{ "/proc/cpuinfo", NET_READ },
	{ "/proc/sys", NET_READ },
	{ "/sys/devices/system/cpu", NET_READ },
};

/* A rule belongs to an inode.  Those of /proc are made anew, without the rule, after the kernel has dropped them
 * from its caches for want of memory: what was allowed would be refused from then on.  An open one stays. */
static bool
must_stay_open(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

static bool
allow_path(int ruleset, uint64_t handled, const struct net_sandbox_path *path)
{
	uint64_t access = path->access == NET_WRITE ? FS_READ | FS_WRITE : FS_READ;
	struct landlock_path_beneath_attr rule = { .allowed_access = access & handled };
	struct stat st;
	bool ok;

	if (path->path == NULL)
		return true;
	rule.parent_fd = open(path->path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return errno == ENOENT;
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= FS_OF_FILES;
	ok = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
	if (!must_stay_open(rule.parent_fd))
		close(rule.parent_fd);
	return ok;
}

/* A path that cannot be opened now stays closed: better than no sandbox. */
static void
allow_paths(int ruleset, uint64_t handled, const struct net_sandbox_spec *spec, struct log *log)
{
	for (size_t i = 0; i < ARRAY_LEN(LIBRARY_PATHS); i++)
		allow_path(
		    ruleset, handled, &LIBRARY_PATHS[i]); /* what is not here is not needed */
	for (size_t i = 0; i < spec->path_count; i++) {
		if (!allow_path(ruleset, handled, &spec->paths[i]))
			log_error(log, "sandbox", "path=%s error=%s", spec->paths[i].path,
			    strerror(errno));
	}
}

/* Returns what the log shall say. */
static const char *
enter_landlock(const struct net_sandbox_spec *spec, struct log *log)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = FS_READ | FS_WRITE | FS_NEVER };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	const char *result = "on";
	int ruleset;

	if (abi < LANDLOCK_ABI_REFER)
		return abi < 0 ? "not in this kernel" : "too old in this kernel";
	if (abi < LANDLOCK_ABI_TRUNCATE)
		attr.handled_access_fs &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return strerror(errno);
	allow_paths(ruleset, attr.handled_access_fs, spec, log);
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		result = strerror(errno);
	close(ruleset);
	return result;
}

/* A list of what is forbidden, not of what is allowed: libc and the libraries may change the
 * calls they use from one version to the next, and a mail server that dies of it helps nobody. */
static const int FORBIDDEN[] = {
	/* other programs */
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	/* other processes */
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp),
	/* file systems and name spaces */
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(setns),
	SCMP_SYS(unshare),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	SCMP_SYS(quotactl),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	/* the kernel */
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(acct),
	SCMP_SYS(syslog),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(personality),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(vhangup),
};

static bool
family_allowed(unsigned family) /* netlink: getaddrinfo() asks it for our addresses */
{
	return family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
}

/* Who makes no connections needs no sockets but those that are accepted: none to send a datagram. */
static int
forbid_sockets(scmp_filter_ctx ctx, bool may_connect)
{
	int rc;

	if (!may_connect)
		return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 0);
	rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
	    SCMP_A0(SCMP_CMP_GT, AF_NETLINK, 0));
	for (unsigned f = 0; f < AF_NETLINK && rc == 0; f++)
		if (!family_allowed(f))
			rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket),
			    1, SCMP_A0(SCMP_CMP_EQ, f, 0));
	return rc;
}

/* Threads yes, processes no.  clone3() hides its flags from us: ENOSYS makes libc use clone(). */
static int
forbid_processes(scmp_filter_ctx ctx)
{
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	return rc;
}

static const char *
enter_seccomp(const struct net_sandbox_spec *spec)
{
	scmp_filter_ctx ctx;
	int rc = 0;

	if (UNDER_SANITIZER)
		return "off under a sanitizer";
	ctx = seccomp_init(SCMP_ACT_ALLOW);
	if (ctx == NULL)
		return "off: no filter";
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; i < ARRAY_LEN(FORBIDDEN) && rc == 0; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), FORBIDDEN[i], 0);
	if (rc == 0)
		rc = forbid_sockets(ctx, spec->may_connect);
	if (rc == 0)
		rc = forbid_processes(ctx);
	if (rc == 0) /* typing into the terminal we were started from */
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI));
	if (rc == 0 && !spec->may_connect)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(connect), 0);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc == 0 ? "on" : strerror(-rc);
}

/* Landlock and no_new_privs hold for the thread that asks and for those it makes afterwards. */
static bool
is_alone(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) != 0 || st.st_nlink <= 3; /* ".", ".." and ours */
}

bool
net_sandbox_enter(const struct net_sandbox_spec *spec, struct log *log)
{
	const char *landlock, *seccomp;
	struct rlimit none = { 0, 0 };

	if (!is_alone()) {
		log_error(
		    log, "sandbox", "error=%s", "threads run already, and would stay outside");
		return false;
	}
	setrlimit(RLIMIT_CORE, &none);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		log_warn(log, "sandbox", "error=%s", strerror(errno));
		return true;
	}
	if (spec->off) {
		log_warn(log, "sandbox", "state=%s", "off as configured");
		return true;
	}
	landlock = enter_landlock(spec, log);
	seccomp = enter_seccomp(spec);
	if (strcmp(landlock, "on") == 0 && strcmp(seccomp, "on") == 0)
		log_debug(log, "sandbox", "landlock=%s seccomp=%s", landlock, seccomp);
	else
		log_warn(log, "sandbox", "landlock=%s seccomp=%s", landlock, seccomp);
	return true;
}
