#include "net/test_util.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"

static void
need(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

char *
test_dir(void)
{
	char *dir = mem_strdup("/tmp/net-test-XXXXXX");

	need(mkdtemp(dir) != NULL, "mkdtemp");
	return dir;
}

static int
remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

void
test_dir_remove(char *dir)
{
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

void
test_write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	need(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0, path);
}

void
test_make_cert(const char *name, const char *cert_path, const char *key_path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);
	char *alt = mem_printf("DNS:%s", name);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
	FILE *f;

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), random());
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_NAME_add_entry_by_txt(
	    subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(cert, subject);
	X509_set_pubkey(cert, key);
	X509_add_ext(cert, ext, -1);
	need(X509_sign(cert, key, EVP_sha256()) > 0, "X509_sign");
	need((f = fopen(cert_path, "we")) != NULL && PEM_write_X509(f, cert) == 1 && fclose(f) == 0,
	    cert_path);
	need((f = fopen(key_path, "we")) != NULL &&
		 PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0,
	    key_path);
	X509_EXTENSION_free(ext);
	free(alt);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static struct sockaddr_in
loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static bool
is_free(uint16_t port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in in = loopback(port);
	bool is = bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0;

	close(fd);
	return is;
}

/* Below the range that the kernel takes for outgoing connections: nobody gets it between two starts. */
uint16_t
test_free_port(void)
{
	enum { LEAST = 10000, MOST = 31999 };
	uint16_t port = 0;

	do {
		need(getrandom(&port, sizeof(port), 0) == sizeof(port), "getrandom");
		port = (uint16_t)(LEAST + port % (MOST - LEAST + 1));
	} while (!is_free(port));
	return port;
}

int
test_connect(uint16_t port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in in = loopback(port);
	struct timeval limit = { .tv_sec = 10 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool
test_read_line(int fd, char *line, size_t size)
{
	size_t len = 0;

	while (len + 1 < size && recv(fd, line + len, 1, 0) == 1)
		if (line[len++] == '\n')
			break;
	line[len] = '\0';
	return len > 0 && line[len - 1] == '\n';
}

SSL_CTX *
test_client_ctx(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
	return ctx;
}

SSL *
test_tls(SSL_CTX *ctx, int fd, const char *sni, SSL_SESSION *resume)
{
	SSL *ssl = SSL_new(ctx);

	SSL_set_fd(ssl, fd);
	if (sni != NULL)
		SSL_set_tlsext_host_name(ssl, sni);
	if (resume != NULL)
		SSL_set_session(ssl, resume);
	if (SSL_connect(ssl) == 1)
		return ssl;
	SSL_free(ssl);
	return NULL;
}

bool
test_tls_read_line(SSL *ssl, char *line, size_t size)
{
	size_t len = 0;

	while (len + 1 < size && SSL_read(ssl, line + len, 1) == 1)
		if (line[len++] == '\n')
			break;
	line[len] = '\0';
	return len > 0 && line[len - 1] == '\n';
}

void
test_tls_peer_name(SSL *ssl, char *name, size_t size)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);

	X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, (int)size);
}
