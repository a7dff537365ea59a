#include "admin/queue_select.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/progress.h"
#include "base/mem.h"

bool
queue_filter_read(const struct admin *a, struct queue_filter *filter_out)
{
	const char *age = admin_option(a, "--older-than");
	uint64_t seconds = 0;

	*filter_out = (struct queue_filter){
		.from = admin_option(a, "--from"),
		.to = admin_option(a, "--to"),
		.account = admin_option(a, "--account"),
		.relay = admin_option(a, "--relay"),
		.held = admin_option(a, "--held") != NULL,
		.parked = admin_option(a, "--parked") != NULL,
	};
	if (age != NULL && !config_parse_duration(str_from(age), &seconds)) {
		admin_bad_usage(a, "--older-than %s: a time as in 30m, 4h, 2d is needed", age);
		return false;
	}
	if (age != NULL)
		filter_out->received_before = time(NULL) - (int64_t)seconds;
	filter_out->any = filter_out->from != NULL || filter_out->to != NULL ||
			  filter_out->account != NULL || filter_out->relay != NULL || age != NULL ||
			  filter_out->held || filter_out->parked;
	return true;
}

/* NULL asks for nothing. */
static bool
fits(const char *glob, const char *text)
{
	return glob == NULL ||
	       (text != NULL && fnmatch(glob, text, FNM_CASEFOLD | FNM_NOESCAPE) == 0);
}

static bool
has_recipient(const struct spool_message *m, const char *glob)
{
	for (size_t i = 0; i < m->recipient_count; i++)
		if ((m->recipients[i].state == SPOOL_PENDING || m->parked != NULL) &&
		    fits(glob, m->recipients[i].address))
			return true;
	return false;
}

static bool
has_relay(const struct spool_message *m, const char *glob)
{
	if (m->route != NULL && fits(glob, m->route))
		return true;
	for (size_t i = 0; i < m->recipient_count; i++)
		if (m->recipients[i].relay != NULL && fits(glob, m->recipients[i].relay))
			return true;
	return false;
}

bool
queue_filter_matches(const struct queue_filter *f, const struct spool_message *m)
{
	if (!fits(f->from, *m->sender != '\0' ? m->sender : "<>") || !fits(f->account, m->account))
		return false;
	if (f->received_before > 0 && m->received >= f->received_before)
		return false;
	if ((f->held && !m->held) || (f->parked && m->parked == NULL))
		return false;
	return (f->to == NULL || has_recipient(m, f->to)) &&
	       (f->relay == NULL || has_relay(m, f->relay));
}

/* --- walking ------------------------------------------------------------------------------------ */

/* Moves what matches to the front and gives it to the callback. */
static enum admin_status
give(struct admin *a, const struct queue_filter *filter, struct spool_message **messages,
    size_t count, queue_page_fn *page, void *arg)
{
	size_t chosen = 0;

	for (size_t i = 0; i < count; i++) {
		struct spool_message *m = messages[i];

		if (!queue_filter_matches(filter, m))
			continue;
		messages[i] = messages[chosen];
		messages[chosen++] = m;
	}
	return chosen > 0 ? page(a, arg, messages, chosen) : ADMIN_DONE;
}

static enum admin_status
each_named(struct admin *a, const struct queue_filter *filter, size_t first_arg,
    queue_page_fn *page, void *arg)
{
	struct spool_message *messages[ADMIN_ARGS_MAX];
	enum admin_status status = ADMIN_DONE, given;
	size_t count = 0;

	for (size_t i = first_arg; i < a->arg_count; i++) {
		enum store_err err = spool_find(a->spool, a->args[i], &messages[count]);

		if (err == STORE_OK)
			count++;
		else if (err == STORE_NOT_FOUND || err == STORE_INVALID)
			status = admin_refuse("there is no message %s in the queue", a->args[i]);
		else
			status = admin_result(err, a->args[i]);
	}
	given = give(a, filter, messages, count, page, arg);
	for (size_t i = 0; i < count; i++)
		spool_message_free(messages[i]);
	return given != ADMIN_DONE ? given : status;
}

static struct progress *
begin_progress(struct admin *a, const char *doing)
{
	struct spool_counts counts;

	if (doing == NULL || spool_count(a->spool, &counts) != STORE_OK)
		return NULL;
	return progress_begin(doing, counts.messages);
}

enum admin_status
queue_each(struct admin *a, const struct queue_filter *filter, size_t first_arg, const char *doing,
    queue_page_fn *page, void *arg)
{
	char after[SPOOL_ID_LEN + 1] = "";
	enum admin_status status = ADMIN_DONE;
	struct progress *progress;
	size_t count = QUEUE_PAGE;
	uint64_t seen = 0;

	if (a->arg_count > first_arg)
		return each_named(a, filter, first_arg, page, arg);
	progress = begin_progress(a, doing);
	while (count == QUEUE_PAGE && status == ADMIN_DONE) {
		struct spool_message **messages;
		enum store_err err = spool_list(
		    a->spool, *after != '\0' ? after : NULL, QUEUE_PAGE, &messages, &count);

		if (err != STORE_OK) {
			status = admin_result(err, "queue");
			break;
		}
		if (count > 0)
			memcpy(after, messages[count - 1]->id, sizeof(after));
		status = give(a, filter, messages, count, page, arg);
		progress_step(progress, seen += count);
		spool_messages_free(messages, count);
	}
	progress_end(progress);
	return status;
}
