/* account leave: the user has gone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "base/mem.h"

#define LEAVE_TEXT_MAX_BYTES (64 * 1024)

static const char LEAVE_TEXT[] = "%s no longer reads mail here.\n";

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

static enum admin_status
leave(struct admin *a, struct buf *text)
{
	struct account_row row = { 0 };
	char *address;
	enum store_err err;

	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	address = account_row_address(&row);
	if (text->len == 0)
		buf_printf(text, LEAVE_TEXT, address);
	err = account_db_change(a->accounts, row.id,
	    &(struct account_change){ .leave_text = buf_cstr(text), .active = &(bool){ false } });
	free(address);
	account_row_free(&row);
	return admin_result(err, a->args[0]);
}

/* The template may be a file that only the administrator can read: before the user changes. */
static enum admin_status
leave_run(struct admin *a)
{
	const char *path = admin_option(a, "--template");
	struct buf text = { 0 };
	enum admin_status status = ADMIN_REFUSED;

	if ((path == NULL ||
		(read_template(path, &text) && text_is_fit((struct str){ text.data, text.len }))) &&
	    admin_start(a))
		status = leave(a, &text);
	buf_free(&text);
	return status;
}

const struct admin_command admin_cmd_account_leave = {
	.group = "account",
	.name = "leave",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--template", "FILE",
	    "the text to keep (UTF-8), - for standard input; else a short one of ours" } },
	.summary = "Closes the account of a user who has left.",
	.help = "The account becomes inactive and keeps the text for those who still write.  Today "
		"the\nrelay is told \"550 5.2.1 This mailbox is not in use\" for every message, "
		"and the "
		"text is\nonly kept: nobody is sent it yet.  The mail stays; there are no logins.  "
		"Undo:\nmailadmin account set ADDRESS --active yes.",
	.example = "mailadmin account leave ann@example.org --template left.txt",
	.before_config = true,
	.run = leave_run,
};
