/* standby mark, status, retire: which part this host plays in a pair. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "admin/standby.h"
#include "base/mem.h"
#include "store/dir.h"
#include "store/role.h"

char *
standby_dir(const struct config *config)
{
	const char *dir = config_string(config, "standby.dir");
	char *root, *out;

	if (dir != NULL && *dir != '\0')
		return mem_strdup(dir);
	root = mem_strdup(config_string(config, "store.mail_root"));
	for (size_t len = strlen(root); len > 1 && root[len - 1] == '/'; len--)
		root[len - 1] = '\0';
	out = mem_printf("%s.standby", root);
	free(root);
	return out;
}

int
standby_open_copy(const char *dir, struct snapshot_facts *facts_out)
{
	char *path = mem_printf("%s/" STANDBY_CURRENT, dir);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* `current` is a link */

	free(path);
	*facts_out = (struct snapshot_facts){ 0 };
	if (fd >= 0 && snapshot_facts_read(fd, facts_out) != STORE_OK)
		*facts_out = (struct snapshot_facts){ 0 };
	return fd;
}

static const char *
mail_root(const struct admin *a)
{
	return config_string(a->config, "store.mail_root");
}

/* --- mark --------------------------------------------------------------------------------------- */

/* For admin/standby-sync, which asks before it sends anything. */
static enum admin_status
mark_run(struct admin *a)
{
	const char *problem = role_problem(mail_root(a));
	const char *peer = config_string(a->config, "standby.peer");
	const char *snapshots = config_string(a->config, "backup.dir");
	struct role role;

	if (problem != NULL)
		return admin_refuse("%s", problem);
	if (role_read(mail_root(a), &role) != STORE_OK || role.kind == ROLE_NONE) {
		enum store_err err = role_write(mail_root(a), ROLE_PRIMARY);

		if (err != STORE_OK)
			return admin_result(err, mail_root(a));
	}
	printf("user %s\npeer %s\nsnapshots %s\n", config_string(a->config, "server.user"),
	    peer != NULL ? peer : "", snapshots != NULL ? snapshots : "");
	return fflush(stdout) == 0 ? ADMIN_DONE : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_standby_mark = {
	.group = "standby",
	.name = "mark",
	.args = "",
	.summary = "Marks this host as the primary of a pair; standby-sync does it.",
	.help =
	    "From then on daemons do not start after a restart of the machine before mailadmin "
	    "promote\n"
	    "has made sure that the standby was not promoted.  Prints server.user, standby.peer "
	    "and backup.dir.",
	.example = "mailadmin standby mark",
	.run = mark_run,
};

/* --- status ------------------------------------------------------------------------------------- */

static const struct output_column STATUS_COLUMNS[] = {
	{ "role", "Role", OUTPUT_TEXT },
	{ "since", "Since", OUTPUT_TIME },
	{ "problem", "Why daemons do not start", OUTPUT_TEXT },
	{ "copy_made", "Last copy is of", OUTPUT_TIME },
	{ "accounts", "Accounts in it", OUTPUT_TEXT },
	{ "messages", "Messages", OUTPUT_TEXT },
	{ "bytes", "Size", OUTPUT_BYTES },
};

static enum admin_status
status_run(struct admin *a)
{
	const char *problem = role_problem(mail_root(a));
	char *dir = standby_dir(a->config);
	struct snapshot_facts facts;
	struct role role;
	json_t *object;
	int fd = standby_open_copy(dir, &facts);

	role_read(mail_root(a), &role);
	object = json_pack("{ss sI so}", "role", role_name(role.kind), "since",
	    (json_int_t)role.since_s, "problem", output_string(problem));
	if (fd >= 0) {
		json_object_set_new(object, "copy_made", json_integer(facts.began_s));
		json_object_set_new(object, "accounts", json_integer((json_int_t)facts.accounts));
		json_object_set_new(object, "messages", json_integer((json_int_t)facts.messages));
		json_object_set_new(object, "bytes", json_integer((json_int_t)facts.bytes));
		close(fd);
	}
	free(dir);
	return output_object(
		   object, STATUS_COLUMNS, fd >= 0 ? ARRAY_LEN(STATUS_COLUMNS) : 3, a->json)
		   ? ADMIN_DONE
		   : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_standby_status = {
	.group = "standby",
	.name = "status",
	.args = "",
	.options = { { "--json", NULL, "as JSON" } },
	.summary = "Shows which part this host plays, and how old the copy here is.",
	.example = "mailadmin standby status",
	.run = status_run,
};

/* --- retire ------------------------------------------------------------------------------------- */

static enum admin_status
retire_run(struct admin *a)
{
	enum store_err err = role_write(mail_root(a), ROLE_RETIRED);

	if (err != STORE_OK)
		return admin_result(err, mail_root(a));
	puts("retired: daemons do not start here any more.  Stop those that run.");
	return ADMIN_DONE;
}

const struct admin_command admin_cmd_standby_retire = {
	.group = "standby",
	.name = "retire",
	.args = "",
	.summary = "Notes that another host is the primary: daemons do not start here any more.",
	.help = "Nothing of the mail is touched.  doc/failover.md says how it becomes the standby.",
	.example = "mailadmin standby retire",
	.run = retire_run,
};
