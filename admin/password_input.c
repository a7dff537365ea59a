#include "admin/password_input.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"

/* Reads a line without its LF or CRLF into `line`, byte by byte so that what stands behind it stays
 * unread.  False with the reason said. */
bool
password_read_line(int fd, char line[PASSWORD_LINE_BYTES])
{
	size_t len = 0;
	ssize_t got;
	char c;

	for (;;) {
		got = read(fd, &c, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			admin_refuse("the password cannot be read: %s", strerror(errno));
			return false;
		}
		if (got == 0 || c == '\n')
			break;
		if (c == '\0' || len == PASSWORD_MAX_BYTES) {
			admin_refuse(c == '\0' ? "a password may not hold a NUL byte"
					       : "a password has at most %d bytes",
			    PASSWORD_MAX_BYTES);
			return false;
		}
		line[len++] = c;
	}
	if (len > 0 && line[len - 1] == '\r')
		len--;
	line[len] = '\0';
	return true;
}

/* Waits for a line on the terminal.  False if a signal came that ends us; it is still pending. */
static bool
wait_for_line(const sigset_t *stops)
{
	int signals = signalfd(-1, stops, SFD_CLOEXEC);
	struct pollfd fds[] = { { STDIN_FILENO, POLLIN, 0 }, { signals, POLLIN, 0 } };
	bool ok = signals >= 0 && poll(fds, ARRAY_LEN(fds), -1) > 0 && fds[1].revents == 0;

	if (signals >= 0)
		close(signals);
	return ok;
}

/* Asks on the terminal without showing what is typed.  Ctrl-C finds the terminal as it was before. */
bool
password_ask(const char *question, char line[PASSWORD_LINE_BYTES])
{
	struct termios shown, hidden;
	sigset_t stops, before;
	bool ok;

	if (tcgetattr(STDIN_FILENO, &shown) != 0)
		return false;
	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGQUIT);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGHUP);
	sigprocmask(SIG_BLOCK, &stops, &before);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	fputs(question, stderr);
	ok = wait_for_line(&stops) && password_read_line(STDIN_FILENO, line);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	fputc('\n', stderr);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ok;
}

static enum admin_status
ask_twice(const struct admin *a, char line[PASSWORD_LINE_BYTES])
{
	char again[PASSWORD_LINE_BYTES];
	enum admin_status status = ADMIN_DONE;

	if (!isatty(STDIN_FILENO))
		return admin_bad_usage(
		    a, "--password-stdin or --generate is needed where nobody can be asked");
	if (!password_ask("Password: ", line) || !password_ask("Once more: ", again))
		status = ADMIN_REFUSED;
	else if (strcmp(line, again) != 0)
		status = admin_refuse("the two are not the same; nothing was changed");
	mem_wipe(again, sizeof(again));
	return status;
}

enum admin_status
new_password_read(const struct admin *a, struct new_password *out)
{
	bool from_stdin = admin_option(a, "--password-stdin") != NULL;
	bool generate = admin_option(a, "--generate") != NULL;
	char line[PASSWORD_LINE_BYTES] = "";
	enum admin_status status = ADMIN_DONE;

	*out = (struct new_password){ .generated = generate };
	if (from_stdin && generate)
		return admin_bad_usage(a, "--password-stdin and --generate exclude each other");
	if (generate)
		out->text = password_generate();
	else if (from_stdin)
		status = password_read_line(STDIN_FILENO, line) ? ADMIN_DONE : ADMIN_REFUSED;
	else
		status = ask_twice(a, line);
	if (status == ADMIN_DONE && !generate)
		out->text = mem_strdup(line);
	mem_wipe(line, sizeof(line));
	if (status == ADMIN_DONE && *out->text == '\0')
		status = admin_refuse("the password is empty");
	else if (status == ADMIN_DONE && !fresh_password_make(str_from(out->text), &out->fresh))
		status = admin_refuse("the password holds characters that no mail client can send "
				      "(it must be UTF-8 without control characters)");
	if (status != ADMIN_DONE)
		new_password_free(out);
	return status;
}

void
new_password_print(const struct new_password *p)
{
	if (p->generated)
		puts(p->text);
}

void
new_password_free(struct new_password *p)
{
	if (p->text != NULL)
		mem_wipe(p->text, strlen(p->text));
	free(p->text);
	fresh_password_free(&p->fresh);
	*p = (struct new_password){ 0 };
}

enum admin_status
known_password_read(const struct admin *a, int fd, char **password_out)
{
	char line[PASSWORD_MAX_BYTES + 1] = "";
	enum admin_status status = ADMIN_DONE;

	if (fd < 0 && admin_option(a, "--password-stdin") != NULL)
		fd = STDIN_FILENO;
	if (fd < 0 && !isatty(STDIN_FILENO))
		return admin_bad_usage(
		    a, "--password-file or --password-stdin is needed where nobody can be asked");
	if (!(fd >= 0 ? password_read_line(fd, line) : password_ask("Password there: ", line)))
		status = ADMIN_REFUSED;
	else if (*line == '\0')
		status = admin_refuse("the password is empty");
	if (status == ADMIN_DONE)
		*password_out = mem_strdup(line);
	mem_wipe(line, sizeof(line));
	return status;
}
