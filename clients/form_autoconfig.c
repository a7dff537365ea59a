/* config-v1.1.xml: https://wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat */
#include <stdlib.h>

#include "base/mem.h"
#include "clients/forms.h"
#include "clients/markup.h"

/* "password-cleartext" means PLAIN or LOGIN, always inside TLS here; the format has no word for SCRAM, which clients
 * that know it choose by themselves. */
static void
add_server(const struct clients_facts *facts, enum clients_service service, const char *element,
    const char *type, const char *socket, const char *login, struct buf *out)
{
	if (!clients_offers(facts, service))
		return;
	markup_printf(out,
	    "\t\t<%S type=\"%S\">\n"
	    "\t\t\t<hostname>%s</hostname>\n"
	    "\t\t\t<port>%u</port>\n"
	    "\t\t\t<socketType>%S</socketType>\n"
	    "\t\t\t<authentication>password-cleartext</authentication>\n"
	    "\t\t\t<username>%s</username>\n"
	    "\t\t</%S>\n",
	    element, type, facts->at[service].host, (unsigned)facts->at[service].port, socket,
	    login, element);
}

static void
add_documentation(const struct clients_facts *facts, struct buf *out)
{
	char *url = clients_web_url(facts);

	if (url != NULL)
		markup_printf(out,
		    "\t\t<documentation url=\"%s/\">\n"
		    "\t\t\t<descr lang=\"en\">How to set up mail programs</descr>\n"
		    "\t\t</documentation>\n",
		    url);
	free(url);
}

void
clients_autoconfig(
    const struct clients_facts *facts, const struct clients_user *user, struct buf *out)
{
	const char *login = user->address != NULL ? user->address : "%EMAILADDRESS%";
	const char *name = facts->name != NULL ? facts->name : user->domain;

	markup_printf(out,
	    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	    "<clientConfig version=\"1.1\">\n"
	    "\t<emailProvider id=\"%s\">\n"
	    "\t\t<domain>%s</domain>\n"
	    "\t\t<displayName>%s</displayName>\n"
	    "\t\t<displayShortName>%s</displayShortName>\n",
	    user->domain, user->domain, name, name);
	add_server(facts, CLIENTS_IMAPS, "incomingServer", "imap", "SSL", login, out);
	add_server(facts, CLIENTS_IMAP, "incomingServer", "imap", "STARTTLS", login, out);
	add_server(facts, CLIENTS_SUBMISSIONS, "outgoingServer", "smtp", "SSL", login, out);
	add_server(facts, CLIENTS_SUBMISSION, "outgoingServer", "smtp", "STARTTLS", login, out);
	add_documentation(facts, out);
	buf_adds(out, "\t</emailProvider>\n</clientConfig>\n");
}
