/* arf: feedback reports of other providers, a line each. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/arf.h"
#include "admin/commands.h"
#include "admin/output.h"
#include "admin/read_all.h"
#include "base/mem.h"
#include "store/dir.h"
#include "store/mailbox.h"

static const struct output_column COLUMNS[] = {
	{ "type", "TYPE", OUTPUT_TEXT },
	{ "date", "DATE", OUTPUT_TEXT },
	{ "recipient", "RECIPIENT", OUTPUT_TEXT },
	{ "message_id", "MESSAGE-ID", OUTPUT_TEXT },
	{ "from", "FROM", OUTPUT_TEXT },
	{ "subject", "SUBJECT", OUTPUT_TEXT },
	{ "source_ip", "SOURCE", OUTPUT_TEXT },
	{ "reporter", "REPORTER", OUTPUT_TEXT },
};

struct reading {
	struct admin *a;
	struct output_stream *out;
	size_t others;  /* messages that are no reports */
	bool failed;    /* something could not be read */
	struct buf buf; /* the message at hand */
};

static void
print_report(struct reading *r, const struct arf_report *report, const char *where)
{
	output_stream_row(r->out,
	    json_pack("{so so so so so so so so so so so so so}", "type",
		output_string(report->type), "date", output_string(report->date), "recipient",
		output_string(report->recipient), "message_id", output_string(report->message_id),
		"from", output_string(report->from), "subject", output_string(report->subject),
		"source_ip", output_string(report->source_ip), "reporter",
		output_string(report->reporter), "sender", output_string(report->sender),
		"arrival_date", output_string(report->arrival_date), "user_agent",
		output_string(report->user_agent), "incidents", output_string(report->incidents),
		"where", output_string(where)));
}

/* One message; what is not a whole report is named and passed over. */
static void
read_fd(struct reading *r, int fd, const char *where)
{
	struct arf_report report;
	ssize_t n = 1;

	buf_reset(&r->buf);
	while (n > 0 && r->buf.len < ARF_MESSAGE_MAX_BYTES) {
		buf_reserve(&r->buf, 64 * 1024);
		n = read(fd, r->buf.data + r->buf.len, 64 * 1024);
		if (n > 0)
			r->buf.len += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	if (n < 0) {
		admin_refuse("%s: %s", where, strerror(errno));
		r->failed = true;
		return;
	}
	switch (arf_read((struct str){ r->buf.data, r->buf.len }, &report)) {
	case ARF_OK: print_report(r, &report, where); break;
	case ARF_NONE: r->others++; break;
	case ARF_BROKEN:
		admin_refuse("%s: a feedback report without Feedback-Type, passed over", where);
		break;
	}
	arf_report_free(&report);
}

/* --- files and directories ----------------------------------------------------------------------- */

static void
read_path(struct reading *r, int at_fd, const char *name, const char *where)
{
	int fd = openat(at_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0) {
		admin_refuse("%s: %s", where, strerror(errno));
		r->failed = true;
		return;
	}
	read_fd(r, fd, where);
	close(fd);
}

struct directory {
	struct reading *r;
	const char *path;
	int fd;
};

static bool
on_file(void *arg, const char *name, unsigned char type)
{
	struct directory *d = arg;
	char *where;

	if (type != DT_REG || name[0] == '.')
		return true;
	where = mem_printf("%s/%s", d->path, name);
	read_path(d->r, d->fd, name, where);
	free(where);
	return true;
}

/* A Maildir's messages, or the files of any other directory. */
static void
read_directory(struct reading *r, const char *path)
{
	static const char *const SUBS[] = { "/new", "/cur", "" };
	bool maildir = false;

	for (size_t i = 0; i < ARRAY_LEN(SUBS); i++) {
		char *sub = mem_printf("%s%s", path, SUBS[i]);
		struct directory d = { r, sub, open(sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };

		maildir = maildir || (*SUBS[i] != '\0' && d.fd >= 0);
		if (d.fd >= 0 && (*SUBS[i] != '\0' || !maildir))
			dir_list(d.fd, on_file, &d);
		if (d.fd >= 0)
			close(d.fd);
		free(sub);
	}
}

/* --- mailboxes ----------------------------------------------------------------------------------- */

static void
read_messages(struct reading *r, struct mailbox *box, const char *address)
{
	const struct uidset *uids = mailbox_view(box);

	for (uint32_t uid = uidset_next(uids, 0); uid != 0; uid = uidset_next(uids, uid)) {
		char *where = mem_printf("%s %s/%u", address, mailbox_name(box), (unsigned)uid);
		int fd;
		enum store_err err = mailbox_message_open(box, uid, &fd);

		if (err == STORE_OK) {
			read_fd(r, fd, where);
			close(fd);
		} else if (err != STORE_NOT_FOUND) {
			admin_refuse("%s: %s", where, store_err_text(err));
			r->failed = true;
		}
		free(where);
	}
}

static void
read_mailbox(struct reading *r, const char *address, const char *name)
{
	struct account_row row = { 0 };
	struct account *mail = NULL;
	struct mailbox *box = NULL;
	bool ok = admin_find_account(r->a, address, &row) && admin_open_mail(r->a, &row, &mail);
	enum store_err err = ok ? mailbox_open(mail, name, true, &box) : STORE_OK;

	if (err != STORE_OK)
		admin_refuse("%s: %s: %s", address, name, store_err_text(err));
	if (ok && err == STORE_OK)
		read_messages(r, box, address);
	r->failed = r->failed || !ok || err != STORE_OK;
	mailbox_close(box);
	account_close(mail);
	account_row_free(&row);
}

/* --- the command --------------------------------------------------------------------------------- */

static enum admin_status
read_all(struct reading *r)
{
	struct admin *a = r->a;

	for (size_t i = 0; i < a->arg_count; i++) {
		struct stat st;

		if (strcmp(a->args[i], "-") == 0)
			read_fd(r, STDIN_FILENO, "standard input");
		else if (stat(a->args[i], &st) == 0 && S_ISDIR(st.st_mode))
			read_directory(r, a->args[i]);
		else if (strchr(a->args[i], '@') == NULL || access(a->args[i], F_OK) == 0)
			read_path(r, AT_FDCWD, a->args[i], a->args[i]);
		else if (i + 1 == a->arg_count)
			return admin_bad_usage(a, "%s: which mailbox of it?", a->args[i]);
		else {
			read_mailbox(r, a->args[i], a->args[i + 1]);
			i++;
		}
	}
	return r->failed ? ADMIN_REFUSED : ADMIN_DONE;
}

static enum admin_status
arf_run(struct admin *a)
{
	struct reading r = { .a = a };
	enum admin_status status;

	if (!read_all_start(a))
		return ADMIN_REFUSED;
	r.out = output_stream_begin(COLUMNS, ARRAY_LEN(COLUMNS), a->json);
	status = read_all(&r);
	if (!output_stream_end(r.out))
		status = ADMIN_REFUSED;
	if (r.others > 0)
		fprintf(stderr, "mailadmin: %zu message%s no feedback report\n", r.others,
		    r.others == 1 ? " is" : "s are");
	buf_free(&r.buf);
	return status;
}

const struct admin_command admin_cmd_arf = {
	.group = "arf",
	.args = "[ADDRESS MAILBOX|DIR|FILE]...",
	.args_least = 1,
	.args_most = ADMIN_ARGS_MAX,
	.options = { { "--json", NULL, "as JSON, with all that the reports say" } },
	.summary = "Reads feedback reports (ARF, RFC 5965): who called which of our messages spam.",
	.help = "From a mailbox of an account, a Maildir, or files ('-' is standard input).  Other "
		"messages are "
		"counted; a report that\nis broken is named and passed over.",
	.example = "mailadmin arf abuse@example.org INBOX",
	.before_config = true,
	.run = arf_run,
};
