#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/mime_read.h"

static int
file_of(struct str bytes)
{
	int fd = memfd_create("message", 0);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.p, bytes.len), bytes.len);
	return fd;
}

static const struct {
	const char *disk, *shown;
} ENDS[] = {
	{ "", "" },
	{ "a\nb\n", "a\r\nb\r\n" },
	{ "a\r\nb\n", "a\r\nb\r\n" },
	{ "\n\n\n", "\r\n\r\n\r\n" },
	{ "a\rb\r\r\nc\r", "a\rb\r\r\nc\r" },
	{ "\r\n\n\r", "\r\n\r\n\r" },
	{ "one line without end", "one line without end" },
	{ "some longer line\nand another\r\nand\nmore\n\nof it",
	    "some longer line\r\nand another\r\nand\r\nmore\r\n\r\nof it" },
};

/* Whatever the size of the pieces and wherever reading starts, the bytes are those of the CRLF form. */
static void
test_reader(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ENDS); i++) {
		struct str disk = str_from(ENDS[i].disk), shown = str_from(ENDS[i].shown);
		struct mime_extent range = { 0, disk.len, shown.len, 0 };
		int fd = file_of(disk);

		for (size_t step = 1; step < 12; step++) {
			for (size_t skip = 0; skip <= shown.len; skip++) {
				struct mime_reader r;
				char got[128];
				size_t len = 0;
				ssize_t n;

				mime_reader_open(&r, fd, &range);
				assert_true(mime_reader_skip(&r, skip));
				while ((n = mime_reader_read(&r, got + len, step)) > 0)
					len += (size_t)n;
				assert_int_equal(n, 0);
				assert_int_equal(len, shown.len - skip);
				assert_memory_equal(got, shown.p + skip, len);
				assert_int_equal(r.virtual_at, shown.len);
			}
		}
		close(fd);
	}
}

static void
test_truncated(void **state)
{
	struct mime_extent range = { 0, 10, 10, 0 };
	struct mime_reader r;
	char got[16];
	int fd = file_of(STR("abc"));

	(void)state;
	mime_reader_open(&r, fd, &range);
	assert_int_equal(mime_reader_read(&r, got, sizeof(got)), 3);
	assert_int_equal(mime_reader_read(&r, got, sizeof(got)), -1);
	close(fd);
}

static void
test_header_fields(void **state)
{
	static const char TEXT[] = "From: a\nSubject: b\n folded\nX-Y: c\r\nsubject : d\n\nbody";
	static const struct str NAMES[] = { STR("SUBJECT"), STR("none") };
	struct mime_message *m = mime_parse(str_from(TEXT));
	struct buf out = { 0 };
	int fd = file_of(str_from(TEXT));

	(void)state;
	assert_true(mime_header_fields(&out, fd, m->root, NAMES, 2, false));
	assert_string_equal(buf_cstr(&out), "Subject: b\r\n folded\r\nsubject : d\r\n\r\n");
	buf_reset(&out);
	assert_true(mime_header_fields(&out, fd, m->root, NAMES, 2, true));
	assert_string_equal(buf_cstr(&out), "From: a\r\nX-Y: c\r\n\r\n");
	buf_reset(&out);
	assert_true(mime_header_read(&out, fd, m->root));
	assert_int_equal(out.len, m->root->header.virtual_size);
	mime_message_free(m);
	buf_free(&out);
	close(fd);
}

static const struct {
	const char *encoding, *body, *decoded;
} CODED[] = {
	{ "7bit", "a\nb\n", "a\r\nb\r\n" },
	{ "base64", "aGVsbG8g\nd29ybGQ=\n", "hello world" },
	{ "base64", "aGVs\r\nbG8", "hello" },     /* no padding */
	{ "BASE64", "a*G V-s\nbG8=\n", "hello" }, /* what is not base64 is passed over */
	{ "base64", "aGk=aGk=", "hihi" },
	{ "quoted-printable", "gr=C3=BC=c3=9fe =\nx  \ny=20\n",
	    "gr\xC3\xBC\xC3\x9F"
	    "e x\r\ny \r\n" },
	{ "quoted-printable", "a=3\nb=zz=\n", "a=3\r\nb=zz" },
	{ "quoted-printable", "end=", "end" },
	{ "quoted-printable", "soft=\r\nline\r\n", "softline\r\n" },
	{ "x-uuencode", "junk\nbegin 644 x\n#0V%T\n`\nend\n", "Cat" },
	{ "x-strange", "x", NULL },
};

static void
test_decoder(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CODED); i++) {
		struct buf text = { 0 }, out = { 0 };
		struct mime_message *m;
		struct mime_decoder *d;
		uint64_t size = 0;
		char chunk[3];
		ssize_t n;
		int fd;

		buf_printf(&text,
		    "Content-Type: application/x\nContent-Transfer-Encoding: %s\n\n%s",
		    CODED[i].encoding, CODED[i].body);
		fd = file_of((struct str){ text.data, text.len });
		m = mime_parse((struct str){ text.data, text.len });
		d = mime_decoder_open(fd, m->root, MIME_DECODE_CTE);
		assert_int_equal(d != NULL, CODED[i].decoded != NULL);
		assert_int_equal(mime_decoded_size(fd, m->root, &size), CODED[i].decoded != NULL);
		while (d != NULL && (n = mime_decoder_read(d, chunk, sizeof(chunk))) > 0)
			buf_add(&out, chunk, (size_t)n);
		if (d != NULL) {
			assert_string_equal(buf_cstr(&out), CODED[i].decoded);
			assert_int_equal(size, out.len);
		}
		mime_decoder_close(d);
		mime_message_free(m);
		buf_free(&text);
		buf_free(&out);
		close(fd);
	}
}

static void
test_crlf_count(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ENDS); i++)
		for (size_t step = 1; step < 6; step++) {
			struct mime_crlf_count c = { 0 };
			size_t len = strlen(ENDS[i].disk);

			for (size_t at = 0; at < len; at += step)
				mime_crlf_count(
				    &c, ENDS[i].disk + at, step < len - at ? step : len - at);
			assert_int_equal(c.size, len);
			assert_int_equal(c.virtual_size, strlen(ENDS[i].shown));
		}
	assert_int_equal(mime_partial_size(10, 4, 3), 3);
	assert_int_equal(mime_partial_size(10, 8, 5), 2);
	assert_int_equal(mime_partial_size(10, 10, 5), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_header_fields),
		cmocka_unit_test(test_decoder),
		cmocka_unit_test(test_crlf_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
