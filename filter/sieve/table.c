#include "base/mem.h"
#include "filter/sieve/specs.h"

/* All commands and tests.  A name may be a test and a command, but never two of a kind. */
static const struct sieve_spec *const TABLES[] = {
	SIEVE_CONTROL_SPECS,
	SIEVE_LOGIC_SPECS,
	SIEVE_HEADER_SPECS,
	SIEVE_ADDRESS_SPECS,
	SIEVE_SIZE_SPECS,
	SIEVE_STORE_SPECS,
	SIEVE_REDIRECT_SPECS,
	SIEVE_VARIABLES_SPECS,
	SIEVE_IMAP4FLAGS_SPECS,
	SIEVE_BODY_SPECS,
	SIEVE_IHAVE_SPECS,
	SIEVE_VACATION_SPECS,
	SIEVE_REJECT_SPECS,
	SIEVE_NOTIFY_SPECS,
	SIEVE_DATE_SPECS,
	SIEVE_EDITHEADER_SPECS,
	SIEVE_DUPLICATE_SPECS,
	SIEVE_SPAMTEST_SPECS,
	SIEVE_FOREVERYPART_SPECS,
	SIEVE_EXTRACTTEXT_SPECS,
	SIEVE_REPLACE_SPECS,
	SIEVE_INCLUDE_SPECS,
	SIEVE_MAILBOX_SPECS,
	SIEVE_DEBUG_SPECS,
	SIEVE_ENVIRONMENT_SPECS,
	SIEVE_REPORT_SPECS,
};

const struct sieve_spec *
sieve_spec_find(struct str name, bool test)
{
	for (size_t t = 0; t < ARRAY_LEN(TABLES); t++)
		for (const struct sieve_spec *spec = TABLES[t]; spec->name != NULL; spec++)
			if ((spec->kind == SIEVE_TEST) == test &&
			    str_eq_nocase(name, str_from(spec->name)))
				return spec;
	return NULL;
}

/* Namespaces of variables, ended by NULL. */
static const struct sieve_namespace *const NAMESPACES[] = {
	&SIEVE_ENV_NAMESPACE,
	NULL,
};

const struct sieve_namespace *
sieve_namespace_find(struct str name)
{
	for (const struct sieve_namespace *const *n = NAMESPACES; *n != NULL; n++)
		if (str_eq_nocase(name, str_from((*n)->name)))
			return *n;
	return NULL;
}
