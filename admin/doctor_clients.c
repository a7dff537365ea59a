/* Do mail clients find their settings where they look for them? */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/doctor.h"
#include "base/mem.h"

#define DOMAINS_MAX 100 /* that are looked at */

/* Is the first certificate of the file for this name? */
static bool
is_for(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	X509 *cert;
	bool ok;

	if (f == NULL)
		return false;
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	ok = cert != NULL && X509_check_host(cert, name, 0, 0, NULL) == 1;
	X509_free(cert);
	return ok;
}

/* The files that tls.sni_dir has for a name, or for "*.rest". */
static bool
is_in_directory(const char *dir, const char *file_name, const char *name)
{
	char *flat = mem_printf("%s/%s.crt", dir, file_name);
	char *deep = mem_printf("%s/%s/fullchain.pem", dir, file_name);
	bool ok = is_for(flat, name) || is_for(deep, name);

	free(flat);
	free(deep);
	return ok;
}

static bool
has_certificate(const struct config *c, const char *name)
{
	const char *dir = config_string(c, "tls.sni_dir");
	char *wild = mem_printf("*%s", strchr(name, '.'));
	bool ok =
	    is_for(config_string(c, "tls.certificate"), name) ||
	    (dir != NULL && (is_in_directory(dir, name, name) || is_in_directory(dir, wild, name)));

	free(wild);
	return ok;
}

static void
check_domain(struct doctor *d, const char *domain)
{
	static const struct {
		const char *label, *client;
	} NAMES[] = { { "autoconfig", "Thunderbird" }, { "autodiscover", "Outlook" } };

	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
		char *name = mem_printf("%s.%s", NAMES[i].label, domain);

		if (has_certificate(d->a->config, name))
			doctor_ok(d, "clients", "%s has a certificate", name);
		else
			doctor_warn(d, "clients",
			    "put one into tls.sni_dir, or let tls.certificate name it too; "
			    "doc/clients.md",
			    "there is no certificate for %s, where %s looks for settings", name,
			    NAMES[i].client);
		free(name);
	}
}

/* Domains by the accounts that they have, which are in order. */
void
doctor_clients(struct doctor *d)
{
	struct account_row *rows = NULL;
	size_t count = 0, domains = 0;

	if (config_count(d->a->config, "statusd.listen_public") == 0 || !d->accounts_ok ||
	    account_db_list(d->a->accounts, NULL, &rows, &count) != STORE_OK)
		return;
	for (size_t i = 0; i < count && domains < DOMAINS_MAX; i++)
		if (i == 0 || !ascii_eq_nocase(rows[i].domain, rows[i - 1].domain)) {
			check_domain(d, rows[i].domain);
			domains++;
		}
	account_rows_free(rows, count);
}
