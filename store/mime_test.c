/* Every store/samples/NAME.eml must give NAME.expect, however it is cut, and its part table must
 * survive packing. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/mime.h"

static const char SAMPLES[] = "store/samples";

static void
read_file(struct buf *out, const char *name, const char *ending)
{
	struct buf path = { 0 };
	char chunk[4096];
	size_t n;
	FILE *f;

	buf_printf(&path, "%s/%s%s", SAMPLES, name, ending);
	f = fopen(buf_cstr(&path), "rb");
	if (f == NULL) {
		fail_msg("%s is missing", buf_cstr(&path));
		return;
	}
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(out, chunk, n);
	fclose(f);
	buf_free(&path);
}

static void
show(struct buf *out, const struct mime_message *m)
{
	mime_envelope(out, m->root);
	buf_addc(out, '\n');
	mime_body(out, m);
	buf_addc(out, '\n');
	mime_bodystructure(out, m);
	buf_addc(out, '\n');
}

static void
same_bytes(const char *name, const struct buf *a, const struct buf *b)
{
	if (!str_eq((struct str){ a->data, a->len }, (struct str){ b->data, b->len }))
		fail_msg(
		    "%s: got\n%.*s\nnot\n%.*s", name, (int)a->len, a->data, (int)b->len, b->data);
}

static struct mime_message *
parse_in_steps(const struct buf *text, size_t step)
{
	struct mime_parser *p = mime_parser_new();

	for (size_t at = 0; at < text->len; at += step)
		mime_parser_feed(p, text->data + at, step < text->len - at ? step : text->len - at);
	return mime_parser_finish(p);
}

static void
same_parts(const struct mime_part *a, const struct mime_part *b)
{
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->cte, b->cte);
	assert_int_equal(a->child_count, b->child_count);
	assert_memory_equal(&a->header, &b->header, sizeof(a->header));
	assert_memory_equal(&a->body, &b->body, sizeof(a->body));
	assert_true(str_eq(a->type, b->type) && str_eq(a->subtype, b->subtype));
	assert_true(str_eq(a->charset, b->charset));
	a = a->first_child;
	for (b = b->first_child; a != NULL && b != NULL; a = a->next, b = b->next)
		same_parts(a, b);
	assert_true(a == NULL && b == NULL);
}

static void
check_sample(const char *name)
{
	static const size_t STEPS[] = { 1, 2, 3, 7, 64, 1000 };
	struct buf text = { 0 }, expected = { 0 }, got = { 0 }, blob = { 0 };
	struct mime_message *m, *again;

	read_file(&text, name, ".eml");
	read_file(&expected, name, ".expect");
	m = mime_parse((struct str){ text.data, text.len });
	show(&got, m);
	same_bytes(name, &got, &expected);
	assert_int_equal(mime_message_size(m), text.len);
	for (size_t i = 0; i < ARRAY_LEN(STEPS); i++) {
		again = parse_in_steps(&text, STEPS[i]);
		buf_reset(&got);
		show(&got, again);
		same_bytes(name, &got, &expected);
		same_parts(m->root, again->root);
		mime_message_free(again);
	}
	mime_pack(&blob, m);
	again = mime_unpack((struct str){ blob.data, blob.len });
	assert_non_null(again);
	same_parts(m->root, again->root);
	mime_message_free(again);
	for (size_t len = 0; len < blob.len && len < 200; len++) /* cut off: refused, not crashed */
		assert_null(mime_unpack((struct str){ blob.data, len }));
	mime_message_free(m);
	buf_free(&text);
	buf_free(&expected);
	buf_free(&got);
	buf_free(&blob);
}

static void
test_samples(void **state)
{
	struct dirent *e;
	size_t count = 0;
	DIR *d = opendir(SAMPLES);

	(void)state;
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		size_t len = strlen(e->d_name);
		char *name;

		if (len < 5 || strcmp(e->d_name + len - 4, ".eml") != 0)
			continue;
		name = mem_strndup(e->d_name, len - 4);
		check_sample(name);
		free(name);
		count++;
	}
	closedir(d);
	assert_true(count > 250);
}

/* The example of RFC 9051 §6.4.5.1. */
static const char NUMBERED[] =
    "Content-Type: multipart/mixed; boundary=a\n\n"
    "--a\n\ntext 1\n--a\nContent-Type: application/octet-stream\n\ndata 2\n"
    "--a\nContent-Type: message/rfc822\n\nSubject: m3\nContent-Type: multipart/mixed; "
    "boundary=b\n\n"
    "--b\n\ntext 3.1\n--b\nContent-Type: application/x\n\ndata 3.2\n--b--\n"
    "--a\nContent-Type: multipart/mixed; boundary=c\n\n"
    "--c\nContent-Type: image/gif\n\ndata 4.1\n"
    "--c\nContent-Type: message/rfc822\n\nContent-Type: text/html\n\ntext 4.2.1\n--c--\n"
    "--a\nContent-Type: multipart/mixed; boundary=d\n\nno parts\n--a--\n";

static const struct {
	const char *numbers, *body; /* body NULL: no such part; "*": only that it is there */
	bool message;
} PARTS[] = {
	{ "1", "text 1", false }, { "2", "data 2", false }, { "3", "*", true },
	{ "3.1", "text 3.1", false }, { "3.2", "data 3.2", false }, { "3.3", NULL, false },
	{ "4", "*", false }, { "4.1", "data 4.1", false }, { "4.2", "*", true },
	{ "4.2.1", "text 4.2.1", false }, { "4.2.2", NULL, false }, { "4.2.1.1", NULL, false },
	{ "5", "no parts", false }, { "5.1", "", false }, { "5.2", NULL, false },
	{ "5.1.1", NULL, false }, { "6", NULL, false }, { "0", NULL, false },
	{ "1.1", NULL, false }, /* a leaf within a multipart has no part 1 of its own */
};

static void
test_numbers(void **state)
{
	struct mime_message *m = mime_parse(str_from(NUMBERED));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
		struct cursor c = cursor_from(str_from(PARTS[i].numbers));
		uint32_t numbers[8];
		size_t n = 0;
		const struct mime_part *part;

		do
			cursor_take_u32(&c, &numbers[n++]);
		while (cursor_take(&c, '.'));
		part = mime_find_part(m, numbers, n);
		if ((part == NULL) != (PARTS[i].body == NULL))
			fail_msg("%s", PARTS[i].numbers);
		if (part != NULL && PARTS[i].body != NULL && PARTS[i].body[0] != '*')
			assert_true(
			    str_eq((struct str){ NUMBERED + part->body.offset, part->body.size },
				str_from(PARTS[i].body)));
		assert_int_equal(mime_find_message(m, numbers, n) != NULL, PARTS[i].message);
	}
	assert_ptr_equal(mime_find_part(m, NULL, 0), m->root);
	assert_ptr_equal(mime_find_message(m, NULL, 0), m->root);
	mime_message_free(m);
}

static void
test_bounds(void **state)
{
	struct buf text = { 0 };
	struct mime_message *m;

	(void)state;
	for (int i = 0; i < 300; i++)
		buf_adds(&text, "Content-Type: message/rfc822\n\n");
	m = mime_parse((struct str){ text.data, text.len });
	assert_int_equal(m->part_count, MIME_DEPTH_MAX);
	assert_true(m->opaque);
	mime_message_free(m);
	buf_reset(&text);
	buf_adds(&text, "Content-Type: multipart/mixed; boundary=b\n\n");
	for (int i = 0; i < MIME_PARTS_MAX + 100; i++)
		buf_adds(&text, "--b\n\nx\n");
	m = mime_parse((struct str){ text.data, text.len });
	assert_int_equal(m->part_count, MIME_PARTS_MAX);
	assert_true(m->opaque);
	mime_message_free(m);
	buf_reset(&text);
	buf_adds(&text, "Subject: a\nX: ");
	for (int i = 0; i < 2 * MIME_HEADER_MAX_BYTES; i++)
		buf_addc(&text, 'x');
	buf_adds(&text, "\nTo: a@b.c\n\nbody");
	m = mime_parse((struct str){ text.data, text.len });
	assert_true(m->opaque);
	assert_int_equal(m->root->body.size, 4);
	mime_message_free(m);
	buf_free(&text);
}

/* Each field of addresses adds to the list, however many there are: memory grows with the header alone. */
static void
test_many_fields(void **state)
{
	enum { COUNT = 150000 };
	struct buf text = { 0 };
	struct mime_message *m;

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		buf_adds(&text, i == 1 ? "To:\n" : "To: a\n");
	m = mime_parse((struct str){ text.data, text.len });
	assert_int_equal(m->root->fields->field[MIME_TO].len, 2 * (COUNT - 1) - 1);
	assert_memory_equal(m->root->fields->field[MIME_TO].p, "a\0a\0a", 5);
	assert_null(m->root->fields->field[MIME_CC].p);
	mime_message_free(m);
	buf_free(&text);
}

static void
test_param_utf8(void **state)
{
	static const struct {
		const char *type, *value;
	} CASES[] = {
		{ "a/b; name*=utf-8'en'gr%C3%BC%C3%9Fe", "gr\xC3\xBC\xC3\x9F"
							 "e" },
		{ "a/b; name*0*=iso-8859-1''gr%FC; name*1=\" x\"", "gr\xC3\xBC x" },
		{ "a/b; name*0=a; name*1=b", "ab" },
		{ "a/b; name=\"=?utf-8?q?gr=C3=BC?=\"", "gr\xC3\xBC" },
		{ "a/b; name=old; name*=utf-8''new", "new" },
		{ "a/b; name*=broken%zz", "broken%zz" },
		{ "a/b; other=x", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct buf text = { 0 }, out = { 0 };
		struct mime_message *m;

		buf_printf(&text, "Content-Type: %s\n\n", CASES[i].type);
		m = mime_parse((struct str){ text.data, text.len });
		assert_int_equal(mime_param_utf8(m->root->info->params, m->root->info->param_count,
				     "name", &out),
		    CASES[i].value != NULL);
		if (CASES[i].value != NULL)
			assert_string_equal(buf_cstr(&out), CASES[i].value);
		mime_message_free(m);
		buf_free(&text);
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_many_fields),
		cmocka_unit_test(test_param_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
