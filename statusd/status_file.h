/* The small files in which publish and backup say what became of them: lines "KEY TIME" or "KEY TIME TEXT". */
#ifndef STATUSD_STATUS_FILE_H
#define STATUSD_STATUS_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define STATUS_FILE_MAX_BYTES 65536
#define STATUS_LINES_MAX      100

struct status_line {
	char *key;
	int64_t at; /* unix time */
	char *text; /* "" without one; UTF-8 that may be shown as it is */
};

struct status_file {
	struct status_line *lines; /* what is no such line is not here */
	size_t count;
};

void status_file_parse(struct str text, struct status_file *out);
/* DIR/status; one that is missing or cannot be read has no lines. */
void status_file_read(const char *dir, struct status_file *out);
void status_file_free(struct status_file *f);
/* The latest line of that key, or NULL. */
const struct status_line *status_file_last(const struct status_file *f, const char *key);

#endif
