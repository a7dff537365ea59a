#include <stdlib.h>
#include <string.h>

#include "admin/imap_reply.h"

static ssize_t
on_read(void *arg, void *bytes, size_t size)
{
	struct str *text = arg;
	size_t n = text->len < size ? text->len : size;

	if (n > 0)
		memcpy(bytes, text->p, n);
	text->p += n;
	text->len -= n;
	return (ssize_t)n;
}

static bool
on_body_begin(void *arg, uint64_t size)
{
	(void)arg;
	if (size > IMAP_BODY_MAX_BYTES)
		abort();
	return true;
}

static bool
on_body(void *arg, const char *bytes, size_t len)
{
	(void)arg;
	return len == 0 || bytes[0] != bytes[len - 1] + 1000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that a server can say goes through everything that reads it. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = { (const char *)data, size };
	struct imap_reader *r = mem_zalloc(sizeof(*r));
	struct imap_namespace spaces[IMAP_NAMESPACES_MAX];
	struct buf text = { 0 };
	struct arena arena = { 0 };
	const char *why;
	size_t count;

	r->source = (struct imap_source){ on_read, on_body_begin, on_body, &input };
	while (imap_reader_next(r, &text, &why) == IMAP_READ_OK) {
		struct imap_reply reply;
		struct imap_fetched f;
		struct imap_listed l;
		uint32_t n;

		if (text.len > IMAP_REPLY_MAX_BYTES)
			abort();
		if (!imap_reply_parse((struct str){ text.data, text.len }, &reply))
			continue;
		imap_code_number(reply.code, STR("UIDNEXT"), &n);
		imap_fetched_parse(reply.rest, &arena, &f);
		imap_listed_parse(reply.rest, &arena, &l);
		imap_namespaces_parse(reply.rest, &arena, spaces, &count);
		if (f.keyword_count > IMAP_FLAGS_MAX || count > IMAP_NAMESPACES_MAX)
			abort();
		arena_reset(&arena);
	}
	buf_free(&text);
	arena_free(&arena);
	free(r);
	return 0;
}
