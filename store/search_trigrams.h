/* What search.db keeps of a text: its trigrams, each once, as a tokenizer of SQLite's FTS5 by the name of
 * SEARCH_TOKENIZER.
 *
 * A trigram is three characters in a row.  One with a NUL, or with white space elsewhere than in its first place, is not kept: of
 * " or any" those are " or", " an", "any".  So a word is known by its beginning too, while what two neighbours happen to
 * make, which is much and tells little, takes no room.  Text and what is looked for pass through the same function;
 * a needle's trigrams are thus among those of each text that it stands in.  Whoever changes which are kept makes
 * SEARCH_INDEX_VERSION one more. */
#ifndef STORE_SEARCH_TRIGRAMS_H
#define STORE_SEARCH_TRIGRAMS_H

#include <stdbool.h>

#include "base/text.h"

#define SEARCH_TOKENIZER "sanger_trigrams"

struct sqlite3;

/* The trigrams of a text, one after the other, again and again those that stand there more than once.  `rest` is the
 * text, at first. */
struct search_trigrams {
	struct str rest;
};
bool search_trigrams_next(struct search_trigrams *t, struct str *trigram_out); /* false: no more */

/* Makes the tokenizer known to this connection; one of SQLite's result codes. */
int search_trigrams_register(struct sqlite3 *db);

#endif
