#include "clients/facts.h"

#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/mem.h"
#include "service/hostname.h"

/* A service: what says where clients find it, and what the daemon listens at. */
static const struct service {
	const char *setting, *listens;
	uint16_t usual_port;
} SERVICES[CLIENTS_SERVICE_COUNT] = {
	[CLIENTS_IMAPS] = { "clients.imaps", "imapd.listen_tls", 993 },
	[CLIENTS_IMAP] = { "clients.imap", "imapd.listen_starttls", 143 },
	[CLIENTS_SUBMISSIONS] = { "clients.submissions", "submitd.listen_tls", 465 },
	[CLIENTS_SUBMISSION] = { "clients.submission", "submitd.listen_starttls", 587 },
	[CLIENTS_SIEVE] = { "clients.sieve", "managesieved.listen_starttls", 4190 },
	[CLIENTS_WEB] = { "clients.web", "statusd.listen_public", 443 },
};

static bool
is_loopback(const struct config_address *a)
{
	return a->host != NULL &&
	       (strncmp(a->host, "127.", 4) == 0 || strcmp(a->host, "::1") == 0 ||
		   strcmp(a->host, "localhost") == 0);
}

/* The port that clients come to, of those a daemon listens at: the usual one, else the first that is not
 * for this machine alone, else the first.  0: it does not listen. */
static uint16_t
listening_port(const struct config *config, const struct service *s)
{
	uint16_t first = 0, outside = 0;

	for (size_t i = 0; i < config_count(config, s->listens); i++) {
		const struct config_address *a = config_address_at(config, s->listens, i);

		if (a->port == s->usual_port && !is_loopback(a))
			return a->port;
		if (first == 0)
			first = a->port;
		if (outside == 0 && !is_loopback(a))
			outside = a->port;
	}
	return outside != 0 ? outside : first;
}

/* "mail.example.org", "192.0.2.1" or "[2001:db8::1]", without a port behind it. */
static bool
lacks_port(const char *text)
{
	return *text == '[' ? text[strlen(text) - 1] == ']' : strchr(text, ':') == NULL;
}

static void
read_endpoint(const struct config *config, const struct service *s, const char *hostname,
    struct clients_endpoint *at)
{
	const struct config_address *said = config_address(config, s->setting);

	*at = (struct clients_endpoint){ 0 };
	if (said != NULL) {
		at->host = mem_strdup(said->host);
		at->port = lacks_port(said->text) ? s->usual_port : said->port;
	} else if (!config_is_set(config, s->setting)) { /* an empty value means: not offered */
		at->port = listening_port(config, s);
		if (at->port != 0)
			at->host = mem_strdup(hostname);
	}
}

void
clients_facts_read(const struct config *config, struct clients_facts *facts_out)
{
	const char *name = config_string(config, "clients.name");
	char *hostname = service_hostname(config);

	*facts_out = (struct clients_facts){
		.name = name != NULL ? mem_strdup(name) : NULL,
	};
	for (size_t i = 0; i < CLIENTS_SERVICE_COUNT; i++)
		read_endpoint(config, &SERVICES[i], hostname, &facts_out->at[i]);
	facts_out->password_change = clients_offers(facts_out, CLIENTS_WEB) &&
				     config_bool(config, "statusd.password_change");
	free(hostname);
}

void
clients_facts_free(struct clients_facts *facts)
{
	for (size_t i = 0; i < CLIENTS_SERVICE_COUNT; i++)
		free(facts->at[i].host);
	free(facts->name);
	*facts = (struct clients_facts){ 0 };
}

bool
clients_offers(const struct clients_facts *facts, enum clients_service service)
{
	return service < CLIENTS_SERVICE_COUNT && facts->at[service].port != 0;
}

static enum clients_service
better(const struct clients_facts *facts, enum clients_service tls, enum clients_service starttls)
{
	if (clients_offers(facts, tls))
		return tls;
	return clients_offers(facts, starttls) ? starttls : CLIENTS_SERVICE_COUNT;
}

enum clients_service
clients_best_imap(const struct clients_facts *facts)
{
	return better(facts, CLIENTS_IMAPS, CLIENTS_IMAP);
}

enum clients_service
clients_best_submission(const struct clients_facts *facts)
{
	return better(facts, CLIENTS_SUBMISSIONS, CLIENTS_SUBMISSION);
}

char *
clients_web_url(const struct clients_facts *facts)
{
	const struct clients_endpoint *web = &facts->at[CLIENTS_WEB];
	const char *open, *close;

	if (!clients_offers(facts, CLIENTS_WEB))
		return NULL;
	open = strchr(web->host, ':') != NULL ? "[" : "";
	close = *open != '\0' ? "]" : "";
	if (web->port == 443)
		return mem_printf("https://%s%s%s", open, web->host, close);
	return mem_printf("https://%s%s%s:%u", open, web->host, close, web->port);
}
