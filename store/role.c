#include "store/role.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/dir.h"

#define FIRST_LINE     "sanger-role 1"
#define FILE_MAX_BYTES 4096
#define BOOT_ID        "/proc/sys/kernel/random/boot_id"

static const char *const NAMES[] = {
	[ROLE_NONE] = "none",
	[ROLE_PRIMARY] = "primary",
	[ROLE_PROMOTING] = "promoting",
	[ROLE_RETIRED] = "retired",
};

const char *
role_name(enum role_kind kind)
{
	return NAMES[kind];
}

/* --- text --------------------------------------------------------------------------------------- */

void
role_format(struct buf *out, const struct role *role)
{
	buf_printf(out, FIRST_LINE "\nrole %s\nboot %s\nsince %" PRId64 "\nend\n",
	    NAMES[role->kind], role->boot, role->since_s);
}

static bool
parse_line(struct cursor c, struct role *out)
{
	struct str rest;
	uint64_t when;

	if (cursor_take_nocase(&c, STR("role "))) {
		rest = (struct str){ c.p, cursor_left(&c) };
		for (size_t i = ROLE_PRIMARY; i < ARRAY_LEN(NAMES); i++)
			if (str_eq(rest, str_from(NAMES[i])))
				out->kind = (enum role_kind)i;
		return out->kind != ROLE_NONE;
	}
	if (cursor_take_nocase(&c, STR("boot "))) {
		if (cursor_left(&c) >= ROLE_BOOT_BYTES ||
		    memchr(c.p, '\0', cursor_left(&c)) != NULL)
			return false;
		memcpy(out->boot, c.p, cursor_left(&c));
		out->boot[cursor_left(&c)] = '\0';
		return true;
	}
	if (cursor_take_nocase(&c, STR("since "))) {
		if (!cursor_take_u64(&c, &when) || !cursor_at_end(&c) || when > INT64_MAX)
			return false;
		out->since_s = (int64_t)when;
	}
	return true; /* a line of a later version */
}

bool
role_parse(struct str text, struct role *role_out)
{
	struct cursor c = cursor_from(text);
	struct str line;

	*role_out = (struct role){ 0 };
	if (!cursor_take_line(&c, &line) || !str_eq(line, STR(FIRST_LINE)))
		return false;
	while (cursor_take_line(&c, &line)) {
		if (str_eq(line, STR("end")))
			return role_out->kind != ROLE_NONE;
		if (!parse_line(cursor_from(line), role_out))
			return false;
	}
	return false;
}

/* --- the file ----------------------------------------------------------------------------------- */

enum store_err
role_read(const char *mail_root, struct role *role_out)
{
	int fd = open(mail_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct buf text = { 0 };
	enum store_err err;

	*role_out = (struct role){ 0 };
	if (fd < 0)
		return STORE_OK; /* whoever needs it says so */
	err = dir_read_file(fd, ROLE_FILE, FILE_MAX_BYTES, &text);
	close(fd);
	if ((err == STORE_OK && !role_parse((struct str){ text.data, text.len }, role_out)) ||
	    (err != STORE_OK && err != STORE_NOT_FOUND)) {
		*role_out = (struct role){ .kind = ROLE_RETIRED };
		err = STORE_CORRUPT;
	}
	buf_free(&text);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

static void
boot_now(char out[ROLE_BOOT_BYTES])
{
	FILE *f = fopen(BOOT_ID, "re");

	out[0] = '\0';
	if (f == NULL)
		return;
	if (fgets(out, ROLE_BOOT_BYTES, f) == NULL)
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	fclose(f);
}

enum store_err
role_write(const char *mail_root, enum role_kind kind)
{
	struct role role = { .kind = kind, .since_s = time(NULL) };
	struct buf text = { 0 };
	int fd = open(mail_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum store_err err;

	if (fd < 0)
		return STORE_NOT_FOUND;
	boot_now(role.boot);
	role_format(&text, &role);
	err = dir_replace_file(fd, ROLE_FILE, (struct str){ text.data, text.len }, true);
	close(fd);
	buf_free(&text);
	return err;
}

bool
role_is_of_this_boot(const struct role *role)
{
	char now[ROLE_BOOT_BYTES];

	boot_now(now);
	return strcmp(role->boot, now) == 0;
}

const char *
role_problem(const char *mail_root)
{
	struct role role;

	if (role_read(mail_root, &role) != STORE_OK)
		return "sanger-role in the mail root cannot be read; mailadmin standby status";
	switch (role.kind) {
	case ROLE_NONE: return NULL;
	case ROLE_PRIMARY:
		return role_is_of_this_boot(&role)
			   ? NULL
			   : "this host had a standby, which may have become the primary while it "
			     "was down; mailadmin promote makes sure";
	case ROLE_PROMOTING: return "mailadmin promote was not finished; give it again";
	case ROLE_RETIRED: break;
	}
	return "another host is the primary now; see doc/failover.md";
}
