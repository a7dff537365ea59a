/* The header of a submitted message, cut anywhere: it is given out once, a refusal says why, and the author's copy
 * has all that the relay gets. */
#include <stdint.h>
#include <stdlib.h>

#include "submitd/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_own(void *arg, struct str address)
{
	(void)arg;
	return address.len % 2 == 0;
}

static void
mend(struct str in, size_t step, enum from_policy policy, struct buf *out, struct buf *copy)
{
	struct header_mender m = { 0 };
	struct header_facts facts = { .hostname = "h",
		.helo = "c",
		.peer = "192.0.2.1",
		.with = "ESMTPSA",
		.account = "ann@example.org",
		.id = "i",
		.now = 1700000000,
		.from = { .policy = policy, .is_own = is_own },
		.copy = copy };

	header_begin(&m, &facts);
	for (size_t at = 0; at < in.len; at += step)
		header_feed(
		    &m, (struct str){ in.p + at, in.len - at < step ? in.len - at : step }, out);
	header_finish(&m, out);
	if (!m.done || (m.from.refused && *m.from.why == '\0'))
		abort();
	header_end(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = { 0 }, copy = { 0 };

	if (size < 2)
		return 0;
	mend((struct str){ (const char *)data + 2, size - 2 }, (size_t)data[1] + 1,
	    (enum from_policy)(data[0] % 3), &out, &copy);
	if (copy.len < out.len)
		abort();
	buf_free(&out);
	buf_free(&copy);
	return 0;
}
