/* Sieve's grammar, RFC 5228 §8.2: text to a tree of commands, whatever their names mean. */
#ifndef FILTER_SIEVE_PARSE_H
#define FILTER_SIEVE_PARSE_H

#include "base/mem.h"
#include "base/text.h"
#include "filter/filter.h"

#define SIEVE_NESTING_MAX 32 /* of blocks, and of tests; RFC 5228 §2.10.5 wants 15 */

enum sieve_node_arg_kind { SIEVE_NODE_NUMBER, SIEVE_NODE_STRINGS, SIEVE_NODE_TAG };

struct sieve_node_arg {
	enum sieve_node_arg_kind kind;
	unsigned line;
	uint64_t number;
	struct str tag;
	struct str *strings;
	size_t count;
	bool is_list; /* written with brackets */
	struct sieve_node_arg *next;
};

/* A command or a test. */
struct sieve_node {
	struct str name;
	unsigned line;
	struct sieve_node_arg *args;
	struct sieve_node *tests;
	bool has_parens; /* the tests are a test-list */
	struct sieve_node *block;
	bool has_block;
	struct sieve_node *next;
};

/* False with an error; all memory is the arena's.  An empty script is NULL. */
bool sieve_parse(struct str text, struct arena *arena, struct sieve_node **commands_out,
    struct filter_error *error_out);

#endif
