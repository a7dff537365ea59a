#include "submitd/pause.h"

#include <sys/random.h>

uint64_t
pause_after(uint64_t first, uint64_t most, unsigned failures, uint32_t dice)
{
	uint64_t pause = first, quarter;

	for (unsigned i = 1; i < failures && pause > 0 && pause < most; i++)
		pause *= 2;
	if (pause > most)
		pause = most;
	quarter = pause / 4;
	/* in two steps, as the product may pass 64 bits */
	return pause - (quarter / UINT32_MAX * dice + quarter % UINT32_MAX * dice / UINT32_MAX);
}

uint32_t
pause_dice(void)
{
	uint32_t dice = 0;

	if (getrandom(&dice, sizeof(dice), 0) != (ssize_t)sizeof(dice))
		return 0;
	return dice;
}
