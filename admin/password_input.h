/* A new password, from where the administrator has it: --password-stdin, --generate, or a terminal. */
#ifndef ADMIN_PASSWORD_INPUT_H
#define ADMIN_PASSWORD_INPUT_H

#include <stdbool.h>

#include "admin/command.h"
#include "service/fresh_password.h"

#define PASSWORD_INPUT_OPTIONS                                                                     \
	{ "--password-stdin", NULL, "read the password from standard input, one line" },           \
	{                                                                                          \
		"--generate", NULL, "make a strong password and print it, once"                    \
	}

struct new_password {
	char *text; /* as typed */
	struct fresh_password fresh;
	bool generated;
};

/* Reads, checks and hashes it.  ADMIN_DONE: end it with new_password_free(). */
enum admin_status new_password_read(const struct admin *a, struct new_password *out);
void new_password_print(const struct new_password *p); /* to stdout, if it was generated */
void new_password_free(struct new_password *p);        /* wipes it; twice is fine */

/* For others: a line without its LF or CRLF, read byte by byte, and one that is asked for on the terminal (which stdin
 * must be) and not shown.  False with the reason said, or after Ctrl-C.  Wipe it. */
#define PASSWORD_LINE_BYTES (PASSWORD_MAX_BYTES + 1)
bool password_read_line(int fd, char line[PASSWORD_LINE_BYTES]);
bool password_ask(const char *question, char line[PASSWORD_LINE_BYTES]);
/* A password that exists already, as it was given: from standard input with --password-stdin, from the first line of `fd`
 * where that is not -1, else asked for on a terminal.  ADMIN_DONE: the caller wipes and frees it. */
enum admin_status known_password_read(const struct admin *a, int fd, char **password_out);

#endif
