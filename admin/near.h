/* What was probably meant by a word that was mistyped. */
#ifndef ADMIN_NEAR_H
#define ADMIN_NEAR_H

#include <stddef.h>

#define NEAR_WORD_MAX 40 /* letters; longer ones are near nothing */

/* Letters to add, drop, change or swap with their neighbour to get from one to the other. */
size_t near_distance(const char *a, const char *b);

/* Remembers the nearest of the words that are offered.  Begin with { .typed = word }; `best` is NULL while none is
 * near: at most a third of its letters are wrong, or it only goes on. */
struct near {
	const char *typed, *best;
	size_t distance;
};
void near_offer(struct near *n, const char *word);

#endif
