/* The QRESYNC parameter, and match data against mailboxes: what matches must be so. */
#include <stdint.h>
#include <stdlib.h>

#include "imapd/qresync.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_from((struct str){ (const char *)data, size });
	struct uidset view = { 0 };
	struct arena a = { 0 };
	struct qresync q;

	for (size_t i = 0; i < size; i++) /* a mailbox that depends on the input too */
		uidset_add(&view, (uint32_t)(i * 2 + data[i] % 2 + 1));
	if (qresync_parse(&c, &a, &q)) {
		uint32_t uid = qresync_matched_uid(&q, &view);

		if (uid != 0 && !uidset_contains(&view, uid))
			abort();
	}
	uidset_free(&view);
	arena_free(&a);
	return 0;
}
