/* The certificates of an HTTPS site: tls.certificate, and those of tls.sni_dir by the name a client asks for, as
 * net/tls.h has them for the other daemons.  For GnuTLS, which libmicrohttpd speaks TLS with.
 *
 * The files are looked at every NET_TLS_CHECK_S; what has changed and is good counts from the next handshake on, what is
 * broken is logged and the old stays. */
#ifndef STATUSD_HTTP_TLS_H
#define STATUSD_HTTP_TLS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

struct http_tls;
struct service;

/* NULL if the default certificate or its key is missing or bad, with the reason logged. */
struct http_tls *http_tls_new(struct service *sv);
void http_tls_free(struct http_tls *tls); /* after the loop; NULL is fine */

/* TLS versions and ciphers as tls.min_version wants them, in GnuTLS's words. */
const char *http_tls_priorities(const struct service *sv);

/* For a handshake: fresh copies, which GnuTLS frees.  0, or -1. */
int http_tls_choose(struct http_tls *tls, gnutls_session_t session, gnutls_pcert_st **chain_out,
    unsigned *chain_len_out, gnutls_privkey_t *key_out);

#endif
