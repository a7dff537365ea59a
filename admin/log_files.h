/* The logs of this server, line by line: log.file with what rotation left of it (.1, .2.gz, -20261121.gz), or journald. */
#ifndef ADMIN_LOG_FILES_H
#define ADMIN_LOG_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/text.h"

struct log_files {
	char **paths; /* oldest first; none: journald */
	size_t count;
	int64_t since;  /* 0: all there is */
	uint64_t bytes; /* of all files, as they lie there */
};

/* `paths` as given, or those of the configuration; false with the reason on stderr. */
bool log_files_open(const struct config *config, const char *const *paths, size_t count,
    int64_t since, struct log_files *files_out);
void log_files_close(struct log_files *files);
/* Each line since `since` (lines without a time in front: all), without its end.  `done` counts bytes read, for progress.
 * False with the reason on stderr. */
bool log_files_each(const struct log_files *files, void (*line)(void *arg, struct str text),
    void (*progress)(void *arg, uint64_t done), void *arg);

#endif
