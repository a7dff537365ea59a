/* The page for people: how to set up each kind of client, with what this server offers. */
#include <string.h>

#include "base/mem.h"
#include "clients/forms.h"
#include "clients/markup.h"
#include "statusd/public_page.h"
#include "statusd/public_site.h"

struct reader { /* whom the page is for */
	const struct clients_facts *facts;
	const char *address; /* NULL: has not said */
	struct buf *out;
};

/* --- servers and ports -------------------------------------------------------------------------- */

static void
add_server(const struct reader *r, const char *heading, enum clients_service best,
    enum clients_service tls)
{
	const struct clients_endpoint *at;

	if (best == CLIENTS_SERVICE_COUNT)
		return;
	at = &r->facts->at[best];
	markup_printf(r->out,
	    "<tr class=\"head\"><th colspan=\"2\" scope=\"colgroup\">%s</th></tr>\n"
	    "<tr><th scope=\"row\">Server</th><td>%s</td></tr>\n"
	    "<tr><th scope=\"row\">Port</th><td>%u</td></tr>\n"
	    "<tr><th scope=\"row\">Security</th><td>%S</td></tr>\n",
	    heading, at->host, (unsigned)at->port, best == tls ? "SSL/TLS" : "STARTTLS");
}

static void
add_settings(const struct reader *r)
{
	markup_printf(r->out,
	    "<section class=\"card\">\n<h2>The settings</h2>\n"
	    "<p>Most programs find them by themselves. For those that ask:</p>\n<table>\n"
	    "<tr class=\"first\"><th scope=\"row\">User name</th><td>%s</td></tr>\n"
	    "<tr><th scope=\"row\">Login</th><td>normal password</td></tr>\n",
	    r->address != NULL ? r->address : "your whole mail address");
	add_server(r, "Incoming mail (IMAP)", clients_best_imap(r->facts), CLIENTS_IMAPS);
	add_server(
	    r, "Outgoing mail (SMTP)", clients_best_submission(r->facts), CLIENTS_SUBMISSIONS);
	if (clients_offers(r->facts, CLIENTS_SIEVE))
		add_server(r, "Filters (ManageSieve)", CLIENTS_SIEVE, CLIENTS_SERVICE_COUNT);
	buf_adds(r->out, "</table>\n</section>\n");
}

/* --- step by step ------------------------------------------------------------------------------- */

static void
add_thunderbird(const struct reader *r)
{
	(void)r;
	buf_adds(r->out, "<ol><li>Menu → New account → Email.</li>\n"
			 "<li>Type your name and address, continue; the settings are found.</li>\n"
			 "<li>Choose IMAP, type your password, done.</li></ol>\n");
}

static void
add_android(const struct reader *r)
{
	(void)r;
	buf_adds(r->out, "<ol><li>Open the app, or Settings → Add account.</li>\n"
			 "<li>Type your address, next; the settings are found.</li>\n"
			 "<li>Type your password, done.</li></ol>\n");
}

/* As a value in a URL's query: all but the unreserved characters of RFC 3986 §2.3 as %XX. */
static void
add_query_value(struct buf *out, const char *value)
{
	for (; *value != '\0'; value++) {
		if (ascii_is_alnum(*value) || strchr("-._~", *value) != NULL)
			buf_addc(out, *value);
		else
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)*value);
	}
}

static void
add_profile_link(const struct reader *r)
{
	buf_adds(r->out, "<p><a class=\"button\" href=\"/mobileconfig?address=");
	add_query_value(r->out, r->address);
	buf_adds(r->out, "\">Get the profile</a></p>\n");
}

static void
add_apple(const struct reader *r)
{
	if (r->address != NULL)
		add_profile_link(r);
	else
		buf_adds(r->out,
		    "<p>Type your address above: this place then has a profile for it.</p>\n");
	buf_adds(r->out, "<ol><li>Open the profile on the device. iPhone, iPad: Settings → Profile "
			 "downloaded → Install. Mac: System Settings → Privacy &amp; Security → "
			 "Profiles.</li>\n"
			 "<li>Type your password when it is asked for.</li></ol>\n");
}

static void
add_outlook(const struct reader *r)
{
	(void)r;
	buf_adds(r->out,
	    "<ol><li>File → Add account, type your address, connect.</li>\n"
	    "<li>If it asks for the kind of account: IMAP, with the settings above.</li>\n"
	    "<li>Type your password, done.</li></ol>\n");
}

static void
add_evolution(const struct reader *r)
{
	(void)r;
	buf_adds(r->out,
	    "<ol><li>File → New → Mail account.</li>\n"
	    "<li>Type your name and address; “look up mail server details” is ticked.</li>\n"
	    "<li>Review, apply, type your password when it is asked for.</li></ol>\n");
}

/* The address as a URL's user: its '@' as %40, so that only one divides the user from the host.  mutt 2.2 with
 * gsasl takes SCRAM-SHA-256-PLUS where it is offered, and then cannot do it: PLAIN is said, inside TLS. */
static void
add_mutt(const struct reader *r)
{
	const char *address = r->address != NULL ? r->address : "name@example.org";
	enum clients_service imap = clients_best_imap(r->facts);
	enum clients_service smtp = clients_best_submission(r->facts);

	markup_printf(r->out, "<pre>set from = \"%s\"\n", address);
	if (imap != CLIENTS_SERVICE_COUNT)
		markup_printf(r->out,
		    "set imap_user = \"%s\"\nset folder = \"%S://%s:%u/\"\n"
		    "set spoolfile = \"+INBOX\"\nset record = \"+Sent\"\n"
		    "set postponed = \"+Drafts\"\n",
		    address, imap == CLIENTS_IMAPS ? "imaps" : "imap", r->facts->at[imap].host,
		    (unsigned)r->facts->at[imap].port);
	if (smtp != CLIENTS_SERVICE_COUNT) {
		markup_printf(r->out, "set smtp_url = \"%S://",
		    smtp == CLIENTS_SUBMISSIONS ? "smtps" : "smtp");
		add_query_value(r->out, address);
		markup_printf(r->out, "@%s:%u/\"\nset smtp_authenticators = \"plain\"\n",
		    r->facts->at[smtp].host, (unsigned)r->facts->at[smtp].port);
	}
	buf_adds(r->out, "set ssl_force_tls = yes</pre>\n");
}

static const struct {
	const char *name;
	void (*add)(const struct reader *r);
} CLIENTS[] = {
	{ "Thunderbird", add_thunderbird },
	{ "iPhone, iPad, Mac", add_apple },
	{ "Android: Thunderbird, K-9 Mail", add_android },
	{ "Outlook", add_outlook },
	{ "Evolution", add_evolution },
	{ "mutt", add_mutt },
};

static void
add_clients(const struct reader *r)
{
	buf_adds(r->out, "<section class=\"card\">\n<h2>Step by step</h2>\n");
	for (size_t i = 0; i < ARRAY_LEN(CLIENTS); i++) {
		markup_printf(r->out, "<details><summary>%s</summary>\n", CLIENTS[i].name);
		CLIENTS[i].add(r);
		buf_adds(r->out, "</details>\n");
	}
	buf_adds(r->out, "</section>\n");
}

/* --- the page ----------------------------------------------------------------------------------- */

static void
add_question(const struct reader *r, const char *typed)
{
	markup_printf(r->out,
	    "<form class=\"card\" method=\"get\" action=\"/\">\n"
	    "<label for=\"address\">Your address</label>\n"
	    "<div class=\"row\"><input id=\"address\" name=\"address\" type=\"text\" "
	    "inputmode=\"email\" autocomplete=\"email\" autocapitalize=\"none\" "
	    "spellcheck=\"false\" maxlength=\"257\" placeholder=\"name@example.org\" "
	    "value=\"%s\"><button type=\"submit\">Show</button></div>\n"
	    "</form>\n",
	    typed != NULL ? typed : "");
}

void
public_setup(const struct http_request *rq, struct http_reply *reply)
{
	const struct public_site *site = rq->arg;
	const char *typed = http_query(rq, "address");
	struct reader reader = { .facts = &site->facts, .out = &reply->body };
	struct buf domain = { 0 };
	bool asked = typed != NULL && *typed != '\0';

	public_page_begin(rq, reply, "Set up your mail");
	if (asked && public_site_domain(rq, typed, &domain))
		reader.address = typed;
	else if (asked)
		public_page_notice(reply, false,
		    "There is no mail of this domain here. Is the address spelt right?");
	add_question(&reader, typed);
	add_settings(&reader);
	add_clients(&reader);
	if (site->facts.password_change)
		buf_adds(&reply->body, "<p><a href=\"/password\">Change your password</a></p>\n");
	public_page_end(reply);
	buf_free(&domain);
}
