/* Every directory has one name that leads back to it; no name leads out of the account. */
#include <stdlib.h>

#include "store/mailbox_name.h"

static struct str
span(const struct buf *b)
{
	return (struct str){ b->data, b->len };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct buf there = { 0 }, back = { 0 }, canonical = { 0 };

	if (mailbox_name_from_folder(&there, in) &&
	    (mailbox_name_to_folder(&back, span(&there)) != STORE_OK || !str_eq(span(&back), in) ||
		!text_is_utf8(span(&there))))
		abort();
	buf_reset(&there);
	buf_reset(&back);
	if (mailbox_name_to_folder(&there, in) == STORE_OK) {
		mailbox_name_canonical(&canonical, in);
		if (there.len > MAILBOX_FOLDER_MAX_BYTES ||
		    (there.len > 0 && memchr(there.data, '/', there.len) != NULL) ||
		    str_eq(span(&there), STR(".")) || str_eq(span(&there), STR("..")) ||
		    !mailbox_name_from_folder(&back, span(&there)) ||
		    !str_eq(span(&back), span(&canonical)))
			abort();
	} else if (mailbox_name_problem(in) == NULL) {
		abort();
	}
	buf_free(&there);
	buf_free(&back);
	buf_free(&canonical);
	return 0;
}
