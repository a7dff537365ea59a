/* account import-passwd: accounts and their passwords from a Dovecot passwd-file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/account_sheet.h"
#include "admin/commands.h"
#include "admin/filter_tools.h"
#include "admin/passwd_file.h"
#include "admin/progress.h"
#include "base/mem.h"

#define SCHEME_DEFAULT "CRYPT" /* as with Dovecot's passdb passwd-file */

struct import {
	struct sheet *sheet;
	const char *scheme;
	struct str domain; /* --domain */
	bool ignore;       /* --ignore-fields */
	size_t passed_over;
};

/* They narrow who may log in, from where or how: dropping one would open a door that was shut. */
static const char *const NARROWING[] = { "nologin", "allow_nets", "allow_real_nets", "nopassword",
	"proxy", "proxy_maybe", "host", "master", "deny", "user", "login_user", "reason" };

static bool
is_narrowing(struct str key)
{
	for (size_t i = 0; i < ARRAY_LEN(NARROWING); i++)
		if (str_eq_nocase(key, str_from(NARROWING[i])))
			return true;
	return false;
}

static bool
is_quota(struct str key)
{
	return str_eq_nocase(key, STR("userdb_quota_rule")) ||
	       str_eq_nocase(key, STR("quota_rule"));
}

static void
take_quota(struct import *im, struct sheet_row *row, struct str rule)
{
	uint64_t bytes, messages;

	if (!passwd_quota_rule(rule, &bytes, &messages)) {
		sheet_mistake(im->sheet, row->line, "quota rule %.*s is not understood",
		    (int)rule.len, rule.p);
		return;
	}
	row->has_quota = true;
	row->quota_kb = (bytes + 1023) / 1024;
	if (messages == 0)
		return;
	row->limits.messages_max = (int64_t)messages;
	row->limits_given |= 1; /* messages_max is the first column */
}

static void
take_extra(struct import *im, struct sheet_row *row, struct str extra)
{
	struct cursor c = cursor_from(extra);
	struct str key, value;

	while (passwd_extra_next(&c, &key, &value)) {
		if (is_quota(key) && value.p != NULL)
			take_quota(im, row, value);
		else if (is_narrowing(key) && !im->ignore)
			sheet_mistake(im->sheet, row->line,
			    "%.*s narrows who may log in, which cannot be taken over; "
			    "--ignore-fields drops it",
			    (int)key.len, key.p);
		else
			im->passed_over++;
	}
}

/* The name of gecos, before its first comma. */
static struct str
name_of(struct str gecos)
{
	const char *comma = gecos.len > 0 ? memchr(gecos.p, ',', gecos.len) : NULL;

	return comma != NULL ? (struct str){ gecos.p, (size_t)(comma - gecos.p) } : gecos;
}

static void
read_line(struct import *im, struct str line, size_t number)
{
	struct passwd_line p;
	struct sheet_row *row;

	if (!passwd_line_split(line, &p))
		return;
	row = sheet_add(im->sheet, number);
	if (row == NULL)
		return;
	if (memchr(line.p, '\0', line.len) != NULL || !text_is_utf8(line)) {
		sheet_mistake(im->sheet, number, "not UTF-8, or a NUL byte");
		return;
	}
	sheet_set_address(im->sheet, row, p.user, im->domain);
	sheet_set_password(im->sheet, row, p.password, im->scheme);
	sheet_set_realname(im->sheet, row, name_of(p.gecos));
	take_extra(im, row, p.extra);
}

static enum admin_status
apply(struct admin *a, struct import *im, struct str text)
{
	struct cursor c = cursor_from(text);
	struct progress *progress;
	enum admin_status status;
	struct str line;
	size_t number = 0;

	im->sheet = sheet_new(a->args[0]);
	progress = progress_begin("Reading", text.len); /* checking hashes lasts */
	sheet_progress(im->sheet, progress);
	while (cursor_take_line(&c, &line)) {
		read_line(im, line, ++number);
		progress_step(progress, text.len - cursor_left(&c));
	}
	sheet_progress(im->sheet, NULL);
	progress_end(progress);
	status = sheet_apply(a, im->sheet);
	if (im->passed_over > 0)
		fprintf(stderr,
		    "%zu extra fields mean nothing here (uid, home, mail and the like) and were "
		    "passed over.\n",
		    im->passed_over);
	sheet_free(im->sheet);
	return status;
}

static enum admin_status
import_run(struct admin *a)
{
	const char *domain = admin_option(a, "--domain"), *scheme = admin_option(a, "--scheme");
	struct import im = { .scheme = scheme != NULL ? scheme : SCHEME_DEFAULT,
		.domain = domain != NULL ? str_from(domain) : STR(""),
		.ignore = admin_option(a, "--ignore-fields") != NULL };
	struct buf text = { 0 };
	enum admin_status status = ADMIN_REFUSED;

	if (filter_input(a->args[0], SHEET_BYTES_MAX, &text) && admin_start(a))
		status = apply(a, &im, (struct str){ text.data, text.len });
	if (text.data != NULL)
		mem_wipe(text.data, text.cap);
	buf_free(&text);
	return status;
}

const struct admin_command admin_cmd_account_import_passwd = {
	.group = "account",
	.name = "import-passwd",
	.args = "FILE",
	.args_least = 1,
	.args_most = 1,
	.options = { SHEET_OPTIONS, { "--domain", "DOMAIN", "of users without one" },
	    { "--scheme", "SCHEME", "of passwords without {SCHEME}; default: CRYPT" },
	    { "--ignore-fields", NULL, "drop fields like nologin and allow_nets" } },
	.summary = "Adds and changes accounts by a Dovecot passwd-file.",
	.help = "Passwords stay as they are: nobody has to choose a new one.  The name comes from "
		"gecos,\nthe quota from userdb_quota_rule.  Fields that narrow who may log in are "
		"mistakes, unless\n--ignore-fields drops them; uid, gid and home mean nothing "
		"here.  All mistakes are named;\nwith one of them nothing is changed.",
	.example = "mailadmin account import-passwd /etc/dovecot/users --domain example.org "
		   "--dry-run",
	.before_config = true,
	.run = import_run,
};
