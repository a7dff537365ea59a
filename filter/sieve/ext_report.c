/* report of vnd.dovecot.report (spec-bosch-sieve-report): tells an address of a message in the form of
 * RFC 5965.  The message itself goes its way. */
#include "filter/sieve/reply.h"
#include "filter/sieve/specs.h"

/* token, RFC 2045 §5.1: "abuse", "fraud", "not-spam" … (RFC 5965 §7.3) */
static bool
is_type(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] <= ' ' || text.p[i] >= 127 ||
		    strchr("()<>@,;:\\\"/[]?=", text.p[i]) != NULL)
			return false;
	return text.len > 0;
}

static bool
report_run(struct sieve_run *r, const struct sieve_call *call)
{
	const char *type = sieve_expand_cstr(r, &call->args[0]->strings[0]);
	const char *to = sieve_expand_cstr(r, &call->args[2]->strings[0]);
	struct filter_action *a;

	if (sieve_run_failed(r))
		return false;
	if (!is_type(str_from(type)))
		return sieve_run_error(
		    r, call->line, "report: '%.60s' is no type of feedback", type);
	if (!sieve_reply_is_mailbox(str_from(to)))
		return sieve_run_error(r, call->line, "report: '%.100s' is no mail address", to);
	a = sieve_action_add(r, call, FILTER_REPORT);
	if (a == NULL)
		return false;
	a->report.type = type;
	a->report.message = sieve_expand_cstr(r, &call->args[1]->strings[0]);
	a->report.to = to;
	a->report.headers_only = sieve_tag(call, SIEVE_TAG_HEADERS) != NULL;
	return !sieve_run_failed(r);
}

static bool
report_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_string *type = &call->args[0]->strings[0],
				  *to = &call->args[2]->strings[0];

	if (sieve_is_constant(type) && !is_type(type->text))
		return sieve_check_error(c, call->line, "report: '%.*s' is no type of feedback",
		    type->text.len > 60 ? 60 : (int)type->text.len, type->text.p);
	if (sieve_is_constant(to) && !sieve_reply_is_mailbox(to->text))
		return sieve_check_error(c, call->line, "report: '%.*s' is no mail address",
		    to->text.len > 100 ? 100 : (int)to->text.len, to->text.p);
	return true;
}

static const struct sieve_tag_spec REPORT_TAGS[] = {
	{ .name = "headers_only", .id = SIEVE_TAG_HEADERS },
	{ 0 },
};

const struct sieve_spec SIEVE_REPORT_SPECS[] = {
	{ .name = "report",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_DOVECOT_REPORT,
	    .tags = { REPORT_TAGS },
	    .args = { SIEVE_STRING, SIEVE_STRING, SIEVE_STRING },
	    .check = report_check,
	    .run = report_run },
	{ 0 },
};
