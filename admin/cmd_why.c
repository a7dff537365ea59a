/* why: what became of a message, and which line of which filter decided. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "admin/times.h"
#include "admin/why.h"
#include "base/mem.h"
#include "service/service.h"
#include "store/record.h"
#include "store/spool.h"

#define LAST_DEFAULT   20
#define LAST_MAX       1000
#define SPOOL_IDS_MAX  10000
#define RELAYED_MAX    50 /* attempts shown of one message in the spool */
#define WANTED_MIN_LEN 1

struct why {
	struct admin *a;
	char *wanted; /* without <> */
	char *within; /* as it stands in a line */
	int64_t since;
	size_t last;
	json_t *found;      /* the last of them, oldest first */
	size_t found_count; /* all */
	json_t *spool;      /* what the found ones put into it: id → array of attempts */
};

/* --- which -------------------------------------------------------------------------------------- */

static bool
is_wanted(const struct why *w, const json_t *value)
{
	const char *s = json_string_value(value);
	size_t len = s != NULL ? strlen(s) : 0;

	if (len > 2 && s[0] == '<' && s[len - 1] == '>') {
		s++;
		len -= 2;
	}
	return s != NULL && len == strlen(w->wanted) && strncasecmp(s, w->wanted, len) == 0;
}

/* What a story is looked up by: identifiers and addresses, not words of servers or filters. */
static bool
matches(const struct why *w, const json_t *object)
{
	static const char *const KEYS[] = { "message_id", "id", "spool", "account", "from", "rcpt",
		"orcpt", "to" };
	const json_t *inner;
	size_t i;

	for (i = 0; i < ARRAY_LEN(KEYS); i++)
		if (is_wanted(w, json_object_get(object, KEYS[i])))
			return true;
	json_array_foreach(json_object_get(object, "to"), i, inner)
	{
		if (is_wanted(w, inner))
			return true;
	}
	json_array_foreach(json_object_get(object, "did"), i, inner)
	{
		if (matches(w, inner))
			return true;
	}
	return false;
}

static void
note_spool(struct why *w, json_t *object)
{
	const char *id = json_string_value(json_object_get(object, "spool"));

	if (id == NULL || json_object_size(w->spool) >= SPOOL_IDS_MAX)
		return;
	if (json_object_get(w->spool, id) == NULL)
		json_object_set_new(w->spool, id, json_array());
	json_object_set(object, "relayed", json_object_get(w->spool, id));
}

static bool
is_since(const struct why *w, const json_t *record)
{
	return json_number_value(json_object_get(record, "time")) >= (double)w->since;
}

static bool
look_for(void *arg, char *line, size_t len)
{
	struct why *w = arg;
	json_t *record;
	const char *event;

	if (strcasestr(line, w->within) == NULL)
		return true;
	record = json_loads(record_line_start(line, len), 0, NULL);
	event = json_string_value(json_object_get(record, "event"));
	if (event != NULL && strcmp(event, "relay") != 0 && is_since(w, record) &&
	    matches(w, record)) {
		json_array_append(w->found, record);
		w->found_count++;
		if (json_array_size(w->found) > w->last)
			json_array_remove(w->found, 0);
	}
	json_decref(record);
	return true;
}

static bool
look_for_attempts(void *arg, char *line, size_t len)
{
	struct why *w = arg;
	json_t *record, *attempts;
	const char *id, *event;

	if (strstr(line, "\"event\":\"relay\"") == NULL)
		return true;
	record = json_loads(record_line_start(line, len), 0, NULL);
	id = json_string_value(json_object_get(record, "spool"));
	event = json_string_value(json_object_get(record, "event"));
	attempts = id != NULL && event != NULL ? json_object_get(w->spool, id) : NULL;
	if (attempts != NULL) {
		json_array_append(attempts, record);
		if (json_array_size(attempts) > RELAYED_MAX)
			json_array_remove(attempts, 0);
	}
	json_decref(record);
	return true;
}

/* What still waits stands last. */
static void
add_waiting(struct why *w)
{
	const char *id;
	json_t *attempts;

	json_object_foreach(w->spool, id, attempts)
	{
		struct spool_message *m;

		if (spool_find(w->a->spool, id, &m) != STORE_OK)
			continue;
		for (size_t i = 0; i < m->recipient_count; i++)
			if (m->recipients[i].state == SPOOL_PENDING)
				json_array_append_new(attempts,
				    json_pack("{ss so so sI sb}", "state", "waiting", "rcpt",
					output_string(m->recipients[i].address), "reply",
					output_string(m->recipients[i].reply), "next_attempt",
					(json_int_t)m->recipients[i].next_attempt, "held",
					m->held));
		spool_message_free(m);
	}
}

static void
complete(struct why *w)
{
	json_t *record, *did;
	size_t i, k;

	json_array_foreach(w->found, i, record)
	{
		note_spool(w, record);
		json_array_foreach(json_object_get(record, "did"), k, did)
		{
			note_spool(w, did);
		}
		why_find_places(w->a, record);
	}
}

/* --- the command -------------------------------------------------------------------------------- */

/* As a writer of records would write it. */
static char *
as_in_a_line(const char *wanted)
{
	struct record r;
	const char *text;
	char *found;

	record_begin(&r, "x");
	record_text(&r, "k", wanted);
	text = strstr(buf_cstr(&r.text), "\"k\":\"") + 5;
	found = mem_strndup(text, strlen(text) - 1);
	records_add(NULL, &r);
	return found;
}

static bool
parse_options(struct why *w)
{
	const char *since = admin_option(w->a, "--since"), *last = admin_option(w->a, "--last");
	const char *wanted = w->a->args[0];
	size_t len = strlen(wanted);
	uint64_t count = LAST_DEFAULT;

	if (since != NULL && !time_parse(since, &w->since)) {
		admin_bad_usage(w->a, "--since takes a duration (2h) or a time (2026-11-21 14:00)");
		return false;
	}
	if (last != NULL && (!text_u64(str_from(last), LAST_MAX, &count) || count == 0)) {
		admin_bad_usage(w->a, "--last takes a number from 1 to %d", LAST_MAX);
		return false;
	}
	if (len > 2 && wanted[0] == '<' && wanted[len - 1] == '>') {
		wanted++;
		len -= 2;
	}
	if (len == 0 || len > RECORD_VALUE_MAX_BYTES / 6) {
		admin_bad_usage(w->a, "a Message-ID or an address is needed");
		return false;
	}
	w->last = (size_t)count;
	w->wanted = mem_strndup(wanted, len);
	w->within = as_in_a_line(w->wanted);
	return true;
}

static enum admin_status
tell(struct why *w)
{
	json_t *record;
	size_t i;

	if (w->a->json)
		return output_list(json_incref(w->found), NULL, 0, true) ? ADMIN_DONE
									 : ADMIN_REFUSED;
	if (w->found_count > w->last)
		printf("The last %zu of %zu stories; --last and --since choose others.\n\n",
		    w->last, w->found_count);
	json_array_foreach(w->found, i, record)
	{
		if (i > 0)
			putchar('\n');
		why_tell(record);
	}
	return fflush(stdout) == 0 ? ADMIN_DONE
				   : admin_refuse("standard output: %s", strerror(errno));
}

static enum admin_status
look_up(struct why *w)
{
	char *dir = service_records_dir(w->a->config);
	enum admin_status status = ADMIN_REFUSED;

	if (!records_read(dir, w->since, look_for, w)) {
		admin_refuse("%s: %s", dir,
		    errno == ENOENT ? "nothing has been recorded yet (record.keep)"
				    : strerror(errno));
	} else if (w->found_count == 0 && !w->a->json) {
		admin_refuse("nothing is known of %s; records go back %s", w->wanted,
		    config_string_at(w->a->config, "record.keep", 0));
	} else {
		complete(w);
		if (json_object_size(w->spool) > 0) {
			records_read(dir, w->since, look_for_attempts, w);
			if (admin_open_spool(w->a))
				add_waiting(w);
		}
		status = tell(w);
	}
	free(dir);
	return status;
}

static enum admin_status
run(struct admin *a)
{
	struct why w = { .a = a };
	enum admin_status status = ADMIN_USAGE;

	if (parse_options(&w)) {
		w.found = json_array();
		w.spool = json_object();
		status = look_up(&w);
	}
	json_decref(w.found);
	json_decref(w.spool);
	free(w.wanted);
	free(w.within);
	return status;
}

const struct admin_command admin_cmd_why = {
	.group = "why",
	.args = "MESSAGE-ID|ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--since", "TIME",
			 "not before: 2h (ago), 2026-11-21, \"2026-11-21 14:00\"" },
	    { "--last", "N", "that many messages at most, the newest (20)" },
	    { "--json", NULL, "the records as they are, as JSON" } },
	.summary =
	    "Tells what became of messages and why: delivery, filter, redirects, submission.",
	.help = "Looks for a Message-ID, an address (account, sender, recipient, redirect), or an "
		"id of the\n"
		"log or the queue. Oldest first. How long records are kept: record.keep and "
		"record.size_max.",
	.example = "mailadmin why ann@example.org --since 2h",
	.run = run,
};
