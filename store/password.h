/* Stored passwords: "{SCHEME}hash", as Dovecot and Exim write them; the scheme in any letter case.
 *
 * Verified: {PLAIN} {CLEARTEXT} {CLEAR}, {MD5} (crypt's $1$ or a digest) {PLAIN-MD5} {LDAP-MD5}
 * {SMD5}, {SHA} {SHA1} {SSHA}, {SHA256} {SSHA256}, {SHA512} {SSHA512}, {CRYPT} and its kinds {DES-CRYPT}
 * {MD5-CRYPT} {BLF-CRYPT} {SHA256-CRYPT} {SHA512-CRYPT} {YESCRYPT}, {ARGON2I} {ARGON2ID}, {PBKDF2}
 * (Dovecot's form and $pbkdf2-sha256$…), {PBKDF2-SHA256} and its like (OpenLDAP's), {SCRAM-SHA-256}.
 * Digests are hex or base64; {SCHEME.hex} and {SCHEME.b64} say so.
 * Without {SCHEME}, what starts with '$' is crypt's, argon2's or pbkdf2's.
 * Compares take the same time for equal lengths.  These functions burn CPU: pool threads only. */
#ifndef STORE_PASSWORD_H
#define STORE_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define PASSWORD_MAX_BYTES        512 /* longer ones are wrong without being looked at */
#define PASSWORD_STORED_MAX       1024
#define PASSWORD_ARGON2_T         2             /* what we create: passes, */
#define PASSWORD_ARGON2_KIB       (19 * 1024)   /* memory, */
#define PASSWORD_ARGON2_LANES     1             /* lanes */
#define PASSWORD_COST_KIB_MAX     (1024 * 1024) /* stored hashes that cost more are refused */
#define PASSWORD_ITERATIONS_MAX   10000000      /* of PBKDF2, SCRAM and sha-crypt rounds */
#define PASSWORD_SCRAM_ITERATIONS 10000         /* RFC 7677 §4: at least 4096 */

enum password_result {
	PASSWORD_MATCH = 0,
	PASSWORD_WRONG,
	PASSWORD_BAD_HASH, /* unknown scheme, malformed, or dearer than our limits */
};

enum password_result password_verify(const char *stored, struct str password);
/* Could this ever match?  What is wrong with it goes into *why_out (static text). */
bool password_stored_ok(const char *stored, const char **why_out);

/* Hashes with a fresh salt as {ARGON2ID}; the caller frees it. */
char *password_create(struct str password);
/* By another scheme of the list (for what else reads the database); NULL if we do not create it.
 * {ARGON2ID} {YESCRYPT} {SHA512-CRYPT} {BLF-CRYPT} {SSHA512} {PLAIN}. */
char *password_create_by(const char *scheme, struct str password);
/* What people type well: 20 characters, about 100 bits.  The caller wipes and frees it. */
char *password_generate(void);

/* Keys of SCRAM-SHA-256, RFC 5802 §3 and RFC 7677: enough to check a proof and to prove ourselves,
 * not to log in.  Passwords for them have been through SASLprep (net/sasl_prep.h). */
#define SCRAM_KEY_BYTES 32
#define SCRAM_SALT_MAX  64
struct scram_keys {
	uint8_t salt[SCRAM_SALT_MAX];
	size_t salt_len;
	uint32_t iterations;
	uint8_t stored_key[SCRAM_KEY_BYTES], server_key[SCRAM_KEY_BYTES];
};
void scram_keys_make(struct str prepared, struct scram_keys *keys_out); /* fresh salt */
/* `salt_len` is at most SCRAM_SALT_MAX. */
void scram_keys_derive(struct str prepared, const uint8_t *salt, size_t salt_len,
    uint32_t iterations, struct scram_keys *keys_out);
/* The keys that a stored {SCRAM-SHA-256} holds; false if it is something else. */
bool scram_keys_from_stored(const char *stored, struct scram_keys *keys_out);
/* What a {PLAIN} or {CLEARTEXT} holds; false if it is something else. */
bool password_plain(const char *stored, struct str *plain_out);

#endif
