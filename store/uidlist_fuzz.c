/* UIDs are unique and below next_uid; each entry can be looked for. */
#include <stdlib.h>

#include "store/uidlist.h"

static void
check(struct uidlist *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->entries[i].uid == 0 || list->entries[i].uid >= list->next_uid ||
		    list->entries[i].base.len == 0)
			abort();
	for (size_t i = 0; i < list->count && i < 100; i++)
		uidlist_find(list, list->entries[i].base);
	uidlist_free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct uidlist list;
	struct buf text = { 0 };

	buf_add(&text, data, size);
	if (uidlist_parse_dovecot(&text, &list) == STORE_OK)
		check(&list);
	buf_add(&text, data, size);
	if (uidlist_parse_courier(&text, &list) == STORE_OK)
		check(&list);
	buf_free(&text);
	return 0;
}
