/* The whole input framing: whatever comes, and in whatever pieces, limits hold and every byte is
 * consumed.  The first byte chooses the size of the pieces. */
#include "imapd/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct imap_frame_limits LIMITS = {
	.line_bytes = 200,
	.literal_bytes = 100,
	.nonsync_bytes = 50,
	.append = true,
};

static void
check(const struct imap_frame *f)
{
	if (f->text.len > LIMITS.line_bytes + LIMITS.literal_bytes + 512)
		__builtin_trap();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imap_frame f = { 0 };
	size_t piece, at = 1;
	uint64_t skip = 0;

	if (size == 0)
		return 0;
	piece = data[0] % 64 + 1;
	while (at < size) {
		size_t give = size - at < piece ? size - at : piece, used = 0;
		enum imap_frame_event event;

		if (skip > 0) { /* APPEND's data, taken by others */
			used = give < skip ? give : (size_t)skip;
			skip -= used;
			at += used;
			if (skip == 0)
				imap_frame_resume(&f);
			continue;
		}
		event = imap_frame_feed(&f, &LIMITS, (const char *)data + at, give, &used);
		check(&f);
		if (event == FRAME_NEED_INPUT && used != give)
			__builtin_trap();
		at += used;
		if (event == FRAME_APPEND && f.literal.size_bytes % 2 == 0 && f.literal.nonsync) {
			if (!imap_frame_skip(&f))
				break;
		} else if (event == FRAME_APPEND) {
			skip = f.literal.size_bytes;
			if (skip == 0)
				imap_frame_resume(&f);
		} else if (event == FRAME_COMMAND || event == FRAME_REFUSED) {
			imap_frame_tag((struct str){ f.text.data, f.text.len });
			imap_frame_reset(&f);
		} else if (event == FRAME_HOPELESS) {
			break;
		}
	}
	imap_frame_reset(&f);
	return 0;
}
