#include "store/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"

#define AUTH_USER_MAX_BYTES 1024
#define CACHE_WAYS          4 /* entries that share a slot; the one that ends first gives way */
#define DIGEST_BYTES        32

struct entry {
	uint8_t digest[DIGEST_BYTES];
	int64_t ends_s; /* monotonic; 0: free */
};

struct auth {
	struct account_db *db;
	const struct log *log;
	char *default_domain;
	int64_t cache_ttl_s;
	bool (*prepare)(struct str in, struct buf *out);
	uint8_t key[DIGEST_BYTES];               /* of the cache's digests; this process's alone */
	uint8_t secret[ACCOUNT_DB_SECRET_BYTES]; /* of invented SCRAM keys */
	char *dummy;                             /* what unknown users are checked against */
	pthread_mutex_t mutex;                   /* entries */
	struct entry entries[AUTH_CACHE_ENTRIES];
};

static int64_t
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + 1;
}

static void
random_bytes(uint8_t *bytes, size_t len)
{
	if (RAND_bytes(bytes, (int)len) != 1) {
		fputs("no random numbers\n", stderr);
		abort();
	}
}

struct auth *
auth_new(struct account_db *db, const struct auth_options *options, const struct log *log)
{
	struct auth *auth = mem_zalloc(sizeof(*auth));
	uint8_t nobody[DIGEST_BYTES];

	auth->db = db;
	auth->log = log;
	auth->cache_ttl_s = (int64_t)options->cache_ttl_s;
	auth->prepare = options->prepare;
	if (options->default_domain != NULL)
		auth->default_domain = mem_strdup(options->default_domain);
	random_bytes(auth->key, sizeof(auth->key));
	random_bytes(nobody, sizeof(nobody));
	auth->dummy = password_create((struct str){ (const char *)nobody, sizeof(nobody) });
	if (account_db_secret(db, auth->secret) != STORE_OK)
		random_bytes(auth->secret, sizeof(auth->secret)); /* good until we restart */
	pthread_mutex_init(&auth->mutex, NULL);
	return auth;
}

void
auth_free(struct auth *auth)
{
	if (auth == NULL)
		return;
	pthread_mutex_destroy(&auth->mutex);
	free(auth->default_domain);
	free(auth->dummy);
	mem_wipe(auth, sizeof(*auth));
	free(auth);
}

/* --- verified passwords ------------------------------------------------------------------------ */

/* HMAC(key, id, stored hash, password): all that, if it changes, must forget. */
static void
cache_digest(const struct auth *auth, const struct account_row *row, struct str password,
    uint8_t digest_out[DIGEST_BYTES])
{
	struct buf input = { 0 };

	buf_add(&input, &row->id, sizeof(row->id));
	buf_add(&input, row->password, strlen(row->password) + 1);
	buf_add(&input, password.p, password.len);
	HMAC(EVP_sha256(), auth->key, sizeof(auth->key), (const uint8_t *)input.data, input.len,
	    digest_out, NULL);
	mem_wipe(input.data, input.len);
	buf_free(&input);
}

static struct entry *
cache_slot(struct auth *auth, const uint8_t digest[DIGEST_BYTES])
{
	uint32_t n;

	memcpy(&n, digest, sizeof(n));
	return &auth->entries[n % (AUTH_CACHE_ENTRIES / CACHE_WAYS) * CACHE_WAYS];
}

static bool
cache_has(struct auth *auth, const uint8_t digest[DIGEST_BYTES])
{
	const struct entry *slot = cache_slot(auth, digest);
	int64_t now = now_s();
	bool found = false;

	pthread_mutex_lock(&auth->mutex);
	for (size_t i = 0; i < CACHE_WAYS; i++)
		if (slot[i].ends_s > now &&
		    CRYPTO_memcmp(slot[i].digest, digest, DIGEST_BYTES) == 0)
			found = true;
	pthread_mutex_unlock(&auth->mutex);
	return found;
}

static void
cache_add(struct auth *auth, const uint8_t digest[DIGEST_BYTES])
{
	struct entry *slot = cache_slot(auth, digest), *oldest = slot;

	if (auth->cache_ttl_s == 0)
		return;
	pthread_mutex_lock(&auth->mutex);
	for (size_t i = 1; i < CACHE_WAYS; i++)
		if (slot[i].ends_s < oldest->ends_s)
			oldest = &slot[i];
	memcpy(oldest->digest, digest, DIGEST_BYTES);
	oldest->ends_s = now_s() + auth->cache_ttl_s;
	pthread_mutex_unlock(&auth->mutex);
}

void
auth_forget(struct auth *auth)
{
	pthread_mutex_lock(&auth->mutex);
	mem_wipe(auth->entries, sizeof(auth->entries));
	pthread_mutex_unlock(&auth->mutex);
}

/* --- who --------------------------------------------------------------------------------------- */

/* The whole address of a login name; the caller's. */
static char *
full_name(const struct auth *auth, struct str user)
{
	struct buf full = { 0 };

	buf_add(&full, user.p, user.len);
	if (auth->default_domain != NULL && str_find(user, STR("@")) == SIZE_MAX)
		buf_printf(&full, "@%s", auth->default_domain);
	return buf_take(&full);
}

/* The account of a login name, active or not.  A name that cannot be is one that is not there. */
static enum store_err
find(struct auth *auth, struct str user, struct account_row *row)
{
	enum store_err err = STORE_INVALID;
	char *full = full_name(auth, user);

	*row = (struct account_row){ 0 };
	if (user.len <= AUTH_USER_MAX_BYTES && strlen(full) >= user.len) /* no NUL inside */
		err = account_db_find_address(auth->db, str_from(full), row);
	free(full);
	return err == STORE_INVALID ? STORE_NOT_FOUND : err;
}

static enum store_err
give(struct account_row *row, struct account_row *row_out)
{
	if (row_out != NULL)
		*row_out = *row;
	else
		account_row_free(row);
	return STORE_OK;
}

static enum store_err
deny(struct account_row *row)
{
	account_row_free(row);
	return STORE_DENIED;
}

/* Is this hash of the scheme that unknown users are checked against? */
static bool
is_usual_scheme(const struct auth *auth, const char *stored)
{
	const char *end = strchr(auth->dummy, '}');

	return end != NULL && strncmp(auth->dummy, stored, (size_t)(end - auth->dummy)) == 0;
}

/* The work of a check for somebody who is not there. */
static void
pretend(const struct auth *auth, struct str password)
{
	(void)password_verify(auth->dummy, password);
}

static bool
check(struct auth *auth, const struct account_row *row, struct str password, bool *cached)
{
	uint8_t digest[DIGEST_BYTES];
	enum password_result result;

	cache_digest(auth, row, password, digest);
	*cached = cache_has(auth, digest);
	if (*cached)
		return true;
	result = password_verify(row->password, password);
	if (result == PASSWORD_MATCH) {
		cache_add(auth, digest);
	} else if (result == PASSWORD_BAD_HASH) {
		log_warn(auth->log, "bad-password-hash", "user=%s@%s do=%s", row->localpart,
		    row->domain, "set the password anew, mailadmin passwd");
		pretend(auth, password);
	} else if (!is_usual_scheme(auth, row->password)) {
		pretend(auth, password); /* a {SHA} is no faster refused than an unknown user */
	}
	return result == PASSWORD_MATCH;
}

enum store_err
auth_password(struct auth *auth, struct str user, struct str password, struct account_row *row_out,
    bool *cached_out)
{
	struct account_row row;
	enum store_err err;
	bool cached = false, right;

	if (row_out != NULL)
		*row_out = (struct account_row){ 0 };
	err = find(auth, user, &row);
	if (err == STORE_NOT_FOUND) {
		pretend(auth, password);
		err = STORE_DENIED;
	} else if (err == STORE_OK) {
		right = check(auth, &row, password, &cached);
		err = right && row.active ? give(&row, row_out) : deny(&row);
	}
	if (cached_out != NULL)
		*cached_out = cached;
	return err;
}

enum store_err
auth_account(struct auth *auth, struct str user, struct account_row *row_out)
{
	struct account_row row;
	enum store_err err = find(auth, user, &row);

	if (row_out != NULL)
		*row_out = (struct account_row){ 0 };
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_DENIED : err;
	return row.active ? give(&row, row_out) : deny(&row);
}

/* --- SCRAM ------------------------------------------------------------------------------------- */

/* HMAC(secret, purpose, name in lower case). */
static void
invent(const struct auth *auth, const char *purpose, const char *name, uint8_t out[DIGEST_BYTES])
{
	struct buf input = { 0 };

	buf_add(&input, purpose, strlen(purpose) + 1);
	buf_adds(&input, name);
	ascii_lower_all(input.data, input.len);
	HMAC(EVP_sha256(), auth->secret, sizeof(auth->secret), (const uint8_t *)input.data,
	    input.len, out, NULL);
	buf_free(&input);
}

static void
invent_keys(const struct auth *auth, struct str user, struct scram_keys *keys)
{
	char *name = full_name(auth, user);

	*keys = (struct scram_keys){ .salt_len = 16, .iterations = PASSWORD_SCRAM_ITERATIONS };
	invent(auth, "salt", name, keys->salt);
	memset(keys->salt + 16, 0, DIGEST_BYTES - 16);
	invent(auth, "stored key", name, keys->stored_key);
	invent(auth, "server key", name, keys->server_key);
	free(name);
}

static bool
keys_of_plain(const struct auth *auth, const struct account_row *row, struct scram_keys *keys)
{
	struct buf prepared = { 0 };
	uint8_t salt[DIGEST_BYTES];
	struct str plain;
	bool ok = auth->prepare != NULL && password_plain(row->password, &plain) &&
		  auth->prepare(plain, &prepared);

	if (ok) {
		char *address = account_row_address(row);

		invent(auth, "salt", address, salt);
		scram_keys_derive((struct str){ prepared.data, prepared.len }, salt, 16,
		    PASSWORD_SCRAM_ITERATIONS, keys);
		free(address);
	}
	if (prepared.len > 0)
		mem_wipe(prepared.data, prepared.len);
	buf_free(&prepared);
	return ok;
}

/* NOT_FOUND where the account has none. */
static enum store_err
keys_of_account(struct auth *auth, const struct account_row *row, struct scram_keys *keys)
{
	enum store_err err = account_db_scram_keys(auth->db, row->id, keys);

	if (err == STORE_NOT_FOUND &&
	    (scram_keys_from_stored(row->password, keys) || keys_of_plain(auth, row, keys)))
		err = STORE_OK;
	return err;
}

enum store_err
auth_scram_keys(
    struct auth *auth, struct str user, struct scram_keys *keys_out, struct account_row *row_out)
{
	struct account_row row;
	enum store_err err = find(auth, user, &row);

	if (row_out != NULL)
		*row_out = (struct account_row){ 0 };
	if (err == STORE_OK)
		err = keys_of_account(auth, &row, keys_out);
	else if (err == STORE_NOT_FOUND) /* as many questions to the database */
		err = account_db_scram_keys(auth->db, 0, keys_out);
	if (err == STORE_OK && row.active)
		return give(&row, row_out);
	account_row_free(&row);
	if (err != STORE_OK && err != STORE_NOT_FOUND)
		return err;
	invent_keys(auth, user, keys_out);
	return STORE_DENIED;
}
