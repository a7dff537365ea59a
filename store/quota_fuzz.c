#include "store/quota.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quota_usage usage;
	uint64_t limit;

	if (quota_parse((struct str){ (const char *)data, size }, &limit, &usage) &&
	    (usage.bytes > INT64_MAX || usage.count > INT64_MAX))
		__builtin_trap();
	return 0;
}
