#include "admin/queue_output.h"

#include <stdlib.h>
#include <string.h>

#include "admin/output.h"
#include "base/mem.h"

static const char *const STATES[] = {
	[SPOOL_PENDING] = "pending",
	[SPOOL_DELIVERED] = "delivered",
	[SPOOL_FAILED] = "failed",
};

static json_t *
recipient_json(const struct spool_recipient *r)
{
	return json_pack("{so ss si so so so}", "address", output_string(r->address), "state",
	    STATES[r->state], "attempts", (int)r->attempts, "reply", output_string(r->reply),
	    "relay", output_string(r->relay), "next_attempt",
	    r->state == SPOOL_PENDING ? json_integer(r->next_attempt) : json_null());
}

/* RFC 2852's mode in words. */
static const char *
if_late(const struct spool_message *m)
{
	return m->by_mode == 'R' ? "return" : m->by_mode == 'N' ? "notify" : NULL;
}

static json_t *
message_json(const struct spool_message *m)
{
	json_t *object, *recipients = json_array();
	size_t pending = 0;

	for (size_t i = 0; i < m->recipient_count; i++) {
		json_array_append_new(recipients, recipient_json(&m->recipients[i]));
		pending += m->recipients[i].state == SPOOL_PENDING;
	}
	object = json_pack("{ss so so sI sI so so sb sI sb sb so sI so}", "id", m->id, "sender",
	    output_string(m->sender), "account", output_string(m->account), "received",
	    (json_int_t)m->received, "next_attempt", (json_int_t)m->next_attempt, "deliver_by",
	    m->by_mode != 0 ? json_integer(m->deliver_by) : json_null(), "by_mode",
	    output_string(if_late(m)), "by_trace", m->by_trace, "size", (json_int_t)m->size_bytes,
	    "held", m->held, "claimed", m->claimed, "origin", output_string(m->origin), "pending",
	    (json_int_t)pending, "recipients", recipients);
	json_object_set_new(object, "parked", output_string(m->parked));
	json_object_set_new(object, "route", output_string(m->route));
	json_object_set_new(object, "priority", json_integer(m->priority));
	json_object_set_new(object, "bulk", json_boolean(m->bulk));
	json_object_set_new(object, "require_tls", json_boolean(m->require_tls));
	json_object_set_new(
	    object, "release_at", m->release_mode != 0 ? json_integer(m->release_at) : json_null());
	return object;
}

/* What a person wants to see first: who, whereto, and what is in the way. */
static void
add_summary(json_t *object, const struct spool_message *m)
{
	const char *state = m->claimed          ? "sending"
			    : m->parked != NULL ? "parked"
			    : m->held           ? "held"
						: "waiting";
	struct buf to = { 0 };

	if (m->recipient_count > 0)
		buf_adds(&to, m->recipients[0].address);
	if (m->recipient_count > 1)
		buf_printf(&to, " and %zu more", m->recipient_count - 1);
	json_object_set_new(object, "to", output_string(buf_cstr(&to)));
	json_object_set_new(object, "state", json_string(state));
	if (*m->sender == '\0')
		json_object_set_new(object, "sender", json_string("<>"));
	buf_free(&to);
}

json_t *
queue_message_json(const struct spool_message *m, bool json)
{
	json_t *object = message_json(m);

	if (!json)
		add_summary(object, m);
	return object;
}

const struct output_column QUEUE_LIST_COLUMNS[QUEUE_LIST_COLUMN_COUNT] = {
	{ "id", "ID", OUTPUT_TEXT },
	{ "received", "RECEIVED", OUTPUT_TIME },
	{ "size", "SIZE", OUTPUT_BYTES },
	{ "state", "STATE", OUTPUT_TEXT },
	{ "next_attempt", "NEXT TRY", OUTPUT_TIME },
	{ "sender", "SENDER", OUTPUT_TEXT },
	{ "to", "RECIPIENTS", OUTPUT_TEXT },
};

/* --- summary ------------------------------------------------------------------------------------ */

/* What one message counts for, at one of its keys. */
struct tally {
	const struct spool_message *m;
	json_t *sums; /* by key */
};

static void
add_to(json_t *sum, const char *key, json_int_t more)
{
	json_object_set_new(
	    sum, key, json_integer(json_integer_value(json_object_get(sum, key)) + more));
}

static json_t *
new_sum(const char *word, const char *key)
{
	return json_pack("{so si si sI si sI sI ss}", word, output_string(key), "messages", 0,
	    "recipients", 0, "bytes", (json_int_t)0, "held", 0, "oldest", (json_int_t)0, "newest",
	    (json_int_t)0, "last", "");
}

/* A message counts once for a key, each of its recipients too; "last" is the message that was counted last. */
static void
count(const struct tally *t, const char *word, const char *key, json_int_t recipients)
{
	json_t *name = output_string(key), *sum = json_object_get(t->sums, json_string_value(name));
	const struct spool_message *m = t->m;

	if (sum == NULL) {
		sum = new_sum(word, key);
		json_object_set_new(t->sums, json_string_value(name), sum);
	}
	json_decref(name);
	add_to(sum, "recipients", recipients);
	if (strcmp(json_string_value(json_object_get(sum, "last")), m->id) == 0)
		return;
	json_object_set_new(sum, "last", json_string(m->id));
	add_to(sum, "messages", 1);
	add_to(sum, "bytes", (json_int_t)m->size_bytes);
	add_to(sum, "held", m->held);
	if (json_integer_value(json_object_get(sum, "oldest")) == 0)
		json_object_set_new(sum, "oldest", json_integer(m->received));
	json_object_set_new(sum, "newest", json_integer(m->received));
}

static void
count_domains(const struct tally *t)
{
	for (size_t i = 0; i < t->m->recipient_count; i++) {
		const struct spool_recipient *r = &t->m->recipients[i];
		const char *at = strrchr(r->address, '@');
		char *domain;

		if (r->state != SPOOL_PENDING && t->m->parked == NULL)
			continue;
		domain = mem_strdup(at != NULL ? at + 1 : "(none)");
		ascii_lower_all(domain, strlen(domain));
		count(t, "domain", domain, 1);
		free(domain);
	}
}

static void
count_account(const struct tally *t)
{
	count(t, "account", t->m->account != NULL ? t->m->account : "(made here)",
	    (json_int_t)t->m->recipient_count);
}

static const struct summary {
	const char *word;
	void (*count)(const struct tally *t);
	struct output_column columns[7];
} SUMMARIES[] = {
#define SUM_COLUMNS                                                                                \
	{ "messages", "MESSAGES", OUTPUT_TEXT }, { "recipients", "RECIPIENTS", OUTPUT_TEXT },      \
	    { "bytes", "SIZE", OUTPUT_BYTES }, { "held", "HELD", OUTPUT_TEXT },                    \
	    { "oldest", "OLDEST", OUTPUT_TIME },                                                   \
	{                                                                                          \
		"newest", "NEWEST", OUTPUT_TIME                                                    \
	}
	{ "domain", count_domains, { SUM_COLUMNS, { "domain", "DOMAIN", OUTPUT_TEXT } } },
	{ "account", count_account, { SUM_COLUMNS, { "account", "ACCOUNT", OUTPUT_TEXT } } },
};

static const struct summary *
find_summary(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(SUMMARIES); i++)
		if (strcmp(SUMMARIES[i].word, word) == 0)
			return &SUMMARIES[i];
	return NULL;
}

bool
queue_summary_is_known(const char *word)
{
	return find_summary(word) != NULL;
}

struct summing {
	const struct summary *summary;
	json_t *sums;
};

static enum admin_status
sum_page(struct admin *a, void *arg, struct spool_message *const *messages, size_t count_)
{
	struct summing *s = arg;

	(void)a;
	for (size_t i = 0; i < count_; i++)
		s->summary->count(&(struct tally){ messages[i], s->sums });
	return ADMIN_DONE;
}

/* Most messages first. */
static int
compare_sums(const void *a, const void *b)
{
	json_int_t m = json_integer_value(json_object_get(*(json_t *const *)a, "messages"));
	json_int_t n = json_integer_value(json_object_get(*(json_t *const *)b, "messages"));

	return m != n ? (m < n) - (m > n) : 0;
}

static json_t *
sorted(json_t *sums)
{
	json_t *rows = json_array(), *sum, **all;
	size_t n = 0;
	const char *key;

	all = mem_realloc_array(NULL, json_object_size(sums) + 1, sizeof(json_t *));
	json_object_foreach(sums, key, sum)
	{
		json_object_del(sum, "last");
		all[n++] = sum;
	}
	qsort(all, n, sizeof(json_t *), compare_sums);
	for (size_t i = 0; i < n; i++)
		json_array_append(rows, all[i]);
	free(all);
	json_decref(sums);
	return rows;
}

enum admin_status
queue_summary(struct admin *a, const struct queue_filter *filter, const char *word)
{
	struct summing s = { find_summary(word), json_object() };
	enum admin_status status = queue_each(a, filter, 0, "Counting messages", sum_page, &s);

	return output_list(
		   sorted(s.sums), s.summary->columns, ARRAY_LEN(s.summary->columns), a->json)
		   ? status
		   : ADMIN_REFUSED;
}
