#include "admin/near.h"

#include <stdbool.h>
#include <string.h>

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment; three rows of the table are enough. */
size_t
near_distance(const char *a, const char *b)
{
	size_t rows[3][NEAR_WORD_MAX + 1], *before = rows[0], *above = rows[1], *row = rows[2],
					   *free_row;
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > NEAR_WORD_MAX || b_len > NEAR_WORD_MAX)
		return a_len + b_len;
	for (size_t j = 0; j <= b_len; j++) {
		above[j] = j;
		before[j] = j; /* not read in the first round */
	}
	for (size_t i = 1; i <= a_len; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t change = above[j - 1] + (a[i - 1] != b[j - 1]);

			row[j] = least(change, 1 + least(above[j], row[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		free_row = before;
		before = above;
		above = row;
		row = free_row;
	}
	return above[b_len];
}

void
near_offer(struct near *n, const char *word)
{
	size_t len = strlen(word), distance = near_distance(n->typed, word);
	size_t most = len / 3 > 0 ? len / 3 : 1;
	bool goes_on = strlen(n->typed) >= 2 && strncmp(n->typed, word, strlen(n->typed)) == 0;

	if (goes_on && distance > most)
		distance = most;
	if (distance > most || distance >= len || (n->best != NULL && distance >= n->distance))
		return;
	n->best = word;
	n->distance = distance;
}
