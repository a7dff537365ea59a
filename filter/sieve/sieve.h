/* Sieve, RFC 5228 and its extensions: the language row, and what an extension includes.
 *
 * Text → lexer.h, parse.h (syntax tree) → check.h (checked program: spec.h) → run.h.
 *
 * An extension is a file ext_NAME.c with rows:
 *
 *	static bool
 *	answer_run(struct sieve_run *r, const struct sieve_call *call)
 *	{
 *		struct filter_action *a = sieve_action_add(r, call, FILTER_NOTIFY);
 *
 *		if (a == NULL)
 *			return false;
 *		a->notify.method = sieve_expand_cstr(r, call->args[0]->strings);
 *		a->notify.message = sieve_tag_cstr(r, call, SIEVE_TAG_MESSAGE);
 *		return !sieve_run_failed(r);
 *	}
 *
 *	static const struct sieve_tag_spec ANSWER_TAGS[] = {
 *		{ .name = "message", .id = SIEVE_TAG_MESSAGE, .value = SIEVE_STRING },
 *		{ .name = "fcc", .id = SIEVE_TAG_FCC, .cap = SIEVE_CAP_FCC, .value = SIEVE_STRING },
 *		{ 0 },
 *	};
 *
 *	const struct sieve_spec SIEVE_ANSWER_SPECS[] = {
 *		{ .name = "answer", .kind = SIEVE_ACTION, .cap = SIEVE_CAP_ENOTIFY,
 *		    .tags = { ANSWER_TAGS, SIEVE_STORE_TAGS }, .args = { SIEVE_STRING }, .run = answer_run },
 *		{ 0 },
 *	};
 *
 * Then: its capability's row in capability.c, its table in table.c (one line in specs.h, one in table.c), its
 * object in sieve.ninja, an ext_NAME_test.c with sieve_test_tool.h.  A tag that it adds to somebody
 * else's command is a row with `cap` in that command's table.  A test with keys sets keys_arg and joins
 * SIEVE_MATCH_TAGS: match.h.  What may be wrong at compile time belongs into `check` (constants only:
 * sieve_is_constant()), what a variable may bring into `run`. */
#ifndef FILTER_SIEVE_SIEVE_H
#define FILTER_SIEVE_SIEVE_H

#include "filter/filter.h"
#include "filter/sieve/check.h"
#include "filter/sieve/match.h"
#include "filter/sieve/run.h"
#include "filter/sieve/spec.h"

extern const struct filter_language FILTER_SIEVE;

#endif
