#include "submitd/relay_health.h"

#include "submitd/pause.h"

bool
relay_health_is_up(const struct relay_health *h)
{
	return h->failures == 0;
}

bool
relay_health_is_due(const struct relay_health *h, uint64_t now_ms)
{
	return !relay_health_is_up(h) && h->down_until_ms <= now_ms && !h->probing;
}

bool
relay_health_fail(struct relay_health *h, uint64_t now_ms, uint64_t probe_ms, uint32_t dice)
{
	if (!relay_health_is_up(h) && h->down_until_ms > now_ms)
		return false;
	h->failures++;
	h->down_until_ms =
	    now_ms + pause_after(probe_ms, probe_ms * RELAY_PROBE_MOST, h->failures, dice);
	return true;
}

bool
relay_health_recover(struct relay_health *h)
{
	bool was_down = !relay_health_is_up(h);

	h->failures = 0;
	return was_down;
}

size_t
relay_health_choose(const struct relay_health *const *list, size_t count, unsigned tried,
    uint64_t now_ms, size_t *probe_out)
{
	size_t due = count;

	*probe_out = count;
	for (size_t i = 0; i < count; i++) {
		if ((tried & 1u << i) != 0)
			continue;
		if (relay_health_is_up(list[i])) {
			*probe_out = due;
			return i;
		}
		if (due == count && relay_health_is_due(list[i], now_ms))
			due = i;
	}
	return due;
}
