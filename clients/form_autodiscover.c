/* Autodiscover answers, MS-OXDSCLI §2.2.4.  Outlook takes the Protocol elements in their order. */
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "clients/forms.h"
#include "clients/markup.h"

#define XMLNS_ANSWER "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
#define XMLNS_OUTLOOK                                                                              \
	"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"

/* Encryption, §2.2.4.1.1.2.6.11: SSL is TLS from the first byte, TLS is STARTTLS; SSL (the older element) says on for
 * both. */
static void
add_protocol(const struct clients_facts *facts, enum clients_service service, const char *type,
    const char *encryption, const struct clients_user *user, struct buf *out)
{
	markup_printf(out,
	    "\t\t\t<Protocol>\n"
	    "\t\t\t\t<Type>%S</Type>\n"
	    "\t\t\t\t<Server>%s</Server>\n"
	    "\t\t\t\t<Port>%u</Port>\n"
	    "\t\t\t\t<DomainRequired>off</DomainRequired>\n",
	    type, facts->at[service].host, (unsigned)facts->at[service].port);
	if (user->address != NULL)
		markup_element(out, 4, "LoginName", user->address);
	markup_printf(out,
	    "\t\t\t\t<SPA>off</SPA>\n"
	    "\t\t\t\t<SSL>on</SSL>\n"
	    "\t\t\t\t<Encryption>%S</Encryption>\n"
	    "\t\t\t\t<AuthRequired>on</AuthRequired>\n",
	    encryption);
	if (service == CLIENTS_SUBMISSIONS || service == CLIENTS_SUBMISSION)
		buf_adds(out,
		    "\t\t\t\t<UsePOPAuth>off</UsePOPAuth>\n\t\t\t\t<SMTPLast>off</SMTPLast>\n");
	buf_adds(out, "\t\t\t</Protocol>\n");
}

static void
add_best(const struct clients_facts *facts, enum clients_service best, enum clients_service tls,
    const char *type, const struct clients_user *user, struct buf *out)
{
	if (best != CLIENTS_SERVICE_COUNT)
		add_protocol(facts, best, type, best == tls ? "SSL" : "TLS", user, out);
}

void
clients_autodiscover(
    const struct clients_facts *facts, const struct clients_user *user, struct buf *out)
{
	const char *name = user->realname != NULL  ? user->realname
			   : user->address != NULL ? user->address
			   : facts->name != NULL   ? facts->name
						   : user->domain;

	markup_printf(out,
	    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
	    "<Autodiscover xmlns=\"" XMLNS_ANSWER "\">\n"
	    "\t<Response xmlns=\"" XMLNS_OUTLOOK "\">\n"
	    "\t\t<User>\n\t\t\t<DisplayName>%s</DisplayName>\n\t\t</User>\n"
	    "\t\t<Account>\n"
	    "\t\t\t<AccountType>email</AccountType>\n"
	    "\t\t\t<Action>settings</Action>\n",
	    name);
	add_best(facts, clients_best_imap(facts), CLIENTS_IMAPS, "IMAP", user, out);
	add_best(facts, clients_best_submission(facts), CLIENTS_SUBMISSIONS, "SMTP", user, out);
	buf_adds(out, "\t\t</Account>\n\t</Response>\n</Autodiscover>\n");
}

static const struct {
	unsigned code;
	const char *message;
} ERRORS[] = {
	{ CLIENTS_AUTODISCOVER_UNKNOWN, "The e-mail address cannot be found." },
	{ CLIENTS_AUTODISCOVER_INVALID, "Invalid Request" },
	{ CLIENTS_AUTODISCOVER_PROVIDER, "Provider is not available" },
};

void
clients_autodiscover_error(unsigned code, struct buf *out)
{
	time_t now = time(NULL);
	const char *message = "";
	char clock[16];
	struct tm tm;

	for (size_t i = 0; i < ARRAY_LEN(ERRORS); i++)
		if (ERRORS[i].code == code)
			message = ERRORS[i].message;
	strftime(clock, sizeof(clock), "%H:%M:%S", gmtime_r(&now, &tm));
	markup_printf(out,
	    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
	    "<Autodiscover xmlns=\"" XMLNS_ANSWER "\">\n"
	    "\t<Response>\n"
	    "\t\t<Error Time=\"%s\" Id=\"0\">\n"
	    "\t\t\t<ErrorCode>%u</ErrorCode>\n"
	    "\t\t\t<Message>%s</Message>\n"
	    "\t\t\t<DebugData />\n"
	    "\t\t</Error>\n"
	    "\t</Response>\n"
	    "</Autodiscover>\n",
	    clock, code, message);
}
