#include "admin/portable.h"

#include <errno.h>
#include <seccomp.h>
#include <sieve2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sanitizer.h"

#define CPU_S           2 /* it can take minutes for a pattern */
#define WALL_S          10
#define MEMORY_BYTES    (256UL * 1024 * 1024)
#define ANSWER_MAX      (64 * 1024)
#define EXIT_TAKEN      0
#define EXIT_REFUSED    1
#define EXIT_NO_SANDBOX 2

/* --- the child ---------------------------------------------------------------------------------- */

struct child {
	int out; /* messages go there, a line each */
	char *script;
	bool complained;
};

/* What malloc, write and the end of a process need; no files, no network, no other process. */
static const int ALLOWED[] = {
	SCMP_SYS(write),
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask), /* abort() */
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(tgkill),
	SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime),
};

static bool
limit(int what, rlim_t most)
{
	struct rlimit r = { most, most };

	return setrlimit((__rlimit_resource_t)what, &r) == 0;
}

static bool
enter_seccomp(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	bool ok = ctx != NULL && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;

	for (size_t i = 0; ok && i < ARRAY_LEN(ALLOWED); i++)
		ok = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, ALLOWED[i], 0) == 0;
	ok = ok && seccomp_load(ctx) == 0;
	seccomp_release(ctx);
	return ok;
}

static bool
lock_in(void)
{
	alarm(WALL_S);
	if (!limit(RLIMIT_CPU, CPU_S) || !limit(RLIMIT_CORE, 0) || !limit(RLIMIT_FSIZE, 0) ||
	    !limit(RLIMIT_NOFILE, 0))
		return false;
	/* The sanitizers need what we forbid: terabytes of addresses, and calls of their own. */
	return UNDER_SANITIZER || (limit(RLIMIT_AS, MEMORY_BYTES) && enter_seccomp());
}

static void
tell(struct child *c, const char *text, int line)
{
	char room[512];
	int len = line > 0 ? snprintf(room, sizeof(room), "line %d: %s\n", line, text)
			   : snprintf(room, sizeof(room), "%s\n", text);

	c->complained = true;
	if (len >= (int)sizeof(room))
		len = sizeof(room) - 1;
	if (len > 0 && write(c->out, room, (size_t)len) < 0)
		_exit(EXIT_REFUSED); /* nobody reads */
}

static int
on_script(sieve2_context_t *s, void *arg)
{
	struct child *c = arg;

	sieve2_setvalue_string(s, (char *)(uintptr_t) "script", c->script);
	return SIEVE2_OK;
}

/* It calls a script with errors "OK"; that it has complained is the only sign. */
static int
on_error(sieve2_context_t *s, void *arg)
{
	const char *text = sieve2_getvalue_string(s, (char *)(uintptr_t) "message");

	tell(arg, text != NULL ? text : "error",
	    sieve2_getvalue_int(s, (char *)(uintptr_t) "lineno"));
	return SIEVE2_OK;
}

/* What it must find registered, or it does not know the action.  Checking calls none of them. */
static int
on_nothing(sieve2_context_t *s, void *arg)
{
	(void)s, (void)arg;
	return SIEVE2_OK;
}

static int
judge(struct child *c)
{
	static sieve2_callback_t callbacks[] = {
		{ SIEVE2_ACTION_REDIRECT, on_nothing },
		{ SIEVE2_ACTION_REJECT, on_nothing },
		{ SIEVE2_ACTION_DISCARD, on_nothing },
		{ SIEVE2_ACTION_FILEINTO, on_nothing },
		{ SIEVE2_ACTION_KEEP, on_nothing },
		{ SIEVE2_ACTION_NOTIFY, on_nothing },
		{ SIEVE2_ACTION_VACATION, on_nothing },
		{ SIEVE2_ERRCALL_RUNTIME, on_error },
		{ SIEVE2_ERRCALL_PARSE, on_error },
		{ SIEVE2_ERRCALL_HEADER, on_error },
		{ SIEVE2_ERRCALL_ADDRESS, on_error },
		{ SIEVE2_SCRIPT_GETSCRIPT, on_script },
		{ SIEVE2_MESSAGE_GETHEADER, on_nothing },
		{ SIEVE2_MESSAGE_GETENVELOPE, on_nothing },
		{ SIEVE2_MESSAGE_GETBODY, on_nothing },
		{ SIEVE2_MESSAGE_GETSIZE, on_nothing },
		{ SIEVE2_MESSAGE_GETSUBADDRESS, on_nothing },
		{ SIEVE2_VALUE_FIRST, NULL },
	};
	sieve2_context_t *s = NULL;
	int rc = sieve2_alloc(&s);

	if (rc == SIEVE2_OK)
		rc = sieve2_callbacks(s, callbacks);
	if (rc == SIEVE2_OK)
		rc = sieve2_validate(s, c);
	if (rc != SIEVE2_OK && !c->complained)
		tell(c, sieve2_errstr(rc), 0);
	return c->complained ? EXIT_REFUSED : EXIT_TAKEN;
}

static void
child_main(int out, struct str script)
{
	struct child c = { .out = out, .script = mem_strndup(script.p, script.len) };

	signal(SIGALRM, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	if (!lock_in())
		_exit(EXIT_NO_SANDBOX);
	_exit(judge(&c));
}

/* --- the parent --------------------------------------------------------------------------------- */

static void
read_all(int fd, struct buf *out)
{
	ssize_t got = 1;

	while (got > 0 && out->len < ANSWER_MAX) {
		buf_reserve(out, 4096);
		got = read(fd, out->data + out->len, 4096);
		if (got > 0)
			out->len += (size_t)got;
	}
}

static enum portable
verdict(int status, struct buf *why)
{
	int sig;

	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_TAKEN)
		return PORTABLE_YES;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_REFUSED)
		return PORTABLE_NO;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_SANDBOX) {
		buf_adds(why, "this kernel gives no sandbox to run libsieve in\n");
		return PORTABLE_UNKNOWN;
	}
	sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (sig == SIGXCPU || sig == SIGALRM || sig == SIGKILL)
		buf_printf(why, "libsieve was not done after %d seconds of CPU\n", CPU_S);
	else if (sig == SIGSYS)
		buf_adds(why, "libsieve tried something that checking does not need\n");
	else if (sig != 0)
		buf_printf(why, "libsieve crashed (%s)\n", strsignal(sig));
	else /* its lexer calls exit() when it does not know on */
		buf_adds(why, "libsieve gave up\n");
	return PORTABLE_CRASHED;
}

enum portable
portable_check(struct str script, struct buf *why)
{
	int pipe_fds[2], status = 0;
	pid_t pid;

	if (script.len > 0 && memchr(script.p, '\0', script.len) != NULL) {
		buf_adds(why, "a NUL byte ends the script for libsieve\n");
		return PORTABLE_NO;
	}
	if (pipe(pipe_fds) != 0 || (pid = fork()) < 0) {
		buf_printf(why, "%s\n", strerror(errno));
		return PORTABLE_UNKNOWN;
	}
	if (pid == 0) {
		close(pipe_fds[0]);
		child_main(pipe_fds[1], script);
	}
	close(pipe_fds[1]);
	read_all(pipe_fds[0], why);
	close(pipe_fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return verdict(status, why);
}
