/* account leave, leave: the user has gone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "base/mem.h"

#define LEAVE_TEXT_MAX_BYTES (64 * 1024)

/* The text of a template, or of standard input for "-"; false with the reason said. */
static bool
read_template(const char *path, struct buf *text_out)
{
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	if (fd >= 0) {
		do {
			buf_reserve(text_out, 4096);
			got = read(fd, text_out->data + text_out->len, 4096);
			if (got > 0)
				text_out->len += (size_t)got;
		} while ((got > 0 || (got < 0 && errno == EINTR)) &&
			 text_out->len <= LEAVE_TEXT_MAX_BYTES);
	}
	if (got < 0)
		admin_refuse("%s: %s", path, strerror(errno));
	else if (text_out->len > LEAVE_TEXT_MAX_BYTES)
		admin_refuse("%s: more than %d bytes", path, LEAVE_TEXT_MAX_BYTES);
	if (fd >= 0)
		close(fd);
	return got >= 0 && text_out->len <= LEAVE_TEXT_MAX_BYTES;
}

static bool
text_is_fit(struct str text)
{
	if (str_trim(text).len == 0)
		admin_refuse("the text is empty");
	else if (memchr(text.p, '\0', text.len) != NULL || !text_is_utf8(text))
		admin_refuse("the text is not UTF-8");
	else
		return true;
	return false;
}

/* ${text} of a template that came with a text: the daemons see one whole answer. */
static void
put_text(struct buf *answer, struct str template, struct str text)
{
	static const struct str NAME = { "${text}", 7 };

	while (template.len > 0) {
		size_t at = str_find(template, NAME);
		size_t before = at != SIZE_MAX ? at : template.len;

		buf_add(answer, template.p, before);
		if (at != SIZE_MAX) {
			buf_add(answer, text.p, text.len);
			before += NAME.len;
		}
		template = (struct str){ template.p + before, template.len - before };
	}
}

struct farewell {
	struct buf template, text, whole;
	bool has_template, has_text;
};

static void
farewell_free(struct farewell *f)
{
	buf_free(&f->template);
	buf_free(&f->text);
	buf_free(&f->whole);
}

static bool
read_one(const char *path, struct buf *out)
{
	return read_template(path, out) && text_is_fit((struct str){ out->data, out->len });
}

/* The template may be a file that only the administrator can read: before the user changes. */
static bool
read_farewell(const struct admin *a, struct farewell *f)
{
	const char *path = admin_option(a, "--template"), *text = admin_option(a, "--text");

	f->has_template = path != NULL;
	f->has_text = text != NULL;
	if (path != NULL && !read_one(path, &f->template))
		return false;
	if (text != NULL && strcmp(text, "-") == 0) {
		if (!read_one("-", &f->text))
			return false;
	} else if (text != NULL) {
		buf_adds(&f->text, text);
		if (f->text.len > LEAVE_TEXT_MAX_BYTES) {
			admin_refuse("the text has more than %d bytes", LEAVE_TEXT_MAX_BYTES);
			return false;
		}
		if (!text_is_fit((struct str){ f->text.data, f->text.len }))
			return false;
	}
	if (path == NULL)
		return true;
	put_text(&f->whole, (struct str){ f->template.data, f->template.len },
	    (struct str){ f->text.data, f->text.len });
	return true;
}

static enum admin_status
leave(struct admin *a, struct farewell *f)
{
	bool clear = admin_option(a, "--clear") != NULL;
	struct account_row row = { 0 };
	enum store_err err;

	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	if (clear)
		err = account_db_set_leave_text(a->accounts, row.id, NULL);
	else
		err = account_db_change(a->accounts, row.id,
		    &(struct account_change){
			.leave_text = buf_cstr(f->has_template ? &f->whole : &f->text),
			.leave_whole = f->has_template,
			.active = &(bool){ false } });
	account_row_free(&row);
	return admin_result(err, a->args[0]);
}

static enum admin_status
leave_run(struct admin *a)
{
	struct farewell f = { .has_template = false };
	enum admin_status status = ADMIN_REFUSED;

	if (admin_option(a, "--clear") != NULL &&
	    (admin_option(a, "--template") != NULL || admin_option(a, "--text") != NULL))
		return admin_bad_usage(a, "--clear goes with no other option");
	if (admin_option(a, "--template") != NULL && admin_option(a, "--text") != NULL &&
	    strcmp(admin_option(a, "--template"), "-") == 0 &&
	    strcmp(admin_option(a, "--text"), "-") == 0)
		return admin_bad_usage(a, "only one of them can be standard input");
	if (read_farewell(a, &f) && admin_start(a))
		status = leave(a, &f);
	farewell_free(&f);
	return status;
}

#define LEAVE_OPTIONS                                                                              \
	{ "--text", "TEXT",                                                                        \
		"what senders are told, within lda.leave_template; - for standard input" },        \
	    { "--template", "FILE", "the whole answer; - for standard input" },                    \
	{                                                                                          \
		"--clear", NULL, "forget the text: senders are refused from then on"               \
	}
#define LEAVE_HELP                                                                                 \
	"The account becomes inactive: no logins, and no mail is taken in.  Who writes gets an "   \
	"automatic\nanswer, once in a while; lists and automatic messages get none.  In text and " \
	"template\n${address}, ${localpart}, ${domain} and ${name} are replaced, in a template "   \
	"${text} too;\na template may begin with a line \"Subject: ...\" and an empty one.  The "  \
	"mail "                                                                                    \
	"stays.  Undo:\nmailadmin account set ADDRESS --active yes."

const struct admin_command admin_cmd_account_leave = {
	.group = "account",
	.name = "leave",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { LEAVE_OPTIONS },
	.summary = "Closes the account of a user who has left, and tells those who write to it.",
	.help = LEAVE_HELP,
	.example = "mailadmin account leave ann@example.org --text 'Please write to "
		   "bob@example.org.'",
	.before_config = true,
	.run = leave_run,
};

const struct admin_command admin_cmd_leave = {
	.group = "leave",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { LEAVE_OPTIONS },
	.summary = "The same as account leave.",
	.help = LEAVE_HELP,
	.example = "mailadmin leave ann@example.org --template left.txt",
	.before_config = true,
	.run = leave_run,
};
