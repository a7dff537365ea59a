/* A parsed filter: commands with their unexpanded arguments.  All memory is the program's arena. */
#ifndef FILTER_EXIM_TREE_H
#define FILTER_EXIM_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/text.h"

#define EXIM_NESTING_MAX 200 /* of `if` and of brackets */

enum exim_condition_kind {
	EXIM_AND, /* left and those next to it */
	EXIM_OR,
	EXIM_DELIVERED,
	EXIM_ERROR_MESSAGE,
	EXIM_FIRST_DELIVERY,
	EXIM_MANUALLY_THAWED,
	EXIM_PERSONAL,      /* aliases */
	EXIM_FORANYADDRESS, /* a, left */
	EXIM_IS,            /* a, b, exact */
	EXIM_CONTAINS,
	EXIM_BEGINS,
	EXIM_ENDS,
	EXIM_MATCHES,
	EXIM_ABOVE, /* a, b */
	EXIM_BELOW,
};

struct exim_condition {
	enum exim_condition_kind kind;
	bool negated;
	bool exact; /* the operator was written in capitals */
	unsigned line;
	struct str a, b;
	struct str *aliases;
	size_t alias_count;
	struct exim_condition *left, *next;
};

/* The arguments of mail and vacation.  One that is not given has p NULL. */
enum exim_mail_argument {
	EXIM_TO,
	EXIM_CC,
	EXIM_BCC,
	EXIM_FROM,
	EXIM_REPLY_TO,
	EXIM_SUBJECT,
	EXIM_EXTRA_HEADERS,
	EXIM_TEXT,
	EXIM_FILE,
	EXIM_LOG,
	EXIM_ONCE,
	EXIM_ONCE_REPEAT,
	EXIM_MAIL_ARGUMENTS
};

struct exim_verb; /* commands.h */

struct exim_command {
	struct exim_command *next;
	const struct exim_verb *verb;
	unsigned line;
	bool seen; /* counts as significant */
	bool noerror;
	struct str a; /* the argument */
	struct str b; /* errors_to; `add`: the variable */
	bool has_b;
	/* if: conditions in order, each with its commands; else is one without condition */
	struct exim_branch *branches;
	/* mail, vacation */
	struct str *mail; /* by exim_mail_argument */
	bool expand_file, return_message;
};

struct exim_branch {
	struct exim_branch *next;
	struct exim_condition *condition; /* NULL: else */
	struct exim_command *commands;
};

#endif
