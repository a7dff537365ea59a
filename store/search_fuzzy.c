#include "store/search_fuzzy.h"

#include <stdlib.h>
#include <string.h>
#include <unictype.h>

#include "base/mem.h"
#include "store/casefold.h"
#include "store/charset.h"

#define ONE_ERROR_CHARS  4
#define TWO_ERRORS_CHARS 9
#define SHARED_CHARS     3 /* in a row that must be right */

/* Of a word, in percent. */
#define SCORE_SAME       100
#define SCORE_BEGINNING  80
#define SCORE_WITHIN     60
#define SCORE_ONE_ERROR  40
#define SCORE_TWO_ERRORS 15

struct word {
	uint32_t chars[FUZZY_WORD_MAX_CHARS];
	size_t count;
	size_t starts[FUZZY_WORD_MAX_CHARS + 1]; /* where the characters begin in `text` */
	struct str text;
	unsigned errors; /* that it may have */
	unsigned best;   /* SCORE · place / 100, in this message */
};

struct fuzzy {
	struct buf text; /* the needle in our form */
	struct word words[FUZZY_WORDS_MAX];
	size_t count;
	size_t open; /* words that could still fit better */
};

static uint32_t
next_char(struct cursor *c)
{
	uint32_t code;
	int n = utf8_decode(c->p, cursor_left(c), &code);

	if (n <= 0) {
		c->p++;
		return 0xfffd;
	}
	c->p += n;
	return code;
}

static bool
is_letter(uint32_t code)
{
	return code < 0x80 ? ascii_is_alnum((char)code) : uc_is_alnum(code);
}

bool
fuzzy_fold(struct buf *out, struct str folded)
{
	struct cursor c = cursor_from(folded);
	bool dropped = false;

	while (!cursor_at_end(&c)) {
		const char *from = c.p;
		uint32_t code;

		if ((unsigned char)*c.p < 0x80) {
			while (!cursor_at_end(&c) && (unsigned char)*c.p < 0x80)
				c.p++;
			buf_add(out, from, (size_t)(c.p - from));
			continue;
		}
		code = next_char(&c);
		if (uc_combining_class(code) != UC_CCC_NR)
			dropped = true;
		else
			buf_add(out, from, (size_t)(c.p - from));
	}
	return dropped;
}

/* --- the needle -------------------------------------------------------------------------------- */

/* Up to the end of the word at the cursor. */
static struct str
take_word(struct cursor *c)
{
	const char *start = NULL, *end = NULL;

	while (!cursor_at_end(c)) {
		const char *at = c->p;

		if (is_letter(next_char(c))) {
			start = start == NULL ? at : start;
			end = c->p;
		} else if (start != NULL) {
			break;
		}
	}
	return start == NULL ? (struct str){ NULL, 0 }
			     : (struct str){ start, (size_t)(end - start) };
}

static void
set_word(struct word *w, struct str text)
{
	struct cursor c = cursor_from(text);

	while (!cursor_at_end(&c) && w->count < FUZZY_WORD_MAX_CHARS) {
		w->starts[w->count] = (size_t)(c.p - text.p);
		w->chars[w->count++] = next_char(&c);
	}
	w->text = (struct str){ text.p, (size_t)(c.p - text.p) };
	w->starts[w->count] = w->text.len;
	w->errors = w->count >= TWO_ERRORS_CHARS ? 2 : w->count >= ONE_ERROR_CHARS ? 1 : 0;
}

struct fuzzy *
fuzzy_new(struct str needle)
{
	struct fuzzy *f = mem_zalloc(sizeof(*f));
	struct buf folded = { 0 };
	struct cursor c;
	struct str word;

	casefold_all(&folded, needle);
	fuzzy_fold(&f->text, (struct str){ folded.data, folded.len });
	buf_free(&folded);
	c = cursor_from((struct str){ f->text.data, f->text.len });
	while (f->count < FUZZY_WORDS_MAX && (word = take_word(&c)).p != NULL)
		set_word(&f->words[f->count++], word);
	if (f->count > 0)
		return f;
	fuzzy_free(f);
	return NULL;
}

void
fuzzy_free(struct fuzzy *f)
{
	if (f == NULL)
		return;
	buf_free(&f->text);
	free(f);
}

size_t
fuzzy_word_count(const struct fuzzy *f)
{
	return f->count;
}

/* A word without errors is its own piece.  Of a longer one with n errors one of n + 1 pieces is whole; where these
 * would be too short, one of its runs of SHARED_CHARS characters is. */
static bool
word_piece(const struct word *w, size_t piece, struct str *piece_out)
{
	size_t pieces, from, to;

	if (w->count < SHARED_CHARS)
		return false;
	if (w->errors == 0 || w->count / (w->errors + 1) >= SHARED_CHARS) {
		pieces = w->errors + 1;
		from = w->count * piece / pieces;
		to = w->count * (piece + 1) / pieces;
	} else {
		pieces = w->count - SHARED_CHARS + 1;
		from = piece;
		to = piece + SHARED_CHARS;
	}
	if (piece >= pieces)
		return false;
	*piece_out = (struct str){ w->text.p + w->starts[from], w->starts[to] - w->starts[from] };
	return true;
}

bool
fuzzy_piece(const struct fuzzy *f, size_t word, size_t piece, struct str *piece_out)
{
	return word < f->count && word_piece(&f->words[word], piece, piece_out);
}

/* --- a text ------------------------------------------------------------------------------------ */

/* Errors between the two, counting two characters changed about as one; more than `max` may be any number. */
static unsigned
distance(const struct word *w, const uint32_t *chars, size_t count, unsigned max)
{
	unsigned rows[3][FUZZY_WORD_MAX_CHARS + 3];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];

	for (size_t k = 0; k <= count; k++)
		last[k] = (unsigned)k;
	for (size_t i = 1; i <= w->count; i++) {
		unsigned least = now[0] = (unsigned)i, *spare = before;

		for (size_t k = 1; k <= count; k++) {
			bool same = w->chars[i - 1] == chars[k - 1];
			unsigned d = last[k - 1] + !same;

			d = last[k] + 1 < d ? last[k] + 1 : d;
			d = now[k - 1] + 1 < d ? now[k - 1] + 1 : d;
			if (i > 1 && k > 1 && w->chars[i - 1] == chars[k - 2] &&
			    w->chars[i - 2] == chars[k - 1] && before[k - 2] + 1 < d)
				d = before[k - 2] + 1;
			now[k] = d;
			least = d < least ? d : least;
		}
		if (least > max)
			return max + 1;
		before = last;
		last = now;
		now = spare;
	}
	return last[count];
}

/* Has it one of the word's pieces? */
static bool
has_piece(const struct word *w, struct str text)
{
	struct str piece;

	for (size_t i = 0; word_piece(w, i, &piece); i++)
		if (text.len >= piece.len && memmem(text.p, text.len, piece.p, piece.len) != NULL)
			return true;
	return false;
}

/* How well a word of the text fits, with errors only where nothing better was found. */
static unsigned
fit(const struct word *w, struct str text, unsigned place)
{
	uint32_t chars[FUZZY_WORD_MAX_CHARS + 2];
	struct cursor c = cursor_from(text);
	size_t count = 0;
	unsigned errors;

	if (text.len >= w->text.len) {
		const char *at = memmem(text.p, text.len, w->text.p, w->text.len);

		if (at != NULL)
			return text.len == w->text.len ? SCORE_SAME
			       : at == text.p          ? SCORE_BEGINNING
						       : SCORE_WITHIN;
	}
	if (w->errors == 0 || w->best >= SCORE_ONE_ERROR * place / 100 ||
	    text.len > (FUZZY_WORD_MAX_CHARS + 2) * 4)
		return 0;
	while (!cursor_at_end(&c) && count < ARRAY_LEN(chars))
		chars[count++] = next_char(&c);
	if (!cursor_at_end(&c) || count + w->errors < w->count || count > w->count + w->errors)
		return 0;
	errors = distance(w, chars, count, w->errors);
	if (errors > w->errors || !has_piece(w, text))
		return 0;
	return errors == 1 ? SCORE_ONE_ERROR : SCORE_TWO_ERRORS;
}

void
fuzzy_begin(struct fuzzy *f)
{
	f->open = f->count;
	for (size_t i = 0; i < f->count; i++)
		f->words[i].best = 0;
}

void
fuzzy_look(struct fuzzy *f, struct str text, enum fuzzy_place place)
{
	struct cursor c = cursor_from(text);
	struct str word;

	while (f->open > 0 && (word = take_word(&c)).p != NULL) {
		for (size_t i = 0; i < f->count; i++) {
			struct word *w = &f->words[i];
			unsigned score;

			if (w->best >= (unsigned)place)
				continue;
			score = fit(w, word, place) * place / 100;
			if (score > w->best)
				w->best = score;
			f->open -= w->best == FUZZY_IN_SUBJECT;
		}
	}
}

unsigned
fuzzy_score(const struct fuzzy *f)
{
	unsigned sum = 0;

	for (size_t i = 0; i < f->count; i++) {
		if (f->words[i].best == 0)
			return 0;
		sum += f->words[i].best;
	}
	if (f->count == 0)
		return 0;
	sum /= (unsigned)f->count;
	return sum > 0 ? sum : 1;
}
