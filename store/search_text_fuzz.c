#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/casefold.h"
#include "store/search_fuzzy.h"
#include "store/search_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
has(const struct search_texts *t, enum search_where where, struct str text)
{
	if (text.len == 0)
		return true;
	return (where != SEARCH_BODY && t->head.len >= text.len &&
		   memmem(t->head.data, t->head.len, text.p, text.len) != NULL) ||
	       (where != SEARCH_HEADER && where != SEARCH_ADDRESSES && t->body.len >= text.len &&
		   memmem(t->body.data, t->body.len, text.p, text.len) != NULL);
}

/* Of each word one of the pieces that an index is asked for, if it has any. */
static bool
has_pieces(const struct search_texts *t, const struct search_key *key)
{
	struct fuzzy *f = fuzzy_new(key->text);
	bool all = true;

	for (size_t i = 0; f != NULL && i < fuzzy_word_count(f); i++) {
		bool one = false;
		struct str piece;
		size_t k;

		for (k = 0; fuzzy_piece(f, i, k, &piece); k++)
			one = one || has(t, key->where, piece);
		all = all && (one || k == 0);
	}
	fuzzy_free(f);
	return all;
}

/* Whatever matches is in what an index gets to see. */
static void
check_texts(const struct search_key *keys, const bool *matched, size_t count, int fd,
    const struct mime_message *m)
{
	struct search_texts texts = { 0 };

	if (!search_texts_collect(&texts, 1 << 26, fd, m))
		__builtin_trap();
	for (size_t i = 0; i < count; i++) {
		struct buf text = { 0 };

		casefold_all(&text, keys[i].text);
		if (matched[i] && !(keys[i].fuzzy ? has_pieces(&texts, &keys[i])
						  : has(&texts, keys[i].where,
							(struct str){ text.data, text.len })))
			__builtin_trap();
		buf_free(&text);
	}
	search_texts_free(&texts);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct search_key KEYS[] = {
		{ SEARCH_HEADER, STR("Subject"), STR("a"), false },
		{ SEARCH_BODY, STR(""), STR("needle"), false },
		{ SEARCH_TEXT, STR(""), STR("\xC3\xBC"), false },
		{ SEARCH_HEADER, STR("To"), STR(""), false },
		{ SEARCH_ADDRESSES, STR("From"), STR("a <"), false },
		{ SEARCH_HEADER, STR("References"), STR("<"), false },
		{ SEARCH_TEXT, STR(""), STR("need nedle"), true },
		{ SEARCH_BODY, STR(""), STR("multipart b\xC3\xB6undary"), true },
		{ SEARCH_HEADER, STR("Subject"), STR("sub a"), true },
	};
	struct mime_message *m = mime_parse((struct str){ (const char *)data, size });
	struct search_text *st = search_text_new(KEYS, ARRAY_LEN(KEYS));
	bool matched[ARRAY_LEN(KEYS)];
	enum search_truth truths[ARRAY_LEN(KEYS)];
	struct buf fields = { 0 };
	int fd = memfd_create("message", 0);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
	    !search_text_run(st, fd, m, matched))
		__builtin_trap();
	search_fields_match(st, (struct str){ (const char *)data, size }, truths);
	search_fields_pack(
	    &fields, (struct str){ (const char *)data, (size_t)m->root->header.size });
	search_fields_match(st, (struct str){ fields.data, fields.len }, truths);
	for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
		if (truths[i] != SEARCH_UNKNOWN && matched[i] != (truths[i] == SEARCH_YES))
			__builtin_trap();
	check_texts(KEYS, matched, ARRAY_LEN(KEYS), fd, m);
	buf_free(&fields);
	close(fd);
	search_text_free(st);
	mime_message_free(m);
	return 0;
}
