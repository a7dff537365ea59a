/* What promote looks at before it moves anything. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/backup.h"
#include "admin/output.h"
#include "admin/standby.h"
#include "base/mem.h"
#include "service/hostname.h"
#include "store/dir.h"
#include "store/role.h"
#include "store/sql_copy.h"

#define OLD_S      (24 * 60 * 60) /* a copy that nobody expected to be so old */
#define CONFIG_MAX (16 * 1024 * 1024)

void
promote_note(struct promotion *p, const char *status, const char *check, const char *fmt, ...)
{
	struct buf text = { 0 };
	va_list args;

	va_start(args, fmt);
	buf_vprintf(&text, fmt, args);
	va_end(args);
	p->failed = p->failed || strcmp(status, "fail") == 0;
	json_array_append_new(p->findings, json_pack("{ss ss so}", "check", check, "status", status,
					       "text", output_string(buf_cstr(&text))));
	buf_free(&text);
}

/* --- the copy ----------------------------------------------------------------------------------- */

static void
check_copy(struct promotion *p)
{
	int64_t age = (int64_t)time(NULL) - p->facts.began_s;
	char when[64];
	struct tm tm;
	time_t made = (time_t)p->facts.began_s;

	if (p->facts.began_s == 0) {
		promote_note(p, "fail", "copy",
		    "%s/%s is no whole copy; has standby-sync ever come through?", p->dir,
		    STANDBY_CURRENT);
		return;
	}
	localtime_r(&made, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	promote_note(p, age > OLD_S ? "warn" : "ok", "copy",
	    "of %s, %" PRId64 " minutes ago: %" PRIu64 " accounts, %" PRIu64
	    " messages; what came later is on the other host alone",
	    when, age / 60, p->facts.accounts, p->facts.messages);
	if (p->facts.problems > 0)
		promote_note(p, "warn", "copy",
		    "%" PRIu64 " files could not be read when it was made", p->facts.problems);
}

static void
check_database(struct promotion *p, const char *name)
{
	char *path = mem_printf("/proc/self/fd/%d/%s", p->copy_fd, name);
	struct buf problems = { 0 };
	enum store_err err = STORE_OK;

	if (faccessat(p->copy_fd, name, F_OK, 0) != 0) {
		/* moved by a promotion that was stopped, or there is no spool */
		if (!p->resumed && strcmp(name, "user.db") == 0)
			promote_note(p, "fail", name, "it is not in the copy");
		free(path);
		return;
	}
	err = sql_check_file(path, p->a->log, &problems);
	if (err == STORE_OK && problems.len == 0)
		promote_note(p, "ok", name, "sound");
	else
		promote_note(p, "fail", name, "damaged: %s",
		    problems.len > 0 ? buf_cstr(&problems) : store_err_text(err));
	buf_free(&problems);
	free(path);
}

struct counting {
	struct promotion *p;
	int fd;
	const char *domain;
	size_t accounts, unreadable;
	char first[300];
};

static bool
on_account(void *arg, const char *name, unsigned char type)
{
	struct counting *c = arg;
	char *path;
	bool ok;

	if (type != DT_DIR || name[0] == '.')
		return true;
	path = mem_printf("%s/%s/cur", c->domain, name);
	ok = faccessat(c->fd, path, R_OK | W_OK | X_OK, AT_EACCESS) == 0;
	free(path);
	c->accounts++;
	if (!ok && c->unreadable++ == 0)
		snprintf(c->first, sizeof(c->first), "%s/%s", c->domain, name);
	return true;
}

static bool
on_domain(void *arg, const char *name, unsigned char type)
{
	struct counting *c = arg;
	int fd;

	if (type != DT_DIR || name[0] == '.' || dir_open(c->fd, name, &fd) != STORE_OK)
		return true;
	c->domain = name;
	dir_list(fd, on_account, c);
	close(fd);
	return true;
}

static void
check_trees(struct promotion *p)
{
	struct counting c = { .p = p };

	if (dir_open(p->copy_fd, "mail", &c.fd) != STORE_OK) {
		if (!p->resumed && p->facts.accounts > 0)
			promote_note(p, "fail", "mail", "there is no mail in the copy");
		return;
	}
	dir_list(c.fd, on_domain, &c);
	close(c.fd);
	if (c.unreadable > 0)
		promote_note(p, "fail", "mail",
		    "%zu mail trees cannot be used by the daemons' user, the first: %s; chown -R "
		    "them to server.user",
		    c.unreadable, c.first);
	else
		promote_note(p, "ok", "mail", "%zu mail trees", c.accounts);
}

/* --- this host ---------------------------------------------------------------------------------- */

/* Is that process there, and that daemon? */
static bool
is_alive(const char *daemon, uint64_t pid)
{
	char *path = mem_printf("/proc/%" PRIu64 "/comm", pid), line[64] = "";
	FILE *f = fopen(path, "re");

	free(path);
	if (f == NULL)
		return false;
	if (fgets(line, sizeof(line), f) != NULL)
		line[strcspn(line, "\n")] = '\0';
	fclose(f);
	return strcmp(line, daemon) == 0;
}

static void
check_running(struct promotion *p)
{
	static const char *const DAEMONS[] = { "imapd", "submitd", "lda", "managesieved" };
	const char *run_dir = config_string(p->a->config, "server.run_dir");

	for (size_t i = 0; i < ARRAY_LEN(DAEMONS); i++) {
		char *name = mem_printf("%s/%s.pid", run_dir, DAEMONS[i]);
		char *path = realpath(name, NULL);
		struct buf text = { 0 };
		uint64_t pid;

		if (path != NULL && backup_read_path(path, 64, &text) == STORE_OK &&
		    text_u64(str_trim((struct str){ text.data, text.len }), INT32_MAX, &pid) &&
		    is_alive(DAEMONS[i], pid))
			promote_note(p, "fail", "daemons",
			    "%s is running here (pid %" PRIu64 "): stop it", DAEMONS[i], pid);
		buf_free(&text);
		free(path);
		free(name);
	}
}

static bool
on_mail(void *arg, const char *name, unsigned char type)
{
	char *found = arg;

	if (type == DT_DIR && name[0] != '.' && strcmp(name, "lost+found") != 0)
		snprintf(found, 256, "%s", name);
	return found[0] == '\0';
}

/* One without any, as a fresh installation makes it, is set aside. */
static bool
has_accounts(const struct promotion *p, const char *path)
{
	struct account_db *db;
	struct account_row *rows;
	size_t count = 0;

	if (access(path, F_OK) != 0)
		return false;
	if (account_db_open(path, ACCOUNT_DB_READ, p->a->log, &db) != STORE_OK)
		return true; /* whatever it is */
	if (account_db_list(db, NULL, &rows, &count) != STORE_OK)
		count = 1;
	else
		account_rows_free(rows, count);
	account_db_close(db);
	return count > 0;
}

/* What is here already is never mixed with the copy. */
static void
check_room(struct promotion *p)
{
	const char *root = config_string(p->a->config, "store.mail_root");
	const char *db = config_string(p->a->config, "store.account_db");
	char found[256] = "";
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat copy, here;

	if (fd < 0) {
		promote_note(p, "fail", "mail_root", "%s: %s; make it, owned by server.user", root,
		    strerror(errno));
		return;
	}
	if (fstat(fd, &here) == 0 && fstat(p->copy_fd, &copy) == 0 && here.st_dev != copy.st_dev)
		promote_note(p, "fail", "mail_root",
		    "%s and %s are not on one file system: mail is moved by renaming", root,
		    p->dir);
	if (!p->resumed)
		dir_list(fd, on_mail, found);
	close(fd);
	if (found[0] != '\0')
		promote_note(p, "fail", "mail_root",
		    "there is mail in %s already (%s): move it away; it is not mixed with the copy",
		    root, found);
	if (!p->resumed && has_accounts(p, db))
		promote_note(p, "fail", "account_db", "%s has accounts already: move it away", db);
}

static void
check_certificate(struct promotion *p)
{
	const char *path = config_string(p->a->config, "tls.certificate");
	char *host = service_hostname(p->a->config);
	FILE *f = fopen(path, "re");
	X509 *cert = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (cert == NULL)
		promote_note(
		    p, "warn", "certificate", "%s cannot be read: daemons will not start", path);
	else if (X509_check_host(cert, host, 0, 0, NULL) != 1)
		promote_note(p, "warn", "certificate", "%s is not for %s", path, host);
	else if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
		promote_note(p, "warn", "certificate", "%s has expired", path);
	else
		promote_note(p, "ok", "certificate", "for %s", host);
	X509_free(cert);
	if (f != NULL)
		fclose(f);
	free(host);
}

/* The copy has the other host's under its path; it is for people to compare. */
static void
check_config(struct promotion *p)
{
	const char *path = config_file(p->a->config);
	char *real = realpath(path, NULL), *there;
	struct buf ours = { 0 }, theirs = { 0 };

	if (real == NULL)
		return;
	there = mem_printf("config%s", real);
	if (dir_read_file(p->copy_fd, there, CONFIG_MAX, &theirs) != STORE_OK)
		promote_note(p, "warn", "config", "the other host's is not at %s; see %s/%s/config",
		    real, p->dir, STANDBY_CURRENT);
	else if (backup_read_path(real, CONFIG_MAX, &ours) == STORE_OK &&
		 !str_eq(
		     (struct str){ ours.data, ours.len }, (struct str){ theirs.data, theirs.len }))
		promote_note(p, "warn", "config", "differs from the other host's: diff %s %s/%s/%s",
		    real, p->dir, STANDBY_CURRENT, there);
	else
		promote_note(p, "ok", "config", "the same as the other host's");
	buf_free(&ours);
	buf_free(&theirs);
	free(there);
	free(real);
}

void
promote_check(struct promotion *p)
{
	check_copy(p);
	if (p->facts.began_s == 0)
		return;
	check_database(p, "user.db");
	check_database(p, "spool/spool.db");
	check_trees(p);
	check_running(p);
	check_room(p);
	check_certificate(p);
	check_config(p);
}
