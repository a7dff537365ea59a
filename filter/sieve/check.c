#include "filter/sieve/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "filter/sieve/match.h"
#include "filter/sieve/parse.h"
#include "filter/sieve/program.h"

bool
sieve_check_error(struct sieve_check *c, unsigned line, const char *fmt, ...)
{
	va_list args;

	c->error->kind = FILTER_ERROR_COMPILE;
	c->error->line = line;
	va_start(args, fmt);
	vsnprintf(c->error->text, sizeof(c->error->text), fmt, args);
	va_end(args);
	return false;
}

void
sieve_check_warn(struct sieve_check *c, unsigned line, const char *fmt, ...)
{
	va_list args;

	if (c->warnings == NULL)
		return;
	buf_printf(&c->warnings->text, "line %u: ", line);
	va_start(args, fmt);
	buf_vprintf(&c->warnings->text, fmt, args);
	va_end(args);
	buf_addc(&c->warnings->text, '\n');
	c->warnings->count++;
}

bool
sieve_check_has(const struct sieve_check *c, enum sieve_cap cap)
{
	return cap == SIEVE_CAP_NONE || (c->program->caps & SIEVE_CAP_BIT(cap)) != 0;
}

void
sieve_check_enable(struct sieve_check *c, enum sieve_cap cap)
{
	c->program->caps |= sieve_capability_bits(cap);
}

struct arena *
sieve_check_arena(struct sieve_check *c)
{
	return &c->program->arena;
}

static const struct sieve_call *
find_inside(const struct sieve_inside *in, const char *name)
{
	while (in != NULL && strcmp(in->call->spec->name, name) != 0)
		in = in->outer;
	return in != NULL ? in->call : NULL;
}

const struct sieve_call *
sieve_check_inside(const struct sieve_check *c, const char *name)
{
	return find_inside(c->inside, name);
}

const struct sieve_call *
sieve_check_outside(const struct sieve_check *c, const struct sieve_call *found, const char *name)
{
	const struct sieve_inside *in = c->inside;

	while (in->call != found)
		in = in->outer;
	return find_inside(in->outer, name);
}

bool
sieve_check_began(const struct sieve_check *c)
{
	return c->began || c->inside != NULL;
}

/* field-name = 1*ftext, RFC 5322 §3.6.8 */
bool
sieve_is_field_name(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 127 || name.p[i] == ':')
			return false;
	return name.len > 0;
}

bool
sieve_check_field_names(struct sieve_check *c, const struct sieve_arg *arg)
{
	for (size_t i = 0; i < arg->count; i++) {
		const struct sieve_string *s = &arg->strings[i];

		if (sieve_is_constant(s) && !sieve_is_field_name(s->text))
			return sieve_check_error(c, arg->line,
			    "'%.*s' is no name of a header field",
			    s->text.len > 60 ? 60 : (int)s->text.len, s->text.p);
	}
	return true;
}

bool
sieve_check_tested_names(struct sieve_check *c, const struct sieve_arg *arg)
{
	for (size_t i = 0; i < arg->count; i++) {
		const struct sieve_string *s = &arg->strings[i];

		if (sieve_is_constant(s) && !sieve_is_field_name(s->text))
			sieve_check_warn(c, arg->line, "no header field has the name '%.*s'",
			    s->text.len > 60 ? 60 : (int)s->text.len, s->text.p);
	}
	return true;
}

const struct sieve_arg *
sieve_tag(const struct sieve_call *call, enum sieve_tag tag)
{
	for (size_t i = 0; i < call->tag_count; i++)
		if (call->tags[i].tag == tag)
			return &call->tags[i];
	return NULL;
}

/* --- arguments --- */

static const char *
type_name(enum sieve_type type)
{
	switch (type) {
	case SIEVE_NUMBER: return "a number";
	case SIEVE_STRINGS:
	case SIEVE_OPTIONAL_STRINGS:
	case SIEVE_TRAILING_STRINGS: return "a string or a list of strings";
	default: return "a string";
	}
}

/* Does what was written fit the type?  A list of one is no string, RFC 5228 §2.4.2.1. */
static bool
fits(const struct sieve_node_arg *arg, enum sieve_type type)
{
	if (arg == NULL)
		return false;
	if (type == SIEVE_NUMBER)
		return arg->kind == SIEVE_NODE_NUMBER;
	return arg->kind == SIEVE_NODE_STRINGS &&
	       (type == SIEVE_STRINGS || type == SIEVE_OPTIONAL_STRINGS ||
		   type == SIEVE_TRAILING_STRINGS || !arg->is_list);
}

static bool
compile_arg(struct sieve_check *c, const struct sieve_node_arg *from, enum sieve_type type,
    struct sieve_arg *to)
{
	struct sieve_string *strings;

	to->line = from->line;
	to->type = type;
	to->number = from->number;
	if (from->kind != SIEVE_NODE_STRINGS)
		return true;
	to->count = from->count;
	to->strings = strings =
	    arena_zalloc(&c->program->arena, (from->count + 1) * sizeof(*strings));
	for (size_t i = 0; i < from->count; i++)
		if (!sieve_string_compile(c, from->line, from->strings[i], &strings[i]))
			return false;
	return true;
}

/* A command may have a tag twice in its tables, under different capabilities: the usable one counts. */
static const struct sieve_tag_spec *
tag_find(const struct sieve_check *c, const struct sieve_spec *spec, struct str name)
{
	const struct sieve_tag_spec *found = NULL;

	for (size_t t = 0; t < SIEVE_TAG_TABLES_MAX && spec->tags[t] != NULL; t++)
		for (const struct sieve_tag_spec *tag = spec->tags[t]; tag->name != NULL; tag++) {
			if (!str_eq_nocase(name, str_from(tag->name)))
				continue;
			if (sieve_check_has(c, tag->cap))
				return tag;
			found = tag;
		}
	return found;
}

static bool
check_tag_is_new(struct sieve_check *c, const struct sieve_call *call,
    const struct sieve_tag_spec *tag, unsigned line)
{
	for (size_t i = 0; i < call->tag_count; i++) {
		const struct sieve_tag_spec *other = call->tags[i].tag_spec;

		if (other == tag)
			return sieve_check_error(
			    c, line, "%s: :%s stands there twice", call->spec->name, tag->name);
		if (tag->group != 0 && other->group == tag->group)
			return sieve_check_error(c, line, "%s: :%s and :%s exclude each other",
			    call->spec->name, other->name, tag->name);
	}
	return true;
}

/* The tag at *arg and its value; moves *arg behind them. */
static bool
check_tag(struct sieve_check *c, struct sieve_call *call, const struct sieve_node_arg **arg)
{
	const struct sieve_node_arg *node = *arg;
	const struct sieve_tag_spec *tag = tag_find(c, call->spec, node->tag);
	struct sieve_arg *to = &call->tags[call->tag_count];

	if (tag == NULL)
		return sieve_check_error(c, node->line, "%s knows no tag :%.*s", call->spec->name,
		    node->tag.len > 60 ? 60 : (int)node->tag.len, node->tag.p);
	if (!sieve_check_has(c, tag->cap))
		return sieve_check_error(c, node->line, "%s: :%s needs require \"%s\"",
		    call->spec->name, tag->name, sieve_capability_name(tag->cap));
	if (!check_tag_is_new(c, call, tag, node->line))
		return false;
	*arg = node->next;
	to->line = node->line;
	to->tag = tag->id;
	to->tag_spec = tag;
	call->tag_count++;
	if (tag->value == SIEVE_NOTHING)
		return true;
	if (*arg == NULL || !fits(*arg, tag->value))
		return sieve_check_error(c, node->line, "%s: %s must follow :%s", call->spec->name,
		    type_name(tag->value), tag->name);
	if (!compile_arg(c, *arg, tag->value, to))
		return false;
	*arg = (*arg)->next;
	return true;
}

static size_t
positional_count(const struct sieve_spec *spec)
{
	size_t n = 0;

	while (n < SIEVE_ARGS_MAX && spec->args[n] != SIEVE_NOTHING)
		n++;
	return n;
}

static bool
check_positional(struct sieve_check *c, struct sieve_call *call, const struct sieve_node_arg *node)
{
	const struct sieve_spec *spec = call->spec;
	size_t wanted = positional_count(spec), given = 0, optional = 0, first;

	for (const struct sieve_node_arg *a = node; a != NULL; a = a->next, given++)
		if (a->kind == SIEVE_NODE_TAG)
			return sieve_check_error(c, a->line,
			    "%s: :%.*s must stand before the arguments without a tag", spec->name,
			    (int)a->tag.len, a->tag.p);
	for (size_t i = 0; i < wanted; i++)
		optional += spec->args[i] >= SIEVE_OPTIONAL_STRING;
	if (given > wanted)
		return sieve_check_error(c, call->line, "%s has too many arguments", spec->name);
	if (given + optional < wanted)
		return sieve_check_error(c, call->line, "%s has too few arguments", spec->name);
	first = wanted > 0 && spec->args[wanted - 1] == SIEVE_TRAILING_STRINGS ? 0 : wanted - given;
	for (size_t i = first; node != NULL; i++, node = node->next) {
		if (!fits(node, spec->args[i]))
			return sieve_check_error(c, node->line, "%s: argument %zu must be %s",
			    spec->name, i + 1 - first, type_name(spec->args[i]));
		call->args[i] = arena_zalloc(&c->program->arena, sizeof(*call->args[i]));
		if (!compile_arg(c, node, spec->args[i], call->args[i]))
			return false;
	}
	return true;
}

static bool
check_arguments(struct sieve_check *c, struct sieve_call *call, const struct sieve_node *node)
{
	const struct sieve_node_arg *arg = node->args;
	size_t tags = 0;

	for (const struct sieve_node_arg *a = arg; a != NULL; a = a->next)
		tags += a->kind == SIEVE_NODE_TAG;
	call->tags = arena_zalloc(&c->program->arena, (tags + 1) * sizeof(*call->tags));
	while (arg != NULL && arg->kind == SIEVE_NODE_TAG)
		if (!check_tag(c, call, &arg))
			return false;
	if (!check_positional(c, call, arg))
		return false;
	for (size_t i = 0; i < call->tag_count; i++)
		if (call->tags[i].tag_spec->check != NULL &&
		    !call->tags[i].tag_spec->check(c, call, &call->tags[i]))
			return false;
	return true;
}

/* --- commands --- */

static bool check_block(
    struct sieve_check *c, const struct sieve_node *nodes, struct sieve_call **calls_out);

static bool
check_shape(struct sieve_check *c, const struct sieve_spec *spec, const struct sieve_node *node)
{
	if (spec->tests == SIEVE_NO_TEST && (node->tests != NULL || node->has_parens))
		return sieve_check_error(c, node->line, "%s takes no test", spec->name);
	if (spec->tests == SIEVE_ONE_TEST && (node->tests == NULL || node->has_parens))
		return sieve_check_error(
		    c, node->line, "%s takes one test, without parentheses", spec->name);
	if (spec->tests == SIEVE_MANY_TESTS && !node->has_parens)
		return sieve_check_error(
		    c, node->line, "%s takes a list of tests in parentheses", spec->name);
	if (spec->block && !node->has_block)
		return sieve_check_error(
		    c, node->line, "%s must be followed by a block", spec->name);
	if (!spec->block && node->has_block)
		return sieve_check_error(
		    c, node->line, "%s takes no block; is a \";\" missing?", spec->name);
	return true;
}

static bool
find_spec(struct sieve_check *c, const struct sieve_node *node, bool test,
    const struct sieve_spec **spec_out)
{
	const struct sieve_spec *spec = *spec_out = sieve_spec_find(node->name, test);
	int len = node->name.len > 60 ? 60 : (int)node->name.len;

	if (spec == NULL && sieve_spec_find(node->name, !test) != NULL)
		return sieve_check_error(c, node->line, "'%.*s' is a %s", len, node->name.p,
		    test ? "command and no test" : "test and no command");
	if (spec == NULL)
		return sieve_check_error(c, node->line, "unknown %s '%.*s'",
		    test ? "test" : "command", len, node->name.p);
	if (!sieve_check_has(c, spec->cap))
		return sieve_check_error(c, node->line, "%s needs require \"%s\"", spec->name,
		    sieve_capability_name(spec->cap));
	return true;
}

static bool check_call(
    struct sieve_check *c, const struct sieve_node *node, bool test, struct sieve_call **call_out);

/* The tests of a call, until an ihave among them decides it: what is behind may be of a capability that
 * is not there. */
static bool
check_tests(struct sieve_check *c, struct sieve_call *call, const struct sieve_node *node)
{
	struct sieve_call **end = &call->tests;

	for (const struct sieve_node *t = node->tests; t != NULL; t = t->next) {
		if (!check_call(c, t, true, end))
			return false;
		if (call->spec->fold != NULL) {
			call->constant = call->spec->fold(call, *end);
			if (call->constant != SIEVE_UNKNOWN &&
			    call->constant == call->spec->decisive)
				return true;
		}
		end = &(*end)->next;
	}
	return true;
}

static bool
check_call(
    struct sieve_check *c, const struct sieve_node *node, bool test, struct sieve_call **call_out)
{
	struct sieve_inside inside = { .outer = c->inside };
	const struct sieve_spec *spec;
	struct sieve_call *call;
	bool ok = true;

	if (!find_spec(c, node, test, &spec) || !check_shape(c, spec, node))
		return false;
	*call_out = call = arena_zalloc(&c->program->arena, sizeof(*call));
	call->spec = spec;
	call->line = node->line;
	if (!check_arguments(c, call, node) ||
	    (spec->keys_arg != 0 && call->args[spec->keys_arg - 1] != NULL &&
		!sieve_match_check(c, call)) ||
	    (spec->check != NULL && !spec->check(c, call)) || !check_tests(c, call, node))
		return false;
	if (call->tests != NULL && spec->block && call->tests->constant == SIEVE_NEVER)
		return true;
	inside.call = call;
	c->inside = &inside;
	if (spec->block)
		ok = check_block(c, node->block, &call->block);
	c->inside = inside.outer;
	return ok;
}

/* elsif and else must stand right behind an if or elsif, RFC 5228 §3.1. */
static bool
check_chain(struct sieve_check *c, const struct sieve_node *node, const struct sieve_call *before)
{
	const struct sieve_spec *spec = sieve_spec_find(node->name, false);

	if (spec == NULL || spec->chain == SIEVE_NO_CHAIN || spec->chain == SIEVE_CHAIN_IF)
		return true;
	if (before == NULL || before->spec->chain == SIEVE_NO_CHAIN ||
	    before->spec->chain == SIEVE_CHAIN_ELSE)
		return sieve_check_error(
		    c, node->line, "%s must follow an if or elsif", spec->name);
	return true;
}

static bool
is_chained(const struct sieve_node *node)
{
	const struct sieve_spec *spec = node == NULL ? NULL : sieve_spec_find(node->name, false);

	return spec != NULL &&
	       (spec->chain == SIEVE_CHAIN_ELSIF || spec->chain == SIEVE_CHAIN_ELSE);
}

static bool
check_block(struct sieve_check *c, const struct sieve_node *nodes, struct sieve_call **calls_out)
{
	struct sieve_call **end = calls_out, *before = NULL, *call;

	for (const struct sieve_node *node = nodes; node != NULL; node = node->next) {
		bool chained = is_chained(node);

		if (!check_chain(c, node, before) || !check_call(c, node, false, &call))
			return false;
		if (chained) {
			before->otherwise = call;
		} else {
			*end = call;
			end = &call->next;
		}
		before = call;
		if (strcmp(call->spec->name, "require") != 0)
			c->began = true;
		/* an ihave that holds: what is said for the other case is not looked at */
		if (call->tests != NULL && call->tests->constant == SIEVE_ALWAYS &&
		    call->spec->chain != SIEVE_NO_CHAIN)
			while (is_chained(node->next))
				node = node->next;
	}
	return true;
}

bool
sieve_compile(struct str text, struct sieve_program **program_out, struct filter_error *error_out,
    struct filter_warnings *warnings)
{
	struct sieve_check c = {
		.program = mem_zalloc(sizeof(*c.program)),
		.error = error_out,
		.warnings = warnings,
	};
	struct sieve_node *commands;
	bool ok = sieve_parse(text, &c.syntax, &commands, error_out) &&
		  check_block(&c, commands, &c.program->commands);

	arena_free(&c.syntax);
	if (ok)
		*program_out = c.program;
	else
		sieve_program_free(c.program);
	return ok;
}

void
sieve_program_free(struct sieve_program *program)
{
	if (program == NULL)
		return;
	sieve_regexes_free(&program->regexes);
	arena_free(&program->arena);
	free(program);
}

size_t
sieve_program_bytes(const struct sieve_program *program)
{
	return sizeof(*program) + program->arena.used_bytes + program->regexes.bytes;
}
