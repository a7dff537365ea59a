/* The parent.  It is plain poll() over a signalfd and one pipe per worker: no loop, no threads, so
 * that fork() is safe at any time. */
#include "net/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/meters.h"
#include "net/tls.h"
#include "net/worker.h"

#define PROCS_MAX        NET_LIMITS_WORKERS_MAX
#define RESTART_CALM_MS  10000 /* a worker that lived so long is replaced at once */
#define RESTART_FIRST_MS 1000
#define RESTART_MAX_MS   30000        /* doubling stops here */
#define KILL_MS          5000         /* beyond its own drain time a worker is killed */
#define TICK_MS          (600 * 1000) /* the longest sleep: for the ticket keys */

enum proc_state {
	PROC_NONE,
	PROC_STARTING, /* until it writes its byte */
	PROC_READY,
	PROC_DRAINING, /* told to finish its sessions */
	PROC_ENDING,   /* told to end */
};

struct proc { /* its place in the array is its row in the limits */
	enum proc_state state;
	pid_t pid;
	unsigned index, generation;
	int ready_fd, life_fd;
	uint64_t since_ms, kill_ms;
};

struct restart {         /* by worker index */
	uint64_t due_ms; /* 0: none is due */
	unsigned quick_deaths;
};

struct parent {
	const struct net_daemon_spec *spec;
	struct net_listen_set listening;
	struct net_limits *limits;
	struct net_meters meters[NET_LIMITS_LISTENERS_MAX];
	struct proc procs[PROCS_MAX];
	struct restart restarts[PROCS_MAX];
	unsigned workers, next_workers;
	unsigned generation; /* of the workers in service */
	bool announced;      /* pid file and READY are out */
	bool replacing;      /* generation + 1 is starting */
	bool reload_again, ending;
	int signal_fd, status;
	char *pid_temp;
};

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- to systemd: one datagram, sd_notify(3) --- */

static void
notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, len);
	if (path[0] == '@')
		un.sun_path[0] = '\0'; /* the abstract name space */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&un,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

static void
notify_reloading(void)
{
	char *text =
	    mem_printf("RELOADING=1\nMONOTONIC_USEC=%llu\n", (unsigned long long)now_ms() * 1000);

	notify(text);
	free(text);
}

/* --- pid file: written next to its place early, so that a wrong path shows before anything
 * runs, and renamed when the daemon is ready --- */

static bool
pid_file_prepare(struct parent *p)
{
	FILE *f;
	bool ok;

	if (p->spec->pid_file == NULL)
		return true;
	p->pid_temp = mem_printf("%s.new", p->spec->pid_file);
	unlink(p->pid_temp);
	f = fopen(p->pid_temp, "wxe");
	ok = f != NULL && fprintf(f, "%ld\n", (long)getpid()) > 0;
	ok = f != NULL && fclose(f) == 0 && ok;
	if (!ok)
		log_error(
		    p->spec->log, "pid_file", "path=%s error=%s", p->pid_temp, strerror(errno));
	return ok;
}

static void
pid_file_publish(struct parent *p)
{
	if (p->pid_temp == NULL)
		return;
	if (rename(p->pid_temp, p->spec->pid_file) != 0)
		log_error(p->spec->log, "pid_file", "path=%s error=%s", p->spec->pid_file,
		    strerror(errno));
}

static void
pid_file_remove(struct parent *p)
{
	if (p->pid_temp != NULL)
		unlink(p->announced ? p->spec->pid_file : p->pid_temp);
	free(p->pid_temp);
}

/* --- becoming nobody in particular --- */

static int
drop_privileges(const struct net_daemon_spec *spec, const struct passwd *pw)
{
	if (pw == NULL)
		return 0;
	if (initgroups(pw->pw_name, pw->pw_gid) != 0 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0) {
		log_error(spec->log, "user", "user=%s error=%s", spec->user, strerror(errno));
		return EX_OSERR;
	}
	if (pw->pw_uid != 0 && setuid(0) == 0) {
		log_error(
		    spec->log, "user", "user=%s error=%s", spec->user, "root can be regained");
		return EX_OSERR;
	}
	return 0;
}

/* Who is started as a user with CAP_NET_BIND_SERVICE (admin/systemd) needs it no more once the ports are bound. */
static int
drop_capabilities(const struct net_daemon_spec *spec)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (geteuid() == 0)
		return 0;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, none) == 0)
		return 0;
	log_error(spec->log, "user", "error=%s", "capabilities stay");
	return EX_OSERR;
}

/* NULL in *pw_out: stay who we are. */
static int
find_user(const struct net_daemon_spec *spec, const struct passwd **pw_out)
{
	*pw_out = NULL;
	if (spec->user == NULL || geteuid() != 0)
		return 0;
	*pw_out = getpwnam(spec->user);
	if (*pw_out != NULL)
		return 0;
	log_error(spec->log, "user", "user=%s error=%s", spec->user, "no such user");
	return EX_NOUSER;
}

static void
raise_file_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

/* --- workers --- */

static void
child_close_fds(const struct parent *p)
{
	close(p->signal_fd);
	for (size_t i = 0; i < PROCS_MAX; i++) {
		if (p->procs[i].state == PROC_NONE)
			continue;
		close(p->procs[i].life_fd);
		if (p->procs[i].ready_fd >= 0)
			close(p->procs[i].ready_fd);
	}
}

/* In the child: it ends with its parent, however that ends. */
static void
child_run(struct parent *p, unsigned row, unsigned index, int ready_fd, int life_fd, pid_t parent)
{
	struct net_worker_start start = {
		.spec = p->spec,
		.listening = &p->listening,
		.limits = p->limits,
		.meters = p->meters,
		.index = index,
		.row = row,
		.ready_fd = ready_fd,
		.life_fd = life_fd,
	};

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EX_OSERR);
	child_close_fds(p);
	exit(net_worker_main(&start));
}

static struct proc *
free_proc(struct parent *p)
{
	for (size_t i = 0; i < PROCS_MAX; i++)
		if (p->procs[i].state == PROC_NONE)
			return &p->procs[i];
	return NULL;
}

static bool
start_worker(struct parent *p, unsigned index, unsigned generation)
{
	struct proc *proc = free_proc(p);
	int ready[2], life[2];
	pid_t self = getpid(), pid;

	if (proc == NULL || pipe2(ready, O_CLOEXEC) != 0)
		return false;
	if (pipe2(life, O_CLOEXEC) != 0) {
		close(ready[0]);
		close(ready[1]);
		return false;
	}
	fflush(NULL); /* what lies in stdio buffers belongs to the parent */
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		close(life[1]);
		child_run(p, (unsigned)(proc - p->procs), index, ready[1], life[0], self);
	}
	close(ready[1]);
	close(life[0]);
	if (pid < 0) {
		close(ready[0]);
		close(life[1]);
		return false;
	}
	*proc =
	    (struct proc){ PROC_STARTING, pid, index, generation, ready[0], life[1], now_ms(), 0 };
	return true;
}

static size_t
count_procs(const struct parent *p, enum proc_state state, unsigned generation)
{
	size_t n = 0;

	for (size_t i = 0; i < PROCS_MAX; i++)
		if (p->procs[i].state == state && p->procs[i].generation == generation)
			n++;
	return n;
}

/* SIGHUP lets it finish its sessions, SIGTERM ends them. */
static void
tell_proc(struct parent *p, struct proc *proc, enum proc_state state)
{
	unsigned drain_s = p->spec->drain_s != 0 ? p->spec->drain_s : NET_DRAIN_S;
	unsigned finish_s =
	    p->spec->reload_drain_s != 0 ? p->spec->reload_drain_s : NET_RELOAD_DRAIN_S;
	uint64_t limit_ms = drain_s * 1000ull + KILL_MS;

	if (proc->state == PROC_NONE || proc->state >= state)
		return;
	if (state == PROC_DRAINING)
		limit_ms += finish_s * 1000ull;
	proc->state = state;
	proc->kill_ms = now_ms() + limit_ms;
	kill(proc->pid, state == PROC_DRAINING ? SIGHUP : SIGTERM);
}

static void
tell_generation(struct parent *p, unsigned generation, enum proc_state state)
{
	for (size_t i = 0; i < PROCS_MAX; i++)
		if (p->procs[i].generation == generation)
			tell_proc(p, &p->procs[i], state);
}

static void
end_all(struct parent *p)
{
	if (!p->ending) {
		notify("STOPPING=1\n");
		log_info(p->spec->log, "stop", "name=%s", p->spec->name);
	}
	p->ending = true;
	for (size_t i = 0; i < PROCS_MAX; i++)
		tell_proc(p, &p->procs[i], PROC_ENDING);
}

/* --- reload --- */

static void start_replacing(struct parent *p);

static void
give_up_replacing(struct parent *p, const char *why)
{
	log_error(p->spec->log, "reload", "state=%s error=%s", "old workers stay", why);
	tell_generation(p, p->generation + 1, PROC_ENDING);
	p->replacing = false;
	notify("READY=1\n");
}

static void
finish_replacing(struct parent *p)
{
	tell_generation(p, p->generation, PROC_DRAINING);
	p->generation++;
	p->workers = p->next_workers;
	p->replacing = false;
	memset(p->restarts, 0, sizeof(p->restarts));
	log_info(p->spec->log, "reload", "state=%s workers=%u", "done", p->workers);
	notify("READY=1\n");
	if (p->reload_again)
		start_replacing(p);
}

/* When many reloads follow each other, the oldest workers must go to make room. */
static void
make_room(struct parent *p)
{
	for (size_t i = 0; i < PROCS_MAX; i++)
		if (p->procs[i].state == PROC_DRAINING)
			tell_proc(p, &p->procs[i], PROC_ENDING);
}

static size_t
count_free(const struct parent *p)
{
	size_t n = 0;

	for (size_t i = 0; i < PROCS_MAX; i++)
		if (p->procs[i].state == PROC_NONE)
			n++;
	return n;
}

static void
start_replacing(struct parent *p)
{
	unsigned workers = p->workers;

	p->reload_again = p->replacing || !p->announced;
	if (p->reload_again)
		return; /* after this one */
	notify_reloading();
	if (p->spec->reload != NULL && !p->spec->reload(p->spec->arg, &workers)) {
		log_error(p->spec->log, "reload", "state=%s", "refused, nothing changed");
		notify("READY=1\n");
		return;
	}
	p->next_workers = workers == 0 || workers > PROCS_MAX / 2 ? p->workers : workers;
	p->replacing = true;
	if (count_free(p) < p->next_workers) {
		make_room(p);
		give_up_replacing(p, "too many workers still drain; try again");
		return;
	}
	for (unsigned i = 0; i < p->next_workers; i++) {
		if (!start_worker(p, i, p->generation + 1)) {
			give_up_replacing(p, strerror(errno));
			return;
		}
	}
}

/* --- what happens --- */

static void
announce(struct parent *p)
{
	p->announced = true;
	pid_file_publish(p);
	metrics_publish(p->spec->metrics);
	notify("READY=1\n");
	log_info(p->spec->log, "start", "name=%s workers=%u listeners=%zu", p->spec->name,
	    p->workers, p->spec->listener_count);
	if (p->reload_again)
		start_replacing(p);
}

static void
on_ready(struct parent *p, struct proc *proc)
{
	char byte;
	bool ready = read(proc->ready_fd, &byte, 1) == 1;

	close(proc->ready_fd);
	proc->ready_fd = -1;
	if (!ready || proc->state != PROC_STARTING)
		return; /* it died: on_dead() comes */
	proc->state = PROC_READY;
	if (!p->announced && count_procs(p, PROC_READY, p->generation) == p->workers)
		announce(p);
	if (p->replacing && count_procs(p, PROC_READY, p->generation + 1) == p->next_workers)
		finish_replacing(p);
}

/* How often it died soon says how long to wait; the first time not at all. */
static void
plan_restart(struct parent *p, const struct proc *proc)
{
	struct restart *r = &p->restarts[proc->index];
	uint64_t lived_ms = now_ms() - proc->since_ms, delay_ms;

	r->quick_deaths = lived_ms >= RESTART_CALM_MS ? 0 : r->quick_deaths + 1;
	delay_ms = r->quick_deaths < 2 ? 0 : RESTART_FIRST_MS;
	for (unsigned i = 2; i < r->quick_deaths && delay_ms < RESTART_MAX_MS; i++)
		delay_ms *= 2;
	r->due_ms = now_ms() + delay_ms + 1;
}

static void
log_death(const struct parent *p, const struct proc *proc, int status)
{
	if (WIFSIGNALED(status))
		log_error(p->spec->log, "worker_died", "index=%u pid=%ld signal=%s", proc->index,
		    (long)proc->pid, strsignal(WTERMSIG(status)));
	else if (proc->state < PROC_DRAINING || WEXITSTATUS(status) != 0)
		log_error(p->spec->log, "worker_died", "index=%u pid=%ld status=%d", proc->index,
		    (long)proc->pid, WEXITSTATUS(status));
}

static void
on_dead(struct parent *p, struct proc *proc, int status)
{
	struct proc was = *proc;

	log_death(p, proc, status);
	net_limits_worker_gone(p->limits, (unsigned)(proc - p->procs));
	metrics_worker_gone(p->spec->metrics, (unsigned)(proc - p->procs));
	close(proc->life_fd);
	if (proc->ready_fd >= 0)
		close(proc->ready_fd);
	*proc = (struct proc){ .state = PROC_NONE };
	if (p->ending || was.state >= PROC_DRAINING)
		return;
	if (!p->announced) { /* it never worked: no use in trying again */
		p->status = WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status)
									  : EX_SOFTWARE;
		end_all(p);
	} else if (p->replacing && was.generation == p->generation + 1) {
		give_up_replacing(p, "a new worker did not start");
	} else if (was.generation == p->generation) {
		plan_restart(p, &was);
	}
}

static void
reap(struct parent *p)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < PROCS_MAX; i++)
			if (p->procs[i].state != PROC_NONE && p->procs[i].pid == pid)
				on_dead(p, &p->procs[i], status);
}

static void
reopen_logs(struct parent *p)
{
	log_reopen(p->spec->log);
	for (size_t i = 0; i < PROCS_MAX; i++)
		if (p->procs[i].state >= PROC_READY)
			kill(p->procs[i].pid, SIGUSR1);
}

static void
on_signals(struct parent *p)
{
	struct signalfd_siginfo info;

	while (read(p->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT: end_all(p); break;
		case SIGHUP:
			reopen_logs(p);
			if (!p->ending)
				start_replacing(p);
			break;
		case SIGUSR1: reopen_logs(p); break;
		default: break; /* SIGCHLD: reap() follows in any case */
		}
	}
}

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Does what is due and says when the next thing is. */
static uint64_t
on_clock(struct parent *p)
{
	uint64_t now = now_ms(), next = now + TICK_MS;

	if (p->spec->tls_keys != NULL)
		net_tls_keys_step(p->spec->tls_keys);
	for (unsigned i = 0; i < p->workers && !p->ending; i++) {
		struct restart *r = &p->restarts[i];

		if (r->due_ms != 0 && r->due_ms <= now)
			r->due_ms = start_worker(p, i, p->generation) ? 0 : now + 1000;
		if (r->due_ms != 0)
			next = least(next, r->due_ms);
	}
	for (size_t i = 0; i < PROCS_MAX; i++) {
		struct proc *proc = &p->procs[i];

		if (proc->state < PROC_DRAINING)
			continue;
		if (proc->kill_ms <= now) {
			kill(proc->pid, SIGKILL);
			proc->kill_ms = now + KILL_MS;
		}
		next = least(next, proc->kill_ms);
	}
	return next;
}

static void
wait_for_something(struct parent *p, uint64_t until_ms)
{
	struct pollfd fds[PROCS_MAX + 1] = { { .fd = p->signal_fd, .events = POLLIN } };
	uint64_t now = now_ms();

	for (size_t i = 0; i < PROCS_MAX; i++) {
		const struct proc *proc = &p->procs[i];

		fds[i + 1].fd = proc->state != PROC_NONE ? proc->ready_fd : -1;
		fds[i + 1].events = POLLIN;
	}
	poll(fds, ARRAY_LEN(fds), until_ms > now ? (int)(until_ms - now) : 0);
	for (size_t i = 0; i < PROCS_MAX; i++)
		if (fds[i + 1].revents != 0)
			on_ready(p, &p->procs[i]);
	if (fds[0].revents != 0)
		on_signals(p);
	reap(p);
}

static void
run(struct parent *p)
{
	for (unsigned i = 0; i < p->workers; i++) {
		if (!start_worker(p, i, p->generation)) {
			log_error(p->spec->log, "fork", "error=%s", strerror(errno));
			p->status = EX_OSERR;
			end_all(p);
		}
	}
	while (!p->ending || count_free(p) < PROCS_MAX)
		wait_for_something(p, on_clock(p));
}

static void
take_signals(struct parent *p, sigset_t *old_out)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, old_out);
	signal(SIGPIPE, SIG_IGN);
	p->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void
make_limits(struct parent *p)
{
	struct net_limits_listener limits[NET_LIMITS_LISTENERS_MAX];
	size_t count = p->spec->listener_count;

	for (size_t i = 0; i < count; i++)
		limits[i] = p->spec->listeners[i].limits;
	for (size_t i = 0; i < count; i++)
		net_meters_name(p->spec->metrics, p->spec->listeners[i].name, &p->meters[i]);
	p->limits = net_limits_new(limits, count);
}

static int
start_up(struct parent *p)
{
	const struct net_daemon_spec *spec = p->spec;
	const struct passwd *pw;
	int status;

	if (spec->listener_count > NET_LIMITS_LISTENERS_MAX) {
		log_error(spec->log, "listen", "error=%s", "too many listeners");
		return EX_CONFIG;
	}
	status = find_user(spec, &pw);
	if (status != 0)
		return status;
	raise_file_limit();
	status = net_listen_all(spec, pw != NULL ? pw->pw_uid : geteuid(),
	    pw != NULL ? pw->pw_gid : getegid(), &p->listening);
	if (status == 0)
		status = drop_privileges(spec, pw);
	if (status == 0)
		status = drop_capabilities(spec);
	if (status == 0 && !pid_file_prepare(p))
		status = EX_CONFIG;
	return status;
}

static unsigned
count_workers(const struct net_daemon_spec *spec)
{
	long n = spec->workers != 0 ? (long)spec->workers : sysconf(_SC_NPROCESSORS_ONLN);

	/* Half of the rows, so that a reload finds the others free. */
	return n < 1 ? 1 : n > PROCS_MAX / 2 ? PROCS_MAX / 2 : (unsigned)n;
}

int
net_daemon_run(const struct net_daemon_spec *spec)
{
	struct parent *p = mem_zalloc(sizeof(*p));
	sigset_t old;
	int status;

	p->spec = spec;
	p->workers = count_workers(spec);
	p->generation = 1;
	take_signals(p, &old);
	p->status = start_up(p);
	if (p->status == 0) {
		make_limits(p);
		run(p);
	}
	net_listen_close(&p->listening, true);
	pid_file_remove(p);
	net_limits_free(p->limits);
	close(p->signal_fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
	status = p->status;
	free(p);
	return status;
}
