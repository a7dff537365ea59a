/* Any bytes as a configuration file: an answer, never a crash. */
#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf errors = { 0 };
	struct config *cfg =
	    config_parse("fuzz.conf", (struct str){ (const char *)data, size }, &errors);

	if ((cfg == NULL) != (errors.len > 0))
		__builtin_trap();
	config_free(cfg);
	buf_free(&errors);
	return 0;
}
