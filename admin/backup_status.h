/* What became of backups: a small text file in the directory, written by backup and verify, read by doctor
 * and statusd.
 *
 *     began 1700000000 2023-11-14T2213Z           the last run, and the snapshot it was to make
 *     succeeded 1700000100 2023-11-14T2213Z       the last whole snapshot, with nothing left out
 *     failed 1700086500 why                       the last run that was no success, if it came later
 *     verified 1700000200 2023-11-14T2213Z        the last snapshot that was found good
 *     damaged 1700000300 2023-11-14T2213Z         the last one that was not, if that came later */
#ifndef ADMIN_BACKUP_STATUS_H
#define ADMIN_BACKUP_STATUS_H

#include <stdint.h>

#include "store/err.h"

enum backup_event {
	BACKUP_BEGAN,
	BACKUP_SUCCEEDED,
	BACKUP_FAILED,
	BACKUP_VERIFIED,
	BACKUP_DAMAGED,
	BACKUP_EVENTS
};

struct backup_status {
	struct {
		int64_t at; /* unix time; 0: never */
		char *what; /* a snapshot's name, or the reason; NULL with at 0 */
	} events[BACKUP_EVENTS];
};

/* A file that is missing or cannot be read is a status of nothing. */
void backup_status_read(int dir_fd, struct backup_status *status_out);
void backup_status_free(struct backup_status *status);
/* Notes one event durably beside the others; success ends an earlier failure, and so on. */
enum store_err backup_status_note(int dir_fd, enum backup_event event, const char *what);

#endif
