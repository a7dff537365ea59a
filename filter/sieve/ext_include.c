/* include, return and global: RFC 6609.  Scripts are looked up when the include is reached, so a script may be
 * stored before those that it includes. */
#include "base/mem.h"
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"

#define GROUP_LOCATION SIEVE_GROUP_OWN

/* Scripts that this run has included, for :once. */
struct included {
	struct included *next;
	enum filter_script_place place;
	struct str name;
};

static bool
include_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_string *name = &call->args[0]->strings[0];

	if (!sieve_is_constant(name))
		return sieve_check_error(
		    c, call->line, "the name of an included script must be a constant");
	if (name->text.len == 0 || memchr(name->text.p, '/', name->text.len) != NULL ||
	    memchr(name->text.p, '\0', name->text.len) != NULL || !text_is_utf8(name->text))
		return sieve_check_error(c, call->line, "'%.*s' is no name of a script",
		    name->text.len > 60 ? 60 : (int)name->text.len, name->text.p);
	return true;
}

/* True if it was included before; notes it. */
static bool
was_included(struct sieve_run *r, enum filter_script_place place, struct str name)
{
	struct included *i = r->slots[SIEVE_CAP_INCLUDE];

	while (i != NULL && !(i->place == place && str_eq(i->name, name)))
		i = i->next;
	if (i != NULL)
		return true;
	i = arena_alloc(r->arena, sizeof(*i));
	*i = (struct included){ r->slots[SIEVE_CAP_INCLUDE], place, name };
	r->slots[SIEVE_CAP_INCLUDE] = i;
	return false;
}

static bool
include_run(struct sieve_run *r, const struct sieve_call *call)
{
	bool optional = sieve_tag(call, SIEVE_TAG_OPTIONAL) != NULL;
	enum filter_script_place place =
	    sieve_tag(call, SIEVE_TAG_GLOBAL) != NULL ? FILTER_GLOBAL : FILTER_PERSONAL;
	const char *name = sieve_expand_cstr(r, call->args[0]->strings);
	enum filter_answer answer = FILTER_NO;
	const struct filter *filter = NULL;
	const struct sieve_program *program;
	const char *why = NULL;

	if (was_included(r, place, str_from(name)) && sieve_tag(call, SIEVE_TAG_ONCE) != NULL)
		return true;
	if (r->around->script != NULL)
		answer = r->around->script(r->around->arg, r->arena, place, name, &filter, &why);
	if (answer == FILTER_FAILED)
		return sieve_run_tempfail(r, call->line, "the script '%s' cannot be read", name);
	if (answer == FILTER_NO)
		return optional || sieve_run_error(r, call->line, "there is no %s script '%s'",
				       place == FILTER_GLOBAL ? "global" : "personal", name);
	if (filter == NULL)
		return sieve_run_error(r, call->line, "the included script '%s' has an error: %s",
		    name, why != NULL ? why : "it does not compile");
	program = sieve_program_of(filter);
	if (program == NULL)
		return sieve_run_error(
		    r, call->line, "the included script '%s' is not in Sieve", name);
	sieve_trace(r, call->line, "include %s", name);
	return sieve_run_include(r, call, name, program);
}

static bool
return_run(struct sieve_run *r, const struct sieve_call *call)
{
	(void)call;
	r->flow = SIEVE_RETURN;
	return true;
}

/* --- global, §3.4.1 --------------------------------------------------------------------------- */

static bool
global_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_arg *names = call->args[0];

	if (!sieve_check_has(c, SIEVE_CAP_VARIABLES))
		return sieve_check_error(c, call->line, "global needs require \"variables\"");
	for (size_t i = 0; i < names->count; i++) {
		if (!sieve_is_constant(&names->strings[i]))
			return sieve_check_error(
			    c, call->line, "the names of global variables must be constants");
		if (!sieve_check_global(c, call->line, names->strings[i].text))
			return false;
	}
	return true;
}

static bool
global_run(struct sieve_run *r, const struct sieve_call *call)
{
	(void)r, (void)call; /* the checker has done it */
	return true;
}

static const struct sieve_tag_spec INCLUDE_TAGS[] = {
	{ .name = "personal", .id = SIEVE_TAG_PERSONAL, .group = GROUP_LOCATION },
	{ .name = "global", .id = SIEVE_TAG_GLOBAL, .group = GROUP_LOCATION },
	{ .name = "once", .id = SIEVE_TAG_ONCE },
	{ .name = "optional", .id = SIEVE_TAG_OPTIONAL },
	{ 0 },
};

const struct sieve_spec SIEVE_INCLUDE_SPECS[] = {
	{ .name = "include",
	    .kind = SIEVE_CONTROL,
	    .cap = SIEVE_CAP_INCLUDE,
	    .tags = { INCLUDE_TAGS },
	    .args = { SIEVE_STRING },
	    .check = include_check,
	    .run = include_run },
	{ .name = "return", .kind = SIEVE_CONTROL, .cap = SIEVE_CAP_INCLUDE, .run = return_run },
	{ .name = "global",
	    .kind = SIEVE_CONTROL,
	    .cap = SIEVE_CAP_INCLUDE,
	    .args = { SIEVE_STRINGS },
	    .check = global_check,
	    .run = global_run },
	{ 0 },
};
