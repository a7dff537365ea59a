#include "filter/sieve/sieve.h"

/* What no other language claims is Sieve. */
static bool
claims(struct str text)
{
	(void)text;
	return true;
}

/* struct filter_program is a struct sieve_program by another name. */
static enum filter_status
language_compile(struct str text, struct filter_program **program_out,
    struct filter_error *error_out, struct filter_warnings *warnings)
{
	struct sieve_program *program;

	if (!sieve_compile(text, &program, error_out, warnings))
		return FILTER_COMPILE_ERROR;
	*program_out = (struct filter_program *)program;
	return FILTER_OK;
}

static enum filter_status
language_run(const struct filter_program *program, const struct filter_message *message,
    const struct filter_run_options *options, struct arena *arena, struct filter_result *result_out,
    struct filter_error *error_out)
{
	return sieve_run(
	    (const struct sieve_program *)program, message, options, arena, result_out, error_out);
}

static void
language_free(struct filter_program *program)
{
	sieve_program_free((struct sieve_program *)program);
}

static size_t
language_bytes(const struct filter_program *program)
{
	return sieve_program_bytes((const struct sieve_program *)program);
}

const struct filter_language FILTER_SIEVE = {
	.name = "sieve",
	.claims = claims,
	.compile = language_compile,
	.run = language_run,
	.free = language_free,
	.bytes = language_bytes,
};

const struct sieve_program *
sieve_program_of(const struct filter *filter)
{
	return (const struct sieve_program *)filter_program(filter, &FILTER_SIEVE);
}
