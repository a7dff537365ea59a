/* From an Exim filter's text to its tree.  Errors are worded as Exim words them. */
#ifndef FILTER_EXIM_PARSE_H
#define FILTER_EXIM_PARSE_H

#include "filter/exim/commands.h"
#include "filter/exim/lex.h"
#include "filter/exim/tree.h"
#include "filter/filter.h"

struct exim_parser {
	struct exim_lex lex;
	struct arena *arena;
	unsigned depth;
};

/* False and error_out (kind SYNTAX, with its line) if the text is not right from the first to the last byte;
 * *commands_out is NULL for a filter without commands. */
bool exim_parse(struct str text, struct arena *arena, struct exim_command **commands_out,
    struct filter_error *error_out);

/* Up to "then", or (nested) to the closing bracket, which is taken. */
bool exim_parse_condition(struct exim_parser *p, bool nested, struct exim_condition **out);

#endif
