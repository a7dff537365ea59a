/* Every name that is found can be subscribed to again. */
#include <stdlib.h>

#include "store/mailbox_name.h"
#include "store/subscriptions.h"

static void
check(struct subscriptions *subs)
{
	for (size_t i = 0; i < subs->count; i++) {
		struct buf folder = { 0 };

		if (mailbox_name_to_folder(&folder, str_from(subs->names[i])) != STORE_OK)
			abort();
		buf_free(&folder);
	}
	subscriptions_free(subs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct subscriptions subs;

	subscriptions_parse(in, &subs);
	check(&subs);
	subscriptions_parse_courier(in, &subs);
	check(&subs);
	return 0;
}
