#include "filter/exim/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "filter/exim/commands.h"
#include "filter/exim/expand.h"
#include "filter/exim/numbers.h"
#include "filter/exim/program.h"
#include "filter/exim/text.h"
#include "filter/surroundings.h"

#define CLOCK_EVERY_STEPS 64                /* the clocks are looked at that often */
#define CLOCK_EVERY_BYTES (8 * 1024 * 1024) /* likewise */

static int64_t
clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void
exim_fail_set(struct exim_run *x, enum filter_error_kind kind, const char *fmt, ...)
{
	va_list args;

	x->error->kind = kind;
	x->error->line = x->line;
	va_start(args, fmt);
	vsnprintf(x->error->text, sizeof(x->error->text), fmt, args);
	va_end(args);
}

static bool
over_limit(struct exim_run *x, const char *what)
{
	x->over_limit = true;
	return exim_fail(x, FILTER_ERROR_RUNTIME, "the filter takes too much %s", what);
}

bool
exim_step(struct exim_run *x)
{
	x->steps++;
	return exim_work(x, 0);
}

bool
exim_work(struct exim_run *x, size_t bytes)
{
	if (x->over_limit)
		return false;
	if (x->steps > FILTER_STEPS_MAX)
		return over_limit(x, "work");
	if (x->arena->used_bytes + x->scratch.used_bytes > FILTER_RUN_MEMORY_BYTES)
		return over_limit(x, "memory");
	x->work_bytes += bytes;
	if (x->steps - x->steps_at_clock < CLOCK_EVERY_STEPS && x->work_bytes < CLOCK_EVERY_BYTES)
		return true;
	x->steps_at_clock = x->steps;
	x->work_bytes = 0;
	if (clock_ns(CLOCK_MONOTONIC) - x->wall_start_ns > (int64_t)FILTER_RUN_MS_MAX * 1000000 ||
	    clock_ns(CLOCK_THREAD_CPUTIME_ID) - x->cpu_start_ns >
		(int64_t)FILTER_CPU_MS_MAX * 1000000)
		return over_limit(x, "time");
	return true;
}

void
exim_trace(struct exim_run *x, const char *fmt, ...)
{
	char text[512];
	va_list args;

	if (x->options->trace == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	x->options->trace(x->options->trace_arg, x->line, text);
}

/* "failed to expand "…" in save command: why", as far as there is room. */
bool
exim_value(struct exim_run *x, struct str text, const char *what, struct str *out)
{
	char why[FILTER_ERROR_TEXT_BYTES];
	enum filter_error_kind kind;

	if (exim_expand(x, text, out))
		return true;
	if (x->over_limit || x->tempfail)
		return false;
	kind = x->error->kind;
	snprintf(why, sizeof(why), "%s", x->error->text);
	return exim_fail(x, kind, "failed to expand \"%.*s\" in %s: %.300s",
	    (int)(text.len < 120 ? text.len : 120), text.p, what, why);
}

struct filter_action *
exim_action(struct exim_run *x, const struct exim_command *command, enum filter_action_kind kind)
{
	struct filter_action *action;

	if (x->result->action_count == FILTER_ACTIONS_MAX) {
		exim_fail_set(x, FILTER_ERROR_RUNTIME, "the filter wants more than %d actions",
		    FILTER_ACTIONS_MAX);
		return NULL;
	}
	action = &x->result->actions[x->result->action_count++];
	*action = (struct filter_action){ .kind = kind, .line = command->line };
	action->unseen = !command->seen;
	return action;
}

/* --- commands that only the interpreter knows --- */

/* add NUMBER to nX */
bool
exim_run_add(struct exim_run *x, const struct exim_command *command)
{
	struct str number, target;
	int64_t n;

	if (!exim_value(x, command->a, "\"add\" command", &number) ||
	    !exim_value(x, command->b, "\"add\" command", &target))
		return false;
	if (!exim_number_c(number, &n))
		return exim_fail(x, FILTER_ERROR_EXPAND,
		    "malformed number \"%.200s\" in \"add\" command", number.p);
	if (target.len != 2 || target.p[0] != 'n' || !ascii_is_digit(target.p[1]))
		return exim_fail(x, FILTER_ERROR_EXPAND,
		    "unknown variable \"%.200s\" in \"add\" command", target.p);
	x->numbers[target.p[1] - '0'] =
	    (int64_t)((uint64_t)x->numbers[target.p[1] - '0'] + (uint64_t)n);
	exim_trace(x, "add %lld to n%c: %lld", (long long)n, target.p[1],
	    (long long)x->numbers[target.p[1] - '0']);
	return true;
}

bool
exim_run_finish(struct exim_run *x, const struct exim_command *command)
{
	x->finished = true;
	exim_trace(x, "%sfinish", command->seen ? "seen " : "");
	return true;
}

bool
exim_run_headers(struct exim_run *x, const struct exim_command *command)
{
	struct str charset;

	if (!exim_value(x, command->a, "headers command", &charset))
		return false;
	x->charset = arena_strndup(x->arena, charset.p, charset.len);
	exim_trace(x, "headers charset %s", x->charset);
	return true;
}

/* if …: the branch whose condition holds first.  $thisaddress lives until its end. */
bool
exim_run_if(struct exim_run *x, const struct exim_command *command)
{
	struct str before = x->thisaddress;

	for (const struct exim_branch *b = command->branches; b != NULL; b = b->next) {
		bool yes = true;

		if (b->condition != NULL) {
			if (!exim_condition(x, b->condition, &yes))
				return false;
			exim_trace(x, "condition is %s", yes ? "true" : "false");
		}
		if (!yes)
			continue;
		if (!exim_run_commands(x, b->commands))
			return false;
		break;
	}
	x->thisaddress = before;
	return true;
}

/* logfile is accepted and does nothing: nothing is ever written to it. */
bool
exim_run_logfile(struct exim_run *x, const struct exim_command *command)
{
	struct str file;

	return exim_value(x, command->a, "logfile command", &file);
}

bool
exim_run_logwrite(struct exim_run *x, const struct exim_command *command)
{
	(void)command;
	return exim_fail(x, FILTER_ERROR_FORBIDDEN, "logwrite command forbidden");
}

bool
exim_run_pipe(struct exim_run *x, const struct exim_command *command)
{
	(void)command;
	return exim_fail(x, FILTER_ERROR_FORBIDDEN, "delivery to pipe forbidden");
}

bool
exim_run_testprint(struct exim_run *x, const struct exim_command *command)
{
	struct exim_text all = { .arena = x->arena };
	struct str text;

	if (!exim_value(x, command->a, "testprint command", &text))
		return false;
	exim_trace(x, "testprint %.400s", text.p);
	if (x->result->log.len + text.len > EXIM_LOG_MAX_BYTES)
		return true;
	exim_text_str(&all, x->result->log);
	exim_text_str(&all, text);
	exim_text_char(&all, '\n');
	x->result->log = exim_text_get(&all);
	return true;
}

bool
exim_run_commands(struct exim_run *x, const struct exim_command *commands)
{
	for (const struct exim_command *c = commands; c != NULL && !x->finished; c = c->next) {
		x->line = c->line;
		arena_reset(&x->scratch);
		x->not_sent = false;
		if (!exim_step(x) || !c->verb->run(x, c))
			return false;
		if (!c->seen)
			continue;
		x->delivered = true;
		/* A reply that counts as delivery but is not sent must not lose the message. */
		if (!x->not_sent)
			x->result->seen = true;
	}
	return true;
}

/* --- the run as a whole --- */

static struct str
copy(struct exim_run *x, struct str s)
{
	return (struct str){ arena_strndup(x->arena, s.p, s.len), s.len };
}

static void
split_address(
    struct exim_run *x, const char *address, struct str *local_out, struct str *domain_out)
{
	const char *at = strrchr(address, '@');

	*local_out = copy(
	    x, at != NULL ? (struct str){ address, (size_t)(at - address) } : str_from(address));
	*domain_out = copy(x, at != NULL ? str_from(at + 1) : (struct str){ "", 0 });
}

/* Who it is for: the account; "original" is the address as it came, without the detail. */
static void
know_addresses(struct exim_run *x)
{
	const struct filter_message *m = x->message;
	const struct filter_surroundings *around = x->options->around;
	char delimiter = '+';

	if (around != NULL && around->settings != NULL &&
	    around->settings->detail_delimiter != '\0')
		delimiter = around->settings->detail_delimiter;
	split_address(x, m->account != NULL ? m->account : "", &x->local_part, &x->domain);
	split_address(x,
	    m->rcpt != NULL      ? m->rcpt
	    : m->account != NULL ? m->account
				 : "",
	    &x->original_local_part, &x->original_domain);
	x->suffix = (struct str){ "", 0 };
	if (m->detail == NULL)
		return;
	x->suffix = str_from(arena_printf(x->arena, "%c%s", delimiter, m->detail));
	if (x->original_local_part.len > x->suffix.len &&
	    memcmp(x->original_local_part.p + x->original_local_part.len - x->suffix.len,
		x->suffix.p, x->suffix.len) == 0)
		x->original_local_part.len -= x->suffix.len;
	x->original_local_part = copy(x, x->original_local_part);
}

/* Normal delivery. */
static bool
keep(struct exim_run *x)
{
	static const struct exim_command NOBODYS = { .seen = true };
	struct filter_action *action = exim_action(x, &NOBODYS, FILTER_KEEP);

	if (action != NULL)
		action->implicit = true;
	return action != NULL;
}

enum filter_status
exim_program_run(const struct filter_program *program, const struct filter_message *message,
    const struct filter_run_options *options, struct arena *arena, struct filter_result *result_out,
    struct filter_error *error_out)
{
	struct exim_run x = { .message = message,
		.options = options,
		.result = result_out,
		.error = error_out,
		.arena = arena,
		.charset = "UTF-8" };
	bool ok;

	x.now = message->now != 0 ? message->now : (int64_t)time(NULL);
	x.wall_start_ns = clock_ns(CLOCK_MONOTONIC);
	x.cpu_start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	x.thisaddress = x.item = x.value = (struct str){ "", 0 };
	if (!view_open(&x.view, message, arena))
		return FILTER_TEMPFAIL;
	know_addresses(&x);
	ok = exim_run_commands(&x, program->commands);
	view_close(&x.view);
	arena_free(&x.scratch);
	if (x.tempfail)
		return FILTER_TEMPFAIL;
	if (ok && !result_out->seen)
		ok = keep(&x);
	return ok ? FILTER_OK : FILTER_RUN_ERROR;
}
