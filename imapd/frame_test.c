#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "base/mem.h"
#include "imapd/frame.h"

static const struct frame_rules RULES = {
	.line_bytes = 60,
	.literal_bytes = 20,
	.nonsync_bytes = 10,
	.drain_bytes = 1 << 30,
	.announces = imap_frame_announces,
	.streams = imap_frame_streams,
};

/* The bytes of a whole conversation and what comes of them: "C:text" a command, "+" a go-ahead,
 * "A:text:n" APPEND's data of n bytes, which is taken, "R:tag" refused, "X" hopeless. */
static const struct {
	const char *in, *events;
} CASES[] = {
	{ "a NOOP\r\n", "C:a NOOP|" },
	{ "a NOOP\n", "C:a NOOP|" },
	{ "a NOOP\r\nb NOOP\r\n", "C:a NOOP|C:b NOOP|" },
	{ "\r\n", "C:|" },
	{ "a LOGIN {3}\r\nann {2}\r\npw\r\nb X\r\n", "+|+|C:a LOGIN {3}\r\nann {2}\r\npw|C:b X|" },
	{ "a LOGIN {3+}\r\nann \"p\"\r\n", "C:a LOGIN {3+}\r\nann \"p\"|" },
	{ "a LOGIN {0+}\r\n x\r\n", "C:a LOGIN {0+}\r\n x|" },
	{ "a X {3+}\r\n\r\n\n y\r\n", "C:a X {3+}\r\n\r\n\n y|" }, /* line ends within */
	/* refused, and not taken for commands: */
	{ "a X {21}\r\nb NOOP\r\n", "R:a|C:b NOOP|" },
	{ "a X {11+}\r\nb DELETE xx\r\nb NOOP\r\n", "R:a|C:b NOOP|" },
	{ "a X {11+}\r\nb DELETE x\r y {4+}\r\nabcd\r\nb NOOP\r\n", "R:a|C:b NOOP|" },
	{ "a X {10+}\r\n0123456789 {10+}\r\n0123456789 {1}\r\nb NOOP\r\n", "R:a|C:b NOOP|" },
	{ "a 0123456789012345678901234567890123456789012345678901234567890123456789\r\nb NOOP\r\n",
	    "R:a|C:b NOOP|" },
	{ "a 01234567890123456789012345678901234567890123456789012345678901234567 {4+}\r\n"
	  "x Y\n\r\nb NOOP\r\n",
	    "R:a|C:b NOOP|" },
	{ "0123456789012345678901234567890123456789012345678901234567890123456789\r\nb N\r\n",
	    "R:*|C:b N|" },
	{ "a X {2000000000+}\r\n", "X|" },
	/* APPEND's data goes past: */
	{ "a APPEND Sent {4}\r\nabcd\r\nb NOOP\r\n", "A:a APPEND Sent :4|C:|C:b NOOP|" },
	{ "a append Sent (\\Seen) {99+}\r\n", "A:a append Sent (\\Seen) :99|" },
	{ "a APPEND Sent {4+}\r\nabcd (\\Seen) ~{2+}\r\nxy\r\n",
	    "A:a APPEND Sent :4|A: (\\Seen) :2|C:|" },
	{ "a APPEND {4}\r\nSent {4}\r\nabcd\r\n", "+|A:a APPEND {4}\r\nSent :4|C:|" },
	{ "a APPEND URL {4}\r\nabcd\r\n", "A:a APPEND URL :4|C:|" },
	{ "a UID REPLACE 7 Sent {4}\r\nabcd\r\n", "A:a UID REPLACE 7 Sent :4|C:|" },
	{ "a REPLACE * {4}\r\nSent (\\Seen) {4+}\r\nabcd\r\n",
	    "+|A:a REPLACE * {4}\r\nSent (\\Seen) :4|C:|" },
	{ "a REPLACE Sent {4+}\r\nabcd\r\n", "C:a REPLACE Sent {4+}\r\nabcd|" },
	/* the pieces of a message, but URLs are text: */
	{ "a APPEND Sent CATENATE (TEXT {4}\r\nabcd URL {2+}\r\n/x UTF8 (~{4+}\r\nabcd))\r\n",
	    "A:a APPEND Sent CATENATE (TEXT :4|A: URL {2+}\r\n/x UTF8 (:4|C:))|" },
	{ "a APPEND Sent CATENATE (url {2}\r\n/x TEXT {4+}\r\nabcd)\r\n",
	    "+|A:a APPEND Sent CATENATE (url {2}\r\n/x TEXT :4|C:)|" },
	{ "a APPEND Sent {4}\r\nabcd CATENATE (URL {2}\r\n/x)\r\n",
	    "A:a APPEND Sent :4|+|C: CATENATE (URL {2}\r\n/x)|" },
	{ "a APPEND {4+}\r\nSent\r\n", "C:a APPEND {4+}\r\nSent|" },
};

static void
show(struct buf *out, const struct frame *f, enum frame_event event)
{
	struct str text = { f->text.data, f->text.len };
	struct str tag;

	switch (event) {
	case FRAME_NEED_INPUT: break;
	case FRAME_COMMAND:
		buf_adds(out, "C:");
		buf_add(out, text.p, text.len);
		break;
	case FRAME_CONTINUE: buf_adds(out, "+"); break;
	case FRAME_STREAM:
		buf_adds(out, "A:");
		buf_add(out, text.p, text.len);
		buf_printf(out, ":%llu", (unsigned long long)f->literal.size_bytes);
		break;
	case FRAME_REFUSED:
		tag = imap_frame_tag(text);
		buf_adds(out, "R:");
		buf_add(out, tag.p, tag.len);
		break;
	case FRAME_HOPELESS: buf_adds(out, "X"); break;
	}
	if (event != FRAME_NEED_INPUT)
		buf_addc(out, '|');
}

/* Feeds `in` in pieces of `piece` bytes, as a network may. */
static void
run(const char *in, size_t piece, struct buf *events)
{
	struct frame f = { 0 };
	size_t len = strlen(in), at = 0, data = 0;

	while (at < len) {
		size_t give = len - at < piece ? len - at : piece, used;
		enum frame_event event;

		if (data > 0) {
			used = give < data ? give : data;
			data -= used;
			at += used;
			if (data == 0)
				frame_resume(&f);
			continue;
		}
		event = frame_feed(&f, &RULES, in + at, give, &used);
		at += used;
		show(events, &f, event);
		if (event == FRAME_STREAM)
			data = (size_t)f.literal.size_bytes;
		else if (event == FRAME_COMMAND || event == FRAME_REFUSED)
			frame_reset(&f);
		else if (event == FRAME_HOPELESS)
			break;
	}
	frame_reset(&f);
}

static void
test_frames(void **state)
{
	static const size_t PIECES[] = { 1, 2, 3, 7, 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		for (size_t p = 0; p < ARRAY_LEN(PIECES); p++) {
			struct buf events = { 0 };

			print_message("%s by %zu\n", CASES[i].in, PIECES[p]);
			run(CASES[i].in, PIECES[p], &events);
			assert_string_equal(buf_cstr(&events), CASES[i].events);
			buf_free(&events);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
