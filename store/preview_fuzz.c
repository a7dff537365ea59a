/* A message; and its bytes as text and as a page. */
#include "store/preview.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct buf *preview)
{
	size_t chars = 0;

	if (!text_is_utf8((struct str){ preview->data, preview->len }))
		abort();
	for (size_t i = 0; i < preview->len; i++)
		chars += ((unsigned char)preview->data[i] & 0xc0) != 0x80;
	if (chars > PREVIEW_MAX_CHARS + 1) /* ">" may stand in front */
		abort();
	buf_free(preview);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct mime_message *m = mime_parse(text);
	int fd = memfd_create("preview", MFD_CLOEXEC);
	struct buf preview = { 0 };

	if (fd < 0 || (size > 0 && write(fd, data, size) != (ssize_t)size))
		abort();
	preview_make(&preview, fd, m);
	check(&preview);
	preview_of_text(&preview, text, true);
	check(&preview);
	preview_of_text(&preview, text, false);
	check(&preview);
	mime_message_free(m);
	close(fd);
	return 0;
}
