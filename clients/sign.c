#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "base/log.h"
#include "clients/forms.h"

#define CHAIN_MAX 16 /* certificates of a file */

/* The certificate and, behind it, its chain. */
static bool
read_certificates(const char *path, X509 **certificate_out, STACK_OF(X509) * chain)
{
	FILE *f = fopen(path, "re");
	X509 *next;

	if (f == NULL)
		return false;
	*certificate_out = PEM_read_X509(f, NULL, NULL, NULL);
	while (*certificate_out != NULL && sk_X509_num(chain) < CHAIN_MAX &&
	       (next = PEM_read_X509(f, NULL, NULL, NULL)) != NULL)
		sk_X509_push(chain, next);
	fclose(f);
	return *certificate_out != NULL;
}

static EVP_PKEY *
read_key(const char *path)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key;

	if (f == NULL)
		return NULL;
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	return key;
}

static bool
sign(X509 *certificate, EVP_PKEY *key, STACK_OF(X509) * chain, const struct buf *profile,
    struct buf *out)
{
	BIO *in = BIO_new_mem_buf(profile->data, (int)profile->len);
	CMS_ContentInfo *cms = CMS_sign(certificate, key, chain, in, CMS_BINARY);
	unsigned char *der = NULL;
	int len = cms != NULL ? i2d_CMS_ContentInfo(cms, &der) : -1;

	if (len > 0)
		buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	return len > 0;
}

bool
clients_sign(const char *certificate, const char *key, const struct buf *profile, struct buf *out,
    const struct log *log)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *own = NULL;
	EVP_PKEY *secret = NULL;
	char reason[256];
	bool ok = read_certificates(certificate, &own, chain) && (secret = read_key(key)) != NULL &&
		  sign(own, secret, chain, profile, out);

	if (!ok) {
		ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
		log_error(log, "profile-not-signed", "certificate=%s key=%s error=%s", certificate,
		    key, reason);
	}
	ERR_clear_error();
	EVP_PKEY_free(secret);
	X509_free(own);
	sk_X509_pop_free(chain, X509_free);
	return ok;
}
