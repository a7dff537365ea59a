#include "filter/sieve/parse.h"

#include <stdio.h>

#include "filter/sieve/lexer.h"

struct parser {
	struct sieve_lexer lx;
	struct arena *arena;
	unsigned blocks, tests; /* depth */
};

static bool
parse_error(struct parser *p, const char *text)
{
	struct filter_error *e = p->lx.error;

	if (p->lx.token == SIEVE_TOKEN_ERROR)
		return false; /* it has been said already */
	e->kind = FILTER_ERROR_COMPILE;
	e->line = p->lx.token_line;
	snprintf(e->text, sizeof(e->text), "%s%s", text,
	    p->lx.token == SIEVE_TOKEN_END ? ", but the script ends" : "");
	return false;
}

static bool
at(const struct parser *p, char punctuation)
{
	return p->lx.token == SIEVE_TOKEN_PUNCTUATION && p->lx.punctuation == punctuation;
}

static bool
take(struct parser *p, char punctuation)
{
	if (!at(p, punctuation))
		return false;
	sieve_lexer_next(&p->lx);
	return true;
}

/* string-list = "[" string *("," string) "]", RFC 5228 §8.2 */
static bool
parse_string_list(struct parser *p, struct sieve_node_arg *arg)
{
	size_t room = 0;

	arg->is_list = true;
	sieve_lexer_next(&p->lx);
	do {
		if (p->lx.token != SIEVE_TOKEN_TEXT)
			return parse_error(p, "a string must stand here in the list");
		if (arg->count == room) {
			struct str *more;

			room = room == 0 ? 4 : 2 * room;
			more = arena_alloc(p->arena, room * sizeof(*more));
			if (arg->count > 0)
				memcpy(more, arg->strings, arg->count * sizeof(*more));
			arg->strings = more;
		}
		arg->strings[arg->count++] = p->lx.text;
		sieve_lexer_next(&p->lx);
	} while (take(p, ','));
	if (!take(p, ']'))
		return parse_error(p, "\",\" or \"]\" must follow the string of a list");
	return true;
}

/* argument = string-list / number / tag; *arg_out NULL: none follows. */
static bool
parse_argument(struct parser *p, struct sieve_node_arg **arg_out)
{
	struct sieve_node_arg *arg;

	*arg_out = NULL;
	if (p->lx.token != SIEVE_TOKEN_TEXT && p->lx.token != SIEVE_TOKEN_NUMBER &&
	    p->lx.token != SIEVE_TOKEN_TAG && !at(p, '['))
		return true;
	*arg_out = arg = arena_zalloc(p->arena, sizeof(*arg));
	arg->line = p->lx.token_line;
	if (at(p, '[')) {
		arg->kind = SIEVE_NODE_STRINGS;
		return parse_string_list(p, arg);
	}
	if (p->lx.token == SIEVE_TOKEN_TEXT) {
		arg->kind = SIEVE_NODE_STRINGS;
		arg->strings = arena_alloc(p->arena, sizeof(*arg->strings));
		arg->strings[0] = p->lx.text;
		arg->count = 1;
	} else if (p->lx.token == SIEVE_TOKEN_NUMBER) {
		arg->kind = SIEVE_NODE_NUMBER;
		arg->number = p->lx.number;
	} else {
		arg->kind = SIEVE_NODE_TAG;
		arg->tag = p->lx.text;
	}
	sieve_lexer_next(&p->lx);
	return p->lx.token != SIEVE_TOKEN_ERROR;
}

static bool parse_test(struct parser *p, struct sieve_node **test_out);

/* test-list = "(" test *("," test) ")" */
static bool
parse_test_list(struct parser *p, struct sieve_node *node)
{
	struct sieve_node **end = &node->tests;

	node->has_parens = true;
	do {
		if (!parse_test(p, end))
			return false;
		end = &(*end)->next;
	} while (take(p, ','));
	if (!take(p, ')'))
		return parse_error(p, "\",\" or \")\" must follow the test of a list");
	return true;
}

/* arguments = *argument [ test / test-list ] */
static bool
parse_arguments(struct parser *p, struct sieve_node *node)
{
	struct sieve_node_arg **end = &node->args;

	for (;;) {
		if (!parse_argument(p, end))
			return false;
		if (*end == NULL)
			break;
		end = &(*end)->next;
	}
	if (p->lx.token == SIEVE_TOKEN_IDENTIFIER)
		return parse_test(p, &node->tests);
	if (take(p, '('))
		return parse_test_list(p, node);
	return p->lx.token != SIEVE_TOKEN_ERROR;
}

static struct sieve_node *
node_new(struct parser *p)
{
	struct sieve_node *node = arena_zalloc(p->arena, sizeof(*node));

	node->name = p->lx.text;
	node->line = p->lx.token_line;
	sieve_lexer_next(&p->lx);
	return node;
}

/* test = identifier arguments */
static bool
parse_test(struct parser *p, struct sieve_node **test_out)
{
	bool ok;

	if (p->lx.token != SIEVE_TOKEN_IDENTIFIER)
		return parse_error(p, "a test must stand here");
	if (++p->tests > SIEVE_NESTING_MAX)
		return parse_error(p, "tests are nested too deeply");
	*test_out = node_new(p);
	ok = parse_arguments(p, *test_out);
	p->tests--;
	return ok;
}

static bool parse_command(struct parser *p, struct sieve_node **command_out);

/* block = "{" commands "}" */
static bool
parse_block(struct parser *p, struct sieve_node *node)
{
	struct sieve_node **end = &node->block;

	node->has_block = true;
	if (++p->blocks > SIEVE_NESTING_MAX)
		return parse_error(p, "blocks are nested too deeply");
	while (!at(p, '}')) {
		if (!parse_command(p, end))
			return false;
		end = &(*end)->next;
	}
	p->blocks--;
	sieve_lexer_next(&p->lx);
	return p->lx.token != SIEVE_TOKEN_ERROR;
}

/* command = identifier arguments (";" / block) */
static bool
parse_command(struct parser *p, struct sieve_node **command_out)
{
	if (p->lx.token != SIEVE_TOKEN_IDENTIFIER)
		return parse_error(p, p->blocks > 0 ? "a command or \"}\" must stand here"
						    : "a command must stand here");
	*command_out = node_new(p);
	if (!parse_arguments(p, *command_out))
		return false;
	if (take(p, ';'))
		return p->lx.token != SIEVE_TOKEN_ERROR;
	if (take(p, '{'))
		return parse_block(p, *command_out);
	return parse_error(p, "\";\" or a block must end the command");
}

bool
sieve_parse(struct str text, struct arena *arena, struct sieve_node **commands_out,
    struct filter_error *error_out)
{
	struct parser p = { .arena = arena };
	struct sieve_node **end = commands_out;

	*commands_out = NULL;
	sieve_lexer_open(&p.lx, text, arena, error_out);
	while (p.lx.token != SIEVE_TOKEN_END) {
		if (p.lx.token == SIEVE_TOKEN_ERROR || !parse_command(&p, end))
			return false;
		end = &(*end)->next;
	}
	return true;
}
