/* duplicate, RFC 7352: has a message with this ID come before?  What this run sees is remembered only when
 * its delivery has succeeded (§3.1), so asking twice in one run gives one answer. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"

#define DAY_S     86400
#define DEFAULT_S (7 * DAY_S)  /* §3.3 leaves it to us */
#define MOST_S    (90 * DAY_S) /* longer ones are cut */

/* The ID; false: there is none, so nothing is a duplicate of it (§3). */
static bool
take_id(struct sieve_run *r, const struct sieve_call *call, struct str *id_out)
{
	const struct sieve_arg *id = sieve_tag(call, SIEVE_TAG_UNIQUEID),
			       *header = sieve_tag(call, SIEVE_TAG_HEADER);
	struct str name = STR("Message-ID");
	struct sieve_field *field;

	if (id != NULL) {
		*id_out = sieve_expand(r, &id->strings[0]);
		return true;
	}
	if (header != NULL)
		name = sieve_expand(r, &header->strings[0]);
	field = sieve_field_next(&r->header, NULL, name);
	if (field == NULL)
		return false;
	*id_out = sieve_field_text(r, field);
	return true;
}

/* Handle and ID, so that neither runs into the other. */
static const char *
memory_key(struct sieve_run *r, const struct sieve_call *call, struct str id)
{
	const struct sieve_arg *arg = sieve_tag(call, SIEVE_TAG_HANDLE);
	struct str handle = { "", 0 };

	if (arg != NULL)
		handle = sieve_expand(r, &arg->strings[0]);
	return arena_printf(
	    r->arena, "%zu:%s:%s", handle.len, sieve_cstr(r, handle), sieve_cstr(r, id));
}

static uint64_t
memory_seconds(const struct sieve_call *call)
{
	const struct sieve_arg *seconds = sieve_tag(call, SIEVE_TAG_SECONDS);

	if (seconds == NULL)
		return DEFAULT_S;
	return seconds->number > MOST_S ? MOST_S : seconds->number;
}

/* Once per key; the longest time counts. */
static bool
remember(struct sieve_run *r, const struct sieve_call *call, const char *key)
{
	uint64_t seconds = memory_seconds(call);

	for (size_t i = 0; i < r->result->memory_count; i++) {
		struct filter_memory *m = &r->result->memories[i];

		if (strcmp(m->key, key) != 0)
			continue;
		if (m->seconds < seconds)
			m->seconds = seconds;
		return true;
	}
	return sieve_remember(r, call->line, key, seconds);
}

static bool
duplicate_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	enum filter_answer seen = FILTER_NO;
	const char *key;
	struct str id;

	*truth_out = false;
	if (!take_id(r, call, &id) || sieve_run_failed(r))
		return !sieve_run_failed(r);
	key = memory_key(r, call, id);
	if (r->around->remembered != NULL)
		seen = r->around->remembered(r->around->arg, key);
	if (seen == FILTER_FAILED)
		return sieve_run_tempfail(
		    r, call->line, "duplicate: what was seen before cannot be read");
	*truth_out = seen == FILTER_YES;
	/* §3.3: the time counts from the first message, with :last from the latest */
	if (seen == FILTER_YES && sieve_tag(call, SIEVE_TAG_LAST) == NULL)
		return true;
	return remember(r, call, key);
}

static bool
check_header(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	(void)call;
	return sieve_check_tested_names(c, arg);
}

static const struct sieve_tag_spec DUPLICATE_TAGS[] = {
	{ .name = "handle", .id = SIEVE_TAG_HANDLE, .value = SIEVE_STRING },
	{ .name = "header",
	    .id = SIEVE_TAG_HEADER,
	    .value = SIEVE_STRING,
	    .group = SIEVE_GROUP_OWN,
	    .check = check_header },
	{ .name = "uniqueid",
	    .id = SIEVE_TAG_UNIQUEID,
	    .value = SIEVE_STRING,
	    .group = SIEVE_GROUP_OWN },
	{ .name = "seconds", .id = SIEVE_TAG_SECONDS, .value = SIEVE_NUMBER },
	{ .name = "last", .id = SIEVE_TAG_LAST },
	{ 0 },
};

const struct sieve_spec SIEVE_DUPLICATE_SPECS[] = {
	{ .name = "duplicate",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_DUPLICATE,
	    .tags = { DUPLICATE_TAGS },
	    .test = duplicate_test },
	{ 0 },
};
