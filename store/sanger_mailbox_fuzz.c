/* What is read is written the same way twice. */
#include <stdlib.h>

#include "store/sanger_mailbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sanger_mailbox m, again;
	struct buf out = { 0 }, out_again = { 0 };
	unsigned version;

	if (!sanger_mailbox_parse((struct str){ (const char *)data, size }, &m, &version))
		return 0;
	sanger_mailbox_format(&out, &m);
	if (!sanger_mailbox_parse((struct str){ out.data, out.len }, &again, &version))
		abort();
	sanger_mailbox_format(&out_again, &again);
	if (!str_eq(
		(struct str){ out.data, out.len }, (struct str){ out_again.data, out_again.len }))
		abort();
	sanger_mailbox_free(&m);
	sanger_mailbox_free(&again);
	buf_free(&out);
	buf_free(&out_again);
	return 0;
}
