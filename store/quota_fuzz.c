#include "store/quota.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quota_usage usage;
	struct quota_limits limits;

	if (quota_parse((struct str){ (const char *)data, size }, &limits, &usage) &&
	    (usage.bytes > INT64_MAX || usage.count > INT64_MAX))
		__builtin_trap();
	return 0;
}
