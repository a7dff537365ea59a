/* A compiled filter: its tree, and the arena that the tree lives in. */
#ifndef FILTER_EXIM_PROGRAM_H
#define FILTER_EXIM_PROGRAM_H

#include "base/mem.h"
#include "filter/exim/tree.h"
#include "filter/filter.h"

struct filter_program {
	struct arena arena;
	struct exim_command *commands;
};

enum filter_status exim_program_run(const struct filter_program *program,
    const struct filter_message *message, const struct filter_run_options *options,
    struct arena *arena, struct filter_result *result_out, struct filter_error *error_out);

#endif
