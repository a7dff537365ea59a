#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "base/mem.h"
#include "managesieved/parse.h"
#include "net/frame.h"

static const struct frame_rules RULES = {
	.line_bytes = 60,
	.literal_bytes = 20,
	.nonsync_bytes = 20,
	.drain_bytes = 1000,
	.announces = msieve_line_announces,
};

/* The bytes of a whole conversation and what comes of them: "C:text" a command, "L:text" refused for
 * its line, "B:text" for a literal, "X" hopeless. */
static const struct {
	const char *in, *events;
} CASES[] = {
	{ "NOOP\r\n", "C:NOOP|" },
	{ "NOOP\n", "C:NOOP|" },
	{ "NOOP\r\nLOGOUT\r\n", "C:NOOP|C:LOGOUT|" },
	{ "\r\n", "C:|" },
	{ "\nNOOP\n", "C:|C:NOOP|" },
	{ "PUTSCRIPT {1+}\r\na {5+}\r\nkeep;\r\nNOOP\r\n",
	    "C:PUTSCRIPT {1+}\r\na {5+}\r\nkeep;|C:NOOP|" },
	{ "PUTSCRIPT \"a\" {5}\r\nkeep;\r\n", "C:PUTSCRIPT \"a\" {5}\r\nkeep;|" },
	{ "CHECKSCRIPT {0+}\r\n\r\nNOOP\r\n", "C:CHECKSCRIPT {0+}\r\n|C:NOOP|" },
	{ "CHECKSCRIPT {4+}\r\n\r\n\r\n\r\nNOOP\r\n", "C:CHECKSCRIPT {4+}\r\n\r\n\r\n|C:NOOP|" },
	{ "{4+}\r\nYWJj\r\n", "C:{4+}\r\nYWJj|" }, /* an answer of SASL's */
	/* refused, and not taken for commands: */
	{ "CHECKSCRIPT {21+}\r\nDELETESCRIPT \"aaaaa\"\n\r\nNOOP\r\n",
	    "B:CHECKSCRIPT {21+}|C:NOOP|" },
	{ "X {20+}\r\n01234567890123456789 {1+}\r\n\n {3+}\r\n\r\n\n\r\nNOOP\r\n",
	    "B:X {20+}|C:NOOP|" },
	{ "012345678901234567890123456789012345678901234567890123456789x\r\nNOOP\r\n",
	    "L:012345678901234567890123456789012345678901234567890123456789x|C:NOOP|" },
	{ "012345678901234567890123456789012345678901234567890123456789 {6+}\r\nNOOP\r\n\r\nA\r\n",
	    "L:012345678901234567890123456789012345678901234567890123456789 {6+}|C:A|" },
	{ "X {1001+}\r\n", "X|" },
	{ "X {99999999999999999999999+}\r\nNOOP\r\n", "X|" },
};

static void
show(struct buf *out, const struct frame *f, enum frame_event event)
{
	switch (event) {
	case FRAME_CONTINUE:
	case FRAME_STREAM: fail(); /* neither is in the protocol */
	case FRAME_NEED_INPUT: return;
	case FRAME_COMMAND: buf_adds(out, "C:"); break;
	case FRAME_REFUSED: buf_adds(out, f->too_big == FRAME_LITERAL_TOO_BIG ? "B:" : "L:"); break;
	case FRAME_HOPELESS: buf_adds(out, "X|"); return;
	}
	buf_add(out, f->text.data, f->text.len);
	buf_addc(out, '|');
}

static void
converse(const char *in, size_t piece, struct buf *out)
{
	struct frame f = { 0 };
	size_t len = strlen(in), at = 0;
	enum frame_event event = FRAME_NEED_INPUT;

	while (at < len && event != FRAME_HOPELESS) {
		size_t give = len - at < piece ? len - at : piece, used;

		event = frame_feed(&f, &RULES, in + at, give, &used);
		if (event == FRAME_NEED_INPUT)
			assert_int_equal(used, give);
		at += used;
		show(out, &f, event);
		if (event == FRAME_COMMAND || event == FRAME_REFUSED)
			frame_reset(&f);
	}
	if (event != FRAME_HOPELESS)
		assert_true(frame_is_empty(&f));
	frame_reset(&f);
}

/* Whole, and in pieces of every size: a refused line keeps only what was there of it. */
static void
test_frames(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		print_message("%s\n", CASES[i].in);
		for (size_t piece = 1; piece <= strlen(CASES[i].in); piece++) {
			struct buf out = { 0 };
			bool whole = piece == strlen(CASES[i].in);

			converse(CASES[i].in, piece, &out);
			if (whole || *CASES[i].events != 'L')
				assert_string_equal(buf_cstr(&out), CASES[i].events);
			else
				assert_string_equal(
				    strrchr(buf_cstr(&out), ':'), strrchr(CASES[i].events, ':'));
			buf_free(&out);
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
