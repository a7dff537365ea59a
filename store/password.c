#include "store/password.h"

#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ARGON2_SALT_BYTES 16
#define ARGON2_HASH_BYTES 32
#define ARGON2_TEXT_BYTES 256
#define ARGON2_LANES_MAX  64
#define ARGON2_WORK_MAX   (16u << 20) /* KiB times passes */
#define BCRYPT_COST_MAX   16          /* a few seconds */
#define BCRYPT_COST       11
#define YESCRYPT_LOG2_MAX 18 /* N; with the usual r of 32: 1 GiB */
#define SHA_CRYPT_ROUNDS  100000
#define SSHA_SALT_BYTES   16

enum encoding { ENCODING_ANY, ENCODING_BASE64, ENCODING_HEX };

/* What a scheme's function gets: the text behind "{SCHEME}". */
struct stored {
	const struct scheme *scheme;
	struct str text; /* NUL-terminated too */
	enum encoding encoding;
};

typedef enum password_result (*verify_fn)(const struct stored *st, struct str password);

struct scheme {
	const char *name;
	verify_fn verify;
	const char *digest; /* of DIGEST and PBKDF2 schemes */
	bool salted;
};

static bool
same(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

static bool
same_text(struct str a, struct str b)
{
	return a.len == b.len && same(a.p, b.p, a.len);
}

static enum password_result
match_if(bool matches)
{
	return matches ? PASSWORD_MATCH : PASSWORD_WRONG;
}

/* --- text forms -------------------------------------------------------------------------------- */

/* Base64 with or without its padding; `plus` is the 63rd character ('.' in passlib's form). */
static bool
decode_base64(struct str text, char plus, struct buf *out)
{
	struct buf padded = { 0 };
	bool ok;

	buf_add(&padded, text.p, text.len);
	for (size_t i = 0; plus != '+' && i < padded.len; i++)
		if (padded.data[i] == plus)
			padded.data[i] = '+';
	while (padded.len % 4 != 0 && padded.len % 4 != 1)
		buf_addc(&padded, '=');
	ok = base64_decode(out, (struct str){ padded.data, padded.len });
	buf_free(&padded);
	return ok;
}

static bool
decode(struct str text, enum encoding encoding, struct buf *out)
{
	buf_reset(out);
	return encoding == ENCODING_HEX ? hex_decode(out, text) : decode_base64(text, '+', out);
}

/* The next piece up to `stop`, which is taken too; the last one ends with the text. */
static struct str
next_field(struct cursor *c, char stop)
{
	const char *end = memchr(c->p, stop, cursor_left(c));
	struct str field = { c->p, end != NULL ? (size_t)(end - c->p) : cursor_left(c) };

	c->p += field.len + (end != NULL);
	return field;
}

/* --- plain and digests ------------------------------------------------------------------------- */

static enum password_result
verify_plain(const struct stored *st, struct str password)
{
	return match_if(same_text(st->text, password));
}

/* `raw` = digest [salt]; the digest is over password [salt]. */
static enum password_result
compare_digest(const struct scheme *scheme, struct str raw, struct str password)
{
	const EVP_MD *md = EVP_get_digestbyname(scheme->digest);
	unsigned char digest[EVP_MAX_MD_SIZE];
	size_t digest_len = (size_t)EVP_MD_get_size(md);
	struct buf input = { 0 };
	bool ok;

	if (raw.len < digest_len || (raw.len > digest_len && !scheme->salted))
		return PASSWORD_BAD_HASH;
	buf_add(&input, password.p, password.len);
	buf_add(&input, raw.p + digest_len, raw.len - digest_len);
	ok = EVP_Digest(input.data, input.len, digest, NULL, md, NULL) == 1;
	if (input.len > 0)
		mem_wipe(input.data, input.len);
	buf_free(&input);
	return ok ? match_if(same(digest, raw.p, digest_len)) : PASSWORD_BAD_HASH;
}

/* Hex digits may be base64 as well, and say nothing of how long a salt is: where the scheme's name
 * does not tell, either reading may match. */
static enum password_result
verify_digest(const struct stored *st, struct str password)
{
	static const enum encoding BOTH[] = { ENCODING_BASE64, ENCODING_HEX };
	enum password_result result = PASSWORD_BAD_HASH;
	struct buf raw = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(BOTH) && result != PASSWORD_MATCH; i++) {
		enum password_result r;

		if (st->encoding != ENCODING_ANY && st->encoding != BOTH[i])
			continue;
		if (!decode(st->text, BOTH[i], &raw))
			continue;
		r = compare_digest(st->scheme, (struct str){ raw.data, raw.len }, password);
		if (r != PASSWORD_BAD_HASH)
			result = r;
	}
	buf_free(&raw);
	return result;
}

/* --- crypt(3) ---------------------------------------------------------------------------------- */

/* Where crypt's alphabet has the character, or -1. */
static int
crypt64_value(char c)
{
	static const char ALPHABET[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "abcdefghijklmnopqrstuvwxyz";
	const char *at = c != '\0' ? strchr(ALPHABET, c) : NULL;

	return at != NULL ? (int)(at - ALPHABET) : -1;
}

static bool
cost_none(struct str setting)
{
	(void)setting;
	return true;
}

/* "$6$rounds=5000$…" */
static bool
cost_rounds(struct str setting)
{
	struct cursor c = cursor_from(setting);
	uint64_t rounds;

	if (!cursor_take_nocase(&c, STR("rounds=")))
		return true;
	return cursor_take_u64(&c, &rounds) && rounds <= PASSWORD_ITERATIONS_MAX;
}

/* "$2y$05$…" */
static bool
cost_bcrypt(struct str setting)
{
	struct cursor c = cursor_from(setting);
	uint64_t cost;

	return cursor_take_u64(&c, &cost) && cost <= BCRYPT_COST_MAX;
}

/* "$y$j9T$…": flags, log2 N and r, a character each in their usual range. */
static bool
cost_yescrypt(struct str setting)
{
	return setting.len > 3 && setting.p[3] == '$' && setting.p[0] == 'j' &&
	       crypt64_value(setting.p[1]) >= 0 &&
	       crypt64_value(setting.p[1]) + 1 <= YESCRYPT_LOG2_MAX &&
	       crypt64_value(setting.p[2]) >= 0 && crypt64_value(setting.p[2]) < 32;
}

static const struct {
	struct str prefix;
	bool (*affordable)(struct str setting);
} CRYPT_KINDS[] = {
	{ STR("$1$"), cost_none },
	{ STR("$2a$"), cost_bcrypt },
	{ STR("$2b$"), cost_bcrypt },
	{ STR("$2x$"), cost_bcrypt },
	{ STR("$2y$"), cost_bcrypt },
	{ STR("$5$"), cost_rounds },
	{ STR("$6$"), cost_rounds },
	{ STR("$y$"), cost_yescrypt },
	{ STR("$gy$"), cost_yescrypt },
};

static bool
is_des_crypt(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (crypt64_value(text.p[i]) < 0)
			return false;
	return text.len == 13;
}

/* A kind we know, at a price we pay: what is in the database may come from anywhere. */
static bool
crypt_is_fine(struct str text)
{
	for (size_t i = 0; i < ARRAY_LEN(CRYPT_KINDS); i++) {
		size_t len = CRYPT_KINDS[i].prefix.len;

		if (str_has_prefix(text, CRYPT_KINDS[i].prefix))
			return CRYPT_KINDS[i].affordable(
			    (struct str){ text.p + len, text.len - len });
	}
	return is_des_crypt(text);
}

static enum password_result
verify_crypt(const struct stored *st, struct str password)
{
	enum password_result result = PASSWORD_BAD_HASH;
	struct crypt_data *data;
	char *phrase;
	const char *hash;

	if (!crypt_is_fine(st->text))
		return PASSWORD_BAD_HASH;
	data = mem_zalloc(sizeof(*data));
	phrase = mem_strndup(password.p, password.len);
	hash = crypt_r(phrase, st->text.p, data);
	/* Of another length: it was cut off, or its setting is not one, and nothing ever matches it. */
	if (hash != NULL && hash[0] != '*' && strlen(hash) == st->text.len)
		result = match_if(same_text(str_from(hash), st->text));
	mem_wipe(phrase, password.len);
	mem_wipe(data, sizeof(*data));
	free(phrase);
	free(data);
	return result;
}

/* --- argon2 ------------------------------------------------------------------------------------ */

/* "$argon2id$v=19$m=65536,t=3,p=1$salt$hash"; "v=" is missing in the oldest ones. */
static bool
argon2_is_fine(struct str text, argon2_type *type_out)
{
	struct cursor c = cursor_from(text);
	uint32_t memory_kib, passes, lanes, version;

	if (cursor_take_nocase(&c, STR("$argon2id$")))
		*type_out = Argon2_id;
	else if (cursor_take_nocase(&c, STR("$argon2i$")))
		*type_out = Argon2_i;
	else
		return false;
	if (cursor_take_nocase(&c, STR("v=")) &&
	    !(cursor_take_u32(&c, &version) && cursor_take(&c, '$')))
		return false;
	if (!cursor_take_nocase(&c, STR("m=")) || !cursor_take_u32(&c, &memory_kib) ||
	    !cursor_take_nocase(&c, STR(",t=")) || !cursor_take_u32(&c, &passes) ||
	    !cursor_take_nocase(&c, STR(",p=")) || !cursor_take_u32(&c, &lanes))
		return false;
	return memory_kib <= PASSWORD_COST_KIB_MAX && passes >= 1 && lanes <= ARGON2_LANES_MAX &&
	       passes <= ARGON2_WORK_MAX && (uint64_t)memory_kib * passes <= ARGON2_WORK_MAX;
}

static pthread_once_t sodium_once = PTHREAD_ONCE_INIT;
static bool sodium_is_ready;

static void
start_sodium(void)
{
	sodium_is_ready = sodium_init() >= 0;
}

/* libsodium computes the usual kind (argon2id, version 19) half as fast again as libargon2, and knows no
 * others.  It tells a wrong password from a broken hash no more than from success, so the form of the
 * hash is checked before. */
static bool
sodium_knows(struct str text)
{
	static const struct str KIND = { "$argon2id$v=19$", 15 };
	struct cursor c = cursor_from(text);
	size_t fields = 0;

	for (; c.p < c.end; c.p++) {
		if (*c.p == '$')
			fields++;
		else if (fields > 3 && !ascii_is_alnum(*c.p) && *c.p != '+' && *c.p != '/')
			return false;
	}
	pthread_once(&sodium_once, start_sodium);
	return sodium_is_ready && str_has_prefix(text, KIND) && fields == 5 &&
	       text.len < crypto_pwhash_STRBYTES;
}

static enum password_result
verify_by_sodium(struct str text, struct str password)
{
	char copy[crypto_pwhash_STRBYTES] = { 0 };

	memcpy(copy, text.p, text.len);
	return crypto_pwhash_str_verify(copy, password.p, password.len) == 0 ? PASSWORD_MATCH
									     : PASSWORD_WRONG;
}

static enum password_result
verify_argon2(const struct stored *st, struct str password)
{
	argon2_type type;

	if (!argon2_is_fine(st->text, &type))
		return PASSWORD_BAD_HASH;
	if (sodium_knows(st->text))
		return verify_by_sodium(st->text, password);
	switch (argon2_verify(st->text.p, password.p, password.len, type)) {
	case ARGON2_OK: return PASSWORD_MATCH;
	case ARGON2_VERIFY_MISMATCH: return PASSWORD_WRONG;
	default: return PASSWORD_BAD_HASH;
	}
}

/* --- PBKDF2 and SCRAM -------------------------------------------------------------------------- */

static enum password_result
compare_pbkdf2(
    const char *digest, struct str salt, uint64_t iterations, struct str want, struct str password)
{
	unsigned char got[EVP_MAX_MD_SIZE];

	if (iterations < 1 || iterations > PASSWORD_ITERATIONS_MAX || want.len < 16 ||
	    want.len > sizeof(got))
		return PASSWORD_BAD_HASH;
	if (PKCS5_PBKDF2_HMAC(password.p, (int)password.len, (const unsigned char *)salt.p,
		(int)salt.len, (int)iterations, EVP_get_digestbyname(digest), (int)want.len,
		got) != 1)
		return PASSWORD_BAD_HASH;
	return match_if(same(got, want.p, want.len));
}

/* Dovecot: "$1$" salt as it stands "$" iterations "$" hex; always SHA-1. */
static enum password_result
verify_pbkdf2_dovecot(struct cursor c, struct str password)
{
	struct str salt = next_field(&c, '$'), iterations = next_field(&c, '$');
	enum password_result result = PASSWORD_BAD_HASH;
	struct buf want = { 0 };
	uint64_t count;

	if (text_u64(iterations, PASSWORD_ITERATIONS_MAX, &count) &&
	    hex_decode(&want, (struct str){ c.p, cursor_left(&c) }))
		result = compare_pbkdf2(
		    "SHA1", salt, count, (struct str){ want.data, want.len }, password);
	buf_free(&want);
	return result;
}

/* passlib and OpenLDAP: iterations "$" salt "$" hash, both in base64 with '.' for '+', no '='. */
static enum password_result
verify_pbkdf2_fields(const char *digest, struct cursor c, struct str password)
{
	struct str iterations = next_field(&c, '$'), salt_text = next_field(&c, '$');
	enum password_result result = PASSWORD_BAD_HASH;
	struct buf salt = { 0 }, want = { 0 };
	uint64_t count;

	if (text_u64(iterations, PASSWORD_ITERATIONS_MAX, &count) &&
	    decode_base64(salt_text, '.', &salt) &&
	    decode_base64((struct str){ c.p, cursor_left(&c) }, '.', &want))
		result = compare_pbkdf2(digest, (struct str){ salt.data, salt.len }, count,
		    (struct str){ want.data, want.len }, password);
	buf_free(&salt);
	buf_free(&want);
	return result;
}

static enum password_result
verify_pbkdf2(const struct stored *st, struct str password)
{
	static const struct {
		struct str prefix;
		const char *digest;
	} FORMS[] = {
		{ STR("$pbkdf2-sha512$"), "SHA512" },
		{ STR("$pbkdf2-sha256$"), "SHA256" },
		{ STR("$pbkdf2-sha1$"), "SHA1" },
		{ STR("$pbkdf2$"), "SHA1" },
	};
	struct cursor c = cursor_from(st->text);

	if (cursor_take_nocase(&c, STR("$1$")))
		return verify_pbkdf2_dovecot(c, password);
	for (size_t i = 0; i < ARRAY_LEN(FORMS); i++)
		if (cursor_take_nocase(&c, FORMS[i].prefix))
			return verify_pbkdf2_fields(FORMS[i].digest, c, password);
	return verify_pbkdf2_fields(st->scheme->digest, c, password);
}

static bool
decode_exactly(struct str text, uint8_t *bytes, size_t len)
{
	struct buf out = { 0 };
	bool ok = decode_base64(text, '+', &out) && out.len == len;

	if (ok)
		memcpy(bytes, out.data, len);
	buf_free(&out);
	return ok;
}

/* iterations "," salt "," StoredKey "," ServerKey, all base64: as Dovecot writes it. */
static bool
parse_scram(struct str text, struct scram_keys *keys)
{
	struct cursor c = cursor_from(text);
	struct str iterations = next_field(&c, ','), salt_text = next_field(&c, ',');
	struct str stored = next_field(&c, ','), server = next_field(&c, ',');
	struct buf salt = { 0 };
	uint64_t count = 0;
	bool ok = text_u64(iterations, PASSWORD_ITERATIONS_MAX, &count) && count > 0 &&
		  decode_base64(salt_text, '+', &salt) && salt.len > 0 &&
		  salt.len <= SCRAM_SALT_MAX &&
		  decode_exactly(stored, keys->stored_key, SCRAM_KEY_BYTES) &&
		  decode_exactly(server, keys->server_key, SCRAM_KEY_BYTES);

	if (ok) {
		keys->iterations = (uint32_t)count;
		keys->salt_len = salt.len;
		memcpy(keys->salt, salt.data, salt.len);
	}
	buf_free(&salt);
	return ok;
}

static enum password_result
verify_scram(const struct stored *st, struct str password)
{
	struct scram_keys want, got;

	if (!parse_scram(st->text, &want))
		return PASSWORD_BAD_HASH;
	scram_keys_derive(password, want.salt, want.salt_len, want.iterations, &got);
	return match_if(same(got.stored_key, want.stored_key, SCRAM_KEY_BYTES));
}

/* --- the table --------------------------------------------------------------------------------- */

static const struct scheme SCHEMES[] = {
	{ "PLAIN", verify_plain, NULL, false },
	{ "CLEARTEXT", verify_plain, NULL, false },
	{ "CLEAR", verify_plain, NULL, false },
	{ "PLAIN-MD5", verify_digest, "MD5", false },
	{ "LDAP-MD5", verify_digest, "MD5", false },
	{ "MD5", verify_digest, "MD5", false },
	{ "SMD5", verify_digest, "MD5", true },
	{ "SHA", verify_digest, "SHA1", false },
	{ "SHA1", verify_digest, "SHA1", false },
	{ "SSHA", verify_digest, "SHA1", true },
	{ "SHA256", verify_digest, "SHA256", false },
	{ "SSHA256", verify_digest, "SHA256", true },
	{ "SHA512", verify_digest, "SHA512", false },
	{ "SSHA512", verify_digest, "SHA512", true },
	{ "CRYPT", verify_crypt, NULL, false },
	{ "DES-CRYPT", verify_crypt, NULL, false },
	{ "MD5-CRYPT", verify_crypt, NULL, false },
	{ "BLF-CRYPT", verify_crypt, NULL, false },
	{ "SHA256-CRYPT", verify_crypt, NULL, false },
	{ "SHA512-CRYPT", verify_crypt, NULL, false },
	{ "YESCRYPT", verify_crypt, NULL, false },
	{ "ARGON2I", verify_argon2, NULL, false },
	{ "ARGON2ID", verify_argon2, NULL, false },
	{ "PBKDF2", verify_pbkdf2, "SHA1", false },
	{ "PBKDF2-SHA1", verify_pbkdf2, "SHA1", false },
	{ "PBKDF2-SHA256", verify_pbkdf2, "SHA256", false },
	{ "PBKDF2-SHA512", verify_pbkdf2, "SHA512", false },
	{ "SCRAM-SHA-256", verify_scram, NULL, false },
};

static const struct scheme *
find_scheme(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++)
		if (str_eq_nocase(name, str_from(SCHEMES[i].name)))
			return &SCHEMES[i];
	return NULL;
}

static bool
split_encoding(struct str *name, enum encoding *encoding_out)
{
	const char *dot = memchr(name->p, '.', name->len);
	struct str suffix;

	*encoding_out = ENCODING_ANY;
	if (dot == NULL)
		return true;
	suffix = (struct str){ dot + 1, name->len - (size_t)(dot - name->p) - 1 };
	name->len = (size_t)(dot - name->p);
	if (str_eq_nocase(suffix, STR("hex")))
		*encoding_out = ENCODING_HEX;
	else if (str_eq_nocase(suffix, STR("b64")) || str_eq_nocase(suffix, STR("base64")))
		*encoding_out = ENCODING_BASE64;
	return *encoding_out != ENCODING_ANY;
}

/* Takes the stored text apart.  `decoded` keeps what {PLAIN.b64} and {CRYPT.hex} stand for. */
static bool
split(const char *stored, struct stored *st, struct buf *decoded)
{
	const char *close = stored[0] == '{' ? strchr(stored, '}') : NULL;
	struct str name;

	*st = (struct stored){ .text = str_from(stored) };
	if (st->text.len > PASSWORD_STORED_MAX)
		return false;
	if (close == NULL) {
		if (str_has_prefix(st->text, STR("$argon2")))
			name = STR("ARGON2ID");
		else if (str_has_prefix(st->text, STR("$pbkdf2")))
			name = STR("PBKDF2");
		else if (stored[0] == '$')
			name = STR("CRYPT");
		else
			return false;
	} else {
		name = (struct str){ stored + 1, (size_t)(close - stored) - 1 };
		st->text = str_from(close + 1);
		if (!split_encoding(&name, &st->encoding))
			return false;
	}
	if (str_eq_nocase(name, STR("MD5")) && str_has_prefix(st->text, STR("$1$")))
		name = STR("CRYPT");
	st->scheme = find_scheme(name);
	if (st->scheme == NULL)
		return false;
	if (st->encoding != ENCODING_ANY && st->scheme->verify != verify_digest) {
		if (!decode(st->text, st->encoding, decoded))
			return false;
		st->text = str_from(buf_cstr(decoded));
	}
	return true;
}

/* crypt's passwords end at a NUL, so none may hold one. */
static bool
is_possible(struct str password)
{
	return password.len <= PASSWORD_MAX_BYTES &&
	       (password.len == 0 || memchr(password.p, '\0', password.len) == NULL);
}

enum password_result
password_verify(const char *stored, struct str password)
{
	enum password_result result = PASSWORD_BAD_HASH;
	struct buf decoded = { 0 };
	struct stored st;

	if (!is_possible(password))
		return PASSWORD_WRONG;
	if (split(stored, &st, &decoded))
		result = st.scheme->verify(&st, password);
	buf_free(&decoded);
	return result;
}

bool
password_stored_ok(const char *stored, const char **why_out)
{
	struct buf decoded = { 0 };
	struct stored st;
	bool ok = split(stored, &st, &decoded);

	*why_out = "unknown password scheme";
	if (ok) /* computing it tells; the price has been looked at first */
		ok = st.scheme->verify(&st, STR("?")) != PASSWORD_BAD_HASH;
	if (!ok && st.scheme != NULL)
		*why_out = "malformed hash, or one that costs more than is allowed";
	buf_free(&decoded);
	return ok;
}

bool
password_plain(const char *stored, struct str *plain_out)
{
	struct buf decoded = { 0 };
	struct stored st;
	bool ok = split(stored, &st, &decoded) && st.scheme->verify == verify_plain &&
		  st.encoding == ENCODING_ANY;

	*plain_out = st.text;
	buf_free(&decoded);
	return ok;
}

/* --- creating ---------------------------------------------------------------------------------- */

static void
random_bytes(void *bytes, size_t len)
{
	if (RAND_bytes(bytes, (int)len) != 1) { /* without chance there are no secrets */
		fputs("no random numbers\n", stderr);
		abort();
	}
}

char *
password_create(struct str password)
{
	uint8_t salt[ARGON2_SALT_BYTES];
	char text[ARGON2_TEXT_BYTES];
	int err;

	random_bytes(salt, sizeof(salt));
	err = argon2id_hash_encoded(PASSWORD_ARGON2_T, PASSWORD_ARGON2_KIB, PASSWORD_ARGON2_LANES,
	    password.p, password.len, salt, sizeof(salt), ARGON2_HASH_BYTES, text, sizeof(text));
	if (err != ARGON2_OK) {
		fprintf(stderr, "argon2: %s\n", argon2_error_message(err));
		abort();
	}
	return mem_printf("{ARGON2ID}%s", text);
}

static char *
create_crypt(const char *name, const char *prefix, unsigned long cost, struct str password)
{
	struct crypt_data *data = mem_zalloc(sizeof(*data));
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	char *phrase = mem_strndup(password.p, password.len), *stored = NULL;
	const char *hash = NULL;

	if (crypt_gensalt_rn(prefix, cost, NULL, 0, setting, sizeof(setting)) != NULL)
		hash = crypt_r(phrase, setting, data);
	if (hash != NULL && hash[0] != '*')
		stored = mem_printf("{%s}%s", name, hash);
	mem_wipe(phrase, password.len);
	mem_wipe(data, sizeof(*data));
	free(phrase);
	free(data);
	return stored;
}

static char *
create_ssha512(struct str password)
{
	unsigned char raw[64 + SSHA_SALT_BYTES];
	struct buf input = { 0 }, out = { 0 };

	random_bytes(raw + 64, SSHA_SALT_BYTES);
	buf_add(&input, password.p, password.len);
	buf_add(&input, raw + 64, SSHA_SALT_BYTES);
	EVP_Digest(input.data, input.len, raw, NULL, EVP_sha512(), NULL);
	mem_wipe(input.data, input.len);
	buf_free(&input);
	buf_adds(&out, "{SSHA512}");
	base64_encode(&out, raw, sizeof(raw));
	return buf_take(&out);
}

char *
password_create_by(const char *scheme, struct str password)
{
	static const struct {
		const char *name, *prefix;
		unsigned long cost;
	} CRYPTS[] = {
		{ "YESCRYPT", "$y$", 0 }, /* libcrypt's default */
		{ "SHA512-CRYPT", "$6$", SHA_CRYPT_ROUNDS },
		{ "BLF-CRYPT", "$2b$", BCRYPT_COST },
	};

	if (!is_possible(password))
		return NULL;
	if (ascii_eq_nocase(scheme, "ARGON2ID"))
		return password_create(password);
	if (ascii_eq_nocase(scheme, "SSHA512"))
		return create_ssha512(password);
	if (ascii_eq_nocase(scheme, "PLAIN"))
		return mem_printf("{PLAIN}%.*s", (int)password.len, password.p);
	for (size_t i = 0; i < ARRAY_LEN(CRYPTS); i++)
		if (ascii_eq_nocase(scheme, CRYPTS[i].name))
			return create_crypt(
			    CRYPTS[i].name, CRYPTS[i].prefix, CRYPTS[i].cost, password);
	return NULL;
}

/* Groups of five, without letters and digits that look alike. */
char *
password_generate(void)
{
	static const char ALPHABET[33] = "abcdefghjkmnpqrstuvwxyz23456789A"; /* 32 of them */
	uint8_t bytes[20];
	struct buf out = { 0 };

	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		if (i > 0 && i % 5 == 0)
			buf_addc(&out, '-');
		buf_addc(&out, ALPHABET[bytes[i] % 32]);
	}
	mem_wipe(bytes, sizeof(bytes));
	return buf_take(&out);
}

/* --- SCRAM keys -------------------------------------------------------------------------------- */

/* SaltedPassword = Hi(password, salt, i); ClientKey = HMAC(SaltedPassword, "Client Key");
 * StoredKey = H(ClientKey); ServerKey = HMAC(SaltedPassword, "Server Key"), RFC 5802 §3. */
void
scram_keys_derive(struct str prepared, const uint8_t *salt, size_t salt_len, uint32_t iterations,
    struct scram_keys *keys_out)
{
	static const struct str CLIENT = STR("Client Key"), SERVER = STR("Server Key");
	uint8_t salted[SCRAM_KEY_BYTES], client[SCRAM_KEY_BYTES];
	struct scram_keys keys = { .salt_len = salt_len, .iterations = iterations };

	memcpy(keys.salt, salt, salt_len);
	if (PKCS5_PBKDF2_HMAC(prepared.p, (int)prepared.len, salt, (int)salt_len, (int)iterations,
		EVP_sha256(), SCRAM_KEY_BYTES, salted) != 1 ||
	    HMAC(EVP_sha256(), salted, SCRAM_KEY_BYTES, (const uint8_t *)CLIENT.p, CLIENT.len,
		client, NULL) == NULL ||
	    HMAC(EVP_sha256(), salted, SCRAM_KEY_BYTES, (const uint8_t *)SERVER.p, SERVER.len,
		keys.server_key, NULL) == NULL ||
	    EVP_Digest(client, SCRAM_KEY_BYTES, keys.stored_key, NULL, EVP_sha256(), NULL) != 1) {
		fputs("SHA-256 does not work\n", stderr);
		abort();
	}
	mem_wipe(salted, sizeof(salted));
	mem_wipe(client, sizeof(client));
	*keys_out = keys;
}

void
scram_keys_make(struct str prepared, struct scram_keys *keys_out)
{
	uint8_t salt[16];

	random_bytes(salt, sizeof(salt));
	scram_keys_derive(prepared, salt, sizeof(salt), PASSWORD_SCRAM_ITERATIONS, keys_out);
}

bool
scram_keys_from_stored(const char *stored, struct scram_keys *keys_out)
{
	struct buf decoded = { 0 };
	struct stored st;
	bool ok = split(stored, &st, &decoded) && st.scheme->verify == verify_scram &&
		  parse_scram(st.text, keys_out);

	buf_free(&decoded);
	return ok;
}
