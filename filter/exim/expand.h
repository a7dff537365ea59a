/* String expansion: $variables and ${items}.  What is expanded is never expanded again. */
#ifndef FILTER_EXIM_EXPAND_H
#define FILTER_EXIM_EXPAND_H

#include "filter/exim/run.h"
#include "filter/exim/text.h"

#define EXIM_EXPAND_DEPTH_MAX 60

/* The result is NUL-terminated and in the scratch arena (or the filter's own text).  False, and
 * the error (EXPAND or FORBIDDEN), if it fails; also if the text asks for failure by `fail`. */
bool exim_expand(struct exim_run *x, struct str text, struct str *out);

/* --- for items, operators and conditions --- */

struct exim_expansion {
	struct exim_run *x;
	struct cursor at;
	unsigned depth;
	/* of an operator such as substr_1_2, or of the item */
	const char *operator_name;
	int64_t numbers[2];
	unsigned number_count;
};

/* Up to the end, or `braced` up to a closing brace, which is not taken.  `skip`: reads over it only,
 * nothing is looked up and nothing fails but the syntax. */
bool exim_expand_part(struct exim_expansion *e, bool braced, bool skip, struct exim_text *out);
/* `{…}` with blanks before it: expanded.  False if there is no brace, or it fails. */
bool exim_expand_arg(struct exim_expansion *e, bool skip, struct str *out);
/* `{…}` as it stands, for what is expanded once per item of a list; `*end_out` behind it. */
bool exim_expand_raw(struct exim_expansion *e, struct str *out);
void exim_expand_blanks(struct exim_expansion *e);
bool exim_expand_more(struct exim_expansion *e); /* is the next one an opening brace? */
#define exim_expand_fail(e, ...) (exim_expand_fail_set((e), __VA_ARGS__), false)
void exim_expand_fail_set(struct exim_expansion *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The two strings after a condition: `{yes}{no}`, each may be missing, and the brace that closes the
 * item is not taken.  `value`: what yes gives if neither is there. */
bool exim_expand_yesno(struct exim_expansion *e, bool skip, bool yes, const char *item,
    struct str value, struct exim_text *out);

/* A condition at e->at; *yes_out if not skipped. */
bool exim_expand_condition(struct exim_expansion *e, bool skip, bool *yes_out);

/* A ${name{…}…}, with e->at behind the name and then before the closing brace. */
struct exim_item {
	const char *name;
	bool (*expand)(struct exim_expansion *e, bool skip, struct exim_text *out);
	const char *refused; /* why, where it is not there for a reason; NULL: it is there */
};
const struct exim_item *exim_item_find(struct str name); /* NULL: there is none */

/* A ${name:text} or ${name_1_2:text}. */
struct exim_operator {
	const char *name;
	bool (*apply)(struct exim_expansion *e, struct str text, struct exim_text *out);
	const char *refused;
	bool numbers; /* after underscores, in e->numbers */
};
const struct exim_operator *exim_operator_find(struct str name);

/* ${length, ${substr, ${hash and ${nhash as item and as operator. */
bool exim_op_length(struct exim_expansion *e, struct str text, struct exim_text *out);
bool exim_op_substr(struct exim_expansion *e, struct str text, struct exim_text *out);
bool exim_op_hash(struct exim_expansion *e, struct str text, struct exim_text *out);
bool exim_op_nhash(struct exim_expansion *e, struct str text, struct exim_text *out);

/* What $name or ${name} stands for; false if there is no such name. */
bool exim_variable(struct exim_run *x, struct str name, bool skip, struct str *out);
/* h_, rh_ and their like in front of a header's name; 0: it is none. */
size_t exim_header_prefix(struct str name);

/* The next item of a list: "<;" at its start changes the separator, a doubled one stands for itself. */
struct exim_list {
	struct cursor at;
	char separator; /* 0: not known yet */
};
bool exim_list_next(struct arena *a, struct exim_list *list, struct str *item_out);
/* An item with its separators doubled, behind a separator if it is not the first. */
void exim_list_add(struct exim_text *out, struct str item, char separator, bool first);

/* Captures of a match, kept until the run ends or others replace them. */
struct exim_captures {
	struct str at[EXIM_CAPTURES_MAX];
	size_t count;
};
void exim_captures_save(struct exim_run *x, struct exim_captures *saved_out);
void exim_captures_restore(struct exim_run *x, const struct exim_captures *saved);

#endif
