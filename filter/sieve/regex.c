#include "filter/sieve/regex.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "filter/regex.h"

struct sieve_regex {
	struct sieve_regex *next;
	pcre2_code *code;
};

struct sieve_regex *
sieve_regex_new(
    struct sieve_regexes *all, struct str pattern, bool ignore_case, char *why, size_t why_size)
{
	struct sieve_regex *regex;
	uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
			   PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY;
	PCRE2_UCHAR text[128];
	PCRE2_SIZE offset;
	pcre2_code *code;
	int error;

	if (ignore_case)
		options |= PCRE2_CASELESS;
	code = filter_regex_compile(pattern, options, &error, &offset);
	if (code == NULL) {
		if (pcre2_get_error_message(error, text, sizeof(text)) < 0)
			text[0] = '\0';
		snprintf(why, why_size, "%s at byte %zu", (const char *)text, (size_t)offset + 1);
		return NULL;
	}
	all->bytes += filter_regex_bytes(code) + sizeof(*regex);
	if (all->bytes > FILTER_REGEX_BYTES) {
		pcre2_code_free(code);
		snprintf(why, why_size, "all together are too large");
		return NULL;
	}
	regex = mem_zalloc(sizeof(*regex));
	regex->code = code;
	regex->next = all->first;
	all->first = regex;
	return regex;
}

void
sieve_regexes_free(struct sieve_regexes *all)
{
	struct sieve_regex *next;

	for (struct sieve_regex *r = all->first; r != NULL; r = next) {
		next = r->next;
		pcre2_code_free(r->code);
		free(r);
	}
	all->first = NULL;
}

static size_t
take_spans(const pcre2_match_data *data, size_t groups, struct str value, struct str *spans_out,
    size_t most)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer((pcre2_match_data *)data);
	size_t n = groups < most ? groups : most;

	for (size_t i = 0; i < n; i++) {
		size_t start = at[2 * i], end = at[2 * i + 1];

		spans_out[i] = start == PCRE2_UNSET || end < start
				   ? (struct str){ "", 0 } /* \K can put the start behind the end */
				   : (struct str){ value.p + start, end - start };
	}
	return n;
}

enum sieve_regex_result
sieve_regex_match(const struct sieve_regex *regex, struct str value,
    const struct filter_regex_watch *watch, struct str *spans_out, size_t most, size_t *count_out)
{
	pcre2_match_data *data = pcre2_match_data_create_from_pattern(regex->code, NULL);
	int n;

	if (data == NULL)
		abort();
	*count_out = 0;
	n = filter_regex_match(regex->code, value, 0, 0, data, watch);
	if (n > 0)
		*count_out =
		    take_spans(data, pcre2_get_ovector_count(data), value, spans_out, most);
	pcre2_match_data_free(data);
	return n > 0                      ? SIEVE_REGEX_YES
	       : n == PCRE2_ERROR_NOMATCH ? SIEVE_REGEX_NO
					  : SIEVE_REGEX_LIMIT;
}
