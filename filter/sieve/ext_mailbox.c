/* Questions about the account: mailboxexists, metadata, metadataexists, servermetadata, servermetadataexists
 * (RFC 5490), specialuse_exists (RFC 8579), mailboxidexists (RFC 9042), valid_ext_list (RFC 6134). */
#include "base/mem.h"
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"

/* A question about one string of a list; true and *yes_out, or the run has ended. */
typedef enum filter_answer (*ask_fn)(struct sieve_run *r, const char *about, void *arg);

static bool
all_of(struct sieve_run *r, const struct sieve_call *call, const struct sieve_arg *list, ask_fn ask,
    void *arg, bool *truth_out)
{
	*truth_out = true;
	for (size_t i = 0; i < list->count && *truth_out; i++) {
		enum filter_answer answer = ask(r, sieve_expand_cstr(r, &list->strings[i]), arg);

		if (answer == FILTER_FAILED)
			return sieve_run_tempfail(
			    r, call->line, "the account cannot be asked for %s", call->spec->name);
		*truth_out = answer == FILTER_YES;
	}
	return !sieve_run_failed(r);
}

/* --- mailboxes -------------------------------------------------------------------------------- */

static enum filter_answer
ask_mailbox(struct sieve_run *r, const char *name, void *arg)
{
	(void)arg;
	if (r->around->mailbox_exists == NULL)
		return FILTER_NO;
	return r->around->mailbox_exists(r->around->arg, name);
}

static bool
mailboxexists_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	return all_of(r, call, call->args[0], ask_mailbox, NULL, truth_out);
}

static enum filter_answer
ask_id(struct sieve_run *r, const char *id, void *arg)
{
	const char *mailbox;

	(void)arg;
	if (r->around->mailbox_by_id == NULL)
		return FILTER_NO;
	return r->around->mailbox_by_id(r->around->arg, r->arena, id, &mailbox);
}

static bool
mailboxidexists_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	return all_of(r, call, call->args[0], ask_id, NULL, truth_out);
}

/* Does a mailbox have that use, and is it `arg` (NULL: any)? */
static enum filter_answer
ask_use(struct sieve_run *r, const char *use, void *arg)
{
	const char *mailbox = NULL;
	enum filter_answer answer;

	if (r->around->mailbox_by_use == NULL)
		return FILTER_NO;
	answer = r->around->mailbox_by_use(r->around->arg, r->arena, use, &mailbox);
	if (answer == FILTER_YES && arg != NULL && strcmp(mailbox, arg) != 0)
		return FILTER_NO;
	return answer;
}

static bool
specialuse_exists_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_arg *uses = call->args[1];

	for (size_t i = 0; i < uses->count; i++) {
		const struct sieve_string *use = &uses->strings[i];

		if (sieve_is_constant(use) && !sieve_is_special_use(use->text))
			return sieve_check_error(c, uses->line, "'%.*s' is no special use",
			    use->text.len > 60 ? 60 : (int)use->text.len, use->text.p);
	}
	return true;
}

static bool
specialuse_exists_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	char *mailbox = NULL;

	if (call->args[0] != NULL)
		mailbox = arena_strdup(r->arena, sieve_expand_cstr(r, call->args[0]->strings));
	return all_of(r, call, call->args[1], ask_use, mailbox, truth_out);
}

/* --- METADATA --------------------------------------------------------------------------------- */

/* Annotations that have no value do not exist, RFC 5490 §3.3. */
static enum filter_answer
ask_value(struct sieve_run *r, const char *mailbox, const char *annotation, struct str *value_out)
{
	if (r->around->metadata == NULL)
		return FILTER_NO;
	return r->around->metadata(r->around->arg, r->arena, mailbox, annotation, value_out);
}

static bool
match_metadata(struct sieve_run *r, const struct sieve_call *call, const char *mailbox,
    const char *annotation, bool *truth_out)
{
	struct str value = { "", 0 };
	struct sieve_matcher m;
	enum filter_answer answer = ask_value(r, mailbox, annotation, &value);

	*truth_out = false;
	if (answer == FILTER_FAILED)
		return sieve_run_tempfail(r, call->line, "the annotation cannot be read");
	if (answer == FILTER_NO)
		return true;
	sieve_match_begin(&m, r, call);
	sieve_match_value(&m, value);
	return sieve_match_end(&m, truth_out);
}

static bool
metadata_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	const char *mailbox = sieve_expand_cstr(r, call->args[0]->strings);

	return match_metadata(
	    r, call, mailbox, sieve_expand_cstr(r, call->args[1]->strings), truth_out);
}

static bool
servermetadata_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	return match_metadata(
	    r, call, NULL, sieve_expand_cstr(r, call->args[0]->strings), truth_out);
}

static enum filter_answer
ask_annotation(struct sieve_run *r, const char *annotation, void *arg)
{
	struct str value;

	return ask_value(r, arg, annotation, &value);
}

static bool
metadataexists_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	char *mailbox = arena_strdup(r->arena, sieve_expand_cstr(r, call->args[0]->strings));

	return all_of(r, call, call->args[1], ask_annotation, mailbox, truth_out);
}

static bool
servermetadataexists_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	return all_of(r, call, call->args[0], ask_annotation, NULL, truth_out);
}

/* --- lists ------------------------------------------------------------------------------------ */

static enum filter_answer
ask_list(struct sieve_run *r, const char *list, void *arg)
{
	(void)arg;
	if (r->around->list_exists == NULL)
		return FILTER_NO;
	return r->around->list_exists(r->around->arg, list);
}

static bool
valid_ext_list_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	return all_of(r, call, call->args[0], ask_list, NULL, truth_out);
}

const struct sieve_spec SIEVE_MAILBOX_SPECS[] = {
	{ .name = "mailboxexists",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_MAILBOX,
	    .args = { SIEVE_STRINGS },
	    .test = mailboxexists_test },
	{ .name = "mailboxidexists",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_MAILBOXID,
	    .args = { SIEVE_STRINGS },
	    .test = mailboxidexists_test },
	{ .name = "specialuse_exists",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_SPECIAL_USE,
	    .args = { SIEVE_OPTIONAL_STRING, SIEVE_STRINGS },
	    .check = specialuse_exists_check,
	    .test = specialuse_exists_test },
	{ .name = "metadata",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_MBOXMETADATA,
	    .tags = { SIEVE_MATCH_TAGS },
	    .args = { SIEVE_STRING, SIEVE_STRING, SIEVE_STRINGS },
	    .keys_arg = 3,
	    .test = metadata_test },
	{ .name = "metadataexists",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_MBOXMETADATA,
	    .args = { SIEVE_STRING, SIEVE_STRINGS },
	    .test = metadataexists_test },
	{ .name = "servermetadata",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_SERVERMETADATA,
	    .tags = { SIEVE_MATCH_TAGS },
	    .args = { SIEVE_STRING, SIEVE_STRINGS },
	    .keys_arg = 2,
	    .test = servermetadata_test },
	{ .name = "servermetadataexists",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_SERVERMETADATA,
	    .args = { SIEVE_STRINGS },
	    .test = servermetadataexists_test },
	{ .name = "valid_ext_list",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_EXTLISTS,
	    .args = { SIEVE_STRINGS },
	    .test = valid_ext_list_test },
	{ 0 },
};
