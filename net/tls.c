/* One SSL_CTX per net_tls, without a certificate of its own: each server connection is given its
 * certificate when the ClientHello has named a host.  So the set of certificates is plain data,
 * which a job may load anew and the loop may exchange; connections keep theirs by counting. */
#include "net/tls.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/text.h"
#include "net/internal.h"

#define TLS_SNI_MAX      10000 /* certificates in the directory */
#define TLS_DIGEST_BYTES 32
#define TLS_BIO_TYPE     (BIO_TYPE_SOURCE_SINK | 127) /* a number OpenSSL does not use */

/* Forward secrecy and AEAD only; TLS 1.3 has nothing else. */
#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
#define TLS13_CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define TLS_GROUPS    "X25519:P-256:P-384"

/* What tells one state of a file from another. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct net_tls_cert {
	atomic_uint refs;
	char *name; /* lower case; "" is the default, "*.example.org" a wildcard */
	char *cert_path, *key_path;
	struct stamp cert_stamp, key_stamp; /* of the files last looked at, good or bad */
	X509 *x509;
	EVP_PKEY *key;
	STACK_OF(X509) * chain;
	unsigned char digest[TLS_DIGEST_BYTES]; /* SHA-256 of the certificate; stands in tickets */
};

struct cert_set { /* sorted by name; the default is first */
	struct net_tls_cert **certs;
	size_t count;
	bool all_good;
};

struct net_tls {
	atomic_uint refs;
	SSL_CTX *ctx;
	BIO_METHOD *bio_method;
	struct log *log;
	struct net_tls_keys *keys;
	char *certificate, *key, *sni_dir;
	struct cert_set set;
	uint64_t checked_ms;
	bool checking;
	unsigned handshake_s;

	enum net_tls_verify verify; /* client */
	unsigned char (*fingerprints)[TLS_DIGEST_BYTES];
	size_t fingerprint_count;
};

struct check { /* a look at the files, as a job */
	struct net_tls *tls;
	struct cert_set set;
};

/* --- certificates --- */

void
net_tls_cert_free(struct net_tls_cert *cert)
{
	if (cert == NULL || atomic_fetch_sub(&cert->refs, 1) > 1)
		return;
	X509_free(cert->x509);
	EVP_PKEY_free(cert->key);
	sk_X509_pop_free(cert->chain, X509_free);
	free(cert->name);
	free(cert->cert_path);
	free(cert->key_path);
	free(cert);
}

X509 *
net_tls_cert_x509(const struct net_tls_cert *cert)
{
	return cert != NULL ? cert->x509 : NULL;
}

static struct net_tls_cert *
cert_ref(struct net_tls_cert *cert)
{
	atomic_fetch_add(&cert->refs, 1);
	return cert;
}

static struct stamp
stamp_of(const char *path)
{
	struct stamp s;
	struct stat st;

	memset(&s, 0, sizeof(s)); /* padding too: stamps are compared as bytes */
	if (stat(path, &st) == 0) {
		s.dev = st.st_dev;
		s.ino = st.st_ino;
		s.size = st.st_size;
		s.mtime = st.st_mtim;
		s.ctime = st.st_ctim;
	}
	return s;
}

static bool
stamp_eq(const struct stamp *a, const struct stamp *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* The certificate and its chain.  False with the reason in errno or OpenSSL's queue. */
static bool
load_chain(struct net_tls_cert *cert)
{
	BIO *bio = BIO_new_file(cert->cert_path, "r");
	X509 *x;

	if (bio == NULL)
		return false;
	cert->x509 = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
	cert->chain = sk_X509_new_null();
	while (cert->x509 != NULL && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		sk_X509_push(cert->chain, x);
	if (cert->x509 != NULL)
		ERR_clear_error(); /* the end of the file */
	BIO_free(bio);
	return cert->x509 != NULL && X509_digest(cert->x509, EVP_sha256(), cert->digest, NULL) == 1;
}

static int
no_password(char *out, int size, int rwflag, void *arg) /* a daemon has nobody to ask */
{
	(void)out, (void)size, (void)rwflag, (void)arg;
	return -1;
}

static bool
load_key(struct net_tls_cert *cert)
{
	BIO *bio = BIO_new_file(cert->key_path, "r");

	if (bio == NULL)
		return false;
	cert->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	BIO_free(bio);
	return cert->key != NULL && X509_check_private_key(cert->x509, cert->key) == 1;
}

static const char *
openssl_error(void)
{
	unsigned long e = ERR_peek_error();
	const char *text = ERR_reason_error_string(e);

	return ERR_SYSTEM_ERROR(e) ? strerror(ERR_GET_REASON(e))
	       : text != NULL      ? text
				   : "no PEM object in it";
}

/* NULL if it is not usable; *stamps then say which state of the files was not. */
static struct net_tls_cert *
cert_load(const char *name, const char *cert_path, const char *key_path, struct log *log)
{
	struct net_tls_cert *cert = mem_zalloc(sizeof(*cert));
	const char *bad = NULL;

	atomic_init(&cert->refs, 1);
	cert->name = mem_strdup(name);
	cert->cert_path = mem_strdup(cert_path);
	cert->key_path = mem_strdup(key_path);
	cert->cert_stamp = stamp_of(cert_path);
	cert->key_stamp = stamp_of(key_path);
	ERR_clear_error();
	if (!load_chain(cert))
		bad = cert_path;
	else if (!load_key(cert))
		bad = key_path;
	if (bad == NULL)
		return cert;
	log_error(log, "certificate", "file=%s error=%s", bad, openssl_error());
	ERR_clear_error();
	net_tls_cert_free(cert);
	return NULL;
}

/* --- the set --- */

static int
compare_certs(const void *a, const void *b)
{
	const struct net_tls_cert *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int
compare_name(const void *name, const void *cert)
{
	const struct net_tls_cert *const *c = cert;

	return strcmp(name, (*c)->name);
}

static struct net_tls_cert *
set_find(const struct cert_set *set, const char *name)
{
	struct net_tls_cert **at = set->count == 0
				       ? NULL
				       : bsearch(name, set->certs, set->count,
					     sizeof(struct net_tls_cert *), compare_name);

	return at != NULL ? *at : NULL;
}

static void
set_free(struct cert_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		net_tls_cert_free(set->certs[i]);
	free(set->certs);
	*set = (struct cert_set){ 0 };
}

static void
set_push(struct cert_set *set, struct net_tls_cert *cert)
{
	set->certs = mem_realloc_array(set->certs, set->count + 1, sizeof(struct net_tls_cert *));
	set->certs[set->count++] = cert;
}

/* The old certificate if its files are as they were or the new ones are broken, else a new one.
 * The copy of a kept one carries the broken files' stamps, so that each is complained of once. */
static void
set_add(struct cert_set *set, const struct cert_set *old_set, const char *name,
    const char *cert_path, const char *key_path, struct log *log)
{
	struct stamp cert_stamp = stamp_of(cert_path), key_stamp = stamp_of(key_path);
	struct net_tls_cert *old = set_find(old_set, name), *cert;

	if (old != NULL && strcmp(old->cert_path, cert_path) == 0 &&
	    stamp_eq(&old->cert_stamp, &cert_stamp) && stamp_eq(&old->key_stamp, &key_stamp)) {
		set_push(set, cert_ref(old));
		return;
	}
	cert = cert_load(name, cert_path, key_path, log);
	if (cert == NULL) {
		set->all_good = false;
		if (old == NULL)
			return;
		cert = mem_zalloc(sizeof(*cert));
		atomic_init(&cert->refs, 1);
		cert->name = mem_strdup(name);
		cert->cert_path = mem_strdup(cert_path);
		cert->key_path = mem_strdup(key_path);
		cert->cert_stamp = cert_stamp;
		cert->key_stamp = key_stamp;
		memcpy(cert->digest, old->digest, sizeof(cert->digest));
		X509_up_ref(old->x509);
		EVP_PKEY_up_ref(old->key);
		cert->x509 = old->x509;
		cert->key = old->key;
		cert->chain = X509_chain_up_ref(old->chain);
	} else if (old_set->count > 0) {
		log_info(log, "certificate", "file=%s state=%s", cert_path, "loaded");
	}
	set_push(set, cert);
}

static bool
is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* NAME.crt with NAME.key, or the directory NAME with fullchain.pem and privkey.pem. */
static void
set_add_entry(struct cert_set *set, const struct cert_set *old, const char *dir, const char *entry,
    struct log *log)
{
	size_t len = strlen(entry);
	bool pair = len > 4 && strcmp(entry + len - 4, ".crt") == 0;
	char *name = mem_strndup(entry, pair ? len - 4 : len);
	char *cert =
	    pair ? mem_printf("%s/%s", dir, entry) : mem_printf("%s/%s/fullchain.pem", dir, entry);
	char *key =
	    pair ? mem_printf("%s/%s.key", dir, name) : mem_printf("%s/%s/privkey.pem", dir, entry);

	ascii_lower_all(name, strlen(name));
	if (is_file(cert))
		set_add(set, old, name, cert, key, log);
	free(name);
	free(cert);
	free(key);
}

static void
set_add_directory(
    struct cert_set *set, const struct cert_set *old, const char *path, struct log *log)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	if (dir == NULL) {
		log_error(log, "sni_directory", "path=%s error=%s", path, strerror(errno));
		set->all_good = false;
		for (size_t i = 0; i < old->count; i++)
			if (*old->certs[i]->name != '\0')
				set_push(set, cert_ref(old->certs[i]));
		return;
	}
	while ((e = readdir(dir)) != NULL && set->count < TLS_SNI_MAX)
		if (e->d_name[0] != '.')
			set_add_entry(set, old, path, e->d_name, log);
	closedir(dir);
}

static struct cert_set
set_load(const struct net_tls *tls)
{
	struct cert_set set = { .all_good = true };

	set_add(&set, &tls->set, "", tls->certificate, tls->key, tls->log);
	if (tls->sni_dir != NULL)
		set_add_directory(&set, &tls->set, tls->sni_dir, tls->log);
	if (set.count > 1)
		qsort(set.certs, set.count, sizeof(struct net_tls_cert *), compare_certs);
	return set;
}

static void
take_set(struct net_tls *tls, struct cert_set *set)
{
	set_free(&tls->set);
	tls->set = *set;
	*set = (struct cert_set){ 0 };
}

bool
net_tls_server_reload(struct net_tls *tls)
{
	struct cert_set set;
	bool good;

	if (tls->checking)
		return true; /* a job is just looking */
	set = set_load(tls);
	good = set.all_good;
	take_set(tls, &set);
	return good;
}

static void
check_run(void *arg) /* on a pool thread; the loop leaves tls->set alone meanwhile */
{
	struct check *check = arg;

	check->set = set_load(check->tls);
}

static void
on_checked(void *arg)
{
	struct check *check = arg;

	take_set(check->tls, &check->set);
	check->tls->checking = false;
	net_tls_free(check->tls);
	free(check);
}

void
net_tls_maybe_check(struct net_tls *tls, struct net_loop *loop)
{
	uint64_t now_ms = net_loop_now_ms(loop);
	struct check *check;

	if (tls->checked_ms == 0)
		tls->checked_ms = now_ms; /* just made */
	if (tls->checking || now_ms - tls->checked_ms < NET_TLS_CHECK_S * 1000)
		return;
	tls->checked_ms = now_ms;
	tls->checking = true;
	net_tls_ref(tls);
	check = mem_zalloc(sizeof(*check));
	check->tls = tls;
	net_job_run(loop, check_run, on_checked, check);
}

/* --- the bytes under OpenSSL --- */

static int
bio_read(BIO *bio, char *p, size_t size, size_t *len_out)
{
	ssize_t n = net_stream_recv(BIO_get_data(bio), p, size);

	BIO_clear_retry_flags(bio);
	*len_out = n > 0 ? (size_t)n : 0;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		BIO_set_retry_read(bio);
	else if (n == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return n > 0;
}

static int
bio_write(BIO *bio, const char *p, size_t len, size_t *len_out)
{
	struct net_stream *st = BIO_get_data(bio);

	buf_add(&st->loop->cipher, p, len);
	*len_out = len;
	return 1;
}

static long
bio_ctrl(BIO *bio, int cmd, long num, void *p)
{
	(void)num, (void)p;
	if (cmd == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *
bio_method_new(void)
{
	BIO_METHOD *method = BIO_meth_new(TLS_BIO_TYPE, "stream");

	BIO_meth_set_read_ex(method, bio_read);
	BIO_meth_set_write_ex(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
	return method;
}

static struct net_stream *
stream_of(SSL *ssl)
{
	return BIO_get_data(SSL_get_rbio(ssl));
}

/* --- server --- */

/* The host name in a server_name extension, RFC 6066 §3, in lower case and without a last dot. */
static bool
parse_sni(const unsigned char *p, size_t len, char name[static NET_HOST_BYTES])
{
	size_t list_len, name_len;

	if (len < 5)
		return false;
	list_len = (size_t)p[0] << 8 | p[1];
	name_len = (size_t)p[3] << 8 | p[4];
	if (list_len != len - 2 || p[2] != TLSEXT_NAMETYPE_host_name || name_len > len - 5 ||
	    name_len == 0 || name_len >= NET_HOST_BYTES || memchr(p + 5, '\0', name_len) != NULL)
		return false;
	memcpy(name, p + 5, name_len);
	if (name[name_len - 1] == '.')
		name_len--;
	name[name_len] = '\0';
	ascii_lower_all(name, name_len);
	return true;
}

static struct net_tls_cert *
choose_cert(const struct cert_set *set, const char *name)
{
	struct net_tls_cert *cert = *name != '\0' ? set_find(set, name) : NULL;
	const char *dot = strchr(name, '.');
	char wild[NET_HOST_BYTES + 1] = "*";

	if (cert == NULL && dot != NULL && dot != name) {
		strncat(wild, dot, NET_HOST_BYTES - 1);
		cert = set_find(set, wild);
	}
	return cert != NULL ? cert : set_find(set, "");
}

/* Before OpenSSL looks at tickets, so that on_ticket_open() knows the certificate. */
static int
on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct net_stream *st = stream_of(ssl);
	struct net_tls *tls = arg;
	const unsigned char *ext;
	char name[NET_HOST_BYTES] = "";
	size_t len;

	if (st->cert != NULL)
		return SSL_CLIENT_HELLO_SUCCESS; /* again, after HelloRetryRequest */
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len) == 1 &&
	    !parse_sni(ext, len, name))
		name[0] = '\0';
	st->cert = cert_ref(choose_cert(&tls->set, name));
	if (SSL_use_cert_and_key(ssl, st->cert->x509, st->cert->key, st->cert->chain, 1) == 1)
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_INTERNAL_ERROR;
	return SSL_CLIENT_HELLO_ERROR;
}

/* Only so that OpenSSL acknowledges the name and keeps it. */
static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
	(void)ssl, (void)alert, (void)arg;
	return SSL_TLSEXT_ERR_OK;
}

static int
on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int encrypt)
{
	struct net_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	return net_tls_keys_ticket(tls->keys, name, iv, cipher, mac, encrypt);
}

static int
on_ticket_made(SSL *ssl, void *arg)
{
	const struct net_tls_cert *cert = stream_of(ssl)->cert;

	(void)arg;
	return SSL_SESSION_set1_ticket_appdata(
	    SSL_get_session(ssl), cert->digest, sizeof(cert->digest));
}

/* A ticket is good for the certificate it was made under and no other; else a resumed session's
 * tls-server-end-point would be of a certificate its client never saw. */
static SSL_TICKET_RETURN
on_ticket_open(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len,
    SSL_TICKET_STATUS status, void *arg)
{
	const struct net_tls_cert *cert = stream_of(ssl)->cert;
	void *digest = NULL;
	size_t len = 0;

	(void)name, (void)name_len, (void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (cert == NULL || SSL_SESSION_get0_ticket_appdata(session, &digest, &len) != 1 ||
	    len != sizeof(cert->digest) || memcmp(digest, cert->digest, len) != 0)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	/* RFC 8446 §C.4: a client uses each ticket once, so it gets another. */
	return status == SSL_TICKET_SUCCESS && SSL_version(ssl) < TLS1_3_VERSION
		   ? SSL_TICKET_RETURN_USE
		   : SSL_TICKET_RETURN_USE_RENEW;
}

/* --- contexts --- */

static struct net_tls *
tls_new(const SSL_METHOD *method, struct log *log)
{
	struct net_tls *tls = mem_zalloc(sizeof(*tls));

	atomic_init(&tls->refs, 1);
	tls->log = log;
	tls->handshake_s = NET_TLS_HANDSHAKE_S;
	tls->ctx = SSL_CTX_new(method);
	if (tls->ctx == NULL)
		abort(); /* out of memory, or no OpenSSL to speak of */
	tls->bio_method = bio_method_new();
	SSL_CTX_set_app_data(tls->ctx, tls);
	SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(tls->ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(tls->ctx, 1);
	SSL_CTX_set_options(tls->ctx,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_cipher_list(tls->ctx, TLS12_CIPHERS);
	SSL_CTX_set_ciphersuites(tls->ctx, TLS13_CIPHERS);
	SSL_CTX_set1_groups_list(tls->ctx, TLS_GROUPS);
	SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_OFF);
	return tls;
}

static void
setup_tickets(struct net_tls *tls)
{
	static const unsigned char id[] = "sanger";

	if (tls->keys == NULL) {
		SSL_CTX_set_options(tls->ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(tls->ctx, 0);
		return;
	}
	SSL_CTX_set_session_id_context(tls->ctx, id, sizeof(id) - 1);
	SSL_CTX_set_num_tickets(tls->ctx, 1);
	SSL_CTX_set_timeout(tls->ctx, NET_TLS_TICKET_EPOCH_S);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(tls->ctx, on_ticket_key);
	SSL_CTX_set_session_ticket_cb(tls->ctx, on_ticket_made, on_ticket_open, NULL);
}

struct net_tls *
net_tls_server_new(const struct net_tls_server_spec *spec, struct log *log)
{
	struct net_tls *tls = tls_new(TLS_server_method(), log);

	tls->certificate = mem_strdup(spec->certificate);
	tls->key = mem_strdup(spec->key);
	tls->sni_dir = spec->sni_dir != NULL ? mem_strdup(spec->sni_dir) : NULL;
	tls->keys = spec->keys;
	if (spec->handshake_s > 0)
		tls->handshake_s = spec->handshake_s;
	if (spec->tls13_only)
		SSL_CTX_set_min_proto_version(tls->ctx, TLS1_3_VERSION);
	SSL_CTX_set_options(tls->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_client_hello_cb(tls->ctx, on_client_hello, tls);
	SSL_CTX_set_tlsext_servername_callback(tls->ctx, on_server_name);
	setup_tickets(tls);
	tls->set = set_load(tls);
	if (tls->set.all_good)
		return tls;
	net_tls_free(tls);
	return NULL;
}

/* 64 hex digits; openssl x509 -fingerprint puts ':' between them. */
static bool
parse_fingerprint(const char *text, unsigned char out[static TLS_DIGEST_BYTES])
{
	struct buf hex = { 0 }, bytes = { 0 };
	bool ok;

	for (; *text != '\0'; text++)
		if (*text != ':')
			buf_addc(&hex, *text);
	ok = hex.len == 2 * TLS_DIGEST_BYTES &&
	     hex_decode(&bytes, (struct str){ hex.data, hex.len });
	if (ok)
		memcpy(out, bytes.data, TLS_DIGEST_BYTES);
	buf_free(&hex);
	buf_free(&bytes);
	return ok;
}

static bool
setup_fingerprints(struct net_tls *tls, const struct net_tls_client_spec *spec)
{
	tls->fingerprint_count = spec->fingerprint_count;
	tls->fingerprints = mem_zalloc((spec->fingerprint_count + 1) * TLS_DIGEST_BYTES);
	for (size_t i = 0; i < spec->fingerprint_count; i++)
		if (!parse_fingerprint(spec->fingerprints[i], tls->fingerprints[i])) {
			log_error(tls->log, "tls_client", "fingerprint=%s error=%s",
			    spec->fingerprints[i], "not 64 hex digits");
			return false;
		}
	if (spec->fingerprint_count == 0)
		log_error(tls->log, "tls_client", "error=%s", "no fingerprint is given");
	return spec->fingerprint_count > 0;
}

/* Whom we trust.  Where every certificate is taken, too: then it says who could have been verified
 * (net_stream_tls_verified), and a machine without any CA is none that goes without TLS. */
static bool
setup_trust(struct net_tls *tls, const struct net_tls_client_spec *spec)
{
	bool ok = spec->ca_file != NULL
		      ? SSL_CTX_load_verify_locations(tls->ctx, spec->ca_file, NULL) == 1
		      : SSL_CTX_set_default_verify_paths(tls->ctx) == 1;

	if (!ok && spec->verify == NET_TLS_CA)
		log_error(
		    tls->log, "tls_client", "file=%s error=%s", spec->ca_file, openssl_error());
	ERR_clear_error();
	return ok || spec->verify != NET_TLS_CA;
}

static bool
setup_client(struct net_tls *tls, const struct net_tls_client_spec *spec)
{
	bool ok;

	tls->verify = spec->verify;
	if (spec->verify == NET_TLS_FINGERPRINT && !setup_fingerprints(tls, spec))
		return false;
	ERR_clear_error();
	ok = spec->certificate == NULL ||
	     (SSL_CTX_use_certificate_chain_file(tls->ctx, spec->certificate) == 1 &&
		 SSL_CTX_use_PrivateKey_file(tls->ctx,
		     spec->key != NULL ? spec->key : spec->certificate, SSL_FILETYPE_PEM) == 1);
	if (!ok) {
		log_error(
		    tls->log, "tls_client", "file=%s error=%s", spec->certificate, openssl_error());
		return false;
	}
	if (spec->verify == NET_TLS_CA)
		SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
	return setup_trust(tls, spec);
}

struct net_tls *
net_tls_client_new(const struct net_tls_client_spec *spec, struct log *log)
{
	struct net_tls *tls = tls_new(TLS_client_method(), log);

	if (setup_client(tls, spec))
		return tls;
	ERR_clear_error();
	net_tls_free(tls);
	return NULL;
}

unsigned
net_tls_handshake_s(const struct net_tls *tls)
{
	return tls->handshake_s;
}

void
net_tls_ref(struct net_tls *tls)
{
	atomic_fetch_add(&tls->refs, 1);
}

void
net_tls_free(struct net_tls *tls)
{
	if (tls == NULL || atomic_fetch_sub(&tls->refs, 1) > 1)
		return;
	SSL_CTX_free(tls->ctx);
	BIO_meth_free(tls->bio_method);
	set_free(&tls->set);
	free(tls->certificate);
	free(tls->key);
	free(tls->sni_dir);
	free(tls->fingerprints);
	free(tls);
}

/* RFC 6066 §3: an address is no SNI name; it is still checked against the certificate. */
static bool
set_server_name(SSL *ssl, const char *host)
{
	struct net_ip ip;

	if (net_ip_parse(str_from(host), &ip))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	if (SSL_set_tlsext_host_name(ssl, host) != 1)
		return false;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1;
}

SSL *
net_tls_session(struct net_tls *tls, struct net_stream *st)
{
	SSL *ssl = SSL_new(tls->ctx);
	BIO *bio = BIO_new(tls->bio_method);

	if (ssl == NULL || bio == NULL) {
		SSL_free(ssl);
		BIO_free(bio);
		return NULL;
	}
	BIO_set_data(bio, st);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	if (!st->client) {
		SSL_set_accept_state(ssl);
		return ssl;
	}
	SSL_set_connect_state(ssl);
	if (st->host == NULL ? tls->verify != NET_TLS_CA
			     : set_server_name(ssl, st->host) || tls->verify != NET_TLS_CA)
		return ssl;
	SSL_free(ssl);
	return NULL;
}

SSL *
net_tls_client_session(struct net_tls *tls, int fd, const char *host)
{
	SSL *ssl = SSL_new(tls->ctx);

	if (ssl == NULL)
		return NULL;
	if (SSL_set_fd(ssl, fd) == 1 && (set_server_name(ssl, host) || tls->verify != NET_TLS_CA)) {
		SSL_set_connect_state(ssl);
		return ssl;
	}
	SSL_free(ssl);
	return NULL;
}

static bool
is_pinned(const struct net_tls *tls, const unsigned char digest[static TLS_DIGEST_BYTES])
{
	for (size_t i = 0; i < tls->fingerprint_count; i++)
		if (memcmp(digest, tls->fingerprints[i], TLS_DIGEST_BYTES) == 0)
			return true;
	return false;
}

bool
net_tls_peer_ok(const struct net_tls *tls, const SSL *ssl)
{
	unsigned char digest[TLS_DIGEST_BYTES], *info = NULL;
	X509 *cert = SSL_get0_peer_certificate(ssl);
	bool ok;
	int len;

	if (tls->verify != NET_TLS_FINGERPRINT)
		return true;
	if (cert == NULL)
		return false;
	if (X509_digest(cert, EVP_sha256(), digest, NULL) == 1 && is_pinned(tls, digest))
		return true;
	len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &info);
	ok = len > 0 && EVP_Digest(info, (size_t)len, digest, NULL, EVP_sha256(), NULL) == 1 &&
	     is_pinned(tls, digest);
	OPENSSL_free(info);
	return ok;
}

bool
net_tls_peer_verified(const struct net_tls *tls, const SSL *ssl)
{
	if (tls->verify == NET_TLS_FINGERPRINT)
		return net_tls_peer_ok(tls, ssl);
	return SSL_get0_peer_certificate(ssl) != NULL && SSL_get_verify_result(ssl) == X509_V_OK;
}
