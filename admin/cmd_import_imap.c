/* import imap: an account's mail, or that of many, from another IMAP server. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/import_imap.h"
#include "admin/output.h"
#include "admin/password_input.h"
#include "admin/progress.h"
#include "base/csv.h"
#include "base/mem.h"
#include "net/addr.h"
#include "net/tls.h"

#define CSV_FILE_MAX_BYTES (16u << 20)
#define JOBS_DEFAULT       4
#define JOBS_MAX           64
#define SILENCE_S          300 /* some servers think long about a large mailbox */
#define PORT_IMAPS         993
#define PORT_IMAP          143

/* One account that is to be brought here. */
struct target {
	char *address, *user, *password; /* password: of the user, or of --master-user */
	char *host;
	uint16_t port;
	size_t line; /* of the CSV file */
};
struct work {
	struct admin *a;
	struct target *targets;
	size_t count;
	struct net_tls *tls;
	enum imap_tls mode;
	const char *only[ADMIN_ARGS_MAX], *except[ADMIN_ARGS_MAX];
	size_t only_count, except_count;
	bool dry_run;
	json_t *accounts; /* what became of each */
};

static void
target_clear(struct target *t)
{
	if (t->password != NULL)
		mem_wipe(t->password, strlen(t->password));
	free(t->address);
	free(t->user);
	free(t->password);
	free(t->host);
}

/* --- where from --------------------------------------------------------------------------------- */

static bool
parse_host(const char *text, uint16_t default_port, struct target *t)
{
	struct net_endpoint end;

	if (!net_endpoint_parse(str_from(text), default_port, &end) || end.kind != NET_TCP ||
	    strcmp(end.host, "*") == 0)
		return false;
	free(t->host);
	t->host = mem_strdup(end.host);
	t->port = end.port;
	return true;
}

static enum admin_status
parse_mode(struct work *w)
{
	const char *text = admin_option(w->a, "--tls");

	if (text == NULL || strcmp(text, "implicit") == 0)
		w->mode = IMAP_TLS_IMPLICIT;
	else if (strcmp(text, "starttls") == 0)
		w->mode = IMAP_TLS_STARTTLS;
	else if (strcmp(text, "none") == 0)
		w->mode = IMAP_TLS_NONE;
	else
		return admin_bad_usage(w->a, "--tls is implicit, starttls or none");
	return ADMIN_DONE;
}

static uint16_t
default_port(const struct work *w)
{
	return w->mode == IMAP_TLS_IMPLICIT ? PORT_IMAPS : PORT_IMAP;
}

/* Made by the process that uses it. */
static bool
make_tls(struct work *w)
{
	const char *fingerprint = admin_option(w->a, "--fingerprint");
	struct net_tls_client_spec spec = { .verify = NET_TLS_CA,
		.ca_file = admin_option(w->a, "--ca") };

	if (fingerprint != NULL) {
		spec.verify = NET_TLS_FINGERPRINT;
		spec.fingerprints = &fingerprint;
		spec.fingerprint_count = 1;
	}
	if (w->mode == IMAP_TLS_NONE)
		return true;
	w->tls = net_tls_client_new(&spec, w->a->log);
	if (w->tls == NULL)
		admin_refuse("%s cannot be used",
		    fingerprint != NULL ? "--fingerprint" : "the certificates of --ca");
	return w->tls != NULL;
}

/* --- who ---------------------------------------------------------------------------------------- */

/* A file that only the one who typed the command may be able to read: before we become server.user. */
static bool
read_secret_file(const char *path, struct buf *out)
{
	int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? 1 : -1;

	while (n > 0 && out->len <= CSV_FILE_MAX_BYTES) {
		buf_reserve(out, 65536);
		n = read(fd, out->data + out->len, 65536);
		if (n > 0)
			out->len += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	if (n < 0)
		admin_refuse("%s: %s", path, strerror(errno));
	else if (out->len > CSV_FILE_MAX_BYTES)
		admin_refuse("%s: more than %u MB", path, CSV_FILE_MAX_BYTES >> 20);
	if (fd > STDIN_FILENO)
		close(fd);
	return n == 0;
}

static enum admin_status
read_password(struct work *w, char **password_out)
{
	const char *path = admin_option(w->a, "--password-file");
	enum admin_status status;
	int fd = -1;

	if (path != NULL && admin_option(w->a, "--password-stdin") != NULL)
		return admin_bad_usage(
		    w->a, "--password-file and --password-stdin exclude each other");
	if (path != NULL) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return admin_refuse("%s: %s", path, strerror(errno));
	}
	status = known_password_read(w->a, fd, password_out);
	if (fd >= 0)
		close(fd);
	return status;
}

static struct target *
add_target(struct work *w)
{
	w->targets = mem_realloc_array(w->targets, w->count + 1, sizeof(*w->targets));
	w->targets[w->count] = (struct target){ 0 };
	return &w->targets[w->count++];
}

/* ADDRESS --from HOST --user U */
static enum admin_status
one_target(struct work *w)
{
	const char *from = admin_option(w->a, "--from"), *user = admin_option(w->a, "--user");
	struct target *t;

	if (from == NULL)
		return admin_bad_usage(w->a, "--from is needed: the server that has the mail now");
	t = add_target(w);
	t->address = mem_strdup(w->a->args[0]);
	t->user = mem_strdup(user != NULL ? user : w->a->args[0]);
	if (!parse_host(from, default_port(w), t))
		return admin_bad_usage(w->a, "--from %s: HOST or HOST:PORT is needed", from);
	return read_password(w, &t->password);
}

/* --- the CSV file ------------------------------------------------------------------------------- */

enum column {
	COLUMN_ADDRESS,
	COLUMN_USER,
	COLUMN_PASSWORD,
	COLUMN_HOST,
	COLUMN_PORT,
	COLUMN_COUNT
};
static const char *const COLUMNS[COLUMN_COUNT] = { "address", "user", "password", "host", "port" };

static enum admin_status
read_header(const struct csv *csv, const char *path, size_t at[static COLUMN_COUNT])
{
	for (size_t c = 0; c < COLUMN_COUNT; c++)
		at[c] = SIZE_MAX;
	for (size_t i = 0; i < csv->count; i++) {
		size_t c = 0;

		while (c < COLUMN_COUNT &&
		       !str_eq_nocase(str_trim(csv->fields[i]), str_from(COLUMNS[c])))
			c++;
		if (c == COLUMN_COUNT)
			return admin_refuse(
			    "%s: line 1: there is no column %.*s, only address, user, "
			    "password, host, port",
			    path, (int)csv->fields[i].len, csv->fields[i].p);
		if (at[c] != SIZE_MAX)
			return admin_refuse("%s: line 1: column %s stands twice", path, COLUMNS[c]);
		at[c] = i;
	}
	if (at[COLUMN_ADDRESS] == SIZE_MAX)
		return admin_refuse("%s: line 1: the column address is missing", path);
	return ADMIN_DONE;
}

/* NULL: no such column, or nothing in it. */
static char *
field(const struct csv *csv, size_t at)
{
	if (at == SIZE_MAX || csv->fields[at].len == 0)
		return NULL;
	return mem_strndup(csv->fields[at].p, csv->fields[at].len);
}

static enum admin_status
take_record(struct work *w, const struct csv *csv, const char *path, const size_t at[COLUMN_COUNT],
    const char *password)
{
	const char *from = admin_option(w->a, "--from");
	struct target *t = add_target(w);
	char *host = field(csv, at[COLUMN_HOST]), *port = field(csv, at[COLUMN_PORT]);
	enum admin_status status = ADMIN_DONE;
	uint64_t number = 0;

	t->line = csv->line;
	t->address = field(csv, at[COLUMN_ADDRESS]);
	t->user = field(csv, at[COLUMN_USER]);
	t->password = password != NULL ? mem_strdup(password) : field(csv, at[COLUMN_PASSWORD]);
	if (t->address == NULL)
		status = admin_refuse("%s: line %zu: there is no address", path, csv->line);
	else if (t->password == NULL)
		status = admin_refuse("%s: line %zu: there is no password", path, csv->line);
	else if (host == NULL && from == NULL)
		status =
		    admin_refuse("%s: line %zu: there is no host, and no --from", path, csv->line);
	else if (!parse_host(host != NULL ? host : from, default_port(w), t))
		status = admin_refuse(
		    "%s: line %zu: %s is no host", path, csv->line, host != NULL ? host : from);
	else if (port != NULL && (!text_u64(str_from(port), UINT16_MAX, &number) || number == 0))
		status = admin_refuse("%s: line %zu: %s is no port", path, csv->line, port);
	if (number != 0)
		t->port = (uint16_t)number;
	if (t->user == NULL && t->address != NULL)
		t->user = mem_strdup(t->address);
	free(host);
	free(port);
	return status;
}

static enum admin_status
read_records(struct work *w, const char *path, struct str text, const char *password)
{
	struct csv csv;
	size_t at[COLUMN_COUNT];
	enum admin_status status;
	enum csv_result got;

	csv_begin(&csv, text);
	got = csv_next(&csv);
	status = got == CSV_RECORD ? read_header(&csv, path, at) : ADMIN_DONE;
	while (status == ADMIN_DONE && got == CSV_RECORD) {
		got = csv_next(&csv);
		if (got == CSV_RECORD)
			status = take_record(w, &csv, path, at, password);
	}
	if (status == ADMIN_DONE && got == CSV_BAD)
		status = admin_refuse("%s: line %zu: %s", path, csv.line, csv.why);
	else if (status == ADMIN_DONE && w->count == 0)
		status = admin_refuse("%s: there is no account in it", path);
	csv_end(&csv);
	return status;
}

/* Two at once into one account would stand in each other's way. */
static enum admin_status
refuse_doubles(const struct work *w, const char *path)
{
	for (size_t i = 0; i < w->count; i++)
		for (size_t k = 0; k < i; k++)
			if (ascii_eq_nocase(w->targets[i].address, w->targets[k].address))
				return admin_refuse("%s: line %zu: %s stands in line %zu too", path,
				    w->targets[i].line, w->targets[i].address, w->targets[k].line);
	return ADMIN_DONE;
}

static enum admin_status
csv_targets(struct work *w)
{
	const char *path = admin_option(w->a, "--accounts");
	struct buf text = { 0 };
	char *password = NULL;
	enum admin_status status = ADMIN_DONE;

	if (admin_option(w->a, "--user") != NULL)
		return admin_bad_usage(w->a, "--user belongs into the column user of %s", path);
	if (admin_option(w->a, "--master-user") != NULL)
		status = read_password(w, &password);
	if (status == ADMIN_DONE && !read_secret_file(path, &text))
		status = ADMIN_REFUSED;
	if (status == ADMIN_DONE)
		status = read_records(w, path, (struct str){ text.data, text.len }, password);
	if (status == ADMIN_DONE)
		status = refuse_doubles(w, path);
	if (password != NULL)
		mem_wipe(password, strlen(password));
	free(password);
	mem_wipe(text.data, text.len);
	buf_free(&text);
	return status;
}

/* --- doing it ----------------------------------------------------------------------------------- */

static json_t *
account_result(const struct target *t, struct import_report *report, bool done)
{
	static const char *const SUMS[] = { "messages", "imported", "flags", "expunged", "failed" };
	json_t *result = json_pack("{so ss so so}", "address", output_string(t->address), "status",
	    !done            ? "failed"
	    : report->failed ? "incomplete"
			     : "done",
	    "mailboxes", report->rows, "errors", report->errors);
	json_t *row;
	size_t i;

	for (size_t s = 0; s < ARRAY_LEN(SUMS); s++) {
		json_int_t sum = 0;

		json_array_foreach(report->rows, i, row) sum +=
		    json_integer_value(json_object_get(row, SUMS[s]));
		json_object_set_new(result, SUMS[s], json_integer(sum));
	}
	return result;
}

/* Never NULL. */
static json_t *
import_target(struct work *w, const struct target *t, bool show_progress)
{
	struct import_imap what = { .address = t->address,
		.client = { .host = t->host,
		    .port = t->port,
		    .mode = w->mode,
		    .tls = w->tls,
		    .user = t->user,
		    .password = t->password,
		    .master = admin_option(w->a, "--master-user"),
		    .silence_s = SILENCE_S },
		.only = w->only,
		.except = w->except,
		.only_count = w->only_count,
		.except_count = w->except_count,
		.dry_run = w->dry_run,
		.keep_expunged = admin_option(w->a, "--keep-expunged") != NULL,
		.show_progress = show_progress,
		.log = w->a->log };
	struct import_report report = { json_array(), json_array(), true };
	struct account_row row = { 0 };
	struct account *mail = NULL;
	bool done = false;

	if (admin_find_account(w->a, t->address, &row) && admin_open_mail(w->a, &row, &mail)) {
		json_decref(report.rows);
		json_decref(report.errors);
		done = import_imap(mail, &what, &report);
	}
	account_close(mail);
	account_row_free(&row);
	return account_result(t, &report, done);
}

static bool
is_done(const json_t *result)
{
	const char *status = json_string_value(json_object_get(result, "status"));

	return status != NULL && strcmp(status, "done") == 0;
}

/* --- several at once: a process for each, so that none can disturb another ----------------------- */

struct child {
	pid_t pid; /* 0: free */
	int fd;
	const struct target *target;
	struct buf text; /* its result as JSON */
};

static void __attribute__((noreturn)) run_child(struct work *w, const struct target *t, int fd)
{
	json_t *result = NULL;
	bool done = false;

	prctl(PR_SET_PDEATHSIG, SIGTERM); /* who starts the command anew finds none at work */
	if (make_tls(w)) {
		result = import_target(w, t, false);
		done = json_dumpfd(result, fd, JSON_COMPACT) == 0 && is_done(result);
	}
	json_decref(result);
	net_tls_free(w->tls);
	if (w->a->store != NULL)
		store_close(w->a->store);
	account_db_close(w->a->accounts);
	_exit(done ? 0 : 1);
}

static bool
start_child(struct work *w, struct child *c, const struct target *t)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return false;
	fflush(NULL);
	c->pid = fork();
	if (c->pid == 0) {
		close(fds[0]);
		run_child(w, t, fds[1]);
	}
	close(fds[1]);
	if (c->pid < 0) {
		close(fds[0]);
		c->pid = 0;
		return false;
	}
	c->fd = fds[0];
	c->target = t;
	buf_reset(&c->text);
	return true;
}

static json_t *
failed_result(const struct target *t, const char *why)
{
	struct import_report report = { json_array(), json_array(), true };

	admin_refuse("%s: %s", t->address, why);
	json_array_append_new(report.errors, json_string(why));
	return account_result(t, &report, false);
}

static void
end_child(struct work *w, struct child *c)
{
	json_t *result = json_loadb(c->text.data != NULL ? c->text.data : "", c->text.len, 0, NULL);
	int status = 0;

	close(c->fd);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (result == NULL)
		result = failed_result(
		    c->target, WIFSIGNALED(status) ? "its process was killed; run the command again"
						   : "it could not be started");
	json_array_append_new(w->accounts, result);
	c->pid = 0;
}

static void
read_children(struct work *w, struct child *children, size_t count)
{
	struct pollfd fds[JOBS_MAX];
	char bytes[4096];

	for (size_t i = 0; i < count; i++)
		fds[i] = (struct pollfd){ children[i].pid != 0 ? children[i].fd : -1, POLLIN, 0 };
	if (poll(fds, count, -1) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		ssize_t n;

		if (children[i].pid == 0 || fds[i].revents == 0)
			continue;
		n = read(children[i].fd, bytes, sizeof(bytes));
		if (n > 0)
			buf_add(&children[i].text, bytes, (size_t)n);
		else if (n == 0 || errno != EINTR)
			end_child(w, &children[i]);
	}
}

static void
import_many(struct work *w, size_t jobs)
{
	struct child children[JOBS_MAX] = { 0 };
	struct progress *progress = progress_begin("Accounts", w->count);
	size_t next = 0;

	while (next < w->count || json_array_size(w->accounts) < w->count) {
		for (size_t i = 0; i < jobs && next < w->count; i++) {
			if (children[i].pid != 0)
				continue;
			if (!start_child(w, &children[i], &w->targets[next]))
				json_array_append_new(
				    w->accounts, failed_result(&w->targets[next], strerror(errno)));
			next++;
		}
		if (json_array_size(w->accounts) < w->count)
			read_children(w, children, jobs);
		progress_step(progress, json_array_size(w->accounts));
	}
	progress_end(progress);
	for (size_t i = 0; i < jobs; i++)
		buf_free(&children[i].text);
}

/* --- what is printed ---------------------------------------------------------------------------- */

static const struct output_column MAILBOX_COLUMNS[] = {
	{ "mailbox", "MAILBOX", OUTPUT_TEXT },
	{ "local", "HERE", OUTPUT_TEXT },
	{ "messages", "THERE", OUTPUT_TEXT },
	{ "already", "ALREADY", OUTPUT_TEXT },
	{ "imported", "IMPORTED", OUTPUT_TEXT },
	{ "flags", "FLAGS", OUTPUT_TEXT },
	{ "expunged", "EXPUNGED", OUTPUT_TEXT },
	{ "failed", "FAILED", OUTPUT_TEXT },
	{ "uids", "UIDS", OUTPUT_TEXT },
	{ "note", "NOTE", OUTPUT_TEXT },
};
static const struct output_column ACCOUNT_COLUMNS[] = {
	{ "address", "ADDRESS", OUTPUT_TEXT },
	{ "status", "STATUS", OUTPUT_TEXT },
	{ "messages", "THERE", OUTPUT_TEXT },
	{ "imported", "IMPORTED", OUTPUT_TEXT },
	{ "flags", "FLAGS", OUTPUT_TEXT },
	{ "expunged", "EXPUNGED", OUTPUT_TEXT },
	{ "failed", "FAILED", OUTPUT_TEXT },
};

static bool
print_results(struct work *w, bool several)
{
	json_t *rows;

	if (w->a->json || several)
		return output_list(json_incref(w->accounts), ACCOUNT_COLUMNS,
		    ARRAY_LEN(ACCOUNT_COLUMNS), w->a->json);
	rows = json_object_get(json_array_get(w->accounts, 0), "mailboxes");
	return output_list(
	    json_incref(rows), MAILBOX_COLUMNS, ARRAY_LEN(MAILBOX_COLUMNS), w->a->json);
}

static enum admin_status
run_all(struct work *w, bool several, size_t jobs)
{
	enum admin_status status = ADMIN_DONE;
	const json_t *result;
	size_t i;

	w->accounts = json_array();
	if (several) {
		import_many(w, jobs);
	} else {
		if (!make_tls(w))
			return ADMIN_REFUSED;
		json_array_append_new(w->accounts, import_target(w, &w->targets[0], true));
	}
	json_array_foreach(w->accounts, i, result) if (!is_done(result)) status = ADMIN_REFUSED;
	return print_results(w, several) ? status : ADMIN_REFUSED;
}

static enum admin_status
parse_jobs(const struct admin *a, size_t *jobs_out)
{
	const char *text = admin_option(a, "--jobs");
	uint64_t jobs = JOBS_DEFAULT;

	if (text != NULL && (!text_u64(str_from(text), JOBS_MAX, &jobs) || jobs == 0))
		return admin_bad_usage(a, "--jobs is a number from 1 to %d", JOBS_MAX);
	*jobs_out = (size_t)jobs;
	return ADMIN_DONE;
}

static enum admin_status
import_run(struct admin *a)
{
	struct work w = { .a = a, .dry_run = admin_option(a, "--dry-run") != NULL };
	bool several = admin_option(a, "--accounts") != NULL;
	size_t jobs = JOBS_DEFAULT;
	enum admin_status status = parse_mode(&w);

	if (status == ADMIN_DONE)
		status = parse_jobs(a, &jobs);
	if (status == ADMIN_DONE && several == (a->arg_count == 1))
		status = admin_bad_usage(a, "either ADDRESS or --accounts FILE is needed");
	w.only_count = admin_option_all(a, "--mailbox", w.only);
	w.except_count = admin_option_all(a, "--exclude", w.except);
	signal(SIGPIPE, SIG_IGN); /* a server that is gone is an error, not the end */
	if (status == ADMIN_DONE)
		status = several ? csv_targets(&w) : one_target(&w);
	if (status == ADMIN_DONE && !admin_start(a))
		status = ADMIN_REFUSED;
	if (status == ADMIN_DONE)
		status = run_all(&w, several, jobs);
	for (size_t i = 0; i < w.count; i++)
		target_clear(&w.targets[i]);
	free(w.targets);
	json_decref(w.accounts);
	net_tls_free(w.tls);
	return status;
}

const struct admin_command admin_cmd_import_imap = {
	.group = "import",
	.name = "imap",
	.args = "[ADDRESS]",
	.args_least = 0,
	.args_most = 1,
	.options = {
	    { "--from", "HOST[:PORT]", "the server that has the mail now" },
	    { "--user", "NAME", "the user's name there; else ADDRESS" },
	    { "--password-file", "FILE", "its first line is the password there" },
	    { "--password-stdin", NULL, "read the password there from standard input, one line" },
	    { "--master-user", "NAME", "who logs in for the user, with a password of his own" },
	    { "--tls", "implicit|starttls|none", "none only if the server is this machine" },
	    { "--ca", "FILE", "certificates to trust instead of the system's, PEM" },
	    { "--fingerprint", "FINGERPRINT", "SHA-256 of the server's certificate or key: trust that" },
	    { "--mailbox", "GLOB...", "only this mailbox, or those that fit" },
	    { "--exclude", "GLOB...", "not this mailbox, nor those that fit" },
	    { "--keep-expunged", NULL, "what was expunged there since stays here" },
	    { "--accounts", "CSV", "many accounts: columns address, user, password, host, port" },
	    { "--jobs", "N", "so many accounts at once, default 4" },
	    { "--dry-run", NULL, "look, and say what would be done" },
	    { "--json", NULL, "as JSON: accounts with their mailboxes and errors" },
	},
	.summary = "Brings mail from another IMAP server, again and again until the switch.",
	.help = "Folders, flags, keywords, dates, subscriptions and special uses come along; so do "
		"UIDs where a\nmailbox is empty here, and clients do not load it again.  Each further "
		"run brings what is new,\nchanges of flags, and expunges of what was not changed here. "
		" It may be killed at any time;\nthe next run goes on.  Nothing changes there.  No quota "
		"stops it.",
	.example = "mailadmin import imap ann@example.org --from old.example.org --password-file pw",
	.before_config = true,
	.run = import_run,
};
