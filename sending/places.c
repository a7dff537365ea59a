#include "sending/places.h"

#define HOUR_S (60 * 60)

enum store_err
place_claim(struct state *st, struct arena *a, const char *to, unsigned places, int64_t now,
    const char **key_out)
{
	*key_out = NULL;
	for (unsigned i = 0; i < places; i++) {
		const char *key = arena_printf(a, "place %u", i);
		bool may;
		enum store_err err = state_once(st, key, to, HOUR_S, now, &may);

		if (err != STORE_OK)
			return err;
		if (may) {
			*key_out = key;
			return STORE_OK;
		}
	}
	return STORE_OK;
}
