/* The whole input framing: whatever comes, and in whatever pieces, limits hold and every byte is
 * consumed.  The first byte chooses the size of the pieces. */
#include "imapd/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct frame_rules RULES = {
	.line_bytes = 200,
	.literal_bytes = 100,
	.nonsync_bytes = 50,
	.drain_bytes = 1 << 30,
	.announces = imap_frame_announces,
	.streams = imap_frame_streams,
};

static void
check(const struct frame *f)
{
	if (f->text.len > RULES.line_bytes + RULES.literal_bytes + 512)
		__builtin_trap();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f = { 0 };
	size_t piece, at = 1;
	uint64_t skip = 0;

	if (size == 0)
		return 0;
	piece = data[0] % 64 + 1;
	while (at < size) {
		size_t give = size - at < piece ? size - at : piece, used = 0;
		enum frame_event event;

		if (skip > 0) { /* APPEND's data, taken by others */
			used = give < skip ? give : (size_t)skip;
			skip -= used;
			at += used;
			if (skip == 0)
				frame_resume(&f);
			continue;
		}
		event = frame_feed(&f, &RULES, (const char *)data + at, give, &used);
		check(&f);
		if (event == FRAME_NEED_INPUT && used != give)
			__builtin_trap();
		at += used;
		if (event == FRAME_STREAM && f.literal.size_bytes % 2 == 0 && f.literal.nonsync) {
			if (!frame_skip(&f, &RULES, f.literal.size_bytes))
				break;
		} else if (event == FRAME_STREAM) {
			skip = f.literal.size_bytes;
			if (skip == 0)
				frame_resume(&f);
		} else if (event == FRAME_COMMAND || event == FRAME_REFUSED) {
			imap_frame_tag((struct str){ f.text.data, f.text.len });
			frame_reset(&f);
		} else if (event == FRAME_HOPELESS) {
			break;
		}
	}
	frame_reset(&f);
	return 0;
}
