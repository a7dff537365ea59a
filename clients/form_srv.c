/* Records in the form of zone files, RFC 1035 §5.1. */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "clients/forms.h"

#define TTL_S 3600

/* RFC 6186 §3.4: a lower priority goes first, so clients prefer TLS from the first byte (RFC 8314 §3). */
static const struct {
	const char *label;
	enum clients_service service;
	unsigned priority;
} RECORDS[] = {
	{ "_imaps", CLIENTS_IMAPS, 0 },
	{ "_imap", CLIENTS_IMAP, 10 },
	{ "_pop3s", CLIENTS_SERVICE_COUNT,
	    0 }, /* never offered: said so, for clients prefer it else */
	{ "_pop3", CLIENTS_SERVICE_COUNT, 0 },
	{ "_submissions", CLIENTS_SUBMISSIONS, 0 },
	{ "_submission", CLIENTS_SUBMISSION, 10 },
	{ "_sieve", CLIENTS_SIEVE, 0 },
	{ "_autodiscover", CLIENTS_WEB, 0 },
};

/* A target must be a name, RFC 2782: an address cannot stand there. */
static bool
is_address(const char *host)
{
	return strchr(host, ':') != NULL || strspn(host, "0123456789.") == strlen(host);
}

static void
add_record(const struct clients_facts *facts, size_t i, const char *domain, struct buf *out)
{
	const struct clients_endpoint *at = NULL;
	struct buf name = { 0 };

	if (clients_offers(facts, RECORDS[i].service))
		at = &facts->at[RECORDS[i].service];
	if (at == NULL && RECORDS[i].service == CLIENTS_WEB)
		return; /* Outlook's alone: there is no record for "not offered" */
	buf_printf(&name, "%s._tcp.%s.", RECORDS[i].label, domain);
	if (at == NULL) /* RFC 6186 §3.4: the service is not there */
		buf_printf(out, "%-40s %u IN SRV 0 0 0 .\n", buf_cstr(&name), TTL_S);
	else if (is_address(at->host))
		buf_printf(
		    out, "; %s needs a host name in place of %s\n", buf_cstr(&name), at->host);
	else
		buf_printf(out, "%-40s %u IN SRV %u 1 %u %s.\n", buf_cstr(&name), TTL_S,
		    RECORDS[i].priority, at->port, at->host);
	buf_free(&name);
}

/* The names that Thunderbird and Outlook look for, at port 443 alone. */
static void
add_web_names(const struct clients_facts *facts, const char *domain, struct buf *out)
{
	static const char *const LABELS[] = { "autoconfig", "autodiscover" };
	const struct clients_endpoint *web = &facts->at[CLIENTS_WEB];

	if (!clients_offers(facts, CLIENTS_WEB)) {
		buf_adds(out,
		    "; no autoconfig and autodiscover names: statusd.listen_public is not set\n");
		return;
	}
	if (web->port != 443) {
		buf_printf(out,
		    "; no autoconfig and autodiscover names: clients look for them at port 443, "
		    "not %u\n",
		    web->port);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(LABELS); i++) {
		struct buf name = { 0 };

		buf_printf(&name, "%s.%s.", LABELS[i], domain);
		if (!is_address(web->host))
			buf_printf(
			    out, "%-40s %u IN CNAME %s.\n", buf_cstr(&name), TTL_S, web->host);
		else
			buf_printf(out, "%-40s %u IN %s %s\n", buf_cstr(&name), TTL_S,
			    strchr(web->host, ':') != NULL ? "AAAA" : "A", web->host);
		buf_free(&name);
	}
	buf_printf(out,
	    "; the certificate must name autoconfig.%s and autodiscover.%s too (tls.sni_dir)\n",
	    domain, domain);
}

void
clients_srv(const struct clients_facts *facts, const char *domain, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(RECORDS); i++)
		add_record(facts, i, domain, out);
	add_web_names(facts, domain, out);
}
