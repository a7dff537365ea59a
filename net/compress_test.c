#include "net/compress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What `from` packs, `to` unpacks, in pieces of `room` bytes. */
static void
unpack_all(struct net_compress *to, const struct buf *packed, size_t room, struct buf *out)
{
	const char *at = packed->data;
	size_t left = packed->len, len;
	char *piece = malloc(room);

	while (left > 0 || net_compress_has_more(to)) {
		assert_int_equal(
		    net_compress_unpack(to, &at, &left, piece, room, &len), NET_UNPACKED);
		buf_add(out, piece, len);
	}
	free(piece);
}

static void
send_over(struct net_compress *from, struct net_compress *to, const char *text, size_t room)
{
	struct buf packed = { 0 }, out = { 0 };

	net_compress_pack(from, text, strlen(text), true, &packed);
	unpack_all(to, &packed, room, &out);
	assert_string_equal(buf_cstr(&out), text);
	buf_free(&packed);
	buf_free(&out);
}

static void
test_what_is_packed_is_unpacked(void **state)
{
	static const size_t ROOMS[] = { 1, 7, 64, 65536 };
	struct net_compress *a = net_compress_new(), *b = net_compress_new();
	char *text = malloc(200001);

	(void)state;
	for (size_t i = 0; i < 200000; i++)
		text[i] = (char)('a' + (i * i / 7) % 26);
	text[200000] = '\0';
	for (size_t i = 0; i < sizeof(ROOMS) / sizeof(ROOMS[0]); i++) {
		send_over(a, b, "a1 NOOP\r\n", ROOMS[i]);
		send_over(a, b, text, ROOMS[i]);
	}
	net_compress_free(a);
	net_compress_free(b);
	free(text);
}

/* After a rest on either side, at any time, both still understand each other; and little is held. */
static void
test_rest(void **state)
{
	struct net_compress *a = net_compress_new(), *b = net_compress_new();

	(void)state;
	for (int i = 0; i < 40; i++) {
		send_over(a, b, "a1 FETCH 1:* (FLAGS UID ENVELOPE)\r\n", 100);
		if (i % 2 == 0)
			assert_true(net_compress_rest(b));
		if (i % 3 == 0)
			assert_true(net_compress_rest(a));
		if (i % 5 == 0)
			assert_true(net_compress_rest(b)); /* twice is fine */
	}
	assert_true(net_compress_rest(a));
	assert_true(net_compress_rest(b));
	assert_true(net_compress_held(a) < 256);
	assert_true(net_compress_held(b) < 40 * 36 + 256);
	net_compress_free(a);
	net_compress_free(b);
}

/* Where the peer has not flushed its side stays as it is. */
static void
test_no_rest_in_the_middle(void **state)
{
	struct net_compress *a = net_compress_new(), *b = net_compress_new();
	struct buf packed = { 0 }, head, tail;
	struct buf out = { 0 };

	(void)state;
	net_compress_pack(a, "hello hello hello hello hello", 29, true, &packed);
	head = (struct buf){ .data = packed.data, .len = 5 };
	tail = (struct buf){ .data = packed.data + 5, .len = packed.len - 5 };
	unpack_all(b, &head, 100, &out);
	assert_false(net_compress_rest(b));
	unpack_all(b, &tail, 100, &out);
	assert_true(net_compress_rest(b));
	assert_string_equal(buf_cstr(&out), "hello hello hello hello hello");
	buf_free(&packed);
	buf_free(&out);
	net_compress_free(a);
	net_compress_free(b);
}

/* One call never goes beyond what the peer flushed together: what follows may not be DEFLATE at all. */
static void
test_flushes_stay_apart(void **state)
{
	struct net_compress *a = net_compress_new(), *b = net_compress_new();
	struct buf packed = { 0 };
	char out[100];
	const char *at;
	size_t left, len;

	(void)state;
	net_compress_pack(a, "one\r\n", 5, true, &packed);
	net_compress_pack(a, "two\r\n", 5, true, &packed);
	buf_adds(&packed, "plain text");
	at = packed.data;
	left = packed.len;
	assert_int_equal(net_compress_unpack(b, &at, &left, out, sizeof(out), &len), NET_UNPACKED);
	assert_int_equal(len, 5);
	assert_memory_equal(out, "one\r\n", 5);
	do
		assert_int_equal(
		    net_compress_unpack(b, &at, &left, out, sizeof(out), &len), NET_UNPACKED);
	while (len == 0);
	assert_int_equal(len, 5);
	assert_memory_equal(out, "two\r\n", 5);
	assert_int_equal(left, strlen("plain text"));
	buf_free(&packed);
	net_compress_free(a);
	net_compress_free(b);
}

static void
test_broken_and_ended(void **state)
{
	struct net_compress *z = net_compress_new();
	const char *at = "\xff\xff\xff\xff";
	char out[100];
	size_t left = 4, len;

	(void)state;
	assert_int_equal(
	    net_compress_unpack(z, &at, &left, out, sizeof(out), &len), NET_UNPACKED_BROKEN);
	net_compress_free(z);
	z = net_compress_new();
	at = "\x03\x00";
	left = 2;
	assert_int_equal(
	    net_compress_unpack(z, &at, &left, out, sizeof(out), &len), NET_UNPACKED_END);
	net_compress_free(z);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_packed_is_unpacked),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_no_rest_in_the_middle),
		cmocka_unit_test(test_flushes_stay_apart),
		cmocka_unit_test(test_broken_and_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
