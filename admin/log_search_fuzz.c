/* Any lines are a log; what is found was in it. */
#include <stdlib.h>
#include <string.h>

#include "admin/log_search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
on_found(void *arg, struct str text, bool first)
{
	struct str *all = arg;

	(void)first;
	if (text.len > 0 && str_find(*all, text) == SIZE_MAX)
		abort();
}

/* The first line is the pattern. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = { (const char *)data, size }, line;
	struct cursor begin = cursor_from(all), c;
	struct log_search *s;
	char pattern[64] = "";

	if (!cursor_take_line(&begin, &line) || line.len >= sizeof(pattern))
		return 0;
	memcpy(pattern, line.p, line.len);
	s = log_search_new(pattern);
	do {
		c = begin;
		while (cursor_take_line(&c, &line))
			log_search_line(s, line);
	} while (log_search_again(s));
	log_search_each(s, on_found, &all);
	log_search_free(s);
	return 0;
}
