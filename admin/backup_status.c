#include "admin/backup_status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/status_lines.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

#define WHAT_MAX_BYTES 500

static const char *const WORDS[BACKUP_EVENTS] = {
	[BACKUP_BEGAN] = "began",
	[BACKUP_SUCCEEDED] = "succeeded",
	[BACKUP_FAILED] = "failed",
	[BACKUP_VERIFIED] = "verified",
	[BACKUP_DAMAGED] = "damaged",
};

/* What is not worth saying any more once that has happened. */
static const enum backup_event ENDS[BACKUP_EVENTS] = {
	[BACKUP_BEGAN] = BACKUP_BEGAN,
	[BACKUP_SUCCEEDED] = BACKUP_FAILED,
	[BACKUP_FAILED] = BACKUP_FAILED,
	[BACKUP_VERIFIED] = BACKUP_DAMAGED,
	[BACKUP_DAMAGED] = BACKUP_DAMAGED,
};

static void
on_line(void *arg, const char *word, int64_t when, const char *rest)
{
	struct backup_status *status = arg;

	for (size_t i = 0; i < BACKUP_EVENTS; i++) {
		if (strcmp(word, WORDS[i]) != 0 || when <= 0)
			continue;
		free(status->events[i].what);
		status->events[i].at = when;
		status->events[i].what = mem_strdup(*rest == ' ' ? rest + 1 : "");
	}
}

void
backup_status_read(int dir_fd, struct backup_status *status_out)
{
	*status_out = (struct backup_status){ 0 };
	status_lines_read(dir_fd, on_line, status_out);
}

void
backup_status_free(struct backup_status *status)
{
	for (size_t i = 0; i < BACKUP_EVENTS; i++)
		free(status->events[i].what);
	*status = (struct backup_status){ 0 };
}

static void
add_line(struct buf *text, enum backup_event event, int64_t at, const char *what)
{
	buf_printf(text, "%s %" PRId64 " ", WORDS[event], at);
	for (size_t i = 0; i < WHAT_MAX_BYTES && what[i] != '\0'; i++)
		buf_addc(text, what[i] == '\n' ? ' ' : what[i]);
	buf_addc(text, '\n');
}

enum store_err
backup_status_note(int dir_fd, enum backup_event event, const char *what)
{
	struct backup_status before;
	struct buf text = { 0 };
	enum store_err err;

	backup_status_read(dir_fd, &before);
	for (size_t i = 0; i < BACKUP_EVENTS; i++) {
		if (i == event)
			add_line(&text, event, time(NULL), what);
		else if (i != ENDS[event] && before.events[i].at != 0)
			add_line(&text, (enum backup_event)i, before.events[i].at,
			    before.events[i].what);
	}
	err = status_lines_write(dir_fd, (struct str){ text.data, text.len });
	buf_free(&text);
	backup_status_free(&before);
	return err;
}
