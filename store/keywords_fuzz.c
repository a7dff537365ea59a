#include <stdlib.h>

#include "store/keywords.h"

static void
check(struct keyword_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (keyword_list_find(list, str_from(list->entries[i].unique)) !=
			&list->entries[i] ||
		    list->entries[i].name_count == 0)
			abort();
	keyword_list_free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct keyword_list list;
	struct keywords keywords;

	keywords_parse(in, &keywords);
	keywords_free(&keywords);
	keyword_list_parse(in, &list);
	check(&list);
	keyword_list_parse_courier(in, &list);
	check(&list);
	return 0;
}
