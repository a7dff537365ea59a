/* promote: makes this host the primary, from the copy that standby-sync has brought; or makes sure that it still is.
 *
 * Each step is durable before the next, and can be done again: stopped at any point, the same command goes on.
 *
 * 1. STANDBY/promoted is written: from now on the other host's standby-sync is refused, whatever it believes.
 * 2. sanger-role says `promoting`: daemons that somebody starts now end at once.
 * 3. The domains' directories, the account database and the spool are renamed into their places.
 * 4. UIDs and mod-sequences jump (store/failover.h): the other host may have given some that the copy does not know.
 * 5. What lies in the spool is held: the other host may have sent it already.
 * 6. sanger-role says `primary`. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "admin/standby.h"
#include "base/mem.h"
#include "store/dir.h"
#include "store/failover.h"
#include "store/role.h"
#include "store/spool.h"

static const char *
setting(const struct promotion *p, const char *name)
{
	return config_string(p->a->config, name);
}

static bool
step_failed(struct promotion *p, const char *what, enum store_err err)
{
	if (err != STORE_OK)
		promote_note(
		    p, "fail", what, "%s; mend it and give the command again", store_err_text(err));
	return err == STORE_OK;
}

/* --- steps 1 and 2 ------------------------------------------------------------------------------- */

static bool
claim(struct promotion *p)
{
	int fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *text = mem_printf("promoted %lld\n", (long long)time(NULL));
	enum store_err err = STORE_IO;

	if (fd >= 0) {
		err = dir_replace_file(fd, STANDBY_PROMOTED, str_from(text), true);
		close(fd);
	}
	free(text);
	if (err == STORE_OK)
		err = role_write(setting(p, "store.mail_root"), ROLE_PROMOTING);
	return step_failed(p, "mark", err);
}

/* --- step 3 -------------------------------------------------------------------------------------- */

struct moving {
	int from_fd, to_fd;
	unsigned char type; /* what is moved */
	enum store_err err;
};

static bool
move_entry(void *arg, const char *name, unsigned char type)
{
	struct moving *m = arg;

	if (type == m->type && name[0] != '.')
		m->err = dir_rename_new(m->from_fd, name, m->to_fd, name);
	return m->err == STORE_OK;
}

/* All of one kind in a directory of the copy, into a directory that is there. */
static enum store_err
move_all(struct promotion *p, const char *from, const char *to, unsigned char type)
{
	struct moving m = { .type = type };
	enum store_err err = dir_open(p->copy_fd, from, &m.from_fd);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	m.to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = m.to_fd < 0 ? dir_err(errno) : dir_list(m.from_fd, move_entry, &m);
	if (err == STORE_OK)
		err = m.err;
	if (m.to_fd >= 0) {
		if (err == STORE_OK)
			err = dir_sync(m.to_fd);
		close(m.to_fd);
	}
	close(m.from_fd);
	return err;
}

static enum store_err
move_file(struct promotion *p, const char *from, const char *to)
{
	if (faccessat(p->copy_fd, from, F_OK, 0) != 0)
		return STORE_OK; /* there is none, or it was moved before */
	if (renameat2(p->copy_fd, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0)
		return dir_err(errno);
	return STORE_OK;
}

static enum store_err
sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent = mem_strndup(path, slash > path ? (size_t)(slash - path) : 1);
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum store_err err = fd < 0 ? dir_err(errno) : dir_sync(fd);

	if (fd >= 0)
		close(fd);
	free(parent);
	return err;
}

/* A spool that was here is set aside with what is in it. */
static enum store_err
move_spool(struct promotion *p)
{
	const char *dir = setting(p, "store.spool");
	char *msg = mem_printf("%s/msg", dir), *db = mem_printf("%s/spool.db", dir);
	enum store_err err = STORE_OK;

	if (faccessat(p->copy_fd, "spool/spool.db", F_OK, 0) == 0) {
		if (access(db, F_OK) == 0) {
			char *aside = mem_printf("%s.before-%lld", dir, (long long)time(NULL));

			if (rename(dir, aside) != 0)
				err = dir_err(errno);
			else
				promote_note(
				    p, "warn", "spool", "what was here is in %s now", aside);
			free(aside);
		}
		if ((mkdir(dir, DIR_MODE) != 0 && errno != EEXIST) ||
		    (mkdir(msg, DIR_MODE) != 0 && errno != EEXIST))
			err = dir_err(errno);
		/* The rows come last: never one without its file. */
		if (err == STORE_OK)
			err = move_all(p, "spool/msg", msg, DT_REG);
		if (err == STORE_OK)
			err = move_file(p, "spool/spool.db", db);
		if (err == STORE_OK)
			err = sync_parent(db);
	}
	free(msg);
	free(db);
	return err;
}

/* An empty database of a fresh installation. */
static enum store_err
set_aside(const char *path)
{
	static const char *const ENDS[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < ARRAY_LEN(ENDS); i++) {
		char *from = mem_printf("%s%s", path, ENDS[i]);
		char *to = mem_printf("%s.before-%lld%s", path, (long long)time(NULL), ENDS[i]);
		bool ok = rename(from, to) == 0 || errno == ENOENT;

		free(from);
		free(to);
		if (!ok)
			return dir_err(errno);
	}
	return STORE_OK;
}

static bool
move_in(struct promotion *p)
{
	const char *db = setting(p, "store.account_db");
	enum store_err err = move_all(p, "mail", setting(p, "store.mail_root"), DT_DIR);

	if (!step_failed(p, "mail", err))
		return false;
	if (faccessat(p->copy_fd, "user.db", F_OK, 0) == 0)
		err = set_aside(db);
	if (err == STORE_OK)
		err = move_file(p, "user.db", db);
	if (err == STORE_OK)
		err = sync_parent(db);
	return step_failed(p, "account_db", err) && step_failed(p, "spool", move_spool(p));
}

/* --- steps 4 and 5 ------------------------------------------------------------------------------- */

static bool
jump(struct promotion *p)
{
	struct account_row *rows;
	struct progress *progress;
	size_t count, bad = 0;
	enum store_err err;

	if (!admin_open_accounts(p->a) || !admin_open_store(p->a))
		return step_failed(p, "account_db", STORE_IO);
	err = account_db_list(p->a->accounts, NULL, &rows, &count);
	if (!step_failed(p, "account_db", err))
		return false;
	progress = progress_begin("Moving UIDs on", count);
	for (size_t i = 0; i < count; i++) {
		struct account *mail;

		progress_step(progress, i);
		err = account_open(p->a->store, rows[i].localpart, rows[i].domain, 0, &mail);
		if (err == STORE_OK) {
			err = account_jump(mail);
			account_close(mail);
		}
		if (err != STORE_OK && err != STORE_NOT_FOUND) {
			promote_note(p, "fail", "uids", "%s@%s: %s", rows[i].localpart,
			    rows[i].domain, store_err_text(err));
			bad++;
		}
		store_idle(p->a->store);
	}
	progress_end(progress);
	account_rows_free(rows, count);
	if (bad == 0)
		promote_note(p, "done", "uids", "new UIDs begin %u above what the copy knows",
		    FAILOVER_UID_JUMP);
	return bad == 0;
}

static bool
hold_spool(struct promotion *p)
{
	char *db = mem_printf("%s/spool.db", setting(p, "store.spool"));
	bool there = access(db, F_OK) == 0;
	size_t count = 0;

	free(db);
	if (!there)
		return true;
	if (!admin_open_spool(p->a))
		return step_failed(p, "spool", STORE_IO);
	if (!step_failed(p, "spool", spool_hold(p->a->spool, NULL, true, &count)))
		return false;
	promote_note(p, count > 0 ? "warn" : "ok", "spool",
	    count > 0
		? "%zu messages are held, as the other host may have sent them: mailadmin queue "
		  "list, then queue release or delete"
		: "%zu messages wait",
	    count);
	return true;
}

/* --- the report ---------------------------------------------------------------------------------- */

static bool
print_report(struct promotion *p)
{
	static const struct output_column COLUMNS[] = { { "status", "", OUTPUT_TEXT },
		{ "check", "WHAT", OUTPUT_TEXT }, { "text", "", OUTPUT_TEXT } };

	return output_list(p->findings, COLUMNS, ARRAY_LEN(COLUMNS), p->a->json);
}

static void
print_next(const struct promotion *p)
{
	if (p->a->json)
		return;
	puts("\nThis host is the primary.  Now:\n"
	     "  1. Make sure that the other host stays away: its power, its network, or mailadmin "
	     "standby retire there.\n"
	     "  2. Let the name that clients use point here (DNS A and AAAA, or the service "
	     "address).\n"
	     "  3. Let the relay deliver here and take mail from here: its route, its relay "
	     "networks.\n"
	     "  4. systemctl start sanger.target (or admin/instance start), mailadmin doctor.\n"
	     "  5. mailadmin queue list: release or delete what is held.\n"
	     "  6. A new standby: doc/failover.md.");
}

/* From here on `current` stays what it is.  -1: said. */
static int
lock_copies(const char *dir)
{
	char *path = mem_printf("%s/" STANDBY_LOCK, dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);

	if (fd < 0) {
		admin_refuse("%s: %s; has standby-sync ever come through?", path, strerror(errno));
	} else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		admin_refuse(
		    "%s: a copy is just being put in place, or another promote is at work: "
		    "give the command again",
		    path);
		close(fd);
		fd = -1;
	}
	free(path);
	return fd;
}

/* --- from a copy --------------------------------------------------------------------------------- */

static enum admin_status
promote_copy(struct admin *a, const struct role *role)
{
	struct promotion p = { .a = a,
		.dir = standby_dir(a->config),
		.resumed = role->kind == ROLE_PROMOTING,
		.findings = json_array() };
	bool dry = admin_option(a, "--dry-run") != NULL, ok;
	int lock_fd = dry ? -1 : lock_copies(p.dir);

	if (!dry && lock_fd < 0) {
		json_decref(p.findings);
		free(p.dir);
		return ADMIN_REFUSED;
	}
	p.copy_fd = standby_open_copy(p.dir, &p.facts);
	promote_check(&p);
	ok = !p.failed;
	if (ok && !dry) {
		ok = claim(&p) && move_in(&p) && jump(&p) && hold_spool(&p);
		if (ok)
			ok = step_failed(
			    &p, "mark", role_write(setting(&p, "store.mail_root"), ROLE_PRIMARY));
	}
	if (!print_report(&p))
		ok = false;
	if (ok && !dry)
		print_next(&p);
	if (p.copy_fd >= 0)
		close(p.copy_fd);
	if (lock_fd >= 0)
		close(lock_fd);
	free(p.dir);
	return ok ? ADMIN_DONE : ADMIN_REFUSED;
}

/* --- still the primary? -------------------------------------------------------------------------- */

enum peer { PEER_STANDBY, PEER_PROMOTED, PEER_UNKNOWN };

/* Asks by rsync, which standby-sync uses too: no other way into that host is needed. */
static enum peer
ask_peer(const char *peer)
{
	extern char **environ;
	char *place = mem_printf("%s/", peer), line[1024];
	const char *const argv[] = { "rsync", "--list-only", "--timeout=30", "--contimeout=30",
		place, NULL };
	const char *const plain[] = { "rsync", "--list-only", "--timeout=30", place, NULL };
	bool is_daemon = strstr(peer, "::") != NULL || strncmp(peer, "rsync://", 8) == 0;
	enum peer answer = PEER_STANDBY;
	posix_spawn_file_actions_t actions;
	int ends[2], status = -1;
	FILE *out;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		free(place);
		return PEER_UNKNOWN;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	if (posix_spawnp(&pid, "rsync", &actions, NULL,
		(char *const *)(uintptr_t)(is_daemon ? argv : plain), environ) != 0)
		pid = -1;
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	out = fdopen(ends[0], "r");
	while (out != NULL && fgets(line, sizeof(line), out) != NULL) {
		const char *name = strrchr(line, ' ');

		if (name != NULL && strcmp(name, " " STANDBY_PROMOTED "\n") == 0)
			answer = PEER_PROMOTED;
	}
	if (out != NULL)
		fclose(out);
	free(place);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) != 0)
		return answer == PEER_PROMOTED ? answer : PEER_UNKNOWN;
	return answer;
}

/* This host was the primary, and has been restarted since. */
static enum admin_status
confirm(struct admin *a, bool by_a_person)
{
	const char *root = config_string(a->config, "store.mail_root");
	const char *peer = config_string(a->config, "standby.peer");
	bool dry = admin_option(a, "--dry-run") != NULL;
	enum peer answer = peer != NULL && *peer != '\0' ? ask_peer(peer) : PEER_UNKNOWN;

	if (answer == PEER_PROMOTED) {
		if (!dry)
			role_write(root, ROLE_RETIRED);
		return admin_refuse(
		    "the standby (%s) has become the primary: this host is retired; "
		    "see doc/failover.md",
		    peer);
	}
	if (answer == PEER_UNKNOWN && !by_a_person)
		return admin_refuse("the standby (%s) cannot be asked whether it has become the "
				    "primary: look, and if not, mailadmin promote --still",
		    peer != NULL && *peer != '\0' ? peer : "standby.peer is not set");
	if (!dry && role_write(root, ROLE_PRIMARY) != STORE_OK)
		return admin_refuse("%s/" ROLE_FILE " cannot be written", root);
	if (!a->json)
		puts("still the primary");
	return ADMIN_DONE;
}

static enum admin_status
run(struct admin *a)
{
	const char *root = config_string(a->config, "store.mail_root");
	bool still = admin_option(a, "--still") != NULL;
	bool after_boot = admin_option(a, "--after-boot") != NULL;
	struct role role;

	if (role_read(root, &role) != STORE_OK)
		return admin_refuse("%s/" ROLE_FILE " is damaged: look what this host was, and "
				    "remove it",
		    root);
	switch (role.kind) {
	case ROLE_PRIMARY:
		if (role_is_of_this_boot(&role))
			return after_boot || still
				   ? ADMIN_DONE
				   : admin_refuse("this host is the primary already");
		return confirm(a, still);
	case ROLE_RETIRED:
		return admin_refuse(
		    "this host is retired: another one is the primary; see doc/failover.md");
	case ROLE_NONE:
		if (after_boot)
			return ADMIN_DONE; /* there is no pair */
		break;
	case ROLE_PROMOTING: break;
	}
	if (still)
		return admin_refuse("this host was never the primary of a pair");
	return promote_copy(a, &role);
}

const struct admin_command admin_cmd_promote = {
	.group = "promote",
	.args = "",
	.options = { { "--dry-run", NULL, "only check" },
	    { "--still", NULL, "this host was the primary and still is: somebody has looked" },
	    { "--after-boot", NULL, "the same if the standby says so; for the system's start" },
	    { "--json", NULL, "the checks as JSON" } },
	.summary = "Makes this host the primary, from the copy that standby-sync brought.",
	.help =
	    "Checks the copy and this host, puts mail, accounts and spool into their places, lets "
	    "new UIDs\n"
	    "begin beyond all that the other host may have given, holds what is in the spool, and "
	    "says what\n"
	    "else is to be done.  Stopped half-way, the same command goes on.",
	.example = "mailadmin promote --dry-run",
	.run = run,
};
