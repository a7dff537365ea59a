/* One string, expanded over a message with a bit of everything. */
#include <time.h>

#include "filter/exim/expand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char MESSAGE[] = "From: =?utf-8?q?J=C3=B6rg?= <j@example.net>\nTo: a@b, C <c@d>\n"
			      "X-Two: 1\nX-Two: 2\nReceived: x\n\nbody\nmore";

static int64_t
clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct filter_message m = { .fd = -1,
		.bytes = str_from(MESSAGE),
		.sender = "bob@example.net",
		.rcpt = "ann@example.org",
		.account = "ann@example.org" };
	struct filter_run_options options = { 0 };
	struct filter_result result = { 0 };
	struct arena arena = { 0 };
	struct filter_error error;
	struct exim_run x = { .message = &m,
		.options = &options,
		.result = &result,
		.error = &error,
		.arena = &arena,
		.charset = "UTF-8",
		.now = 1772443230 };
	struct str out;

	x.wall_start_ns = clock_ns(CLOCK_MONOTONIC);
	x.cpu_start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	x.local_part = x.original_local_part = STR("ann");
	x.domain = x.original_domain = STR("example.org");
	x.suffix = x.thisaddress = x.item = x.value = (struct str){ "", 0 };
	if (view_open(&x.view, &m, &arena)) {
		exim_expand(&x, (struct str){ (const char *)data, size }, &out);
		view_close(&x.view);
	}
	arena_free(&x.scratch);
	arena_free(&arena);
	return 0;
}
