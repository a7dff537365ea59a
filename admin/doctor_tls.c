/* Certificates: readable, matching, for our name, and for how long. */
#include <dirent.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "base/mem.h"
#include "service/hostname.h"

#define EXPIRY_WARN_DAYS 14

/* A key with a passphrase: nobody is there to type it when a daemon starts. */
static int
no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	*(bool *)arg = true;
	return -1;
}

static FILE *
open_pem(struct doctor *d, const char *check, const char *path)
{
	FILE *f = fopen(path, "re");

	if (f == NULL && errno == ENOENT)
		doctor_fail(d, check, "put one there, or mend the path in the configuration",
		    "%s is not there", path);
	else if (f == NULL)
		doctor_fail(d, check, "let server.user read it (chown, or chgrp and chmod g+r)",
		    "%s cannot be read by the daemons: %s", path, strerror(errno));
	return f;
}

static X509 *
read_certificate(struct doctor *d, const char *check, const char *path)
{
	FILE *f = open_pem(d, check, path);
	X509 *cert;

	if (f == NULL)
		return NULL;
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	if (cert == NULL)
		doctor_fail(d, check, "it must be PEM", "%s holds no certificate", path);
	fclose(f);
	return cert;
}

static EVP_PKEY *
read_key(struct doctor *d, const char *check, const char *path)
{
	FILE *f = open_pem(d, check, path);
	bool asked = false;
	EVP_PKEY *key;
	struct stat st;

	if (f == NULL)
		return NULL;
	key = PEM_read_PrivateKey(f, NULL, no_passphrase, &asked);
	if (key == NULL)
		doctor_fail(d, check,
		    asked ? "take the passphrase away: openssl pkey -in OLD -out NEW"
			  : "it must be PEM",
		    asked ? "%s is locked by a passphrase" : "%s holds no private key", path);
	else if (fstat(fileno(f), &st) == 0 && (st.st_mode & S_IROTH) != 0)
		doctor_fail(d, check, "chmod o-r it, and get a new key and certificate",
		    "%s: everybody may read the private key", path);
	fclose(f);
	return key;
}

static void
check_validity(struct doctor *d, const char *check, const char *path, const X509 *cert)
{
	int days = 0, seconds = 0;

	if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
		doctor_fail(
		    d, check, "look at this machine's clock, or wait", "%s is not valid yet", path);
	} else if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
		doctor_fail(d, check, "get a new one; the daemons take it over by themselves",
		    "%s has expired: clients refuse it", path);
	} else if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) ||
		   days < EXPIRY_WARN_DAYS) {
		doctor_warn(d, check, "get a new one; the daemons take it over by themselves",
		    "%s expires in %d day%s", path, days, days == 1 ? "" : "s");
	} else {
		doctor_ok(d, check, "%s is valid for another %d days", path, days);
	}
}

static void
check_pair(struct doctor *d, const char *check, const char *cert_path, const char *key_path,
    const char *name)
{
	X509 *cert = read_certificate(d, check, cert_path);
	EVP_PKEY *key = read_key(d, check, key_path);

	if (cert != NULL)
		check_validity(d, check, cert_path, cert);
	if (cert != NULL && key != NULL && X509_check_private_key(cert, key) != 1)
		doctor_fail(d, check, "put the key there that the certificate was made for",
		    "%s does not belong to %s", key_path, cert_path);
	if (cert != NULL && *name != '*' && X509_check_host(cert, name, 0, 0, NULL) != 1)
		doctor_warn(d, check,
		    "set server.hostname to the name that clients use, or get another certificate",
		    "%s is not for the name %s", cert_path, name);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* NAME.crt with NAME.key, or NAME/fullchain.pem with NAME/privkey.pem. */
static void
check_sni(struct doctor *d, const char *dir, const char *entry)
{
	size_t len = strlen(entry);
	char *cert = mem_printf("%s/%s/fullchain.pem", dir, entry);
	char *key = mem_printf("%s/%s/privkey.pem", dir, entry);
	char *name = mem_strdup(entry);

	if (len > 4 && strcmp(entry + len - 4, ".crt") == 0) {
		free(cert);
		free(key);
		name[len - 4] = '\0';
		cert = mem_printf("%s/%s", dir, entry);
		key = mem_printf("%s/%s.key", dir, name);
		check_pair(d, "tls.sni_dir", cert, key, name);
	} else if (access(cert, F_OK) == 0) {
		check_pair(d, "tls.sni_dir", cert, key, name);
	}
	free(cert);
	free(key);
	free(name);
}

static void
check_sni_dir(struct doctor *d, const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e;

	if (dir == NULL) {
		doctor_fail(d, "tls.sni_dir", "make it readable for server.user", "%s: %s", path,
		    strerror(errno));
		return;
	}
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			check_sni(d, path, e->d_name);
	closedir(dir);
}

void
doctor_tls(struct doctor *d)
{
	const struct config *c = d->a->config;
	const char *sni_dir = config_string(c, "tls.sni_dir");
	char *hostname = service_hostname(c);

	check_pair(
	    d, "tls", config_string(c, "tls.certificate"), config_string(c, "tls.key"), hostname);
	free(hostname);
	if (sni_dir != NULL && *sni_dir != '\0')
		check_sni_dir(d, sni_dir);
}
