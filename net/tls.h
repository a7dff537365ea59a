/* TLS contexts: who we are (server) and whom we trust (client).  TLS 1.2 and up, or 1.3 alone.
 * A context is made once, by the parent before it forks or by a worker, and used by any number of
 * streams on one thread (net_stream_start_tls).  The files it was made from must stay readable for the worker: a
 * server context looks at them at most every NET_TLS_CHECK_S and takes changed ones over; a
 * broken new file is logged as an error and the old certificate stays in use. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log;
struct net_loop;
struct net_tls;
struct net_tls_keys;

#define NET_TLS_CHECK_S        60         /* between looks at the certificate files */
#define NET_TLS_HANDSHAKE_S    10         /* default: a handshake that takes longer is aborted */
#define NET_TLS_TICKET_EPOCH_S (6 * 3600) /* ticket keys change; a ticket is good for 1-2 epochs */

/* Session ticket keys (RFC 5077, RFC 8446 §4.6.1).  Made in the parent before it forks, so that a client resumes
 * at whichever worker takes its next connection, also after a reload.  Every epoch all
 * processes step to the next keys by themselves (a one-way ratchet, old ones are wiped). */
struct net_tls_keys *net_tls_keys_new(void);
void net_tls_keys_free(struct net_tls_keys *keys);
/* Takes the steps that are due.  Streams see to it; net_daemon does it in the parent, so that it
 * forgets old keys as its workers do. */
void net_tls_keys_step(struct net_tls_keys *keys);

struct net_tls_server_spec {
	const char *certificate; /* PEM: the certificate, then its chain */
	const char *key;         /* PEM; may be the same file */
	/* NULL, or a directory of certificates chosen by the name the client asks for (SNI):
	 * NAME.crt + NAME.key or NAME/fullchain.pem + NAME/privkey.pem, NAME being a host name or
	 * "*.example.org".  An exact name wins; a client without SNI or with an unknown name gets the
	 * default certificate. */
	const char *sni_dir;
	struct net_tls_keys *keys; /* borrowed; NULL: no resumption */
	bool tls13_only;           /* refuse TLS 1.2 too */
	unsigned handshake_s;      /* 0: NET_TLS_HANDSHAKE_S */
};

/* NULL if a file is missing or bad, with the reason in the log. */
struct net_tls *net_tls_server_new(const struct net_tls_server_spec *spec, struct log *log);
/* Looks at the files now (streams ask for it at most each NET_TLS_CHECK_S by themselves, as a job).
 * False if something was broken; what is good has been taken over. */
bool net_tls_server_reload(struct net_tls *tls);

enum net_tls_verify {
	NET_TLS_ANY,         /* encrypt, accept every certificate (opportunistic, RFC 7435) */
	NET_TLS_CA,          /* a trusted CA and the right host name (RFC 6125) */
	NET_TLS_FINGERPRINT, /* exactly one of these certificates or keys, whoever vouches for them */
};

struct net_tls_client_spec {
	enum net_tls_verify verify;
	const char *ca_file; /* PEM bundle; NULL: the system's */
	/* NET_TLS_FINGERPRINT: each is the SHA-256 of the certificate or of its public key
	 * (SubjectPublicKeyInfo), as 64 hex digits, ':' allowed. */
	const char *const *fingerprints;
	size_t fingerprint_count;
	const char *certificate; /* ours, if the server wants one; else NULL */
	const char *key;
};
struct net_tls *net_tls_client_new(const struct net_tls_client_spec *spec, struct log *log);

void net_tls_free(struct net_tls *tls); /* NULL is fine; open streams keep what they need */

#endif
