/* log: all lines of a message or a session, as exigrep finds them in Exim's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/commands.h"
#include "admin/log_files.h"
#include "admin/log_search.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "admin/read_all.h"
#include "admin/times.h"
#include "base/mem.h"

struct search {
	struct log_search *found;
	struct progress *progress;
	uint64_t before; /* bytes of earlier passes */
	uint64_t done;
};

static void
on_line(void *arg, struct str text)
{
	struct search *s = arg;

	log_search_line(s->found, text);
}

static void
on_progress(void *arg, uint64_t done)
{
	struct search *s = arg;

	s->done = done;
	progress_step(s->progress, s->before + done);
}

/* Two passes as a rule: the first learns what it is about, the second has all of it. */
static bool
run_search(struct search *s, const struct log_files *files)
{
	bool ok;

	s->progress = progress_begin("Reading the log", 2 * files->bytes);
	do {
		ok = log_files_each(files, on_line, on_progress, s);
		s->before += s->done;
	} while (ok && log_search_again(s->found));
	progress_end(s->progress);
	if (ok && log_search_overflowed(s->found)) {
		admin_refuse("too many lines are about that: give a longer text, or --since");
		ok = false;
	}
	return ok;
}

/* --- output -------------------------------------------------------------------------------------- */

struct printing {
	struct buf line;
	size_t groups;
	json_t *rows, *lines; /* --json */
};

static void
print_line(void *arg, struct str text, bool first)
{
	struct printing *p = arg;

	if (first && p->groups++ > 0)
		putchar('\n');
	buf_reset(&p->line);
	buf_add(&p->line, text.p, text.len);
	buf_addc(&p->line, '\n');
	output_lines(p->line.data, p->line.len);
}

static void
collect_line(void *arg, struct str text, bool first)
{
	struct printing *p = arg;

	if (first) {
		p->groups++;
		p->lines = json_array();
		json_array_append_new(p->rows, json_pack("{so}", "lines", p->lines));
	}
	buf_reset(&p->line);
	buf_add(&p->line, text.p, text.len);
	json_array_append_new(p->lines, output_string(buf_cstr(&p->line)));
}

static enum admin_status
print(const struct log_search *found, bool json, const char *pattern)
{
	struct printing p = { 0 };
	bool ok = true;

	if (json) {
		p.rows = json_array();
		log_search_each(found, collect_line, &p);
		ok = output_list(p.rows, NULL, 0, true);
	} else {
		log_search_each(found, print_line, &p);
		ok = fflush(stdout) == 0;
	}
	buf_free(&p.line);
	if (p.groups == 0)
		return admin_refuse("no line of the log has %s", pattern);
	return ok ? ADMIN_DONE : ADMIN_REFUSED;
}

static enum admin_status
log_run(struct admin *a)
{
	const char *since_text = admin_option(a, "--since");
	struct search s = { 0 };
	struct log_files files;
	int64_t since = 0;
	enum admin_status status = ADMIN_REFUSED;

	if (*a->args[0] == '\0')
		return admin_bad_usage(a, "what to look for?");
	if (since_text != NULL && !time_parse(since_text, &since))
		return admin_bad_usage(a, "--since %s: no time", since_text);
	if (!read_all_start(a))
		return ADMIN_REFUSED;
	s.found = log_search_new(a->args[0]);
	if (log_files_open(a->config, a->args + 1, a->arg_count - 1, since, &files) &&
	    run_search(&s, &files))
		status = print(s.found, a->json, a->args[0]);
	log_files_close(&files);
	log_search_free(s.found);
	return status;
}

const struct admin_command admin_cmd_log = {
	.group = "log",
	.args = "PATTERN [LOG]...",
	.args_least = 1,
	.args_most = ADMIN_ARGS_MAX,
	.options = {
	    { "--since", "TIME", "only lines from then on: \"2026-11-21 14:00\", or 2h ago" },
	    { "--json", NULL, "as JSON: an object for each message or session, with its lines" },
	},
	.summary = "Finds all lines of a message or a session in the logs, as exigrep does.",
	.help = "PATTERN is a text that one of its lines has: a Message-ID, an address, a session's or a "
		"message's id, a host.\nA message leads through lda, the spool and the relay; a session to its "
		"messages.  Without LOG: log.file with its\nrotated ones, also .gz, or journald.",
	.example = "mailadmin log '<4711@news.example>'",
	.before_config = true,
	.run = log_run,
};
