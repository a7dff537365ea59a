#include "admin/status_lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/dir.h"

#define STATUS_FILE      "status"
#define STATUS_MAX_BYTES 65536

void
status_lines_read(int dir_fd,
    void (*on_line)(void *arg, const char *word, int64_t when, const char *rest), void *arg)
{
	struct buf text = { 0 };
	char *save = NULL;

	if (dir_read_file(dir_fd, STATUS_FILE, STATUS_MAX_BYTES, &text) == STORE_OK &&
	    text.len > 0) {
		buf_cstr(&text);
		for (char *line = strtok_r(text.data, "\n", &save); line != NULL;
		     line = strtok_r(NULL, "\n", &save)) {
			char *number = strchr(line, ' '), *rest;
			int64_t when;

			if (number == NULL)
				continue;
			*number++ = '\0';
			when = strtoll(number, &rest, 10);
			on_line(arg, line, when, rest);
		}
	}
	buf_free(&text);
}

enum store_err
status_lines_write(int dir_fd, struct str text)
{
	return dir_replace_file(dir_fd, STATUS_FILE, text, true);
}
