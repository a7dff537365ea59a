#include "filter/sieve/glob.h"

#include "store/charset.h"

/* What stands between two stars. */
struct piece {
	struct str text;
	bool *any; /* by byte of text: it is a "?" */
	size_t any_count;
	bool utf8; /* "?" is a character, not an octet */
};

struct sieve_glob {
	struct piece *pieces; /* one more than there are stars */
	size_t piece_count;
};

static void
piece_add(struct piece *piece, char *text, char c, bool any)
{
	text[piece->text.len] = c;
	piece->any[piece->text.len++] = any;
	piece->any_count += any;
}

struct sieve_glob *
sieve_glob_new(struct arena *a, struct str pattern, bool utf8)
{
	struct sieve_glob *g = arena_zalloc(a, sizeof(*g));
	size_t stars = 0;
	struct piece *piece;
	char *text = arena_alloc(a, pattern.len + 1);
	bool *any = arena_zalloc(a, (pattern.len + 1) * sizeof(*any));

	for (size_t i = 0; i < pattern.len; i++)
		stars += pattern.p[i] == '*';
	g->pieces = arena_zalloc(a, (stars + 1) * sizeof(*g->pieces));
	piece = g->pieces;
	*piece = (struct piece){ .text = { text, 0 }, .any = any, .utf8 = utf8 };
	for (size_t i = 0; i < pattern.len; i++) {
		char c = pattern.p[i];

		if (c == '*') {
			text += piece->text.len;
			any += piece->text.len;
			*++piece = (struct piece){ .text = { text, 0 }, .any = any, .utf8 = utf8 };
			continue;
		}
		if (c == '\\' && i + 1 < pattern.len)
			piece_add(piece, text, pattern.p[++i], false);
		else
			piece_add(piece, text, c, c == '?');
	}
	g->piece_count = (size_t)(piece - g->pieces) + 1;
	return g;
}

/* The length of the character at the start of s: of UTF-8, or one byte. */
static size_t
char_len(const struct piece *piece, struct str s)
{
	uint32_t code;
	int len = piece->utf8 ? utf8_decode(s.p, s.len, &code) : 1;

	return len > 0 ? (size_t)len : 1;
}

/* Does the piece match at the start of s?  *len_out: how much of it. */
static bool
piece_here(const struct piece *piece, struct str s, size_t *len_out, struct sieve_glob_watch *watch)
{
	size_t at = 0;

	for (size_t i = 0; i < piece->text.len; i++) {
		watch->bytes++;
		if (at >= s.len || (!piece->any[i] && s.p[at] != piece->text.p[i]))
			return false;
		at += piece->any[i] ? char_len(piece, (struct str){ s.p + at, s.len - at }) : 1;
	}
	*len_out = at;
	return true;
}

#define TELL_EVERY_BYTES (64 * 1024)

static bool
still(struct sieve_glob_watch *watch)
{
	if (watch->bytes >= TELL_EVERY_BYTES) {
		watch->stopped = watch->stopped || !watch->go_on(watch->arg, watch->bytes);
		watch->bytes = 0;
	}
	return !watch->stopped;
}

/* The first place where the piece is; SIZE_MAX: nowhere. */
static size_t
piece_find(const struct piece *piece, struct str s, size_t *len_out, struct sieve_glob_watch *watch)
{
	size_t at;

	if (piece->any_count == 0) {
		*len_out = piece->text.len;
		at = str_find(s, piece->text);
		watch->bytes += at != SIZE_MAX ? at : s.len;
		return still(watch) ? at : SIZE_MAX;
	}
	for (at = 0; at < s.len && still(watch);
	     at += char_len(piece, (struct str){ s.p + at, s.len - at }))
		if (piece_here(piece, (struct str){ s.p + at, s.len - at }, len_out, watch))
			return at;
	return SIZE_MAX;
}

/* The last piece: where it must start so that it ends with s. */
static size_t
piece_at_end(const struct piece *piece, struct str s, struct sieve_glob_watch *watch)
{
	size_t len;
	size_t at = s.len;

	if (piece->any_count == 0)
		at = s.len >= piece->text.len ? s.len - piece->text.len : SIZE_MAX;
	else
		/* one step back for each character of the piece; bytes of one character together */
		for (size_t i = piece->text.len; i > 0 && at != SIZE_MAX; i--) {
			size_t back = 1;

			if (piece->any[i - 1] && piece->utf8)
				while (back < 4 && back < at &&
				       ((unsigned char)s.p[at - back] & 0xc0) == 0x80)
					back++;
			if (piece->any[i - 1] && at >= back &&
			    char_len(piece, (struct str){ s.p + at - back, back }) != back)
				back = 1;
			at = at >= back ? at - back : SIZE_MAX;
		}
	if (at == SIZE_MAX ||
	    !piece_here(piece, (struct str){ s.p + at, s.len - at }, &len, watch) ||
	    at + len != s.len)
		return SIZE_MAX;
	return at;
}

struct captures {
	struct str *spans;
	size_t count, most;
};

static void
capture(struct captures *c, struct str span)
{
	if (c->spans != NULL && c->count < c->most)
		c->spans[c->count++] = span;
}

/* The characters that stand for the "?" of a piece found at the start of s. */
static void
capture_piece(struct captures *c, const struct piece *piece, struct str s)
{
	size_t at = 0;

	if (c->spans == NULL || piece->any_count == 0)
		return;
	for (size_t i = 0; i < piece->text.len; i++) {
		size_t len = 1;

		if (piece->any[i]) {
			len = char_len(piece, (struct str){ s.p + at, s.len - at });
			capture(c, (struct str){ s.p + at, len });
		}
		at += len;
	}
}

bool
sieve_glob_match(const struct sieve_glob *glob, struct str value, struct str *captures_out,
    size_t most, size_t *count_out, struct sieve_glob_watch *watch)
{
	struct captures c = { .spans = captures_out, .most = most };
	struct str rest = value;
	size_t len;

	*count_out = 0;
	if (!piece_here(&glob->pieces[0], rest, &len, watch) ||
	    (glob->piece_count == 1 && len != rest.len))
		return false;
	capture(&c, value);
	capture_piece(&c, &glob->pieces[0], rest);
	rest = (struct str){ rest.p + len, rest.len - len };
	for (size_t i = 1; i < glob->piece_count; i++) {
		const struct piece *piece = &glob->pieces[i];
		bool last = i + 1 == glob->piece_count;
		size_t at =
		    last ? piece_at_end(piece, rest, watch) : piece_find(piece, rest, &len, watch);

		if (at == SIZE_MAX)
			return false;
		capture(&c, (struct str){ rest.p, at });
		rest = (struct str){ rest.p + at, rest.len - at };
		capture_piece(&c, piece, rest);
		if (!last)
			rest = (struct str){ rest.p + len, rest.len - len };
	}
	*count_out = c.count;
	return true;
}
