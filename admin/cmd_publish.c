/* publish: the relay's copy of the account database, and its way there. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "admin/publish_status.h"
#include "base/mem.h"
#include "store/account_publish.h"

extern char **environ;

/* The directory, made where it is missing; -1 with the reason said. */
static int
open_dir(const char *path)
{
	int fd;

	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return admin_refuse("%s: %s", path, strerror(errno)), -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		admin_refuse("%s: %s", path, strerror(errno));
	return fd;
}

static enum admin_status
make_copy(struct admin *a, const char *dir, int dir_fd, bool *changed_out)
{
	const char *path = config_string(a->config, "store.account_db");
	size_t count = config_count(a->config, "publish.columns");
	const char **columns = mem_realloc_array(NULL, count + 1, sizeof(*columns));
	enum store_err err;

	for (size_t i = 0; i < count; i++)
		columns[i] = config_string_at(a->config, "publish.columns", i);
	err = account_publish(path, dir_fd, columns, count, a->log, changed_out);
	free(columns);
	if (err == STORE_INVALID)
		return admin_refuse("publish.columns: only %s and %s can be added, once each",
		    ACCOUNT_PUBLISH_COLUMNS[0], ACCOUNT_PUBLISH_COLUMNS[1]);
	if (err == STORE_BUSY)
		return admin_refuse("%s: another publish is at it", dir);
	return admin_result(err, dir);
}

/* rsync puts the file in place in one step, and takes a target as it is used to: PATH, HOST:PATH,
 * rsync://….  It says itself what fails. */
static bool
send_copy(const char *dir, const char *target)
{
	char *file = mem_printf("%s/%s", dir, ACCOUNT_PUBLISH_FILE);
	const char *const argv[] = { "rsync", "--checksum", "--times", "--chmod=F644",
		"--timeout=60", "--", file, target, NULL };
	int status = -1;
	pid_t pid;
	int rc = posix_spawnp(&pid, "rsync", NULL, NULL, (char *const *)argv, environ);

	if (rc != 0)
		admin_refuse("rsync cannot be started: %s", strerror(rc));
	else
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			continue;
	if (rc == 0 && status != 0)
		admin_refuse("%s: rsync failed", target);
	free(file);
	return rc == 0 && status == 0;
}

/* All of them are tried, whatever becomes of one. */
static bool
send_to_all(struct admin *a, const char *dir, struct publish_status *status)
{
	const char *only = admin_option(a, "--to");
	size_t count = only != NULL ? 1 : config_count(a->config, "publish.to");
	bool all = true;

	for (size_t i = 0; i < count; i++) {
		const char *name =
		    only != NULL ? only : config_string_at(a->config, "publish.to", i);
		bool sent = send_copy(dir, name);
		struct publish_target *target = publish_status_target(status, name);

		if (target != NULL && sent)
			*target =
			    (struct publish_target){ .name = target->name, .sent = time(NULL) };
		else if (target != NULL)
			target->failed = time(NULL);
		all = all && sent;
	}
	return all;
}

static enum admin_status
publish(struct admin *a, const char *dir, int dir_fd)
{
	struct publish_status status;
	bool changed;
	enum admin_status done = make_copy(a, dir, dir_fd, &changed);

	if (done != ADMIN_DONE)
		return done;
	publish_status_read(dir_fd, &status);
	status.published = time(NULL);
	if (!send_to_all(a, dir, &status))
		done = ADMIN_REFUSED;
	if (publish_status_write(dir_fd, &status) != STORE_OK)
		done = admin_refuse("%s: the status cannot be written", dir);
	publish_status_free(&status);
	if (!a->json)
		printf("%s/%s %s\n", dir, ACCOUNT_PUBLISH_FILE, changed ? "written" : "unchanged");
	else if (!output_object(json_pack("{sb}", "changed", changed), NULL, 0, true))
		done = ADMIN_REFUSED;
	return done;
}

static enum admin_status
publish_run(struct admin *a)
{
	const char *dir = a->arg_count > 0 ? a->args[0] : config_string(a->config, "publish.dir");
	enum admin_status status;
	int dir_fd;

	if (!admin_may_act(a) || !admin_open_accounts(a))
		return ADMIN_REFUSED;
	dir_fd = open_dir(dir);
	if (dir_fd < 0)
		return ADMIN_REFUSED;
	status = publish(a, dir, dir_fd);
	close(dir_fd);
	return status;
}

const struct admin_command admin_cmd_publish = {
	.group = "publish",
	.args = "[DIR]",
	.args_least = 0,
	.args_most = 1,
	.options = { { "--to", "TARGET", "send it there with rsync, instead of to publish.to" },
	    { "--json", NULL, "as JSON" } },
	.summary =
	    "Writes DIR/user.db, the copy of the account database for the relay, and sends it.",
	.help = "It holds accounts and aliases, no passwords, no filters, and of the rest what "
		"publish.columns names.  Without DIR it is publish.dir.  A file in which nothing "
		"changed stays as it is; otherwise it is replaced in one step.",
	.example = "mailadmin publish /var/lib/sanger/publish --to relay:/etc/exim4/sanger/",
	.run = publish_run,
};
