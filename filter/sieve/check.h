/* From the syntax tree to the checked program: names, arguments, tags, requires, rules.  RFC 5228 §2.
 * All of it is checked, branches that are never taken too; except what stands behind an `ihave` that
 * says no (RFC 5463 §4).  The first error ends the check. */
#ifndef FILTER_SIEVE_CHECK_H
#define FILTER_SIEVE_CHECK_H

#include "base/mem.h"
#include "filter/filter.h"
#include "filter/sieve/spec.h"

struct sieve_program;

/* False with an error; *program_out is the caller's, ended with sieve_program_free(). */
bool sieve_compile(struct str text, struct sieve_program **program_out,
    struct filter_error *error_out, struct filter_warnings *warnings);
void sieve_program_free(struct sieve_program *program);
size_t sieve_program_bytes(const struct sieve_program *program);

/* --- for `check` functions of rows --- */

/* Always false, so that a check can `return sieve_check_error(…)`. */
bool sieve_check_error(struct sieve_check *c, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void sieve_check_warn(struct sieve_check *c, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool sieve_check_has(const struct sieve_check *c, enum sieve_cap cap); /* has been required */
void sieve_check_enable(struct sieve_check *c, enum sieve_cap cap);    /* require, ihave */
bool sieve_check_began(const struct sieve_check *c); /* other commands than require came before */
struct arena *sieve_check_arena(struct sieve_check *c); /* lives as long as the program */

/* Is the string a constant, so that it can be checked now? */
bool sieve_is_constant(const struct sieve_string *s);

/* A variable by its name ("a", "global.a"; 0-9 are no names), as the program knows it: for commands that
 * write one (RFC 5229 §4, RFC 5232 §3, RFC 5703 §7).  False with an error. */
bool sieve_check_variable(
    struct sieve_check *c, unsigned line, struct str name, unsigned *variable_out);
/* The same for an argument that is the name of a variable: it must be a constant. */
bool sieve_check_variable_arg(
    struct sieve_check *c, const struct sieve_arg *arg, unsigned *variable_out);
/* Makes a variable one of all included scripts (RFC 6609 §3.4.1); error if it is used already. */
bool sieve_check_global(struct sieve_check *c, unsigned line, struct str name);
/* Header field names of an argument must be field names of RFC 5322 §3.6.8 where they are constant. */
bool sieve_check_field_names(struct sieve_check *c, const struct sieve_arg *arg);
/* The same of a test: only a warning, since it is false and no error, RFC 5228 §2.4.2.2.  True. */
bool sieve_check_tested_names(struct sieve_check *c, const struct sieve_arg *arg);
bool sieve_is_field_name(struct str name);
/* Is the call inside the block of a command with that name?  (`break` needs `foreverypart`.) */
const struct sieve_call *sieve_check_inside(const struct sieve_check *c, const char *name);
/* The next such command around the one that was found; NULL: none. */
const struct sieve_call *sieve_check_outside(
    const struct sieve_check *c, const struct sieve_call *found, const char *name);

#endif
