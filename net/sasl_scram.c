/* SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, server side.  RFC 5802, 7677.
 *
 *   client-first   gs2-header n=user,r=nonce     server-first   r=nonce…,s=salt,i=count
 *   client-final   c=binding,r=nonce…,p=proof    server-final   v=signature, then an empty line back
 *
 * What always holds:
 * 1. -PLUS needs "p=" with a binding type we have data for; the plain name refuses "p=".  "y" is refused
 *    where -PLUS was on offer: somebody took it out of the list (RFC 5802 §6).
 * 2. A name without keys goes through the same steps with the backend's fake ones, and is denied at
 *    the same place as a wrong proof.
 * 3. Mandatory extensions ("m=") are refused, optional ones ignored (RFC 5802 §5.1). */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/sasl_mechanism.h"

#define NONCE_BYTES            18 /* random; 24 characters of base64 */
#define CLIENT_NONCE_MAX_BYTES 1024

enum scram_step { SCRAM_CLIENT_FIRST, SCRAM_CLIENT_FINAL, SCRAM_CLIENT_EMPTY };

struct scram {
	enum scram_step step;
	struct buf authzid;
	struct buf gs2_header;
	struct buf
	    auth_message; /* client-first-bare "," server-first "," client-final-without-proof */
	struct buf nonce; /* client's and ours */
	const unsigned char *binding; /* NULL without "p=" */
	size_t binding_len;
	struct sasl_scram_keys keys;
	enum sasl_verdict verdict;
};

static bool
scram_offered(const struct sasl_service *service, const struct sasl_channel *channel)
{
	(void)channel;
	return service->backend->scram_keys != NULL;
}

static bool
scram_plus_offered(const struct sasl_service *service, const struct sasl_channel *channel)
{
	return scram_offered(service, channel) &&
	       (channel->exporter_len > 0 || channel->end_point_len > 0);
}

static bool
scram_begin(struct sasl_session *s)
{
	s->state = mem_zalloc(sizeof(struct scram));
	return true;
}

static void
scram_end(struct sasl_session *s)
{
	struct scram *sc = s->state;

	buf_free(&sc->authzid);
	buf_free(&sc->gs2_header);
	buf_free(&sc->auth_message);
	buf_free(&sc->nonce);
	mem_wipe(sc, sizeof(*sc));
	free(sc);
}

static bool
is_value_char(char c)
{
	return c != ',' && c != '\0';
}

/* value-safe-char, RFC 5802 §7: what may stand in a saslname, "=" escapes aside */
static bool
decode_saslname(struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		struct str rest = { in.p + i, in.len - i };

		if (in.p[i] != '=') {
			buf_addc(out, in.p[i]);
			continue;
		}
		if (!str_has_prefix(rest, STR("=2C")) && !str_has_prefix(rest, STR("=3D")))
			return false;
		buf_addc(out, in.p[i + 1] == '2' ? ',' : '=');
		i += 2;
	}
	return in.len > 0;
}

/* cb-name's data on this connection; false if there is none of that type */
static bool
choose_binding(struct sasl_session *s, struct str name)
{
	struct scram *sc = s->state;

	if (str_eq(name, STR("tls-exporter"))) {
		sc->binding = s->channel.exporter;
		sc->binding_len = s->channel.exporter_len;
	} else if (str_eq(name, STR("tls-server-end-point"))) {
		sc->binding = s->channel.end_point;
		sc->binding_len = s->channel.end_point_len;
	}
	return sc->binding_len > 0;
}

/* gs2-cbind-flag = ("p=" cb-name) / "n" / "y", RFC 5802 §7 */
static enum sasl_status
parse_cbind_flag(struct sasl_session *s, struct cursor *c)
{
	bool plus = s->mechanism == &sasl_mechanism_scram_plus;
	bool bound = cursor_take(c, 'p');

	if (bound) {
		if (!cursor_take(c, '='))
			return SASL_STATUS_MALFORMED;
		if (!plus || !choose_binding(s, cursor_take_while(c, is_value_char)))
			return SASL_STATUS_DENIED;
	} else if (cursor_take(c, 'y')) {
		if (scram_plus_offered(s->service, &s->channel))
			return SASL_STATUS_DENIED;
	} else if (!cursor_take(c, 'n')) {
		return SASL_STATUS_MALFORMED;
	}
	if (plus && !bound)
		return SASL_STATUS_DENIED;
	return cursor_take(c, ',') ? SASL_STATUS_MORE : SASL_STATUS_MALFORMED;
}

/* gs2-header = gs2-cbind-flag "," [ "a=" saslname ] ",", RFC 5802 §7 */
static enum sasl_status
parse_gs2_header(struct sasl_session *s, struct cursor *c)
{
	struct scram *sc = s->state;
	const char *from = c->p;
	enum sasl_status status = parse_cbind_flag(s, c);

	if (status != SASL_STATUS_MORE)
		return status;
	if (cursor_take(c, 'a') &&
	    (!cursor_take(c, '=') ||
		!decode_saslname(cursor_take_while(c, is_value_char), &sc->authzid)))
		return SASL_STATUS_MALFORMED;
	if (!cursor_take(c, ','))
		return SASL_STATUS_MALFORMED;
	buf_add(&sc->gs2_header, from, (size_t)(c->p - from));
	return SASL_STATUS_MORE;
}

/* attr "=" value, the given attribute */
static bool
parse_attribute(struct cursor *c, char attribute, struct str *value_out)
{
	if (!cursor_take(c, attribute) || !cursor_take(c, '='))
		return false;
	*value_out = cursor_take_while(c, is_value_char);
	return value_out->len > 0;
}

/* extensions = attr-val *("," attr-val), ignored, up to the end; "m" is reserved and must fail */
static bool
skip_extensions(struct cursor *c)
{
	while (cursor_take(c, ',')) {
		if (cursor_at_end(c) || !ascii_is_alpha(*c->p) || *c->p == 'm')
			return false;
		c->p++;
		if (!cursor_take(c, '=') || cursor_take_while(c, is_value_char).len == 0)
			return false;
	}
	return cursor_at_end(c);
}

/* c-nonce = printable, RFC 5802 §7 */
static bool
is_nonce(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < '!' || s.p[i] > '~')
			return false;
	return s.len > 0 && s.len <= CLIENT_NONCE_MAX_BYTES;
}

/* client-first-message-bare = username "," nonce ["," extensions], RFC 5802 §7 */
static bool
parse_client_first_bare(struct sasl_session *s, struct cursor *c)
{
	struct scram *sc = s->state;
	struct buf name = { 0 };
	struct str value, nonce;
	bool ok;

	buf_add(&sc->auth_message, c->p, cursor_left(c));
	ok = parse_attribute(c, 'n', &value) && decode_saslname(value, &name) &&
	     sasl_session_claim(s, buf_str(&name));
	buf_free(&name);
	ok = ok && cursor_take(c, ',') && parse_attribute(c, 'r', &nonce) && is_nonce(nonce) &&
	     skip_extensions(c);
	if (ok)
		buf_add(&sc->nonce, nonce.p, nonce.len);
	return ok;
}

static bool
keys_are_sane(const struct sasl_scram_keys *keys)
{
	return keys->salt_len > 0 && keys->salt_len <= sizeof(keys->salt) && keys->iterations > 0;
}

/* server-first-message = nonce "," salt "," iteration-count, RFC 5802 §7 */
static bool
write_server_first(struct scram *sc, struct buf *out)
{
	unsigned char random[NONCE_BYTES];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	base64_encode(&sc->nonce, random, sizeof(random));
	buf_adds(out, "r=");
	buf_add(out, sc->nonce.data, sc->nonce.len);
	buf_adds(out, ",s=");
	base64_encode(out, sc->keys.salt, sc->keys.salt_len);
	buf_printf(out, ",i=%u", sc->keys.iterations);
	buf_addc(&sc->auth_message, ',');
	buf_add(&sc->auth_message, out->data, out->len);
	return true;
}

static enum sasl_status
step_client_first(struct sasl_session *s, struct str in, struct buf *out)
{
	struct scram *sc = s->state;
	struct cursor c = cursor_from(in);
	enum sasl_status status = parse_gs2_header(s, &c);

	if (status != SASL_STATUS_MORE)
		return status;
	if (!parse_client_first_bare(s, &c))
		return SASL_STATUS_MALFORMED;
	sc->verdict = s->service->backend->scram_keys(
	    s->service->arg, s->user.data, &sc->keys, &s->login, &s->note);
	if (sc->verdict == SASL_VERDICT_TEMPFAIL || !keys_are_sane(&sc->keys) ||
	    !write_server_first(sc, out))
		return SASL_STATUS_TEMPFAIL;
	sc->step = SCRAM_CLIENT_FINAL;
	return SASL_STATUS_MORE;
}

/* cbind-input = gs2-header [ cbind-data ], in base64, RFC 5802 §7 */
static bool
binding_matches(const struct scram *sc, struct str value)
{
	struct buf input = { 0 }, text = { 0 };
	bool ok;

	buf_add(&input, sc->gs2_header.data, sc->gs2_header.len);
	buf_add(&input, sc->binding, sc->binding_len);
	base64_encode(&text, input.data, input.len);
	ok = str_eq(value, buf_str(&text));
	buf_free(&input);
	buf_free(&text);
	return ok;
}

static bool
hmac(const unsigned char key[static SASL_KEY_BYTES], struct str text,
    unsigned char out[static SASL_KEY_BYTES])
{
	unsigned len = 0;

	return HMAC(EVP_sha256(), key, SASL_KEY_BYTES, (const unsigned char *)text.p, text.len, out,
		   &len) != NULL &&
	       len == SASL_KEY_BYTES;
}

/* H(ClientProof XOR HMAC(StoredKey, AuthMessage)) = StoredKey, RFC 5802 §3 */
static bool
proof_matches(const struct scram *sc, const unsigned char proof[static SASL_KEY_BYTES])
{
	unsigned char key[SASL_KEY_BYTES], digest[SASL_KEY_BYTES];
	bool ok = hmac(sc->keys.stored_key, buf_str(&sc->auth_message), key);

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] ^= proof[i];
	ok = ok && EVP_Digest(key, sizeof(key), digest, NULL, EVP_sha256(), NULL) == 1 &&
	     CRYPTO_memcmp(digest, sc->keys.stored_key, sizeof(digest)) == 0;
	mem_wipe(key, sizeof(key));
	return ok;
}

/* client-final-message = channel-binding "," nonce ["," extensions] "," proof, RFC 5802 §7.
 * The proof is the last attribute. */
static bool
parse_client_final(struct scram *sc, struct str in, struct str *binding_out, struct str *nonce_out,
    struct buf *proof_out)
{
	size_t end = in.len;
	struct cursor c;
	struct str proof;

	while (end > 0 && in.p[end - 1] != ',')
		end--;
	if (end == 0)
		return false;
	c = (struct cursor){ in.p + end, in.p + in.len };
	if (!parse_attribute(&c, 'p', &proof) || !cursor_at_end(&c) ||
	    !base64_decode(proof_out, proof) || proof_out->len != SASL_KEY_BYTES)
		return false;
	buf_addc(&sc->auth_message, ',');
	buf_add(&sc->auth_message, in.p, end - 1);
	c = (struct cursor){ in.p, in.p + end - 1 };
	return parse_attribute(&c, 'c', binding_out) && cursor_take(&c, ',') &&
	       parse_attribute(&c, 'r', nonce_out) && skip_extensions(&c);
}

static enum sasl_status
step_client_final(struct sasl_session *s, struct str in, struct buf *out)
{
	struct scram *sc = s->state;
	struct str binding, nonce;
	struct buf proof = { 0 };
	unsigned char signature[SASL_KEY_BYTES];
	enum sasl_status status = SASL_STATUS_MALFORMED;

	if (!parse_client_final(sc, in, &binding, &nonce, &proof))
		goto out;
	status = SASL_STATUS_DENIED;
	if (!proof_matches(sc, (const unsigned char *)proof.data) ||
	    sc->verdict != SASL_VERDICT_OK || !binding_matches(sc, binding) ||
	    !str_eq(nonce, buf_str(&sc->nonce)))
		goto out;
	status = SASL_STATUS_NOT_AUTHORIZED;
	if (!sasl_session_may_act_as(s, buf_str(&sc->authzid)))
		goto out;
	status = SASL_STATUS_TEMPFAIL;
	if (!hmac(sc->keys.server_key, buf_str(&sc->auth_message), signature))
		goto out;
	buf_adds(out, "v=");
	base64_encode(out, signature, sizeof(signature));
	sc->step = SCRAM_CLIENT_EMPTY;
	status = SASL_STATUS_MORE;
out:
	buf_free(&proof);
	return status;
}

static enum sasl_status
scram_step(struct sasl_session *s, struct str in, struct buf *out)
{
	struct scram *sc = s->state;

	switch (sc->step) {
	case SCRAM_CLIENT_FIRST: return step_client_first(s, in, out);
	case SCRAM_CLIENT_FINAL: return step_client_final(s, in, out);
	case SCRAM_CLIENT_EMPTY: return in.len == 0 ? SASL_STATUS_DONE : SASL_STATUS_MALFORMED;
	}
	return SASL_STATUS_MALFORMED;
}

static bool
scram_is_last(const struct sasl_session *s)
{
	const struct scram *sc = s->state;

	return sc != NULL && sc->step == SCRAM_CLIENT_EMPTY;
}

const struct sasl_mechanism sasl_mechanism_scram = {
	.name = "SCRAM-SHA-256",
	.offered = scram_offered,
	.begin = scram_begin,
	.step = scram_step,
	.is_last = scram_is_last,
	.end = scram_end,
};

const struct sasl_mechanism sasl_mechanism_scram_plus = {
	.name = "SCRAM-SHA-256-PLUS",
	.offered = scram_plus_offered,
	.begin = scram_begin,
	.step = scram_step,
	.is_last = scram_is_last,
	.end = scram_end,
};
