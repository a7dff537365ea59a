#include <stdlib.h>

#include "base/mem.h"
#include "clients/forms.h"

/* Headings as most clients call them; one way is enough for people, the better one first. */
static const struct {
	const char *heading;
	enum clients_service service;
	const char *security;
} SERVERS[] = {
	{ "Incoming mail (IMAP)", CLIENTS_IMAPS, "SSL/TLS" },
	{ "Incoming mail (IMAP), the other way", CLIENTS_IMAP, "STARTTLS" },
	{ "Outgoing mail (SMTP)", CLIENTS_SUBMISSIONS, "SSL/TLS" },
	{ "Outgoing mail (SMTP), the other way", CLIENTS_SUBMISSION, "STARTTLS" },
	{ "Filters (ManageSieve)", CLIENTS_SIEVE, "STARTTLS" },
};

void
clients_text(const struct clients_facts *facts, const struct clients_user *user, struct buf *out)
{
	char *url = clients_web_url(facts);

	buf_printf(out, "Mail of %s%s%s\n\n", user->address != NULL ? user->address : user->domain,
	    facts->name != NULL ? " at " : "", facts->name != NULL ? facts->name : "");
	if (user->address != NULL)
		buf_printf(out, "%-14s %s\n", "User name", user->address);
	else
		buf_printf(out, "%-14s %s\n", "User name", "the whole mail address");
	buf_printf(out, "%-14s %s\n", "Login", "normal password");
	for (size_t i = 0; i < ARRAY_LEN(SERVERS); i++) {
		const struct clients_endpoint *at = &facts->at[SERVERS[i].service];

		if (clients_offers(facts, SERVERS[i].service))
			buf_printf(out, "\n%s\n  %-12s %s\n  %-12s %u\n  %-12s %s\n",
			    SERVERS[i].heading, "Server", at->host, "Port", at->port, "Security",
			    SERVERS[i].security);
	}
	if (url != NULL)
		buf_printf(out, "\nStep by step: %s/\n", url);
	if (url != NULL && facts->password_change)
		buf_printf(out, "New password: %s/password\n", url);
	free(url);
}
