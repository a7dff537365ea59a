/* The first byte says whether there is a base. */
#include "imapd/url.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	struct imap_url url;
	struct str text;

	if (size == 0)
		return 0;
	text = (struct str){ (const char *)data + 1, size - 1 };
	if (imap_url_parse(text, data[0] % 2 == 0 ? "A/B" : NULL, &a, &url) &&
	    (url.uid == 0 || url.section == NULL ||
		(url.mailbox != NULL && !text_is_utf8(str_from(url.mailbox)))))
		abort();
	arena_free(&a);
	return 0;
}
