#include "statusd/status_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/dir.h"

#define STATUS_TIME_MAX UINT64_C(253402300799) /* the last second of the year 9999 */

static bool
not_blank(char c)
{
	return c != ' ';
}

/* Without what could turn or hide what stands around it. */
static char *
visible_text(struct str s)
{
	struct buf out = { 0 };
	size_t i = 0;

	buf_cstr(&out);
	while (i < s.len) {
		char character[5] = "";
		size_t left = s.len - i, len;

		memcpy(character, s.p + i, left < 4 ? left : 4);
		len = text_visible(character);
		if (len == 0)
			buf_addc(&out, '?');
		else
			buf_add(&out, character, len);
		i += len > 0 ? len : 1;
	}
	return buf_take(&out);
}

/* line = key SP time [SP text] */
static bool
parse_line(struct str line, struct status_line *out)
{
	struct cursor c = cursor_from(str_trim(line));
	struct str key = cursor_take_while(&c, not_blank), time;
	uint64_t at;

	if (key.len == 0 || !cursor_take(&c, ' '))
		return false;
	time = cursor_take_while(&c, not_blank);
	if (!text_u64(time, STATUS_TIME_MAX, &at))
		return false;
	cursor_take(&c, ' ');
	*out = (struct status_line){ .key = visible_text(key),
		.at = (int64_t)at,
		.text = visible_text((struct str){ c.p, cursor_left(&c) }) };
	return true;
}

void
status_file_parse(struct str text, struct status_file *out)
{
	struct cursor c = cursor_from(text);
	struct str line;

	*out = (struct status_file){ .lines = mem_zalloc(STATUS_LINES_MAX * sizeof(*out->lines)) };
	while (out->count < STATUS_LINES_MAX && cursor_take_line(&c, &line))
		if (parse_line(line, &out->lines[out->count]))
			out->count++;
}

void
status_file_read(const char *dir, struct status_file *out)
{
	int fd = dir != NULL ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	struct buf text = { 0 };

	if (fd >= 0 && dir_read_file(fd, "status", STATUS_FILE_MAX_BYTES, &text) != STORE_OK)
		buf_reset(&text);
	if (fd >= 0)
		close(fd);
	status_file_parse((struct str){ text.data, text.len }, out);
	buf_free(&text);
}

void
status_file_free(struct status_file *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->lines[i].key);
		free(f->lines[i].text);
	}
	free(f->lines);
	*f = (struct status_file){ 0 };
}

const struct status_line *
status_file_last(const struct status_file *f, const char *key)
{
	const struct status_line *last = NULL;

	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->lines[i].key, key) == 0 &&
		    (last == NULL || f->lines[i].at >= last->at))
			last = &f->lines[i];
	return last;
}
