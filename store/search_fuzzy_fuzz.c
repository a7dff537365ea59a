/* A needle (its length in the first byte) and a text. */
#include <string.h>

#include "store/casefold.h"
#include "store/search_fuzzy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
has_pieces(const struct fuzzy *f, struct str text)
{
	for (size_t i = 0; i < fuzzy_word_count(f); i++) {
		bool one = false;
		struct str piece;
		size_t k;

		for (k = 0; fuzzy_piece(f, i, k, &piece); k++)
			one = one || (text.len >= piece.len &&
					 memmem(text.p, text.len, piece.p, piece.len) != NULL);
		if (!one && k > 0)
			return false;
	}
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = { (const char *)data, size }, needle, text;
	struct buf folded = { 0 }, plain = { 0 };
	struct fuzzy *f;

	if (size == 0 || data[0] >= size)
		return 0;
	needle = (struct str){ all.p + 1, data[0] };
	text = (struct str){ all.p + 1 + data[0], size - 1 - data[0] };
	f = fuzzy_new(needle);
	if (f == NULL)
		return 0;
	casefold_all(&folded, text);
	fuzzy_fold(&plain, (struct str){ folded.data, folded.len });
	text = (struct str){ plain.data, plain.len };
	fuzzy_begin(f);
	fuzzy_look(f, text, FUZZY_IN_BODY);
	if (fuzzy_score(f) > 100 || (fuzzy_score(f) > 0 && !has_pieces(f, text)))
		__builtin_trap();
	buf_free(&folded);
	buf_free(&plain);
	fuzzy_free(f);
	return 0;
}
