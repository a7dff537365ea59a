#include "lda/filtering.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/account.h"
#include "filter/cache.h"
#include "lda/delivery.h"
#include "lda/delivery_record.h"
#include "service/service.h"
#include "store/account_db.h"

struct lda_script {
	const char *path;
	struct filter *filter;
	struct filter_error error;
};

/* --- the administrator's ------------------------------------------------------------------------ */

static void
read_script(struct lda_script *s, const char *event, const char *path, const struct log *log)
{
	struct buf text = { 0 };
	enum filter_status status = FILTER_COMPILE_ERROR;
	ssize_t got = -1;
	struct stat sb;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a FIFO keeps nobody waiting */

	*s = (struct lda_script){ .path = path, .error = { .text = "cannot be read" } };
	if (fd >= 0) {
		buf_reserve(&text, FILTER_TEXT_MAX_BYTES + 1);
		if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode))
			got = read(fd, text.data, FILTER_TEXT_MAX_BYTES + 1);
		close(fd);
	}
	if (got >= 0)
		status = filter_compile(
		    (struct str){ text.data, (size_t)got }, &s->filter, &s->error, NULL);
	if (status != FILTER_OK) {
		s->filter = NULL;
		log_error(
		    log, event, "file=%s line=%u error=%s", path, s->error.line, s->error.text);
	}
	buf_free(&text);
}

static struct lda_script *
read_list(const struct config *config, const char *setting, const char *event,
    const struct log *log, size_t *count_out)
{
	size_t count = config_count(config, setting);
	struct lda_script *scripts;

	/* the account's own has its place between them */
	if (count > (FILTER_SEQUENCE_MAX - 1) / 2) {
		log_error(log, event, "setting=%s count=%zu most=%d", setting, count,
		    (FILTER_SEQUENCE_MAX - 1) / 2);
		count = (FILTER_SEQUENCE_MAX - 1) / 2;
	}
	scripts = mem_zalloc((count + 1) * sizeof(*scripts));
	for (size_t i = 0; i < count; i++)
		read_script(&scripts[i], event, config_string_at(config, setting, i), log);
	*count_out = count;
	return scripts;
}

void
filtering_scripts_open(
    struct lda_scripts *scripts, const struct config *config, const struct log *log)
{
	const char *path = config_string(config, "filter.default");
	struct lda_script by_default = { 0 };

	if (path != NULL)
		read_script(&by_default, "filter-default", path, log);
	*scripts = (struct lda_scripts){ .default_filter = by_default.filter };
	scripts->before =
	    read_list(config, "filter.before", "filter-before", log, &scripts->before_count);
	scripts->after =
	    read_list(config, "filter.after", "filter-after", log, &scripts->after_count);
}

static void
free_list(struct lda_script *scripts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		filter_free(scripts[i].filter);
	free(scripts);
}

void
filtering_scripts_close(struct lda_scripts *scripts)
{
	free_list(scripts->before, scripts->before_count);
	free_list(scripts->after, scripts->after_count);
	filter_free(scripts->default_filter);
	*scripts = (struct lda_scripts){ 0 };
}

/* --- the steps of one message ------------------------------------------------------------------- */

static void
add_step(struct lda_delivery *d, struct filter_step step)
{
	d->steps[d->step_count++] = step;
}

/* One that never compiled is passed over: its error has been logged when it was read. */
static void
add_scripts(struct lda_delivery *d, const struct lda_script *scripts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (scripts[i].filter != NULL)
			add_step(d, (struct filter_step){
					.filter = scripts[i].filter, .name = scripts[i].path });
}

/* The account's filter as it is now; the default one if it has been cleared meanwhile. */
static enum lda_verdict
add_own(struct lda_delivery *d)
{
	const struct lda_scripts *scripts = d->lda->scripts;
	struct filter_step step = { .name = "default",
		.filter =
		    scripts->default_filter != NULL ? scripts->default_filter : filter_default() };
	struct account_row row = { 0 };
	enum filter_status status = FILTER_OK;
	enum store_err err = STORE_NOT_FOUND;

	if (d->rcpt->has_filter)
		err = account_db_find(d->lda->sv->accounts, str_from(d->rcpt->localpart),
		    str_from(d->rcpt->domain), &row);
	if (err == STORE_OK && row.filter != NULL) {
		struct str text = { row.filter, row.filter_len };

		status = filter_cache_get(d->lda->cache, text, &d->cached, &d->own_error);
		step = (struct filter_step){ .name = "own", .own = true, .broken = &d->own_error };
		if (status == FILTER_OK)
			step.filter = filter_cached_filter(d->cached);
		d->own_language = filter_text_language(text);
	}
	account_row_free(&row);
	if ((err != STORE_OK && err != STORE_NOT_FOUND) || status == FILTER_TEMPFAIL)
		return LDA_TEMPORARY;
	add_step(d, step);
	return LDA_OK;
}

static struct filter_message
describe(struct lda_delivery *d)
{
	const struct lda_envelope *e = d->envelope;
	const struct lda_rcpt *rcpt = d->rcpt;

	return (struct filter_message){
		.fd = d->content->fd,
		.bytes = { d->content->memory.data, d->content->memory.len },
		.sender = e->sender,
		.rcpt = rcpt->address,
		.account = d->account,
		.detail = rcpt->detail,
		.orig_rcpt = rcpt->orcpt,
		.dsn_notify = rcpt->notify_text,
		.dsn_ret = e->ret_text,
		.envid = e->envid,
		.remote_ip = e->peer != NULL && strcmp(e->peer, "local") != 0 ? e->peer : NULL,
		.hostname = d->lda->hostname,
		.now = d->now,
	};
}

static struct filter_account *
open_around(struct lda_delivery *d)
{
	struct filter_account_spec spec = filter_account_spec_of(d->lda->sv->config);

	spec.root = d->lda->root;
	spec.accounts = d->lda->sv->accounts;
	spec.cache = d->lda->cache;
	spec.settings = d->lda->settings;
	spec.log = d->lda->sv->log;
	spec.localpart = d->rcpt->localpart;
	spec.domain = d->rcpt->domain;
	spec.now = d->now;
	return filter_account_open(&spec);
}

static const char *
kind_name(enum filter_error_kind kind)
{
	static const char *const NAMES[] = {
		[FILTER_ERROR_COMPILE] = "compile",
		[FILTER_ERROR_RUNTIME] = "runtime",
		[FILTER_ERROR_SYNTAX] = "syntax",
		[FILTER_ERROR_EXPAND] = "expand",
		[FILTER_ERROR_FORBIDDEN] = "forbidden",
	};

	return NAMES[kind];
}

/* The account's filter, or the default one, stands behind those that go before. */
static const char *
place_of(const struct lda_delivery *d, size_t step)
{
	for (size_t i = 0; i <= step && i < d->step_count; i++) {
		bool by_default = strcmp(d->steps[i].name, "default") == 0;

		if (d->steps[i].own || by_default)
			return i < step ? "after" : by_default ? "default" : "user";
	}
	return "before";
}

/* A filter's own fault never costs mail: the log says why, and the owner is told. */
static void
note_failure(struct lda_delivery *d, const struct filter_failure *failure)
{
	const struct filter_step *step = &d->steps[failure->step];
	const struct filter_error *e = &failure->error;
	struct decision by = {
		.script = step->name, .line = e->line, .place = place_of(d, failure->step)
	};

	delivery_record_note(d, "filter-error", by, e->text);
	if (step->own) {
		log_warn(d->lda->sv->log, "filter-error",
		    "account=%s kind=%s line=%u error=%s kept=INBOX id=%s", d->account,
		    kind_name(e->kind), e->line, e->text, d->envelope->id);
		delivery_failure(d, kind_name(e->kind), e);
	} else {
		log_error(d->lda->sv->log, "filter-error",
		    "script=%s account=%s kind=%s line=%u error=%s id=%s", step->name, d->account,
		    kind_name(e->kind), e->line, e->text, d->envelope->id);
	}
}

enum lda_verdict
filtering_run(struct lda_delivery *d)
{
	const struct lda_scripts *scripts = d->lda->scripts;
	struct filter_run_options options = { 0 };
	enum lda_verdict v;

	d->message = describe(d);
	add_scripts(d, scripts->before, scripts->before_count);
	v = add_own(d);
	if (v != LDA_OK)
		return v;
	add_scripts(d, scripts->after, scripts->after_count);
	d->around = open_around(d);
	options.around = filter_account_around(d->around);
	if (filter_sequence_run(
		d->steps, d->step_count, &d->message, &options, &d->arena, &d->found) != FILTER_OK)
		return LDA_TEMPORARY;
	for (size_t i = 0; i < d->found.failure_count; i++)
		note_failure(d, &d->found.failures[i]);
	return LDA_OK;
}

void
filtering_surround(struct lda_delivery *d)
{
	d->around = open_around(d);
}

void
filtering_end(struct lda_delivery *d)
{
	filter_account_close(d->around);
	filter_cache_release(d->lda->cache, d->cached);
	d->around = NULL;
	d->cached = NULL;
}

struct decision
delivery_decision(const struct lda_delivery *d, size_t action)
{
	size_t number =
	    action < d->found.result.action_count ? d->found.step_of[action] : d->found.last_step;
	const struct filter_step *step = &d->steps[number];

	return (struct decision){
		.place = place_of(d, number),
		.language =
		    step->filter != NULL ? filter_language_name(step->filter) : d->own_language,
		.script = step->name,
		.line = action < d->found.result.action_count ? d->found.result.actions[action].line
							      : 0,
	};
}
