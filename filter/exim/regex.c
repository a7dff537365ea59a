#include "filter/exim/regex.h"

#include <stdlib.h>

#include "filter/regex.h"

#define COMPILE_WORK 256 /* a byte of a pattern costs as much as reading that many */

struct exim_regex {
	pcre2_code *code;
	pcre2_match_data *data;
};

static bool
compile_error(struct exim_run *x, struct str pattern, int number, size_t offset)
{
	unsigned char why[256];

	pcre2_get_error_message(number, why, sizeof(why));
	return exim_fail(x, FILTER_ERROR_EXPAND,
	    "error while compiling regular expression \"%.*s\": %s at offset %zu",
	    (int)(pattern.len < 150 ? pattern.len : 150), pattern.p, (const char *)why, offset);
}

struct exim_regex *
exim_regex_open(struct exim_run *x, struct str pattern, bool nocase)
{
	struct exim_regex *r;
	int number = 0;
	size_t offset = 0;

	if (!exim_work(x, COMPILE_WORK * pattern.len))
		return NULL;
	r = mem_zalloc(sizeof(*r));
	/* \C could cut a character of UTF-8 patterns in two; (*UTF) as such is the user's choice. */
	r->code = filter_regex_compile(
	    pattern, (nocase ? PCRE2_CASELESS : 0) | PCRE2_NEVER_BACKSLASH_C, &number, &offset);
	if (r->code == NULL) {
		compile_error(x, pattern, number, offset);
		free(r);
		return NULL;
	}
	r->data = pcre2_match_data_create_from_pattern(r->code, NULL);
	if (r->data == NULL)
		abort();
	return r;
}

void
exim_regex_close(struct exim_regex *r)
{
	if (r == NULL)
		return;
	pcre2_match_data_free(r->data);
	pcre2_code_free(r->code);
	free(r);
}

static bool
go_on(void *arg, size_t bytes)
{
	return exim_work(arg, bytes);
}

bool
exim_regex_match(struct exim_run *x, struct exim_regex *r, struct str subject, size_t offset,
    bool not_empty, bool *found_out)
{
	struct filter_regex_watch watch = { .go_on = go_on, .arg = x };
	unsigned options = not_empty ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0;
	int count;

	*found_out = false;
	if (!exim_step(x))
		return false;
	count = filter_regex_match(r->code, subject, offset, options, r->data, &watch);
	if (count >= 0) {
		*found_out = true;
		return true;
	}
	if (count == PCRE2_ERROR_CALLOUT)
		return false; /* exim_work() has said it */
	if (count == PCRE2_ERROR_MATCHLIMIT || count == PCRE2_ERROR_DEPTHLIMIT ||
	    count == PCRE2_ERROR_HEAPLIMIT || count == PCRE2_ERROR_NOMEMORY) {
		x->over_limit = true;
		return exim_fail(
		    x, FILTER_ERROR_RUNTIME, "a regular expression takes too long to match");
	}
	return true; /* no match; or not the UTF-8 that the pattern asks for */
}

size_t
exim_regex_groups(const struct exim_regex *r)
{
	return pcre2_get_ovector_count(r->data);
}

struct str
exim_regex_group(const struct exim_regex *r, struct str subject, size_t group)
{
	const size_t *at = pcre2_get_ovector_pointer(r->data);

	/* \K in a lookahead can set the start behind the end. */
	if (at[group * 2] == PCRE2_UNSET || at[group * 2] > at[group * 2 + 1])
		return (struct str){ "", 0 };
	return (struct str){ subject.p + at[group * 2], at[group * 2 + 1] - at[group * 2] };
}

void
exim_regex_capture(struct exim_run *x, const struct exim_regex *r, struct str subject)
{
	size_t count = exim_regex_groups(r);

	x->capture_count = count < EXIM_CAPTURES_MAX ? count : EXIM_CAPTURES_MAX;
	for (size_t i = 0; i < x->capture_count; i++) {
		struct str group = exim_regex_group(r, subject, i);

		x->captures[i] =
		    (struct str){ arena_strndup(x->arena, group.p, group.len), group.len };
	}
}

bool
exim_match(struct exim_run *x, struct str subject, struct str pattern, bool nocase, bool *found_out)
{
	struct exim_regex *r = exim_regex_open(x, pattern, nocase);
	bool ok;

	if (r == NULL)
		return false;
	ok = exim_regex_match(x, r, subject, 0, false, found_out);
	if (ok && *found_out)
		exim_regex_capture(x, r, subject);
	exim_regex_close(r);
	return ok;
}
