/* Status files: what became of something that is done again and again, a line "WORD TIME REST" each, in the file
 * `status` of its directory. */
#ifndef ADMIN_STATUS_LINES_H
#define ADMIN_STATUS_LINES_H

#include <stdint.h>

#include "base/text.h"
#include "store/err.h"

/* Calls on_line for each; `rest` begins behind the time, with its blank, or is "".  A file that is missing or cannot be read
 * has no lines. */
void status_lines_read(int dir_fd,
    void (*on_line)(void *arg, const char *word, int64_t when, const char *rest), void *arg);
enum store_err status_lines_write(int dir_fd, struct str text); /* durably, in one step */

#endif
