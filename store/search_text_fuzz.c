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
		{ SEARCH_HEADER, STR("To"), STR("") },
		{ SEARCH_HEADER, STR("References"), STR("<") },
	};
	struct mime_message *m = mime_parse((struct str){ (const char *)data, size });
	struct search_text *st = search_text_new(KEYS, ARRAY_LEN(KEYS));
	bool matched[ARRAY_LEN(KEYS)];
	enum search_truth truths[ARRAY_LEN(KEYS)];
	struct buf fields = { 0 };
	int fd = memfd_create("message", 0);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
	    !search_text_run(st, fd, m, matched))
		__builtin_trap();
	search_fields_match(st, (struct str){ (const char *)data, size }, truths);
	if (!search_fields_pack(&fields, fd, m))
		__builtin_trap();
	search_fields_match(st, (struct str){ fields.data, fields.len }, truths);
	for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
		if (truths[i] != SEARCH_UNKNOWN && matched[i] != (truths[i] == SEARCH_YES))
			__builtin_trap();
	buf_free(&fields);
	close(fd);
	search_text_free(st);
	mime_message_free(m);
	return 0;
}
