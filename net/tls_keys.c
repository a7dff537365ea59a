/* Ticket keys.  A secret moves one step per epoch, s' = SHA-256(s, "next"), in every process by itself;
 * the keys of an epoch are hashes of its secret.  Who steals the memory of a process cannot step
 * back, so tickets recorded more than two epochs ago stay closed. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "net/internal.h"
#include "net/tls.h"

#define HASH_BYTES        32
#define TICKET_NAME_BYTES 16

struct key {
	unsigned char name[HASH_BYTES]; /* the first TICKET_NAME_BYTES go into the ticket */
	unsigned char aes[HASH_BYTES];
	unsigned char mac[HASH_BYTES];
};

struct net_tls_keys {
	int64_t epoch;
	unsigned char secret[HASH_BYTES];
	struct key now, before;
};

static void
derive(const unsigned char *secret, const char *label, unsigned char *out)
{
	unsigned char in[HASH_BYTES + 8] = { 0 };

	memcpy(in, secret, HASH_BYTES);
	memcpy(in + HASH_BYTES, label, strlen(label));
	EVP_Digest(in, sizeof(in), out, NULL, EVP_sha256(), NULL);
	mem_wipe(in, sizeof(in));
}

static void
derive_now(struct net_tls_keys *keys)
{
	derive(keys->secret, "name", keys->now.name);
	derive(keys->secret, "aes", keys->now.aes);
	derive(keys->secret, "mac", keys->now.mac);
}

static int64_t
epoch_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec / NET_TLS_TICKET_EPOCH_S;
}

struct net_tls_keys *
net_tls_keys_new(void)
{
	struct net_tls_keys *keys = mem_zalloc(sizeof(*keys));

	if (RAND_bytes(keys->secret, HASH_BYTES) != 1 ||
	    RAND_bytes((unsigned char *)&keys->before, sizeof(keys->before)) != 1)
		abort(); /* no randomness: nothing here is safe */
	keys->epoch = epoch_now();
	derive_now(keys);
	return keys;
}

void
net_tls_keys_step(struct net_tls_keys *keys)
{
	int64_t now = epoch_now();
	unsigned char next[HASH_BYTES];

	for (; keys->epoch < now; keys->epoch++) {
		derive(keys->secret, "next", next);
		memcpy(keys->secret, next, HASH_BYTES);
		keys->before = keys->now;
		derive_now(keys);
	}
}

void
net_tls_keys_free(struct net_tls_keys *keys)
{
	if (keys == NULL)
		return;
	mem_wipe(keys, sizeof(*keys));
	free(keys);
}

static bool
use_key(
    const struct key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
		    OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac, HASH_BYTES),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){ "SHA256" }, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1 &&
	       EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv, encrypt) == 1;
}

/* As SSL_CTX_set_tlsext_ticket_key_evp_cb() wants it: 1 good, 2 good but old, 0 unknown, -1 error. */
int
net_tls_keys_ticket(struct net_tls_keys *keys, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	net_tls_keys_step(keys);
	if (encrypt) {
		memcpy(name, keys->now.name, TICKET_NAME_BYTES);
		return RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
			       use_key(&keys->now, iv, cipher, mac, 1)
			   ? 1
			   : -1;
	}
	if (memcmp(name, keys->now.name, TICKET_NAME_BYTES) == 0)
		return use_key(&keys->now, iv, cipher, mac, 0) ? 1 : -1;
	if (memcmp(name, keys->before.name, TICKET_NAME_BYTES) == 0)
		return use_key(&keys->before, iv, cipher, mac, 0) ? 2 : -1;
	return 0;
}
