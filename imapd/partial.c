#include "imapd/partial.h"

#include "imapd/parse.h"

bool
imap_parse_partial(struct cursor *c, struct imap_partial *partial_out)
{
	partial_out->from_end = cursor_take(c, '-');
	return imap_parse_nz_number(c, &partial_out->first) && cursor_take(c, ':') &&
	       cursor_take(c, '-') == partial_out->from_end &&
	       imap_parse_nz_number(c, &partial_out->second);
}

void
imap_partial_bounds(
    const struct imap_partial *partial, uint32_t count, uint32_t *from_out, uint32_t *to_out)
{
	bool swapped = partial->first > partial->second;
	uint32_t low = swapped ? partial->second : partial->first;
	uint32_t high = swapped ? partial->first : partial->second;

	if (low > count) {
		*from_out = *to_out = 0;
		return;
	}
	if (high > count)
		high = count;
	*from_out = partial->from_end ? count - high : low - 1;
	*to_out = partial->from_end ? count - low + 1 : high;
}

void
imap_out_partial(struct buf *out, const struct imap_partial *partial)
{
	const char *sign = partial->from_end ? "-" : "";

	buf_printf(out, "%s%u:%s%u", sign, partial->first, sign, partial->second);
}
