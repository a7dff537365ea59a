/* environment, RFC 5183, with the items of RFC 6785 §4; and vnd.dovecot.environment: the items as
 * variables ${env.NAME}, and some more of them. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"

#define LANGUAGE_VERSION "1"

struct item {
	const char *name;
	const char *(*get)(const struct sieve_run *r); /* NULL: not known */
};

static const char *
get_name(const struct sieve_run *r)
{
	(void)r;
	return "Sanger Sieve";
}

static const char *
get_version(const struct sieve_run *r)
{
	(void)r;
	return LANGUAGE_VERSION;
}

static const char *
get_host(const struct sieve_run *r)
{
	return r->message->hostname;
}

/* The host's domain: what stands behind its first label, if that is more than one. */
static const char *
get_domain(const struct sieve_run *r)
{
	const char *host = r->message->hostname, *dot = host != NULL ? strchr(host, '.') : NULL;

	return dot != NULL && strchr(dot + 1, '.') != NULL ? dot + 1 : host;
}

/* §4.1: a delivery agent, or where messages already are. */
static const char *
get_location(const struct sieve_run *r)
{
	return r->message->mailbox != NULL ? "MS" : "MDA";
}

static const char *
get_phase(const struct sieve_run *r)
{
	return r->message->mailbox != NULL ? "post" : "during";
}

static const char *
get_remote_host(const struct sieve_run *r)
{
	return r->message->remote_host;
}

static const char *
get_remote_ip(const struct sieve_run *r)
{
	return r->message->remote_ip;
}

static const char *
get_imap_cause(const struct sieve_run *r)
{
	return r->message->imap_cause;
}

static const char *
get_imap_mailbox(const struct sieve_run *r)
{
	return r->message->imap_mailbox;
}

static const char *
get_imap_user(const struct sieve_run *r)
{
	return r->message->imap_user;
}

static const char *
get_imap_email(const struct sieve_run *r)
{
	return r->message->imap_email;
}

static const char *
get_imap_changedflags(const struct sieve_run *r)
{
	return r->message->imap_changed_flags;
}

static const char *
get_default_mailbox(const struct sieve_run *r)
{
	(void)r;
	return "INBOX";
}

static const char *
get_username(const struct sieve_run *r)
{
	return r->message->account;
}

static const struct item ITEMS[] = {
	{ "domain", get_domain },
	{ "host", get_host },
	{ "location", get_location },
	{ "name", get_name },
	{ "phase", get_phase },
	{ "remote-host", get_remote_host },
	{ "remote-ip", get_remote_ip },
	{ "version", get_version },
	{ "imap.cause", get_imap_cause },
	{ "imap.changedflags", get_imap_changedflags },
	{ "imap.email", get_imap_email },
	{ "imap.mailbox", get_imap_mailbox },
	{ "imap.user", get_imap_user },
	{ "vnd.dovecot.default-mailbox", get_default_mailbox },
	{ "vnd.dovecot.username", get_username },
};

/* An item that is not known is as one without a value: the test fails, the variable is "" (§4). */
static const char *
item_value(const struct sieve_run *r, struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(ITEMS); i++)
		if (str_eq_nocase(name, str_from(ITEMS[i].name)))
			return ITEMS[i].get(r);
	return NULL;
}

static bool
environment_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	const char *value = item_value(r, sieve_expand(r, &call->args[0]->strings[0]));
	struct sieve_matcher m;

	if (value == NULL) {
		*truth_out = false;
		return !sieve_run_failed(r);
	}
	sieve_match_begin(&m, r, call);
	sieve_match_value(&m, str_from(value));
	return sieve_match_end(&m, truth_out);
}

const struct sieve_spec SIEVE_ENVIRONMENT_SPECS[] = {
	{ .name = "environment",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_ENVIRONMENT,
	    .tags = { SIEVE_MATCH_TAGS },
	    .args = { SIEVE_STRING, SIEVE_STRINGS },
	    .keys_arg = 2,
	    .test = environment_test },
	{ 0 },
};

/* --- ${env.NAME} -------------------------------------------------------------------------------- */

static bool
env_check(struct sieve_check *c, unsigned line, struct str name)
{
	(void)c, (void)line, (void)name;
	return true;
}

static struct str
env_get(struct sieve_run *r, struct str name)
{
	const char *value = item_value(r, name);

	return value != NULL ? str_from(value) : (struct str){ "", 0 };
}

const struct sieve_namespace SIEVE_ENV_NAMESPACE = {
	.name = "env",
	.cap = SIEVE_CAP_DOVECOT_ENVIRONMENT,
	.check = env_check,
	.get = env_get,
};
