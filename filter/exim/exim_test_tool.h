/* For the tests of this directory: a filter's text run over a message, and what came of it as one line. */
#ifndef FILTER_EXIM_TEST_TOOL_H
#define FILTER_EXIM_TEST_TOOL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "filter/filter.h"

extern const char EXIM_TEST_MESSAGE[]; /* from bob@example.net to ann@example.org */

struct exim_trial {
	struct arena arena;
	struct filter_result result;
	struct filter_error error;
	enum filter_status status;
	const char *text; /* "save .x/ (x), unseen deliver a@b, keep", or "expand 2: what" */
};

/* `filter` without its first line; `message` and `sender` NULL: the usual ones. */
void exim_trial(struct exim_trial *t, const char *filter, const char *message, const char *sender);
void exim_trial_end(struct exim_trial *t);

#endif
