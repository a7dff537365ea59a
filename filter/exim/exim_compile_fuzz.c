/* Any bytes as a filter: compiled, and turned into Sieve. */
#include "filter/exim/convert.h"
#include "filter/exim/exim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = { 0 }, sieve = { 0 }, problems = { 0 };
	struct filter_program *program = NULL;
	struct filter_error error;

	buf_adds(&text, "# Exim filter\n");
	buf_add(&text, data, size);
	if (FILTER_EXIM.compile((struct str){ text.data, text.len }, &program, &error, NULL) ==
	    FILTER_OK)
		FILTER_EXIM.free(program);
	exim_convert((struct str){ text.data, text.len }, &sieve, &problems, &error);
	exim_claims((struct str){ (const char *)data, size });
	buf_free(&text);
	buf_free(&sieve);
	buf_free(&problems);
	return 0;
}
