/* A filter, a line "%%", and a message that it is run over. */
#include "filter/exim/exim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = { (const char *)data, size };
	size_t cut = str_find(all, STR("\n%%\n"));
	struct filter_run_options options = { 0 };
	struct filter_message m = { .fd = -1,
		.sender = "bob@example.net",
		.rcpt = "ann+x@example.org",
		.account = "ann@example.org",
		.detail = "x",
		.now = 1772443230 };
	struct filter_program *program = NULL;
	struct filter_result result = { 0 };
	struct arena arena = { 0 };
	struct filter_error error;
	struct buf text = { 0 };

	if (cut == SIZE_MAX)
		cut = size;
	else
		m.bytes = (struct str){ all.p + cut + 4, all.len - cut - 4 };
	buf_adds(&text, "# Exim filter\n");
	buf_add(&text, data, cut);
	if (FILTER_EXIM.compile((struct str){ text.data, text.len }, &program, &error, NULL) ==
	    FILTER_OK) {
		FILTER_EXIM.run(program, &m, &options, &arena, &result, &error);
		FILTER_EXIM.free(program);
	}
	arena_free(&arena);
	buf_free(&text);
	return 0;
}
