#include <stdlib.h>

#include "filter/sieve/sieve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any text compiles or has an error that says where. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct filter_warnings warnings = { 0 };
	struct sieve_program *program;
	struct filter_error error = { 0 };

	if (sieve_compile((struct str){ (const char *)data, size }, &program, &error, &warnings))
		sieve_program_free(program);
	else if (error.text[0] == '\0')
		abort();
	buf_free(&warnings.text);
	return 0;
}
