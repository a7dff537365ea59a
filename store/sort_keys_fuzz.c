/* Base subjects and sort keys of any header, and any bytes as a kept blob. */
#include "store/base_subject.h"
#include "store/mime.h"
#include "store/sort_keys.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_subject(struct str bytes)
{
	struct buf text = { 0 };
	struct str base, again;
	bool reply;

	base_subject_normal(&text, bytes);
	base = base_subject((struct str){ text.data, text.len }, &reply);
	if (base.len > text.len)
		abort();
	again = base_subject(base, &reply);
	if (!str_eq(again, base))
		abort(); /* nothing is left to be removed */
	buf_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = { (const char *)data, size };
	struct mime_message *m = mime_parse(bytes);
	struct sort_keys keys;
	struct buf blob = { 0 };

	check_subject(bytes);
	sort_keys_unpack(bytes, &keys);
	sort_keys_pack(&blob, m);
	if (!sort_keys_unpack((struct str){ blob.data, blob.len }, &keys))
		abort();
	buf_free(&blob);
	mime_message_free(m);
	return 0;
}
