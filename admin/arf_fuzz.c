/* Any bytes are a report, a broken one, or none. */
#include <stddef.h>
#include <stdint.h>

#include "admin/arf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arf_report r;

	arf_read((struct str){ (const char *)data, size }, &r);
	arf_report_free(&r);
	return 0;
}
