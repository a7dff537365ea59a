/* A needle (its length in the first byte) and a text: whatever they are, a text that has the needle is proposed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/casefold.h"
#include "store/search_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct search_index *
open_index(void)
{
	static struct search_index *ix;
	char dir[] = "/tmp/sanger-search-XXXXXX", path[64];

	if (ix != NULL)
		return ix;
	if (mkdtemp(dir) == NULL || search_index_open_to_write(dir, NULL, &ix) != STORE_OK)
		__builtin_trap();
	snprintf(path, sizeof(path), "%s/search.db.lock", dir);
	unlink(path);
	search_index_remove(dir); /* the open one stays */
	rmdir(dir);
	return ix;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct search_index_box box = { "box", 1 };
	struct search_index *ix = open_index();
	struct search_texts texts = { 0 };
	struct uidset docs = { 0 }, uids = { 0 };
	struct buf needle = { 0 };
	enum store_err err;
	bool whole;

	if (size == 0 || data[0] >= size)
		return 0;
	casefold_all(&needle, (struct str){ (const char *)data + 1, data[0] });
	casefold_all(
	    &texts.body, (struct str){ (const char *)data + 1 + data[0], size - 1 - data[0] });
	if (search_index_begin_write(ix) != STORE_OK ||
	    search_index_add(ix, &box, 7, &texts) != STORE_OK)
		__builtin_trap();
	err = search_index_find(
	    ix, SEARCH_INDEX_BODY, (struct str){ needle.data, needle.len }, &docs);
	uidset_add(&uids, 7);
	if (err != STORE_OK && err != STORE_INVALID)
		__builtin_trap();
	if (err == STORE_OK) {
		if (search_index_keep(ix, &box, &docs, &uids, &whole) != STORE_OK || !whole)
			__builtin_trap();
		if (uidset_is_empty(&uids) && texts.body.len >= needle.len &&
		    memmem(texts.body.data, texts.body.len, needle.data, needle.len) != NULL)
			__builtin_trap();
	}
	search_index_rollback(ix);
	uidset_free(&docs);
	uidset_free(&uids);
	buf_free(&needle);
	search_texts_free(&texts);
	return 0;
}
