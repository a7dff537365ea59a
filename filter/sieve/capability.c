#include "filter/sieve/capability.h"

#include "base/mem.h"

static const struct sieve_capability ROWS[SIEVE_CAPS] = {
	[SIEVE_CAP_FILEINTO] = { .name = "fileinto" },
	[SIEVE_CAP_ENVELOPE] = { .name = "envelope" },
	[SIEVE_CAP_ENCODED_CHARACTER] = { .name = "encoded-character" },
	[SIEVE_CAP_COMPARATOR_OCTET] = { .name = "comparator-i;octet", .always = true },
	[SIEVE_CAP_COMPARATOR_ASCII_CASEMAP] = { .name = "comparator-i;ascii-casemap",
	    .always = true },
	[SIEVE_CAP_COMPARATOR_ASCII_NUMERIC] = { .name = "comparator-i;ascii-numeric" },
	[SIEVE_CAP_COMPARATOR_UNICODE_CASEMAP] = { .name = "comparator-i;unicode-casemap" },
	[SIEVE_CAP_COPY] = { .name = "copy" },
	[SIEVE_CAP_BODY] = { .name = "body" },
	[SIEVE_CAP_VARIABLES] = { .name = "variables" },
	[SIEVE_CAP_RELATIONAL] = { .name = "relational" },
	[SIEVE_CAP_IMAP4FLAGS] = { .name = "imap4flags" },
	[SIEVE_CAP_SUBADDRESS] = { .name = "subaddress" },
	[SIEVE_CAP_IHAVE] = { .name = "ihave" },
	[SIEVE_CAP_MAILBOX] = { .name = "mailbox" },
	[SIEVE_CAP_REGEX] = { .name = "regex" },
	[SIEVE_CAP_VACATION] = { .name = "vacation" },
	[SIEVE_CAP_VACATION_SECONDS] = { .name = "vacation-seconds",
	    .implies = SIEVE_CAP_BIT(SIEVE_CAP_VACATION) },
	[SIEVE_CAP_REJECT] = { .name = "reject" },
	[SIEVE_CAP_EREJECT] = { .name = "ereject" },
	[SIEVE_CAP_ENOTIFY] = { .name = "enotify" },
	[SIEVE_CAP_FCC] = { .name = "fcc" },
	[SIEVE_CAP_SPAMTEST] = { .name = "spamtest" },
	[SIEVE_CAP_SPAMTESTPLUS] = { .name = "spamtestplus",
	    .implies = SIEVE_CAP_BIT(SIEVE_CAP_SPAMTEST) },
	[SIEVE_CAP_VIRUSTEST] = { .name = "virustest" },
	[SIEVE_CAP_DATE] = { .name = "date" },
	[SIEVE_CAP_INDEX] = { .name = "index" },
	[SIEVE_CAP_EDITHEADER] = { .name = "editheader" },
	[SIEVE_CAP_MIME] = { .name = "mime" },
	[SIEVE_CAP_FOREVERYPART] = { .name = "foreverypart" },
	[SIEVE_CAP_EXTRACTTEXT] = { .name = "extracttext" },
	[SIEVE_CAP_REPLACE] = { .name = "replace" },
	[SIEVE_CAP_ENCLOSE] = { .name = "enclose" },
	[SIEVE_CAP_DUPLICATE] = { .name = "duplicate" },
	[SIEVE_CAP_DOVECOT_DEBUG] = { .name = "vnd.dovecot.debug" },
	[SIEVE_CAP_DOVECOT_REPORT] = { .name = "vnd.dovecot.report" },
	[SIEVE_CAP_INCLUDE] = { .name = "include" },
	[SIEVE_CAP_MBOXMETADATA] = { .name = "mboxmetadata" },
	[SIEVE_CAP_SERVERMETADATA] = { .name = "servermetadata" },
	[SIEVE_CAP_SPECIAL_USE] = { .name = "special-use" },
	[SIEVE_CAP_MAILBOXID] = { .name = "mailboxid" },
	[SIEVE_CAP_EXTLISTS] = { .name = "extlists" },
	[SIEVE_CAP_IMAPSIEVE] = { .name = "imapsieve" },
	[SIEVE_CAP_ENVIRONMENT] = { .name = "environment" },
	[SIEVE_CAP_ENVELOPE_DSN] = { .name = "envelope-dsn" },
	[SIEVE_CAP_ENVELOPE_DELIVERBY] = { .name = "envelope-deliverby" },
	[SIEVE_CAP_REDIRECT_DSN] = { .name = "redirect-dsn" },
	[SIEVE_CAP_REDIRECT_DELIVERBY] = { .name = "redirect-deliverby" },
	[SIEVE_CAP_DOVECOT_ENVIRONMENT] = { .name = "vnd.dovecot.environment",
	    .implies = SIEVE_CAP_BIT(SIEVE_CAP_ENVIRONMENT) },
};

enum sieve_cap
sieve_capability_find(struct str name)
{
	for (size_t i = 1; i < ARRAY_LEN(ROWS); i++)
		if (ROWS[i].name != NULL && str_eq(name, str_from(ROWS[i].name)))
			return (enum sieve_cap)i;
	return SIEVE_CAP_NONE;
}

const char *
sieve_capability_name(enum sieve_cap cap)
{
	return ROWS[cap].name != NULL ? ROWS[cap].name : "";
}

bool
sieve_capability_always(enum sieve_cap cap)
{
	return ROWS[cap].always;
}

uint64_t
sieve_capability_bits(enum sieve_cap cap)
{
	return SIEVE_CAP_BIT(cap) | ROWS[cap].implies;
}

void
sieve_capability_list(struct buf *out)
{
	bool first = true;

	for (size_t i = 1; i < ARRAY_LEN(ROWS); i++) {
		if (ROWS[i].name == NULL)
			continue;
		if (!first)
			buf_addc(out, ' ');
		buf_adds(out, ROWS[i].name);
		first = false;
	}
}
