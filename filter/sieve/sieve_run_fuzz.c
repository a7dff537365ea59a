#include <stdlib.h>

#include "filter/sieve/sieve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A script, a line "%%", a message.  A failed run must have no actions, another at most FILTER_ACTIONS_MAX. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct filter_result result;
	struct str all = { (const char *)data, size }, script, message = { "", 0 };
	struct filter_message about = { .fd = -1,
		.sender = "sender@example.org",
		.rcpt = "rcpt+detail@example.org",
		.account = "rcpt@example.org",
		.detail = "detail",
		.now = 1700000000 };
	struct filter_error error;
	struct filter *filter;
	struct arena arena = { 0 };
	size_t at = str_find(all, STR("\n%%\n"));

	script = (struct str){ all.p, at == SIZE_MAX ? all.len : at + 1 };
	if (at != SIZE_MAX)
		message = (struct str){ all.p + at + 4, all.len - at - 4 };
	about.bytes = message;
	if (filter_compile(script, &filter, &error, NULL) != FILTER_OK)
		return 0;
	if (filter_run(filter, &about, NULL, &arena, &result, &error) != FILTER_OK &&
	    (result.action_count != 0 || error.text[0] == '\0'))
		abort();
	arena_free(&arena);
	filter_free(filter);
	return 0;
}
