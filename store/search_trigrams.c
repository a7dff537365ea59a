#include "store/search_trigrams.h"

#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The bytes of a character: as many as the first one says, and are there.  So what is valid UTF-8 is cut in the same
 * places wherever it stands, even between bytes that are not. */
static size_t
char_bytes(struct str text, size_t at)
{
	unsigned char lead = (unsigned char)text.p[at];
	size_t want = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4, n = 1;

	while (n < want && at + n < text.len && ((unsigned char)text.p[at + n] & 0xc0) == 0x80)
		n++;
	return n;
}

static bool
is_kept(const char *chars, size_t first, size_t second)
{
	return chars[0] != '\0' && chars[first] != '\0' && chars[second] != '\0' &&
	       !ascii_is_space(chars[first]) && !ascii_is_space(chars[second]);
}

bool
search_trigrams_next(struct search_trigrams *t, struct str *trigram_out)
{
	while (t->rest.len > 0) {
		struct str text = t->rest;
		size_t first = char_bytes(text, 0), second, third;

		t->rest = (struct str){ text.p + first, text.len - first };
		if (first == text.len)
			break;
		second = first + char_bytes(text, first);
		if (second == text.len)
			break;
		third = second + char_bytes(text, second);
		*trigram_out = (struct str){ text.p, third };
		if (is_kept(text.p, first, second))
			return true;
	}
	return false;
}

/* --- each once --------------------------------------------------------------------------------- */

/* Trigrams that were given, by their bytes.  A text with more begins anew: what FTS5 is given twice it keeps once. */
#define SEEN_SLOTS 4096
#define SEEN_MAX   (SEEN_SLOTS / 2)

struct seen_trigram {
	uint64_t low;  /* the first eight bytes */
	uint64_t high; /* the others, and the length: never 0 */
};

struct Fts5Tokenizer {
	struct seen_trigram slots[SEEN_SLOTS];
	size_t count;
};

static void
forget_all(struct Fts5Tokenizer *seen)
{
	if (seen->count > 0)
		memset(seen->slots, 0, sizeof(seen->slots));
	seen->count = 0;
}

static bool
is_new(struct Fts5Tokenizer *seen, struct str trigram)
{
	struct seen_trigram t = { 0 };
	size_t low_bytes = trigram.len < 8 ? trigram.len : 8, at;

	memcpy(&t.low, trigram.p, low_bytes);
	memcpy(&t.high, trigram.p + low_bytes, trigram.len - low_bytes); /* four at most */
	t.high |= (uint64_t)trigram.len << 56;
	at = ((t.low ^ t.high * 31) * 0x9fb21c651e98df25u) >> 52;
	for (; seen->slots[at].high != 0; at = (at + 1) % SEEN_SLOTS)
		if (seen->slots[at].low == t.low && seen->slots[at].high == t.high)
			return false;
	if (seen->count == SEEN_MAX) {
		forget_all(seen);
		return true;
	}
	seen->slots[at] = t;
	seen->count++;
	return true;
}

_Static_assert(UINT64_MAX >> 52 == SEEN_SLOTS - 1, "the hash's highest bits are a slot");

/* --- FTS5 -------------------------------------------------------------------------------------- */

static int
on_create(void *arg, const char **args, int count, Fts5Tokenizer **out)
{
	(void)arg;
	(void)args;
	(void)count;
	*out = mem_zalloc(sizeof(**out));
	return SQLITE_OK;
}

static void
on_delete(Fts5Tokenizer *seen)
{
	free(seen);
}

static int
on_text(Fts5Tokenizer *seen, void *ctx, int flags, const char *text, int len,
    int (*on_token)(void *ctx, int flags, const char *token, int len, int begin, int end))
{
	struct search_trigrams t = { { text, (size_t)len } };
	struct str trigram;
	int rc = SQLITE_OK;

	(void)flags;
	forget_all(seen);
	while (rc == SQLITE_OK && search_trigrams_next(&t, &trigram)) {
		int begin = (int)(trigram.p - text), bytes = (int)trigram.len;

		if (is_new(seen, trigram))
			rc = on_token(ctx, 0, trigram.p, bytes, begin, begin + bytes);
	}
	return rc;
}

int
search_trigrams_register(sqlite3 *db)
{
	static fts5_tokenizer tokenizer = { on_create, on_delete, on_text };
	fts5_api *api = NULL;
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &st, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_pointer(st, 1, (void *)&api, "fts5_api_ptr", NULL);
	sqlite3_step(st);
	rc = sqlite3_finalize(st);
	if (rc != SQLITE_OK || api == NULL)
		return rc != SQLITE_OK ? rc : SQLITE_ERROR;
	return api->xCreateTokenizer(api, SEARCH_TOKENIZER, NULL, &tokenizer, NULL);
}
