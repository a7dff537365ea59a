#include "filter/exim/exim.h"

#include <stdlib.h>

#include "filter/exim/parse.h"
#include "filter/exim/program.h"

static void
program_free(struct filter_program *program)
{
	if (program == NULL)
		return;
	arena_free(&program->arena);
	free(program);
}

static enum filter_status
compile(struct str text, struct filter_program **program_out, struct filter_error *error_out,
    struct filter_warnings *warnings)
{
	struct filter_program *program = mem_zalloc(sizeof(*program));
	/* Bare words are spans of the text, so the program keeps its own. */
	struct str kept = { arena_strndup(&program->arena, text.p, text.len), text.len };

	(void)warnings;
	if (!exim_parse(kept, &program->arena, &program->commands, error_out)) {
		program_free(program);
		return FILTER_COMPILE_ERROR;
	}
	*program_out = program;
	return FILTER_OK;
}

static size_t
bytes(const struct filter_program *program)
{
	return sizeof(*program) + program->arena.used_bytes;
}

const struct filter_language FILTER_EXIM = {
	.name = "exim",
	.claims = exim_claims,
	.compile = compile,
	.run = exim_program_run,
	.free = program_free,
	.bytes = bytes,
};
