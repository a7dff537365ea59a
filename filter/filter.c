#include "filter/filter.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "filter/exim/exim.h"
#include "filter/sieve/sieve.h"

struct filter {
	const struct filter_language *language;
	struct filter_program *program;
};

/* What is left if even the built-in filter cannot be had: one keep. */
static enum filter_status
keep_run(const struct filter_program *program, const struct filter_message *message,
    const struct filter_run_options *options, struct arena *arena, struct filter_result *result_out,
    struct filter_error *error_out)
{
	(void)program, (void)message, (void)options, (void)arena, (void)error_out;
	result_out->action_count = 1;
	result_out->actions[0] = (struct filter_action){ .kind = FILTER_KEEP, .implicit = true };
	return FILTER_OK;
}

static const struct filter_language LANGUAGE_KEEP = { .name = "keep", .run = keep_run };
static const struct filter FILTER_KEEP_ALL = { .language = &LANGUAGE_KEEP };

static const struct filter_language *const LANGUAGES[] = {
	&FILTER_EXIM,  /* "# Exim filter" */
	&FILTER_SIEVE, /* whatever nobody else claims */
	NULL,          /* the end */
};

enum filter_status
filter_compile(struct str text, struct filter **filter_out, struct filter_error *error_out,
    struct filter_warnings *warnings)
{
	enum filter_status status;
	struct filter *filter;

	*error_out = (struct filter_error){ 0 };
	if (text.len > FILTER_TEXT_MAX_BYTES) {
		snprintf(error_out->text, sizeof(error_out->text),
		    "the filter is larger than %d bytes", FILTER_TEXT_MAX_BYTES);
		return FILTER_COMPILE_ERROR;
	}
	for (const struct filter_language *const *l = LANGUAGES; *l != NULL; l++) {
		if (!(*l)->claims(text))
			continue;
		filter = mem_zalloc(sizeof(*filter));
		filter->language = *l;
		status = (*l)->compile(text, &filter->program, error_out, warnings);
		if (status != FILTER_OK) {
			free(filter);
			return status;
		}
		*filter_out = filter;
		return FILTER_OK;
	}
	snprintf(error_out->text, sizeof(error_out->text),
	    "this server has no filter language that can read it");
	return FILTER_COMPILE_ERROR;
}

/* The filter that is built in, compiled when first asked for.  Should it ever not compile, all is kept. */
static struct filter *built_in;
static pthread_once_t built_in_once = PTHREAD_ONCE_INIT;

static void
compile_built_in(void)
{
	struct filter_error error;

	if (filter_compile(str_from(EXIM_DEFAULT_FILTER), &built_in, &error, NULL) != FILTER_OK)
		built_in = NULL;
}

const struct filter *
filter_default(void)
{
	pthread_once(&built_in_once, compile_built_in);
	return built_in != NULL ? built_in : &FILTER_KEEP_ALL;
}

void
filter_free(struct filter *filter)
{
	if (filter == NULL)
		return;
	filter->language->free(filter->program);
	free(filter);
}

size_t
filter_bytes(const struct filter *filter)
{
	return sizeof(*filter) +
	       (filter->language->bytes != NULL ? filter->language->bytes(filter->program) : 0);
}

const char *
filter_misfit(const struct filter *filter, const struct filter_message *message)
{
	const struct sieve_program *program = sieve_program_of(filter);

	return program != NULL ? sieve_misfit(program, message) : NULL;
}

const struct filter_program *
filter_program(const struct filter *filter, const struct filter_language *language)
{
	return filter->language == language ? filter->program : NULL;
}

const char *
filter_language_name(const struct filter *filter)
{
	return filter->language->name;
}

const char *
filter_text_language(struct str text)
{
	for (const struct filter_language *const *l = LANGUAGES; *l != NULL; l++)
		if ((*l)->claims(text))
			return (*l)->name;
	return LANGUAGE_KEEP.name;
}

enum filter_status
filter_run(const struct filter *filter, const struct filter_message *message,
    const struct filter_run_options *options, struct arena *arena, struct filter_result *result_out,
    struct filter_error *error_out)
{
	static const struct filter_run_options PLAIN = { 0 };
	enum filter_status status;

	*error_out = (struct filter_error){ 0 };
	*result_out = (struct filter_result){ 0 };
	status = filter->language->run(filter->program, message, options != NULL ? options : &PLAIN,
	    arena, result_out, error_out);
	if (status != FILTER_OK)
		*result_out = (struct filter_result){ .log = result_out->log };
	return status;
}
