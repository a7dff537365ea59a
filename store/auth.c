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
	unsigned protocol;
	bool app_only;
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
	auth->protocol = options->protocol;
	auth->app_only = options->app_only;
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

const char *
auth_outcome_name(enum auth_outcome outcome)
{
	static const char *const NAMES[AUTH_OUTCOME_COUNT] = {
		[AUTH_OK] = "ok",
		[AUTH_UNKNOWN] = "unknown-user",
		[AUTH_WRONG] = "wrong-password",
		[AUTH_INACTIVE] = "inactive",
		[AUTH_APP_ONLY] = "app-passwords-only",
		[AUTH_APP_EXPIRED] = "app-password-expired",
		[AUTH_APP_PROTOCOL] = "app-password-protocol",
		[AUTH_NO_KEYS] = "no-scram-keys",
		[AUTH_OTHER_USER] = "other-user",
	};

	return NAMES[outcome];
}

void
auth_login_free(struct auth_login *login)
{
	account_row_free(&login->row);
	*login = (struct auth_login){ .outcome = AUTH_UNKNOWN };
}

static enum store_err
verdict(const struct auth_login *login)
{
	return login->outcome == AUTH_OK ? STORE_OK : STORE_DENIED;
}

/* Gives the row of a login that succeeded; row_out may be NULL. */
static enum store_err
give(struct auth_login *login, enum store_err err, struct account_row *row_out)
{
	if (row_out != NULL)
		*row_out = (struct account_row){ 0 };
	if (row_out != NULL && err == STORE_OK) {
		*row_out = login->row;
		login->row = (struct account_row){ 0 };
	}
	auth_login_free(login);
	return err;
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

/* `remember` false: what is right but refused is no faster the second time. */
static bool
check(struct auth *auth, const struct account_row *row, struct str password, bool remember,
    bool *cached)
{
	uint8_t digest[DIGEST_BYTES];
	enum password_result result;

	*cached = false;
	if (remember) {
		cache_digest(auth, row, password, digest);
		*cached = cache_has(auth, digest);
	}
	if (*cached)
		return true;
	result = password_verify(row->password, password);
	if (result == PASSWORD_MATCH) {
		if (remember)
			cache_add(auth, digest);
		else if (!is_usual_scheme(auth, row->password))
			pretend(auth, password);
	} else if (result == PASSWORD_BAD_HASH) {
		log_warn(auth->log, "bad-password-hash", "user=%s@%s do=%s", row->localpart,
		    row->domain, "set the password anew, mailadmin passwd");
		pretend(auth, password);
	} else if (!is_usual_scheme(auth, row->password)) {
		pretend(auth, password); /* a {SHA} is no faster refused than an unknown user */
	}
	return result == PASSWORD_MATCH;
}

/* --- app passwords ------------------------------------------------------------------------------ */

static bool
is_app_only(const struct auth *auth, enum account_app_only only)
{
	return auth->protocol != 0 && (only == ACCOUNT_APP_ONLY_YES ||
					  (only == ACCOUNT_APP_ONLY_DEFAULT && auth->app_only));
}

/* The app password that was typed, by its place; `count` if it is none of them.  All are looked at. */
static size_t
find_app(const struct account_app *apps, size_t count, const char *normal)
{
	size_t found = count;

	for (size_t i = 0; i < count; i++)
		if (password_verify(apps[i].password, str_from(normal)) == PASSWORD_MATCH)
			found = i;
	return found;
}

static enum auth_outcome
judge_app(const struct auth *auth, const struct account_row *row, const struct account_app *app)
{
	return app->expires_s != 0 && app->expires_s <= time(NULL) ? AUTH_APP_EXPIRED
	       : (app->protocols & auth->protocol) == 0            ? AUTH_APP_PROTOCOL
	       : !row->active                                      ? AUTH_INACTIVE
								   : AUTH_OK;
}

/* False: it is none of the account's app passwords. */
static bool
try_apps(struct auth *auth, const struct account_login_facts *facts, struct str password,
    const char *normal, struct auth_login *login)
{
	size_t i = find_app(facts->apps, facts->app_count, normal);
	const struct account_app *app = &facts->apps[i];

	if (i == facts->app_count)
		return false;
	login->app_id = app->id;
	snprintf(login->app, sizeof(login->app), "%s", app->label);
	login->outcome = judge_app(auth, &login->row, app);
	login->cached = login->outcome == AUTH_OK;
	if (login->outcome != AUTH_OK)
		pretend(auth, password);
	return true;
}

static void
try_main(struct auth *auth, bool app_only, struct str password, struct auth_login *login)
{
	bool welcome = login->row.active && !app_only;

	if (!check(auth, &login->row, password, welcome, &login->cached))
		login->outcome = AUTH_WRONG;
	else
		login->outcome = !login->row.active ? AUTH_INACTIVE
				 : app_only         ? AUTH_APP_ONLY
						    : AUTH_OK;
}

enum store_err
auth_login(struct auth *auth, struct str user, struct str password, struct auth_login *login_out)
{
	char normal[ACCOUNT_APP_PASSWORD_CHARS + 1];
	bool app_like = auth->protocol != 0 && account_app_normalise(password, normal);
	struct account_login_facts facts = { 0 };
	enum store_err err, asked;

	*login_out = (struct auth_login){ .outcome = AUTH_UNKNOWN };
	err = find(auth, user, &login_out->row);
	if (err != STORE_OK && err != STORE_NOT_FOUND)
		return err;
	/* For nobody too: as many questions to the database. */
	asked = account_login_facts(auth->db, login_out->row.id, app_like, &facts);
	if (asked != STORE_OK)
		err = asked;
	else if (err == STORE_NOT_FOUND)
		pretend(auth, password);
	else if (!app_like || !try_apps(auth, &facts, password, normal, login_out))
		try_main(auth, is_app_only(auth, facts.only), password, login_out);
	account_apps_free(facts.apps, facts.app_count);
	mem_wipe(normal, sizeof(normal));
	return err == STORE_OK || err == STORE_NOT_FOUND ? verdict(login_out) : err;
}

enum store_err
auth_password(struct auth *auth, struct str user, struct str password, struct account_row *row_out,
    bool *cached_out)
{
	struct auth_login login;
	enum store_err err = auth_login(auth, user, password, &login);

	if (cached_out != NULL)
		*cached_out = login.cached;
	return give(&login, err, row_out);
}

enum store_err
auth_account(struct auth *auth, struct str user, struct account_row *row_out)
{
	struct auth_login login = { .outcome = AUTH_UNKNOWN };
	enum store_err err = find(auth, user, &login.row);

	if (err == STORE_NOT_FOUND || (err == STORE_OK && !login.row.active))
		err = STORE_DENIED;
	return give(&login, err, row_out);
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

static enum auth_outcome
judge_keys(const struct auth *auth, const struct account_row *row, enum account_app_only only,
    bool has_keys)
{
	return !row->active              ? AUTH_INACTIVE
	       : is_app_only(auth, only) ? AUTH_APP_ONLY
	       : !has_keys               ? AUTH_NO_KEYS
					 : AUTH_OK;
}

enum store_err
auth_login_keys(
    struct auth *auth, struct str user, struct scram_keys *keys_out, struct auth_login *login_out)
{
	struct account_login_facts facts = { 0 };
	enum store_err err, keys;
	bool has_keys;

	*login_out = (struct auth_login){ .outcome = AUTH_UNKNOWN };
	err = find(auth, user, &login_out->row);
	if (err != STORE_OK && err != STORE_NOT_FOUND)
		return err;
	if (err == STORE_OK)
		keys = keys_of_account(auth, &login_out->row, keys_out);
	else /* as many questions to the database */
		keys = account_db_scram_keys(auth->db, 0, keys_out);
	if (keys != STORE_OK && keys != STORE_NOT_FOUND)
		return keys;
	has_keys = keys == STORE_OK;
	keys = account_login_facts(auth->db, login_out->row.id, false, &facts);
	if (keys != STORE_OK)
		return keys;
	if (err == STORE_OK)
		login_out->outcome = judge_keys(auth, &login_out->row, facts.only, has_keys);
	if (login_out->outcome != AUTH_OK)
		invent_keys(auth, user, keys_out);
	return verdict(login_out);
}

enum store_err
auth_scram_keys(
    struct auth *auth, struct str user, struct scram_keys *keys_out, struct account_row *row_out)
{
	struct auth_login login;
	enum store_err err = auth_login_keys(auth, user, keys_out, &login);

	return give(&login, err, row_out);
}
