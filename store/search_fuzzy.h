/* Inexact search, for SEARCH=FUZZY (RFC 6203): the words of what is looked for, in any order, each of which may stand
 * in a longer word or have an error or two; and a score for how well they fit.
 *
 * Texts are compared in a form of their own: that of casefold.h without accents and other combining marks, so that
 * "Muller" finds "Müller".  A word is a run of letters and digits; of HTML it is those that a reader sees.
 *
 * Words of 4 to 8 characters may have one error (a character too many, too few, another one, two changed about), of 9
 * and more two; but of a word that may have n errors one of n + 1 equal parts must be right (of a shorter one three
 * characters in a row), which is what an index can look for. */
#ifndef STORE_SEARCH_FUZZY_H
#define STORE_SEARCH_FUZZY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/text.h"

#define FUZZY_WORDS_MAX      16 /* of a needle; what is behind them is not looked at */
#define FUZZY_WORD_MAX_CHARS 64 /* longer ones are cut, in needles */

/* How much a word counts where it stands, of 100. */
enum fuzzy_place { FUZZY_IN_SUBJECT = 100, FUZZY_IN_HEADER = 80, FUZZY_IN_BODY = 70 };

/* Appends `folded` (normal form of casefold.h) without combining marks.  False: there were none. */
bool fuzzy_fold(struct buf *out, struct str folded);

struct fuzzy; /* one needle and how well it fits so far; one thread at a time */
struct fuzzy *fuzzy_new(struct str needle); /* UTF-8; NULL if it has no word */
void fuzzy_free(struct fuzzy *f);           /* NULL is fine */

void fuzzy_begin(struct fuzzy *f); /* the next message */
/* A text of it, in fuzzy_fold()'s form: each field and each part by itself. */
void fuzzy_look(struct fuzzy *f, struct str text, enum fuzzy_place place);
unsigned fuzzy_score(const struct fuzzy *f); /* 1 to 100; 0: some word was not found */

/* What an index can look for: in a message that fits, of each word (0, 1 …) one of its pieces stands, in one text.
 * False: there is no such word, or no such piece of it. */
size_t fuzzy_word_count(const struct fuzzy *f);
bool fuzzy_piece(const struct fuzzy *f, size_t word, size_t piece, struct str *piece_out);

#endif
