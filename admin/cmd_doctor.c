/* doctor: looks at everything an instance needs and says what to do. */
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/doctor.h"
#include "admin/output.h"
#include "base/mem.h"

/* --- findings ----------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 5, 0))) note(struct doctor *d, const char *check,
    const char *status, const char *hint, const char *fmt, va_list args)
{
	struct buf text = { 0 };

	buf_vprintf(&text, fmt, args);
	json_array_append_new(
	    d->findings, json_pack("{ss ss so so}", "check", check, "status", status, "text",
			     output_string(buf_cstr(&text)), "hint", output_string(hint)));
	buf_free(&text);
}

void
doctor_ok(struct doctor *d, const char *check, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	note(d, check, "ok", NULL, fmt, args);
	va_end(args);
}

void
doctor_warn(struct doctor *d, const char *check, const char *hint, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	note(d, check, "warn", hint, fmt, args);
	va_end(args);
}

void
doctor_fail(struct doctor *d, const char *check, const char *hint, const char *fmt, ...)
{
	va_list args;

	d->failed = true;
	va_start(args, fmt);
	note(d, check, "fail", hint, fmt, args);
	va_end(args);
}

/* --- the first two checks: without them there are no others --------------------------------------- */

static bool
check_config(struct doctor *d)
{
	const char *path = d->a->config_path != NULL ? d->a->config_path : CONFIG_DEFAULT_PATH;
	struct buf errors = { 0 };

	d->a->config = config_load(path, &errors);
	if (d->a->config != NULL)
		doctor_ok(d, "config", "%s: all settings are valid", path);
	else /* one per line */
		for (const char *p = buf_cstr(&errors); *p != '\0'; p += strspn(p, "\n")) {
			size_t len = strcspn(p, "\n");

			doctor_fail(d, "config",
			    "mend the line; sanger.conf(5) describes every setting", "%.*s",
			    (int)len, p);
			p += len;
		}
	buf_free(&errors);
	return d->a->config != NULL;
}

static bool
check_user(struct doctor *d)
{
	const char *name = config_string(d->a->config, "server.user");
	const struct passwd *me;

	if (geteuid() != 0) {
		me = getpwuid(geteuid());
		doctor_ok(d, "user", "started by %s: daemons that %s starts run as %s too",
		    me != NULL ? me->pw_name : "an unknown user", me != NULL ? me->pw_name : "it",
		    me != NULL ? me->pw_name : "it");
		return true;
	}
	if (name == NULL || getpwnam(name) == NULL) {
		doctor_fail(d, "user",
		    "useradd --system --shell /usr/sbin/nologin vmail, or name "
		    "another in server.user",
		    "there is no user %s, whom the daemons are to become",
		    name != NULL ? name : "(none)");
		return false;
	}
	if (getpwnam(name)->pw_uid == 0) {
		doctor_fail(d, "user", "set server.user to a user of the mail's own",
		    "the daemons would run as root");
		return false;
	}
	if (!admin_become_user(d->a->config)) {
		doctor_fail(d, "user", "run doctor as root or as that user", "cannot become %s: %s",
		    name, strerror(errno));
		return false;
	}
	doctor_ok(d, "user", "%s exists; all else is looked at with its eyes", name);
	return true;
}

/* --- the report --------------------------------------------------------------------------------- */

static bool
print_report(struct doctor *d)
{
	static const struct output_column COLUMNS[] = { { "text", "", OUTPUT_TEXT } };
	size_t i, warnings = 0, failures = 0;
	json_t *f;

	if (d->a->json)
		return output_list(d->findings, COLUMNS, 1, true);
	json_array_foreach(d->findings, i, f)
	{
		const char *status = json_string_value(json_object_get(f, "status"));
		const char *hint = json_string_value(json_object_get(f, "hint"));

		printf("%-5s %-17s ", status, json_string_value(json_object_get(f, "check")));
		output_text(json_string_value(json_object_get(f, "text")));
		putchar('\n');
		if (hint != NULL)
			printf("%23s => %s\n", "", hint);
		warnings += strcmp(status, "warn") == 0;
		failures += strcmp(status, "fail") == 0;
	}
	printf("\n%zu checks: %zu failed, %zu warnings\n", json_array_size(d->findings), failures,
	    warnings);
	json_decref(d->findings);
	return fflush(stdout) == 0;
}

static enum admin_status
doctor_run(struct admin *a)
{
	static void (*const CHECKS[])(struct doctor *) = { doctor_paths, doctor_tls,
		doctor_accounts, doctor_mail, doctor_filters, doctor_spool, doctor_doors,
		doctor_clients, doctor_relay, doctor_publish, doctor_cleanup, doctor_standby,
		doctor_backup, doctor_system };
	struct doctor d = { .a = a, .findings = json_array() };

	if (check_config(&d) && check_user(&d))
		for (size_t i = 0; i < ARRAY_LEN(CHECKS); i++)
			CHECKS[i](&d);
	return print_report(&d) && !d.failed ? ADMIN_DONE : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_doctor = {
	.group = "doctor",
	.args = "",
	.options = { { "--json", NULL, "as JSON: check, status (ok, warn, fail), text, hint" } },
	.summary = "Checks everything an instance needs and says what to do.",
	.help =
	    "Configuration, user, permissions, certificates, account database, mail trees, "
	    "filters, spool, "
	    "ports,\nrelay, disk space and kernel.  Exit status 1 if anything failed; warnings are "
	    "0.",
	.example = "mailadmin -c /srv/mail/sanger.conf doctor",
	.before_config = true,
	.run = doctor_run,
};
