/* Manifests of snapshots: whatever is read and is whole comes out again as it went in. */
#include <stdlib.h>
#include <string.h>

#include "admin/manifest.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct manifest m;
	struct buf first = { 0 }, second = { 0 };
	size_t line;

	manifest_parse(text, false, &m, &line);
	for (size_t i = 0; i < m.count; i++) {
		const struct manifest_entry *found = manifest_find_path(&m, m.entries[i].path);

		if (found == NULL || strcmp(found->path, m.entries[i].path) != 0)
			abort();
		if (m.entries[i].path[0] == '/' || strstr(m.entries[i].path, "//") != NULL)
			abort();
	}
	manifest_format(&first, &m);
	manifest_free(&m);
	if (!manifest_parse((struct str){ first.data, first.len }, true, &m, &line))
		abort();
	manifest_format(&second, &m);
	if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
		abort();
	manifest_free(&m);
	buf_free(&first);
	buf_free(&second);
	return 0;
}
