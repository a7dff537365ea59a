#include "filter/regex.h"

#include <stdlib.h>

#include "filter/filter.h"

pcre2_code *
filter_regex_compile(struct str pattern, uint32_t options, int *error_out, PCRE2_SIZE *offset_out)
{
	pcre2_compile_context *limits = pcre2_compile_context_create(NULL);
	pcre2_code *code;

	if (limits == NULL)
		abort();
	pcre2_set_parens_nest_limit(limits, FILTER_REGEX_NESTING);
	pcre2_set_max_pattern_length(limits, FILTER_REGEX_PATTERN_BYTES);
	code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.len, options | PCRE2_AUTO_CALLOUT,
	    error_out, offset_out, limits);
	pcre2_compile_context_free(limits);
	return code;
}

size_t
filter_regex_bytes(const pcre2_code *code)
{
	size_t bytes = 0;

	return pcre2_pattern_info(code, PCRE2_INFO_SIZE, &bytes) == 0 ? bytes : 0;
}

/* In front of each item of the pattern: it may read to the end of the subject. */
static int
on_item(pcre2_callout_block *block, void *arg)
{
	const struct filter_regex_watch *watch = arg;

	return watch->go_on(watch->arg, block->subject_length - block->current_position + 1)
		   ? 0
		   : PCRE2_ERROR_CALLOUT;
}

int
filter_regex_match(const pcre2_code *code, struct str subject, size_t offset, uint32_t options,
    pcre2_match_data *data, const struct filter_regex_watch *watch)
{
	pcre2_match_context *limits = pcre2_match_context_create(NULL);
	int n;

	if (limits == NULL)
		abort();
	pcre2_set_match_limit(limits, FILTER_REGEX_MATCHES);
	pcre2_set_depth_limit(limits, FILTER_REGEX_DEPTH);
	pcre2_set_heap_limit(limits, FILTER_REGEX_HEAP_KIB);
	pcre2_set_callout(limits, on_item, (void *)(uintptr_t)watch);
	n = pcre2_match(code, (PCRE2_SPTR)subject.p, subject.len, offset, options, data, limits);
	pcre2_match_context_free(limits);
	return n;
}
