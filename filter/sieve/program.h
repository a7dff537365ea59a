/* A checked program, as the checker builds it and the run reads it.  Private to the core. */
#ifndef FILTER_SIEVE_PROGRAM_H
#define FILTER_SIEVE_PROGRAM_H

#include "base/mem.h"
#include "filter/sieve/check.h"
#include "filter/sieve/regex.h"

#define SIEVE_VARIABLES_MAX     255 /* of one script; RFC 5229 §6 wants 128 */
#define SIEVE_VARIABLE_NAME_MAX 64  /* RFC 5229 §6 wants 32 */

struct sieve_variable {
	struct str name; /* in lower case */
	bool global;     /* one of all scripts of the run */
	bool plain;      /* reached by its name alone, not only as global.name */
};

struct sieve_program {
	struct arena arena;
	struct sieve_call *commands;
	uint64_t caps; /* SIEVE_CAP_BITs that were required */
	struct sieve_variable variables[SIEVE_VARIABLES_MAX];
	unsigned variable_count;
	struct sieve_regexes regexes; /* of constant keys */
};

enum sieve_piece_kind {
	SIEVE_PIECE_TEXT,
	SIEVE_PIECE_VARIABLE,
	SIEVE_PIECE_MATCH,
	SIEVE_PIECE_OTHER
};
struct sieve_piece {
	enum sieve_piece_kind kind;
	struct str text; /* TEXT; OTHER: the name in its namespace */
	unsigned number; /* VARIABLE, MATCH */
	const struct sieve_namespace *space;
};

/* The commands around the one that is checked. */
struct sieve_inside {
	const struct sieve_call *call;
	const struct sieve_inside *outer;
};

struct sieve_check {
	struct sieve_program *program;
	struct arena syntax;
	struct filter_error *error;
	struct filter_warnings *warnings;
	const struct sieve_inside *inside;
	bool began; /* there was a command that is no require */
};

/* strings.c: encoded characters (RFC 5228 §2.4.2.4) undone, variables found (RFC 5229 §3). */
bool sieve_string_compile(
    struct sieve_check *c, unsigned line, struct str text, struct sieve_string *string_out);

#endif
