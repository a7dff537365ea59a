#include <stdlib.h>
#include <string.h>

#include "admin/mbox.h"

static ssize_t
read_text(void *arg, void *bytes, size_t size, uint64_t at)
{
	const struct str *text = arg;
	size_t n = at < text->len ? text->len - (size_t)at : 0;

	n = n < size ? n : size;
	if (n > 0)
		memcpy(bytes, text->p + at, n);
	return (ssize_t)n;
}

static bool
count(void *arg, const char *bytes, size_t len)
{
	(void)bytes;
	*(size_t *)arg += len;
	return true;
}

static bool
add(void *arg, const char *bytes, size_t len)
{
	buf_add(arg, bytes, len);
	return true;
}

/* Whatever a message is: written and read it is one message. */
static void
round_trip(struct str text)
{
	struct buf file = { 0 };
	struct mbox_writer w = { .write = add, .arg = &file };
	struct str written;
	const struct mbox_source source = { read_text, &written };
	struct mbox_message info = { 0 };
	struct mbox *m;
	size_t bytes = 0;

	mbox_write_begin(&w, &(struct mbox_meta){ .uid = 1, .flags = 9 });
	mbox_write(&w, text.p, text.len);
	mbox_write_end(&w);
	written = (struct str){ file.data, file.len };
	m = mbox_new(&source);
	if (mbox_next(m, count, &bytes, &info) != MBOX_MESSAGE || info.flags != 9 ||
	    mbox_next(m, count, &bytes, &info) != MBOX_END)
		abort();
	mbox_free(m);
	mbox_message_free(&info);
	mbox_writer_free(&w);
	buf_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	const struct mbox_source source = { read_text, &text };
	struct mbox *m = mbox_new(&source);
	struct mbox_message info = { 0 };
	size_t bytes = 0;

	while (mbox_next(m, count, &bytes, &info) == MBOX_MESSAGE)
		continue;
	if (bytes > size)
		abort();
	mbox_message_free(&info);
	mbox_free(m);
	round_trip(text);
	return 0;
}
