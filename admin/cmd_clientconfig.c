/* clientconfig: what mail clients are told, for whoever serves it by other means or sends it by hand. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "base/mem.h"
#include "clients/facts.h"
#include "clients/forms.h"

struct wanted {
	struct clients_facts facts;
	struct clients_user user;
	struct buf domain; /* what user points to */
	struct account_row row;
	struct buf out;
};

/* --- the forms ---------------------------------------------------------------------------------- */

static void
srv(const struct clients_facts *facts, const struct clients_user *user, struct buf *out)
{
	clients_srv(facts, user->domain, out);
}

static const struct {
	const char *name;
	void (*make)(const struct clients_facts *, const struct clients_user *, struct buf *);
} FORMATS[] = {
	{ "autoconfig", clients_autoconfig },
	{ "autodiscover", clients_autodiscover },
	{ "mobileconfig", clients_mobileconfig },
	{ "srv", srv },
	{ "text", clients_text },
};

static const struct {
	const char *protocol, *security;
} SERVICES[CLIENTS_SERVICE_COUNT] = {
	[CLIENTS_IMAPS] = { "imap", "tls" },
	[CLIENTS_IMAP] = { "imap", "starttls" },
	[CLIENTS_SUBMISSIONS] = { "smtp", "tls" },
	[CLIENTS_SUBMISSION] = { "smtp", "starttls" },
	[CLIENTS_SIEVE] = { "managesieve", "starttls" },
	[CLIENTS_WEB] = { "https", "tls" },
};

/* --json: the facts themselves. */
static enum admin_status
print_json(const struct wanted *w)
{
	json_t *list = json_array();
	char *url = clients_web_url(&w->facts);

	for (enum clients_service i = 0; i < CLIENTS_SERVICE_COUNT; i++)
		if (clients_offers(&w->facts, i))
			json_array_append_new(
			    list, json_pack("{ss so si ss}", "protocol", SERVICES[i].protocol,
				      "host", output_string(w->facts.at[i].host), "port",
				      (int)w->facts.at[i].port, "security", SERVICES[i].security));
	list = json_pack("{so so so so so}", "domain", output_string(w->user.domain), "name",
	    output_string(w->facts.name), "user_name", output_string(w->user.address), "web",
	    output_string(url), "services", list);
	free(url);
	return output_object(list, NULL, 0, true) ? ADMIN_DONE : ADMIN_REFUSED;
}

/* --- for whom ----------------------------------------------------------------------------------- */

/* For reading: nothing here shall make a database. */
static bool
open_accounts(struct admin *a)
{
	const char *path = config_string(a->config, "store.account_db");

	return a->accounts != NULL ||
	       (access(path, F_OK) == 0 &&
		   account_db_open(path, ACCOUNT_DB_READ, a->log, &a->accounts) == STORE_OK);
}

/* The domain of all accounts, if there is one alone; else auth.default_domain. */
static bool
usual_domain(struct admin *a, struct buf *domain)
{
	const char *preset = config_string(a->config, "auth.default_domain");
	struct account_row *rows = NULL;
	size_t count = 0;
	bool one;

	if (preset != NULL) {
		buf_adds(domain, preset);
		return true;
	}
	if (!open_accounts(a) || account_db_list(a->accounts, NULL, &rows, &count) != STORE_OK)
		return false;
	one = count > 0 && ascii_eq_nocase(rows[0].domain, rows[count - 1].domain);
	if (one)
		buf_adds(domain, rows[0].domain);
	account_rows_free(rows, count);
	return one;
}

/* The name of whoever has the address, if it is an account. */
static void
add_realname(struct admin *a, struct wanted *w)
{
	if (open_accounts(a) &&
	    account_db_find_address(a->accounts, str_from(w->user.address), &w->row) == STORE_OK)
		w->user.realname = w->row.realname;
}

static enum admin_status
find_user(struct admin *a, struct wanted *w)
{
	const char *given = admin_option(a, "--domain");
	struct str localpart, domain = { 0 };

	if (a->arg_count > 0) {
		w->user.address = a->args[0];
		if (!account_address_parse(str_from(a->args[0]), &localpart, &domain))
			return admin_bad_usage(
			    a, "%s is no address: LOCALPART@DOMAIN is needed", a->args[0]);
	}
	if (given != NULL)
		domain = str_from(given);
	if (domain.len > 0) {
		if (!account_domain_is_valid(domain))
			return admin_bad_usage(a, "%s is no domain", given);
		buf_add(&w->domain, domain.p, domain.len);
	} else if (!usual_domain(a, &w->domain)) {
		return admin_bad_usage(
		    a, "which domain? --domain or an address is needed where there are several");
	}
	w->user.domain = buf_cstr(&w->domain);
	if (w->user.address != NULL)
		add_realname(a, w);
	return ADMIN_DONE;
}

/* --- printing ----------------------------------------------------------------------------------- */

static enum admin_status
sign(struct admin *a, struct wanted *w)
{
	const char *certificate = config_string(a->config, "tls.certificate");
	const char *key = config_string(a->config, "tls.key");
	struct buf profile = w->out;

	w->out = (struct buf){ 0 };
	if (!clients_sign(certificate, key, &profile, &w->out, NULL)) {
		buf_free(&profile);
		return admin_refuse(
		    "cannot sign with %s and %s: see mailadmin doctor", certificate, key);
	}
	buf_free(&profile);
	return ADMIN_DONE;
}

static enum admin_status
print(struct wanted *w, bool binary)
{
	if (binary && isatty(STDOUT_FILENO))
		return admin_refuse("a signed profile is not for a terminal: send it into a file");
	if (fwrite(w->out.data, 1, w->out.len, stdout) != w->out.len || fflush(stdout) != 0)
		return admin_refuse("standard output: %m");
	return ADMIN_DONE;
}

static enum admin_status
make(struct admin *a, struct wanted *w, const char *format)
{
	bool signs = admin_option(a, "--sign") != NULL;
	enum admin_status status = ADMIN_DONE;

	for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++) {
		if (strcmp(FORMATS[i].name, format) != 0)
			continue;
		if (signs && FORMATS[i].make != clients_mobileconfig)
			return admin_bad_usage(a, "--sign is for --format mobileconfig");
		FORMATS[i].make(&w->facts, &w->user, &w->out);
		if (signs)
			status = sign(a, w);
		return status == ADMIN_DONE ? print(w, signs) : status;
	}
	return admin_bad_usage(
	    a, "--format %s: autoconfig, autodiscover, mobileconfig, srv or text", format);
}

static enum admin_status
clientconfig_run(struct admin *a)
{
	const char *format = admin_option(a, "--format");
	struct wanted w = { 0 };
	enum admin_status status = find_user(a, &w);

	if (status == ADMIN_DONE) {
		clients_facts_read(a->config, &w.facts);
		status = a->json ? print_json(&w) : make(a, &w, format != NULL ? format : "text");
		clients_facts_free(&w.facts);
	}
	account_row_free(&w.row);
	buf_free(&w.domain);
	buf_free(&w.out);
	return status;
}

const struct admin_command admin_cmd_clientconfig = {
	.group = "clientconfig",
	.args = "[ADDRESS]",
	.args_most = 1,
	.options = { { "--format", "FORMAT",
			 "autoconfig, autodiscover, mobileconfig, srv or text (the default)" },
	    { "--domain", "DOMAIN", "for anybody of this domain" },
	    { "--sign", NULL, "sign a mobileconfig with tls.certificate and tls.key" },
	    { "--json", NULL, "servers and ports as JSON, whatever the format" } },
	.summary = "Prints how mail clients are set up, in the form they read.",
	.help =
	    "Taken from the configuration, with clients.* for what clients must see differently."
	    "\nThe public pages of statusd give out the same.",
	.example = "mailadmin clientconfig --format srv --domain example.org",
	.run = clientconfig_run,
};
