#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/header.h"
#include "store/mime_read.h"
#include "store/search_text.h"

static const char MESSAGE[] =
    "From: =?utf-8?q?J=C3=B6rg?= <j@x.y>\nSubject: Gr\xC3\xBC\xC3\x9F"
    "e\n aus Wien\nX-Empty:\nCc: Ann (nee) Example <a (at) @ b.example>,\n\t\"Bo\" B "
    "<b@b.example>\n"
    "no colon\n but a fold\n"
    "Content-Type: multipart/mixed; boundary=b\n\npreamble\n"
    "--b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: "
    "quoted-printable\n\n"
    "Ein sch=F6=\nner Tag\n"
    "--b\nContent-Type: text/html\nContent-Transfer-Encoding: base64\nContent-Description: "
    "inneres\n\n"
    "PGI+ZmV0dDwvYj4=\n"
    "--b\nContent-Type: application/octet-stream\n\nbinarydata\n"
    "--b\nContent-Type: message/rfc822\n\nSubject: nested one\n\nnested body\n--b--\n";

static const struct {
	struct search_key key;
	bool match;
} CASES[] = {
	{ { SEARCH_HEADER, STR("Subject"), STR("GR\xC3\x9C"), false }, true },
	{ { SEARCH_HEADER, STR("subject"), STR("e aus w"), false }, true }, /* across the fold */
	{ { SEARCH_HEADER, STR("Subject"), STR("nested"), false }, false },
	{ { SEARCH_HEADER, STR("From"), STR("j\xC3\xB6rg <j@"), false }, true },
	{ { SEARCH_ADDRESSES, STR("From"), STR("j\xC3\xB6rg <j@"), false }, true },
	{ { SEARCH_ADDRESSES, STR("cc"), STR("ann example <a@b.e"), false }, true },
	{ { SEARCH_ADDRESSES, STR("Cc"), STR("bo b <b@"), false }, true },
	{ { SEARCH_ADDRESSES, STR("Cc"), STR("(nee) example"), false }, false },
	{ { SEARCH_HEADER, STR("Cc"), STR("(nee) example"), false }, true },
	{ { SEARCH_HEADER, STR("Cc"), STR("ann example <a@b.e"), false }, false },
	{ { SEARCH_TEXT, STR(""), STR("colon but a"), false }, true },
	{ { SEARCH_TEXT, STR(""), STR("colon: "), false }, false },
	{ { SEARCH_HEADER, STR("X-Empty"), STR(""), false }, true },
	{ { SEARCH_HEADER, STR("X-None"), STR(""), false }, false },
	{ { SEARCH_BODY, STR(""), STR("SCH\xC3\x96NER TAG"), false }, true },
	{ { SEARCH_BODY, STR(""), STR("<b>fett"), false }, true },
	{ { SEARCH_BODY, STR(""), STR("binarydata"), false }, false },
	{ { SEARCH_BODY, STR(""), STR("nested one"), false }, false }, /* a subject */
	{ { SEARCH_BODY, STR(""), STR("nested body"), false }, true },
	{ { SEARCH_BODY, STR(""), STR("inneres"), false }, false },
	{ { SEARCH_TEXT, STR(""), STR("inneres"), false }, true },
	{ { SEARCH_TEXT, STR(""), STR("nested one"), false }, true },
	{ { SEARCH_BODY, STR(""), STR("wien"), false }, false },
	{ { SEARCH_TEXT, STR(""), STR("wien"), false }, true },
	{ { SEARCH_TEXT, STR(""), STR("fett"), false }, true },
	{ { SEARCH_TEXT, STR(""), STR("nowhere"), false }, false },
	{ { SEARCH_TEXT, STR(""), STR(""), false }, true },
};

static int
file_of(struct str bytes)
{
	int fd = memfd_create("message", 0);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.p, bytes.len), bytes.len);
	return fd;
}

static void
test_keys(void **state)
{
	struct search_key keys[ARRAY_LEN(CASES)];
	bool matched[ARRAY_LEN(CASES)], alone;
	struct mime_message *m = mime_parse(str_from(MESSAGE));
	int fd = file_of(str_from(MESSAGE));
	struct search_text *st;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		keys[i] = CASES[i].key;
		st = search_text_new(&keys[i], 1);
		assert_true(search_text_run(st, fd, m, &alone));
		if (alone != CASES[i].match)
			fail_msg("case %zu alone", i);
		search_text_free(st);
	}
	st = search_text_new(keys, ARRAY_LEN(CASES));
	for (int round = 0; round < 2; round++) {
		assert_true(search_text_run(st, fd, m, matched));
		for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
			if (matched[i] != CASES[i].match)
				fail_msg("case %zu", i);
	}
	search_text_free(st);
	mime_message_free(m);
	close(fd);
}

/* A needle is found wherever it lies, also across the ends of what is read at once. */
static void
test_chunk_ends(void **state)
{
	static const struct search_key KEY = { SEARCH_BODY, STR(""), STR("needle"), false };
	struct search_text *st = search_text_new(&KEY, 1);

	(void)state;
	for (size_t at = 32740; at < 32790; at++) {
		struct buf text = { 0 };
		struct mime_message *m;
		bool matched;
		int fd;

		buf_adds(&text, "Subject: x\n\n");
		for (size_t i = 0; i < at; i++)
			buf_addc(&text, i % 70 == 69 ? '\n' : 'x');
		buf_adds(&text, "Needle");
		for (size_t i = 0; i < 40000; i++)
			buf_addc(&text, 'y');
		m = mime_parse((struct str){ text.data, text.len });
		fd = file_of((struct str){ text.data, text.len });
		assert_true(search_text_run(st, fd, m, &matched));
		assert_true(matched);
		mime_message_free(m);
		buf_free(&text);
		close(fd);
	}
	search_text_free(st);
}

/* --- header fields kept by an index --- */

static const char *const NAMES[] = { "Subject", "FROM", "to", "Cc", "Bcc", "Reply-To", "Sender",
	"message-id", "In-Reply-To", "References", "List-Id", "Received", "X-None", "" };
static const char *const ADDRESSES[] = { "From", "TO", "cc", "Bcc" };
enum {
	KEPT_NAMES = 11,
	ADDRESSES_AT = ARRAY_LEN(NAMES),
	BODY_AT = ADDRESSES_AT + ARRAY_LEN(ADDRESSES),
	KEYS_OF_NEEDLE = BODY_AT + 2
};

/* Is this key of a needle one that the kept fields can answer? */
static bool
is_kept(size_t i)
{
	return i < KEPT_NAMES || (i >= ADDRESSES_AT && i < BODY_AT);
}

struct keys {
	struct arena arena;
	struct search_key *key;
	size_t count;
};

static void
add_key(struct keys *k, enum search_where where, struct str header, struct str text)
{
	k->key = mem_realloc_array(k->key, k->count + 1, sizeof(*k->key));
	k->key[k->count++] = (struct search_key){ where, header,
		{ arena_strndup(&k->arena, text.p, text.len), text.len }, false };
}

static void
add_needle(struct keys *k, struct str text)
{
	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
		add_key(k, SEARCH_HEADER, str_from(NAMES[i]), text);
	for (size_t i = 0; i < ARRAY_LEN(ADDRESSES); i++)
		add_key(k, SEARCH_ADDRESSES, str_from(ADDRESSES[i]), text);
	add_key(k, SEARCH_BODY, STR(""), text);
	add_key(k, SEARCH_TEXT, STR(""), text);
}

/* Needles of any message, and pieces of this one's header. */
static void
make_keys(struct keys *k, int fd, const struct mime_message *m)
{
	static const char *const ANY[] = { "", "a", "A", "@", ".", " ", "re:", "\xC3\xBC",
		"\xC3\x9C", "\xEF\xBF\xBD", "utf-8", "example", "<", "\xFF", "nowhere" };
	char *longest = mem_zalloc(SEARCH_NEEDLE_MAX_BYTES + 1);
	struct buf raw = { 0 }, value = { 0 };
	struct header_field h;
	struct cursor c;

	for (size_t i = 0; i < ARRAY_LEN(ANY); i++)
		add_needle(k, str_from(ANY[i]));
	memset(longest, 'x', SEARCH_NEEDLE_MAX_BYTES + 1);
	add_needle(k, (struct str){ longest, SEARCH_NEEDLE_MAX_BYTES + 1 });
	free(longest);
	assert_true(mime_header_read(&raw, fd, m->root));
	c = cursor_from((struct str){ raw.data, raw.len });
	for (int i = 0; i < 12 && raw.len > 0 && header_next(&c, &h); i++) {
		buf_reset(&value);
		header_decode(&value, h.value);
		if (value.len > 1000)
			continue;
		add_needle(k, (struct str){ value.data, value.len });
		add_needle(k, (struct str){ value.data, value.len / 2 });
		add_needle(k, (struct str){ value.data + value.len / 2, value.len / 4 });
	}
	buf_free(&raw);
	buf_free(&value);
}

static size_t
check_fields(const char *name, int fd)
{
	struct mime_message *m = mime_parse_fd(fd);
	struct keys k = { 0 };
	struct buf header = { 0 }, fields = { 0 };
	enum search_truth *truths;
	struct search_text *st;
	bool *matched;
	size_t yes = 0;

	assert_non_null(m);
	make_keys(&k, fd, m);
	truths = mem_zalloc(k.count * sizeof(*truths));
	matched = mem_zalloc(k.count * sizeof(*matched));
	st = search_text_new(k.key, k.count);
	assert_true(search_text_run(st, fd, m, matched));
	assert_true(mime_header_read(&header, fd, m->root));
	search_fields_pack(&fields, (struct str){ header.data, header.len });
	buf_free(&header);
	assert_true(fields.len >= 2 && fields.len <= SEARCH_FIELDS_MAX_BYTES);
	search_fields_match(st, (struct str){ fields.data, fields.len }, truths);
	for (size_t i = 0; i < k.count; i++) {
		bool whole = fields.data[0] == 0 && fields.data[1] == 0;

		if (truths[i] == SEARCH_UNKNOWN ? whole && is_kept(i % KEYS_OF_NEEDLE)
						: matched[i] != (truths[i] == SEARCH_YES))
			fail_msg("%s: %.*s \"%.*s\": %d, the file says %d", name,
			    (int)k.key[i].header.len, k.key[i].header.p, (int)k.key[i].text.len,
			    k.key[i].text.p, truths[i], matched[i]);
		yes += truths[i] == SEARCH_YES;
	}
	search_text_free(st);
	mime_message_free(m);
	buf_free(&fields);
	arena_free(&k.arena);
	free(k.key);
	free(truths);
	free(matched);
	return yes;
}

/* What the fields say is what the message says. */
static void
test_fields_of_samples(void **state)
{
	struct dirent *e;
	size_t count = 0, yes = 0;
	DIR *d = opendir("store/samples");

	(void)state;
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		size_t len = strlen(e->d_name);
		int fd;

		if (len < 5 || strcmp(e->d_name + len - 4, ".eml") != 0)
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		yes += check_fields(e->d_name, fd);
		close(fd);
		count++;
	}
	closedir(d);
	assert_true(count > 250 && yes > 5000);
}

/* Values that do not fit are for the file to say; those that do fit are known. */
static void
test_long_fields(void **state)
{
	static const struct {
		struct search_key key;
		enum search_truth truth;
	} ROWS[] = {
		{ { SEARCH_HEADER, STR("To"), STR("first@"), false }, SEARCH_YES },
		{ { SEARCH_HEADER, STR("To"), STR("other@"), false }, SEARCH_UNKNOWN },
		{ { SEARCH_HEADER, STR("To"), STR("nobody@"), false }, SEARCH_UNKNOWN },
		{ { SEARCH_HEADER, STR("To"), STR(""), false }, SEARCH_YES },
		{ { SEARCH_HEADER, STR("Cc"), STR(""), false }, SEARCH_UNKNOWN },
		{ { SEARCH_HEADER, STR("Subject"), STR("HELLO"), false }, SEARCH_YES },
		{ { SEARCH_HEADER, STR("Subject"), STR("bye"), false }, SEARCH_NO },
		{ { SEARCH_HEADER, STR("From"), STR(""), false }, SEARCH_NO },
		{ { SEARCH_HEADER, STR("X-Other"), STR(""), false }, SEARCH_UNKNOWN },
		{ { SEARCH_BODY, STR(""), STR("text"), false }, SEARCH_UNKNOWN },
	};
	struct search_key keys[ARRAY_LEN(ROWS)];
	enum search_truth truths[ARRAY_LEN(ROWS)];
	struct buf text = { 0 }, fields = { 0 };
	struct search_text *st;
	struct mime_message *m;
	int fd;

	(void)state;
	buf_adds(&text, "To: first@x.y\nTo: ");
	for (int i = 0; i < 1000; i++)
		buf_adds(&text, "other@x.y,\n ");
	buf_adds(&text, "last@x.y\nCc: ");
	for (int i = 0; i < 1000; i++)
		buf_adds(&text, "copy@x.y,\n ");
	buf_adds(&text, "last@x.y\nSubject: Hello\n\ntext\n");
	fd = file_of((struct str){ text.data, text.len });
	check_fields("long", fd);
	m = mime_parse((struct str){ text.data, text.len });
	search_fields_pack(&fields, (struct str){ text.data, (size_t)m->root->header.size });
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
		keys[i] = ROWS[i].key;
	st = search_text_new(keys, ARRAY_LEN(ROWS));
	search_fields_match(st, (struct str){ fields.data, fields.len }, truths);
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
		if (truths[i] != ROWS[i].truth)
			fail_msg("row %zu: %d", i, truths[i]);
	search_text_free(st);
	mime_message_free(m);
	buf_free(&text);
	buf_free(&fields);
	close(fd);
}

/* Damaged bytes say nothing. */
static void
test_damaged_fields(void **state)
{
	static const struct {
		struct str fields;
		enum search_truth truth; /* of SUBJECT "A" */
	} ROWS[] = {
		{ STR(""), SEARCH_UNKNOWN },
		{ STR("\0"), SEARCH_UNKNOWN },
		{ STR("\0\0"), SEARCH_NO },
		{ STR("\1\0"), SEARCH_UNKNOWN }, /* marked */
		{ STR("\2\0"), SEARCH_NO },
		{ STR("\0\10"), SEARCH_UNKNOWN }, /* the bit of no field */
		{ STR("\0\0\0\0\1\0A"), SEARCH_YES },
		{ STR("\0\0\1\0\1\0A"), SEARCH_NO }, /* From */
		{ STR("\0\0\0\0\1\0AA"), SEARCH_UNKNOWN },
		{ STR("\0\0\0\0\2\0A"), SEARCH_UNKNOWN },
		{ STR("\0\0\0\0\1\1A"), SEARCH_UNKNOWN },
		{ STR("\0\0\13\0\1\0A"), SEARCH_UNKNOWN }, /* no such field */
		{ STR("\0\0\0\0\1\0A\0\0\0"), SEARCH_UNKNOWN },
		{ STR("\0\0\0\0\1\0B\0\0\1\0A"), SEARCH_YES },
		{ STR("\0\0\0\2\1\0A"), SEARCH_YES }, /* not for FROM and its like */
		{ STR("\0\0\0\1\1\0A"), SEARCH_NO },  /* for these alone */
		{ STR("\0\0\0\4\1\0A"), SEARCH_UNKNOWN },
	};
	static const struct search_key KEY = { SEARCH_HEADER, STR("SUBJECT"), STR("a"), false };
	struct search_text *st = search_text_new(&KEY, 1);
	enum search_truth truth;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		search_fields_match(st, ROWS[i].fields, &truth);
		if (truth != ROWS[i].truth)
			fail_msg("row %zu: %d", i, truth);
	}
	search_text_free(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_keys),
		cmocka_unit_test(test_chunk_ends), cmocka_unit_test(test_fields_of_samples),
		cmocka_unit_test(test_long_fields), cmocka_unit_test(test_damaged_fields) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
