/* spamtest and virustest, RFC 5235: what a scanner has written into a header field, on the RFC's scales. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"

#define SCORE_ONE 1000          /* scores are counted in thousandths */
#define SCORE_MAX (1000000000L) /* beyond it all is the same */

static bool
is_not_bracket(char c)
{
	return c != '[';
}

/* ["-"] 1*DIGIT ["." *DIGIT], in thousandths */
static bool
take_number(struct cursor *c, int64_t *number_out)
{
	bool negative = cursor_take(c, '-'), digits = false;
	int64_t n = 0, unit = SCORE_ONE;

	if (!negative)
		cursor_take(c, '+');
	for (; ascii_is_digit((char)cursor_peek(c)); c->p++, digits = true)
		if (n < SCORE_MAX)
			n = n * 10 + (*c->p - '0') * SCORE_ONE;
	if (cursor_take(c, '.'))
		for (; ascii_is_digit((char)cursor_peek(c)); c->p++, digits = true)
			n += (*c->p - '0') * (unit /= 10);
	*number_out = negative ? -n : n;
	return digits;
}

/* "+++++": each is one point; "-" is none. */
static bool
take_signs(struct cursor *c, int64_t *number_out)
{
	const char *start = c->p;

	while (cursor_peek(c) == '+' || cursor_peek(c) == '*')
		c->p++;
	*number_out = (c->p - start) * SCORE_ONE;
	return c->p > start && !ascii_is_digit((char)cursor_peek(c));
}

/* "5.3", "5.3 / 15", "5.3 (+++++)", "+++++", "default: False [5.30 / 15.00]"; *most is changed only
 * where the field says what the most is. */
static bool
parse_score(struct str text, int64_t *score_out, int64_t *most)
{
	struct cursor c = cursor_from(text), at;
	int64_t number;

	cursor_take_while(&c, is_not_bracket);
	if (!cursor_take(&c, '['))
		c = cursor_from(text);
	cursor_take_while(&c, ascii_is_space);
	at = c;
	if (take_signs(&at, score_out))
		return true;
	if (!take_number(&c, score_out))
		return false;
	cursor_take_while(&c, ascii_is_space);
	if (!cursor_take(&c, '/'))
		return true;
	cursor_take_while(&c, ascii_is_space);
	if (take_number(&c, &number) && number > 0)
		*most = number;
	return true;
}

/* False: no scanner has seen the message, or it is not understood. */
static bool
field_score(struct sieve_run *r, const char *name, int64_t *score_out, int64_t *most)
{
	struct sieve_field *field = sieve_field_next(&r->header, NULL, str_from(name));

	return field != NULL && parse_score(sieve_field_text(r, field), score_out, most);
}

/* What is compared: nothing counts where nothing was tested (§2.3), but "0" is its value. */
static bool
match_value(
    struct sieve_run *r, const struct sieve_call *call, bool tested, int64_t value, bool *truth_out)
{
	struct sieve_matcher m;
	const char *text = arena_printf(r->arena, "%d", tested ? (int)value : 0);

	sieve_match_begin(&m, r, call);
	if (tested || !sieve_match_counts(&m))
		sieve_match_value(&m, str_from(text));
	return sieve_match_end(&m, truth_out);
}

static int64_t
within(int64_t value, int64_t least, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

/* 1 is clear of spam, 10 is spam (§2.1); with :percent 0 and 100 (§2.2). */
static bool
spamtest_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	struct cursor c = cursor_from(str_from(r->settings->spam_max));
	int64_t score = 0, most = 0;
	bool tested;

	if (!take_number(&c, &most) || most <= 0)
		most = 10 * SCORE_ONE;
	tested = field_score(r, r->settings->spam_header, &score, &most);
	score = within(score, 0, most);
	return match_value(r, call, tested,
	    sieve_tag(call, SIEVE_TAG_PERCENT) != NULL ? score * 100 / most : score * 9 / most + 1,
	    truth_out);
}

/* 1 is clear of viruses, 5 is a virus that was not cured (§3). */
static bool
virustest_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	int64_t score = 0, most = 0;
	bool tested = field_score(r, r->settings->virus_header, &score, &most);

	tested = tested && score > 0;
	return match_value(r, call, tested, within(score / SCORE_ONE, 1, 5), truth_out);
}

static const struct sieve_tag_spec PERCENT_TAGS[] = {
	{ .name = "percent", .id = SIEVE_TAG_PERCENT, .cap = SIEVE_CAP_SPAMTESTPLUS },
	{ 0 },
};

const struct sieve_spec SIEVE_SPAMTEST_SPECS[] = {
	{ .name = "spamtest",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_SPAMTEST,
	    .tags = { SIEVE_MATCH_TAGS, PERCENT_TAGS },
	    .args = { SIEVE_STRINGS },
	    .keys_arg = 1,
	    .test = spamtest_test },
	{ .name = "virustest",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_VIRUSTEST,
	    .tags = { SIEVE_MATCH_TAGS },
	    .args = { SIEVE_STRINGS },
	    .keys_arg = 1,
	    .test = virustest_test },
	{ 0 },
};
