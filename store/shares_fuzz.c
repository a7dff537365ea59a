/* .sanger-shares as it may be found. */
#include "store/account_acl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t pairs;

	shares_parse((struct str){ (const char *)data, size }, &pairs);
	return 0;
}
