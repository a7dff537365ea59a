#include <sys/mman.h>
#include <unistd.h>

#include "store/search_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct search_key KEYS[] = {
		{ SEARCH_HEADER, STR("Subject"), STR("a") },
		{ SEARCH_BODY, STR(""), STR("needle") },
		{ SEARCH_TEXT, STR(""), STR("\xC3\xBC") },
	};
	struct mime_message *m = mime_parse((struct str){ (const char *)data, size });
	struct search_text *st = search_text_new(KEYS, ARRAY_LEN(KEYS));
	bool matched[ARRAY_LEN(KEYS)];
	int fd = memfd_create("message", 0);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
	    !search_text_run(st, fd, m, matched))
		__builtin_trap();
	close(fd);
	search_text_free(st);
	mime_message_free(m);
	return 0;
}
