/* What is known of a stream: who the peer is, its TLS, and the channel bindings made of that. */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/socket.h>

#include "net/internal.h"
#include "net/stream.h"
#include "net/tls.h"

#define BINDING_BYTES 32 /* of tls-exporter, RFC 9266 §2 */
#define BINDING_LABEL "EXPORTER-Channel-Binding"

const char *
net_stream_peer(const struct net_stream *st)
{
	return st->peer;
}

const struct net_ip *
net_stream_peer_ip(const struct net_stream *st)
{
	return st->is_unix ? NULL : &st->ip;
}

unsigned
net_stream_peer_port(const struct net_stream *st)
{
	return st->port;
}

void
net_stream_local(const struct net_stream *st, char text[static NET_IP_TEXT_BYTES])
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);
	struct net_ip ip;
	uint16_t port;

	memcpy(text, "local", sizeof("local"));
	if (getsockname(st->fd, (struct sockaddr *)&sa, &len) == 0 &&
	    net_ip_from_sockaddr((struct sockaddr *)&sa, &ip, &port))
		net_ip_text(&ip, text);
}

bool
net_stream_is_tls(const struct net_stream *st)
{
	return st->ssl != NULL && st->state != STREAM_HANDSHAKE;
}

const char *
net_stream_tls_version(const struct net_stream *st)
{
	return net_stream_is_tls(st) ? SSL_get_version(st->ssl) : "";
}

const char *
net_stream_tls_cipher(const struct net_stream *st)
{
	return net_stream_is_tls(st) ? SSL_get_cipher_name(st->ssl) : "";
}

unsigned
net_stream_tls_bits(const struct net_stream *st)
{
	return net_stream_is_tls(st) ? (unsigned)SSL_get_cipher_bits(st->ssl, NULL) : 0;
}

const char *
net_stream_tls_sni(const struct net_stream *st)
{
	const char *name =
	    st->ssl != NULL ? SSL_get_servername(st->ssl, TLSEXT_NAMETYPE_host_name) : NULL;

	return name != NULL ? name : "";
}

bool
net_stream_tls_resumed(const struct net_stream *st)
{
	return net_stream_is_tls(st) && SSL_session_reused(st->ssl) == 1;
}

bool
net_stream_tls_verified(const struct net_stream *st)
{
	return st->client && net_stream_is_tls(st) && net_tls_peer_verified(st->tls, st->ssl);
}

/* RFC 9266 §3: with TLS 1.2 only if the extended master secret was negotiated. */
static bool
binding_exporter(const struct net_stream *st, struct buf *out)
{
	unsigned char key[BINDING_BYTES];

	if (SSL_version(st->ssl) < TLS1_3_VERSION && SSL_get_extms_support(st->ssl) != 1)
		return false;
	if (SSL_export_keying_material(st->ssl, key, sizeof(key), BINDING_LABEL,
		strlen(BINDING_LABEL), (const unsigned char *)"", 0, 1) != 1)
		return false;
	buf_add(out, key, sizeof(key));
	return true;
}

/* RFC 5929 §4.1: the hash of the signature, but never less than SHA-256. */
static bool
binding_endpoint(const struct net_stream *st, struct buf *out)
{
	X509 *cert = st->client ? SSL_get0_peer_certificate(st->ssl) : net_tls_cert_x509(st->cert);
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	int digest = 0;

	if (cert == NULL || X509_get_signature_info(cert, &digest, NULL, NULL, NULL) != 1 ||
	    digest == NID_undef)
		return false;
	if (digest == NID_md5 || digest == NID_sha1 || digest == NID_md5_sha1)
		digest = NID_sha256;
	if (X509_digest(cert, EVP_get_digestbynid(digest), hash, &len) != 1)
		return false;
	buf_add(out, hash, len);
	return true;
}

bool
net_stream_tls_binding(const struct net_stream *st, enum net_binding kind, struct buf *out)
{
	bool ok = false;

	if (!net_stream_is_tls(st))
		return false;
	if (kind == NET_BINDING_EXPORTER)
		ok = binding_exporter(st, out);
	else
		ok = binding_endpoint(st, out);
	ERR_clear_error();
	return ok;
}
