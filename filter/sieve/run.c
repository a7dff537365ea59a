#include "filter/sieve/run.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "filter/sieve/run_internal.h"

#define STEPS_PER_CLOCK    512               /* looking at the clock costs more than a step */
#define WORK_PER_CLOCK     (8 * 1024 * 1024) /* bytes; some milliseconds */
#define MESSAGE_COPIES_MAX 8                 /* decoded, replaced and enclosing it, all together */

/* --- ending --- */

static bool __attribute__((format(printf, 4, 0))) run_end(
    struct sieve_run *r, enum filter_status status, unsigned line, const char *fmt, va_list args)
{
	struct sieve_private *p = r->private;
	struct filter_error *e = p->error;
	const char *name = p->scope != NULL ? p->scope->name : NULL;
	size_t at = 0;

	if (p->status != FILTER_OK)
		return false; /* the first one counts */
	p->status = status;
	e->kind = FILTER_ERROR_RUNTIME;
	e->line = line;
	if (name != NULL)
		at = (size_t)snprintf(
		    e->text, sizeof(e->text), "included script \"%.100s\": ", name);
	vsnprintf(e->text + at, sizeof(e->text) - at, fmt, args);
	return false;
}

bool
sieve_run_error(struct sieve_run *r, unsigned line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	run_end(r, FILTER_RUN_ERROR, line, fmt, args);
	va_end(args);
	return false;
}

bool
sieve_run_tempfail(struct sieve_run *r, unsigned line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	run_end(r, FILTER_TEMPFAIL, line, fmt, args);
	va_end(args);
	return false;
}

bool
sieve_run_failed(const struct sieve_run *r)
{
	return r->private->status != FILTER_OK;
}

static int64_t
passed_ms(clockid_t clock, const struct timespec *since)
{
	struct timespec now;

	if (clock_gettime(clock, &now) != 0)
		return 0;
	return (int64_t)(now.tv_sec - since->tv_sec) * 1000 +
	       (now.tv_nsec - since->tv_nsec) / 1000000;
}

bool
sieve_run_step(struct sieve_run *r, unsigned line, unsigned steps)
{
	struct sieve_private *p = r->private;

	p->steps += steps;
	if (p->steps > FILTER_STEPS_MAX)
		return sieve_run_error(
		    r, line, "the script does too much: more than %d steps", FILTER_STEPS_MAX);
	if (r->arena->used_bytes - p->memory_at_start > FILTER_RUN_MEMORY_BYTES)
		return sieve_run_error(r, line, "the script needs too much memory: more than %d MB",
		    FILTER_RUN_MEMORY_BYTES >> 20);
	if (p->contents.used_bytes + p->kept_bytes >
	    FILTER_RUN_MEMORY_BYTES + MESSAGE_COPIES_MAX * (uint64_t)r->view.all.len)
		return sieve_run_error(r, line, "the script makes too much of the message");
	if (p->steps >= p->next_clock) {
		p->next_clock = p->steps + STEPS_PER_CLOCK;
		p->work_bytes = 0;
		if (passed_ms(CLOCK_THREAD_CPUTIME_ID, &p->cpu_start) > FILTER_CPU_MS_MAX ||
		    passed_ms(CLOCK_MONOTONIC, &p->wall_start) > FILTER_RUN_MS_MAX)
			return sieve_run_error(r, line, "the script takes too long");
	}
	return !sieve_run_failed(r);
}

bool
sieve_run_work(struct sieve_run *r, unsigned line, size_t bytes)
{
	struct sieve_private *p = r->private;

	p->work_bytes += bytes;
	if (p->work_bytes >= WORK_PER_CLOCK)
		p->next_clock = p->steps;
	return sieve_run_step(r, line, 0);
}

/* --- telling --- */

void
sieve_trace(struct sieve_run *r, unsigned line, const char *fmt, ...)
{
	struct buf text = { 0 };
	va_list args;

	if (!r->tracing)
		return;
	va_start(args, fmt);
	buf_vprintf(&text, fmt, args);
	va_end(args);
	r->options->trace(r->options->trace_arg, line, buf_cstr(&text));
	buf_free(&text);
}

void
sieve_log(struct sieve_run *r, unsigned line, struct str text)
{
	struct buf *log = &r->private->log;

	if (log->len + text.len > SIEVE_VARIABLE_MAX_BYTES)
		return;
	buf_printf(log, "line %u: %.*s\n", line, (int)text.len, text.p);
}

/* --- strings and variables --- */

struct sieve_regexes *
sieve_run_regexes(struct sieve_run *r)
{
	return &r->private->regexes;
}

struct buf *
sieve_run_scratch(struct sieve_run *r)
{
	return &r->private->scratch;
}

struct str
sieve_copy(struct sieve_run *r, struct str s)
{
	return (struct str){ arena_strndup(r->arena, s.p != NULL ? s.p : "", s.len), s.len };
}

/* Cut at the NUL, "evil@example.net\0@example.org" would become another address than the one that was tested. */
const char *
sieve_cstr(struct sieve_run *r, struct str s)
{
	struct buf whole = { 0 };
	const char *text;

	if (s.len == 0 || memchr(s.p, '\0', s.len) == NULL)
		return sieve_copy(r, s).p;
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] != '\0')
			buf_addc(&whole, s.p[i]);
		else
			buf_adds(&whole, "\xef\xbf\xbd");
	text = arena_strndup(r->arena, whole.data, whole.len);
	buf_free(&whole);
	return text;
}

static struct str
piece_value(struct sieve_run *r, const struct sieve_piece *piece)
{
	const struct sieve_scope *scope = r->private->scope;

	switch (piece->kind) {
	case SIEVE_PIECE_VARIABLE: return *scope->cells[piece->number];
	case SIEVE_PIECE_MATCH:
		return piece->number < scope->match_count ? scope->match[piece->number]
							  : (struct str){ "", 0 };
	case SIEVE_PIECE_OTHER: return piece->space->get(r, piece->text);
	default: return piece->text;
	}
}

struct str
sieve_expand(struct sieve_run *r, const struct sieve_string *s)
{
	size_t len = 0, at = 0;
	char *text;

	if (s->pieces == NULL)
		return s->text;
	if (sieve_run_failed(r)) /* over a limit: no more is made, however many there are */
		return (struct str){ "", 0 };
	if (s->piece_count == 1)
		return piece_value(r, &s->pieces[0]);
	for (size_t i = 0; i < s->piece_count; i++)
		len += piece_value(r, &s->pieces[i]).len;
	if (len > SIEVE_STRING_MAX_BYTES) {
		sieve_run_error(r, 0, "a string with variables is longer than %d bytes",
		    SIEVE_STRING_MAX_BYTES);
		return (struct str){ "", 0 };
	}
	text = arena_alloc(r->arena, len + 1);
	for (size_t i = 0; i < s->piece_count; i++) {
		struct str value = piece_value(r, &s->pieces[i]);

		if (value.len > 0)
			memcpy(text + at, value.p, value.len);
		at += value.len;
	}
	text[at] = '\0';
	sieve_run_step(r, 0, (unsigned)(len / 4096));
	return (struct str){ text, len };
}

const char *
sieve_expand_cstr(struct sieve_run *r, const struct sieve_string *s)
{
	return sieve_cstr(r, sieve_expand(r, s));
}

const char *
sieve_tag_cstr(struct sieve_run *r, const struct sieve_call *call, enum sieve_tag tag)
{
	const struct sieve_arg *arg = sieve_tag(call, tag);

	return arg != NULL ? sieve_expand_cstr(r, &arg->strings[0]) : NULL;
}

struct str
sieve_variable(struct sieve_run *r, unsigned variable)
{
	return *r->private->scope->cells[variable];
}

/* At most SIEVE_VARIABLE_MAX_BYTES, and no half character. */
static struct str
cut(struct str value)
{
	if (value.len <= SIEVE_VARIABLE_MAX_BYTES)
		return value;
	value.len = SIEVE_VARIABLE_MAX_BYTES;
	while (value.len > 0 && ((unsigned char)value.p[value.len] & 0xc0) == 0x80)
		value.len--;
	return value;
}

void
sieve_variable_set(struct sieve_run *r, unsigned variable, struct str value)
{
	*r->private->scope->cells[variable] = sieve_copy(r, cut(value));
}

void
sieve_match_variables_set(struct sieve_run *r, const struct str *values, size_t count)
{
	struct sieve_scope *scope = r->private->scope;

	scope->match_count = count < SIEVE_MATCH_VARIABLES ? count : SIEVE_MATCH_VARIABLES;
	for (size_t i = 0; i < scope->match_count; i++)
		scope->match[i] = sieve_copy(r, cut(values[i]));
}

static struct str *
global_cell(struct sieve_run *r, struct str name)
{
	struct sieve_global *g;

	for (g = r->private->globals; g != NULL; g = g->next)
		if (str_eq(g->name, name))
			return &g->value;
	g = arena_alloc(r->arena, sizeof(*g));
	*g = (struct sieve_global){ name, { "", 0 }, r->private->globals };
	r->private->globals = g;
	return &g->value;
}

static struct sieve_scope *
scope_new(struct sieve_run *r, const char *name, const struct sieve_program *program)
{
	struct sieve_scope *scope = arena_zalloc(r->arena, sizeof(*scope));
	struct str *own = arena_alloc(r->arena, (program->variable_count + 1) * sizeof(*own));

	scope->program = program;
	scope->name = name;
	scope->outer = r->private->scope;
	scope->cells = arena_alloc(r->arena, (program->variable_count + 1) * sizeof(*scope->cells));
	for (unsigned i = 0; i < program->variable_count; i++) {
		own[i] = (struct str){ "", 0 };
		scope->cells[i] = program->variables[i].global
				      ? global_cell(r, program->variables[i].name)
				      : &own[i];
	}
	return scope;
}

/* --- flow --- */

bool
sieve_run_test(struct sieve_run *r, const struct sieve_call *test, bool *truth_out)
{
	*truth_out = false;
	if (!sieve_run_step(r, test->line, 1) || !test->spec->test(r, test, truth_out) ||
	    sieve_run_failed(r))
		return false;
	if (r->tracing)
		sieve_trace(
		    r, test->line, "test %s: %s", test->spec->name, *truth_out ? "true" : "false");
	return true;
}

bool
sieve_run_block(struct sieve_run *r, const struct sieve_call *block)
{
	for (const struct sieve_call *call = block; call != NULL; call = call->next) {
		if (!sieve_run_step(r, call->line, 1))
			return false;
		if (r->tracing && call->spec->kind == SIEVE_ACTION)
			sieve_trace(r, call->line, "%s", call->spec->name);
		if (call->spec->run != NULL && !call->spec->run(r, call))
			return false;
		if (sieve_run_failed(r))
			return false;
		if (r->flow != SIEVE_GO_ON)
			break;
	}
	return true;
}

bool
sieve_run_include(struct sieve_run *r, const struct sieve_call *call, const char *name,
    const struct sieve_program *program)
{
	struct sieve_scope *outer = r->private->scope;
	const char *why;
	bool ok;

	if (r->include_depth == SIEVE_INCLUDE_DEPTH)
		return sieve_run_error(r, call->line,
		    "scripts include each other more than %d deep", SIEVE_INCLUDE_DEPTH);
	why = sieve_misfit(program, r->message);
	if (why != NULL)
		return sieve_run_error(r, call->line, "%s: %s", name, why);
	r->include_depth++;
	r->private->scope = scope_new(r, name, program);
	/* it may have been compiled just now, and that took time */
	ok = sieve_run_work(r, call->line, WORK_PER_CLOCK) && sieve_run_block(r, program->commands);
	if (r->flow == SIEVE_RETURN)
		r->flow = SIEVE_GO_ON;
	r->private->scope = outer;
	r->include_depth--;
	return ok;
}

/* --- where it runs --- */

const char *
sieve_misfit(const struct sieve_program *program, const struct filter_message *message)
{
	static const uint64_t OF_DELIVERY = SIEVE_CAP_BIT(SIEVE_CAP_REJECT) |
					    SIEVE_CAP_BIT(SIEVE_CAP_EREJECT) |
					    SIEVE_CAP_BIT(SIEVE_CAP_VACATION);

	if (message->imap_cause != NULL && (program->caps & OF_DELIVERY) != 0)
		return "reject, ereject and vacation are not possible for IMAP events";
	if (message->imap_cause == NULL && message->mailbox != NULL &&
	    (program->caps & SIEVE_CAP_BIT(SIEVE_CAP_IMAPSIEVE)) != 0)
		return "\"imapsieve\" is for IMAP events only";
	return NULL;
}

/* --- a whole run --- */

static const struct filter_settings DEFAULTS = {
	.vacation_min_seconds = 86400,
	.vacation_max_seconds = 30 * 86400,
	.vacation_default_seconds = 7 * 86400,
	.spam_header = "X-Spam-Score",
	.spam_max = "10",
	.virus_header = "X-Virus-Score",
	.detail_delimiter = '+',
};

static struct filter_settings *
settings_fill(struct arena *a, const struct filter_settings *given)
{
	struct filter_settings *s = arena_alloc(a, sizeof(*s));

	*s = given != NULL ? *given : DEFAULTS;
	if (s->vacation_max_seconds == 0)
		s->vacation_max_seconds = DEFAULTS.vacation_max_seconds;
	if (s->vacation_default_seconds == 0)
		s->vacation_default_seconds = DEFAULTS.vacation_default_seconds;
	if (s->spam_header == NULL)
		s->spam_header = DEFAULTS.spam_header;
	if (s->spam_max == NULL)
		s->spam_max = DEFAULTS.spam_max;
	if (s->virus_header == NULL)
		s->virus_header = DEFAULTS.virus_header;
	if (s->detail_delimiter == '\0')
		s->detail_delimiter = DEFAULTS.detail_delimiter;
	return s;
}

static void
run_program(struct sieve_run *r, const struct sieve_program *program)
{
	struct sieve_private *p = r->private;
	const char *why;

	if (!sieve_message_open(r)) {
		sieve_run_tempfail(r, 0, "the message cannot be read");
		return;
	}
	p->scope = scope_new(r, NULL, program);
	why = sieve_misfit(program, r->message);
	if (why != NULL)
		(void)sieve_run_error(r, 0, "%s", why);
	else if (sieve_run_block(r, program->commands))
		sieve_actions_end(r);
	sieve_message_close(r);
}

enum filter_status
sieve_run(const struct sieve_program *program, const struct filter_message *message,
    const struct filter_run_options *options, struct arena *arena, struct filter_result *result_out,
    struct filter_error *error_out)
{
	static const struct filter_surroundings NOTHING = { 0 };
	struct sieve_private private = { .error = error_out, .memory_at_start = arena->used_bytes };
	struct sieve_run r = {
		.message = message,
		.options = options,
		.around = options->around != NULL ? options->around : &NOTHING,
		.arena = arena,
		.result = result_out,
		.flags = str_from(message->flags != NULL ? message->flags : ""),
		.now = message->now != 0 ? message->now : (int64_t)time(NULL),
		.tracing = options->trace != NULL,
		.private = &private,
	};

	r.settings = settings_fill(arena, r.around->settings);
	private.next_clock = STEPS_PER_CLOCK;
	clock_gettime(CLOCK_MONOTONIC, &private.wall_start);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &private.cpu_start);
	run_program(&r, program);
	result_out->log = sieve_copy(&r, (struct str){ private.log.data, private.log.len });
	sieve_regexes_free(&private.regexes);
	buf_free(&private.scratch);
	buf_free(&private.log);
	arena_free(&private.contents);
	return private.status;
}
