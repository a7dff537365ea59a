/* The words of an Exim filter.  Free-form: white space parts them, `#` at the start of one comments to
 * the end of the line.  A word that starts with a double quote goes to the closing quote and may hold
 * backslash escapes; expansion comes later and knows escapes of its own. */
#ifndef FILTER_EXIM_LEX_H
#define FILTER_EXIM_LEX_H

#include <stdbool.h>

#include "base/mem.h"
#include "base/text.h"
#include "filter/filter.h"

#define EXIM_WORD_MAX_BYTES 1023 /* Exim's own bound */

struct exim_lex {
	struct cursor at;
	unsigned line;
	struct arena *arena; /* of the words with escapes */
	struct filter_error *error;
};

/* Does nothing but say what is wrong; false, and a macro so that compilers see that. */
#define exim_syntax_error(l, ...) (exim_syntax_error_set((l), __VA_ARGS__), false)
void exim_syntax_error_set(struct exim_lex *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void exim_lex_skip(struct exim_lex *l); /* white space and comments */

/* A word as it stands, quotes and all; `brackets`: one ends it, and is a word by itself.  Empty at the end
 * of the text.  Skips what follows. */
bool exim_lex_word(struct exim_lex *l, bool brackets, struct str *word_out);
/* The same, but a quoted word is unquoted. */
bool exim_lex_item(struct exim_lex *l, bool brackets, struct str *word_out);

/* What stands behind a backslash at c->p, in quotes and in expansion alike: \n \r \t \b \f \v, one to three
 * octal digits, x with up to two hex digits; anything else is itself. */
char exim_escape(struct cursor *c);

#endif
