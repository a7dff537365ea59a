/* Apple's configuration profiles: a property list with one payload, com.apple.mail.managed.  Their keys are in Apple's
 * "Configuration Profile Reference". */
#include <openssl/evp.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "clients/forms.h"
#include "clients/markup.h"

#define UUID_BYTES 16

static void
add_string(struct buf *out, unsigned indent, const char *key, const char *value)
{
	markup_element(out, indent, "key", key);
	markup_element(out, indent, "string", value);
}

static void
add_integer(struct buf *out, unsigned indent, const char *key, unsigned value)
{
	markup_element(out, indent, "key", key);
	for (unsigned i = 0; i < indent; i++)
		buf_addc(out, '\t');
	buf_printf(out, "<integer>%u</integer>\n", value);
}

static void
add_true(struct buf *out, unsigned indent, const char *key)
{
	markup_element(out, indent, "key", key);
	for (unsigned i = 0; i < indent; i++)
		buf_addc(out, '\t');
	buf_adds(out, "<true/>\n");
}

/* The same for the same account each time: RFC 9562 §5.8, a UUID of version 8 made of a digest. */
static void
add_uuid(struct buf *out, unsigned indent, const char *purpose, const char *host, const char *who)
{
	static const uint8_t ENDS[] = { 4, 6, 8, 10, UUID_BYTES }; /* of the groups */
	struct buf input = { 0 }, text = { 0 };
	uint8_t digest[EVP_MAX_MD_SIZE];

	buf_printf(&input, "%s %s %s", purpose, host, who);
	ascii_lower_all(input.data, input.len);
	EVP_Digest(input.data, input.len, digest, NULL, EVP_sha256(), NULL);
	digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x80); /* version */
	digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80); /* variant */
	for (size_t i = 0, at = 0; i < ARRAY_LEN(ENDS); i++) {
		if (i > 0)
			buf_addc(&text, '-');
		hex_encode(&text, digest + at, ENDS[i] - at);
		at = ENDS[i];
	}
	add_string(out, indent, "PayloadUUID", buf_cstr(&text));
	buf_free(&input);
	buf_free(&text);
}

/* "org.example.mail": the host's name the other way round, for identifiers. */
static void
add_reverse(struct buf *out, const char *host)
{
	const char *end = host + strlen(host);

	while (end > host) {
		const char *start = end;

		while (start > host && start[-1] != '.')
			start--;
		buf_add(out, start, (size_t)(end - start));
		if (start > host)
			buf_addc(out, '.');
		end = start > host ? start - 1 : host;
	}
}

static void
add_identifier(
    struct buf *out, unsigned indent, const char *host, const char *who, const char *what)
{
	struct buf id = { 0 };

	add_reverse(&id, host);
	buf_printf(&id, ".%s.%s", what, who);
	add_string(out, indent, "PayloadIdentifier", buf_cstr(&id));
	buf_free(&id);
}

static void
add_incoming(const struct clients_facts *facts, const char *address, struct buf *out)
{
	enum clients_service service = clients_best_imap(facts);

	if (service == CLIENTS_SERVICE_COUNT)
		return;
	add_string(out, 3, "IncomingMailServerAuthentication", "EmailAuthPassword");
	add_string(out, 3, "IncomingMailServerHostName", facts->at[service].host);
	add_integer(out, 3, "IncomingMailServerPortNumber", facts->at[service].port);
	add_true(out, 3, "IncomingMailServerUseSSL");
	if (address != NULL)
		add_string(out, 3, "IncomingMailServerUsername", address);
}

static void
add_outgoing(const struct clients_facts *facts, const char *address, struct buf *out)
{
	enum clients_service service = clients_best_submission(facts);

	if (service == CLIENTS_SERVICE_COUNT)
		return;
	add_string(out, 3, "OutgoingMailServerAuthentication", "EmailAuthPassword");
	add_string(out, 3, "OutgoingMailServerHostName", facts->at[service].host);
	add_integer(out, 3, "OutgoingMailServerPortNumber", facts->at[service].port);
	add_true(out, 3, "OutgoingMailServerUseSSL");
	if (address != NULL)
		add_string(out, 3, "OutgoingMailServerUsername", address);
	add_true(out, 3, "OutgoingPasswordSameAsIncomingPassword");
}

static const char *
host_of(const struct clients_facts *facts, const char *domain)
{
	enum clients_service service = clients_best_imap(facts);

	return service != CLIENTS_SERVICE_COUNT ? facts->at[service].host : domain;
}

/* No password in it: the device asks for it when the profile is installed. */
void
clients_mobileconfig(
    const struct clients_facts *facts, const struct clients_user *user, struct buf *out)
{
	const char *who = user->address != NULL ? user->address : user->domain;
	const char *name = facts->name != NULL ? facts->name : user->domain;
	const char *host = host_of(facts, user->domain);

	buf_adds(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		      "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
		      "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
		      "<plist version=\"1.0\">\n<dict>\n"
		      "\t<key>PayloadContent</key>\n\t<array>\n\t\t<dict>\n");
	add_string(out, 3, "EmailAccountDescription", name);
	if (user->realname != NULL)
		add_string(out, 3, "EmailAccountName", user->realname);
	add_string(out, 3, "EmailAccountType", "EmailTypeIMAP");
	if (user->address != NULL)
		add_string(out, 3, "EmailAddress", user->address);
	add_incoming(facts, user->address, out);
	add_outgoing(facts, user->address, out);
	add_string(out, 3, "PayloadDisplayName", "Mail account");
	add_identifier(out, 3, host, who, "mail");
	add_string(out, 3, "PayloadType", "com.apple.mail.managed");
	add_uuid(out, 3, "mail", host, who);
	add_integer(out, 3, "PayloadVersion", 1);
	buf_adds(out, "\t\t</dict>\n\t</array>\n");
	add_string(out, 1, "PayloadDescription", "Sets up mail; the password is asked for.");
	add_string(out, 1, "PayloadDisplayName", name);
	add_identifier(out, 1, host, who, "profile");
	add_string(out, 1, "PayloadOrganization", name);
	add_string(out, 1, "PayloadType", "Configuration");
	add_uuid(out, 1, "profile", host, who);
	add_integer(out, 1, "PayloadVersion", 1);
	buf_adds(out, "</dict>\n</plist>\n");
}
