/* What can be read comes back the same when it is written and read again. */
#include <stdlib.h>
#include <string.h>

#include "admin/import_ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct import_ledger a, b;
	struct buf once = { 0 }, twice = { 0 };

	if (!import_ledger_parse((struct str){ (const char *)data, size }, &a))
		return 0;
	import_ledger_format(&once, &a);
	if (!import_ledger_parse((struct str){ once.data, once.len }, &b))
		abort();
	import_ledger_format(&twice, &b);
	if (once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)
		abort();
	for (size_t i = 0; i < a.count; i++)
		if (import_ledger_find(&a, a.entries[i].stem) != &a.entries[i])
			abort();
	import_ledger_free(&a);
	import_ledger_free(&b);
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
