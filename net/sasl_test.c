/* The SCRAM client below is written from RFC 5802 by itself, so that both sides do not share a mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/sasl.h"
#include "net/sasl_prep.h"

#define ITERATIONS 4096
#define PW                                                                                         \
	"s\xc3\xa9"                                                                                \
	"cret"

static const unsigned char SALT[] = "0123456789abcde";

static void
derive(const char *password, unsigned char salted[32])
{
	PKCS5_PBKDF2_HMAC(password, (int)strlen(password), SALT, sizeof(SALT), ITERATIONS,
	    EVP_sha256(), 32, salted);
}

static void
mac(const unsigned char *key, struct str text, unsigned char out[32])
{
	HMAC(EVP_sha256(), key, 32, (const unsigned char *)text.p, text.len, out, NULL);
}

static enum sasl_verdict
verify_password(void *arg, const char *user, struct str password, const char *peer,
    struct buf *login_out, struct buf *note_out)
{
	(void)note_out;
	(void)arg;
	(void)peer;
	if (strcmp(user, "down") == 0)
		return SASL_VERDICT_TEMPFAIL;
	if ((strcmp(user, "ann") != 0 && strcmp(user, "ann@example.org") != 0) ||
	    !str_eq(password, STR(PW)))
		return SASL_VERDICT_DENIED;
	buf_adds(login_out, "ann@example.org");
	return SASL_VERDICT_OK;
}

static enum sasl_verdict
scram_keys(void *arg, const char *user, struct sasl_scram_keys *keys, struct buf *login_out,
    struct buf *note_out)
{
	(void)note_out;
	unsigned char salted[32], client_key[32];
	(void)arg;

	if (strcmp(user, "down") == 0)
		return SASL_VERDICT_TEMPFAIL;
	derive(PW, salted);
	memcpy(keys->salt, SALT, sizeof(SALT));
	keys->salt_len = sizeof(SALT);
	keys->iterations = ITERATIONS;
	mac(salted, STR("Client Key"), client_key);
	EVP_Digest(client_key, 32, keys->stored_key, NULL, EVP_sha256(), NULL);
	mac(salted, STR("Server Key"), keys->server_key);
	if (strcmp(user, "ann") != 0 && strcmp(user, "a,n=n") != 0)
		return SASL_VERDICT_DENIED;
	buf_adds(login_out, "ann@example.org");
	return SASL_VERDICT_OK;
}

static const struct sasl_backend BACKEND = { verify_password, scram_keys };
static const struct sasl_service SERVICE = { .name = "smtp", .backend = &BACKEND };

static struct sasl_channel
channel(bool tls)
{
	struct sasl_channel c = { .tls = tls, .peer = "192.0.2.1" };

	if (tls) {
		memset(c.exporter, 'e', 32);
		c.exporter_len = 32;
		memset(c.end_point, 'p', 32);
		c.end_point_len = 32;
	}
	return c;
}

static void
encode(struct buf *out, struct str raw)
{
	buf_reset(out);
	base64_encode(out, raw.p, raw.len);
}

static void
test_list(void **state)
{
	struct sasl_channel c = channel(true);
	struct buf out = { 0 };
	(void)state;

	assert_int_equal(sasl_mechanisms(&SERVICE, &c, " ", &out), 4);
	assert_string_equal(buf_cstr(&out), " SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN");
	buf_reset(&out);
	c.exporter_len = c.end_point_len = 0;
	assert_int_equal(sasl_mechanisms(&SERVICE, &c, " AUTH=", &out), 3);
	assert_string_equal(buf_cstr(&out), " AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN");
	assert_null(sasl_session_new(&SERVICE, &c, STR("SCRAM-SHA-256-PLUS")));
	assert_null(sasl_session_new(&SERVICE, &c, STR("CRAM-MD5")));
	c.tls = false;
	assert_int_equal(sasl_mechanisms(&SERVICE, &c, " ", &out), 0);
	assert_null(sasl_session_new(&SERVICE, &c, STR("PLAIN")));
	buf_free(&out);
}

#define MESSAGE(literal)                                                                           \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}

static void
test_plain(void **state)
{
	static const struct {
		struct str message;
		enum sasl_status status;
	} CASES[] = {
		{ MESSAGE("\0ann\0s\xc3\xa9"
			  "cret"),
		    SASL_STATUS_DONE },
		{ MESSAGE("ann\0ann\0s\xc3\xa9"
			  "cret"),
		    SASL_STATUS_DONE },
		{ MESSAGE("ann@example.org\0ann\0s\xc3\xa9"
			  "cret"),
		    SASL_STATUS_DONE }, /* the canonical login is the same identity */
		{ MESSAGE("bob\0ann\0s\xc3\xa9"
			  "cret"),
		    SASL_STATUS_NOT_AUTHORIZED },
		{ MESSAGE("bob\0ann\0wrong"), SASL_STATUS_DENIED },
		{ MESSAGE("\0ann\0wrong"), SASL_STATUS_DENIED },
		{ MESSAGE("\0bob\0s\xc3\xa9"
			  "cret"),
		    SASL_STATUS_DENIED },
		{ MESSAGE("\0down\0x"), SASL_STATUS_TEMPFAIL },
		{ MESSAGE("\0ann"), SASL_STATUS_MALFORMED },
		{ MESSAGE("\0ann\0"), SASL_STATUS_MALFORMED },
		{ MESSAGE("\0\0x"), SASL_STATUS_MALFORMED },
		{ MESSAGE("\0ann\0a\0b"), SASL_STATUS_MALFORMED },
		{ MESSAGE("\0an\xff\0x"), SASL_STATUS_MALFORMED },
		{ MESSAGE("\0ann\0\xff"), SASL_STATUS_MALFORMED },
		{ MESSAGE("\0a\nn\0x"), SASL_STATUS_MALFORMED }, /* a control byte is no name */
		{ MESSAGE(""), SASL_STATUS_MALFORMED },
		{ MESSAGE("ann"), SASL_STATUS_MALFORMED },
	};
	struct sasl_channel c = channel(true);
	struct buf line = { 0 }, out = { 0 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		for (int initial = 0; initial < 2; initial++) {
			struct sasl_session *s = sasl_session_new(&SERVICE, &c, STR("plain"));
			enum sasl_status got;
			struct str text;

			encode(&line, CASES[i].message);
			text = line.len > 0 || !initial ? (struct str){ line.data, line.len }
							: STR("=");
			buf_reset(&out);
			if (initial) {
				got = sasl_session_start(s, &text, &out);
			} else {
				assert_int_equal(
				    sasl_session_start(s, NULL, &out), SASL_STATUS_MORE);
				assert_int_equal(out.len, 0);
				got = sasl_session_next(s, text, &out);
			}
			if (got != CASES[i].status)
				fail_msg("case %zu: %d", i, (int)got);
			assert_true(got != SASL_STATUS_MORE);
			if (got == SASL_STATUS_DONE)
				assert_string_equal(sasl_session_login(s), "ann@example.org");
			else
				assert_null(sasl_session_login(s));
			sasl_session_free(s);
		}
	}
	buf_free(&line);
	buf_free(&out);
}

static void
test_login(void **state)
{
	static const struct {
		const char *user, *password;
		enum sasl_status status;
	} CASES[] = {
		{ "ann",
		    "s\xc3\xa9"
		    "cret",
		    SASL_STATUS_DONE },
		{ "ann", "no", SASL_STATUS_DENIED },
		{ "eve", "no", SASL_STATUS_DENIED },
		{ "ann", "", SASL_STATUS_MALFORMED },
		{ "down", "x", SASL_STATUS_TEMPFAIL },
	};
	struct sasl_channel c = channel(true);
	struct buf line = { 0 }, out = { 0 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		for (int initial = 0; initial < 2; initial++) {
			struct sasl_session *s = sasl_session_new(&SERVICE, &c, STR("LOGIN"));
			struct str text;

			assert_true(sasl_session_server_first(s));
			encode(&line, str_from(CASES[i].user));
			text = (struct str){ line.data, line.len };
			buf_reset(&out);
			if (initial) {
				assert_int_equal(
				    sasl_session_start(s, &text, &out), SASL_STATUS_MORE);
			} else {
				assert_int_equal(
				    sasl_session_start(s, NULL, &out), SASL_STATUS_MORE);
				assert_string_equal(buf_cstr(&out), "VXNlcm5hbWU6");
				buf_reset(&out);
				assert_int_equal(
				    sasl_session_next(s, text, &out), SASL_STATUS_MORE);
			}
			assert_string_equal(buf_cstr(&out), "UGFzc3dvcmQ6");
			encode(&line, str_from(CASES[i].password));
			if (sasl_session_next(s, (struct str){ line.data, line.len }, &out) !=
			    CASES[i].status)
				fail_msg("%s %s", CASES[i].user, CASES[i].password);
			sasl_session_free(s);
		}
	}
	buf_free(&line);
	buf_free(&out);
}

static void
test_framing(void **state)
{
	struct sasl_channel c = channel(true);
	struct buf out = { 0 }, big = { 0 };
	struct sasl_session *s = sasl_session_new(&SERVICE, &c, STR("PLAIN"));
	(void)state;

	sasl_session_start(s, NULL, &out);
	assert_int_equal(sasl_session_next(s, STR("*"), &out), SASL_STATUS_CANCELLED);
	assert_int_equal(sasl_session_next(s, STR("A"), &out), SASL_STATUS_MALFORMED);
	assert_int_equal(sasl_session_next(s, STR("AA=A"), &out), SASL_STATUS_MALFORMED);
	for (int i = 0; i < SASL_LINE_MAX_BYTES + 1; i++)
		buf_addc(&big, 'A');
	assert_int_equal(
	    sasl_session_next(s, (struct str){ big.data, big.len }, &out), SASL_STATUS_TOO_LONG);
	sasl_session_free(s);
	sasl_session_free(NULL);
	buf_free(&big);
	buf_free(&out);
}

/* --- SCRAM --- */

struct attempt {
	const char *mechanism, *gs2, *first; /* client-first-bare without the nonce and after */
	const char *extra;                   /* behind the nonce */
	const char *password;
	struct str binding;      /* what the client mixes in */
	const char *final_nonce; /* appended to the nonce in the last message */
	enum sasl_status first_status, final_status;
};

static void
run_attempt(size_t number, const struct attempt *t)
{
	struct sasl_channel c = channel(true);
	struct sasl_session *s = sasl_session_new(&SERVICE, &c, str_from(t->mechanism));
	struct buf message = { 0 }, line = { 0 }, out = { 0 }, first = { 0 }, auth = { 0 };
	struct buf final = { 0 }, bound = { 0 };
	unsigned char salted[32], key[32], stored[32], proof[32], expect[32];
	enum sasl_status got;
	const char *end;

	buf_printf(&message, "%s%s,r=clientnonce%s", t->gs2, t->first, t->extra);
	encode(&line, (struct str){ message.data, message.len });
	got = sasl_session_start(s, &(struct str){ line.data, line.len }, &out);
	if (got != t->first_status)
		fail_msg("attempt %zu first: %d", number, (int)got);
	if (got != SASL_STATUS_MORE)
		goto out;
	assert_true(base64_decode(&first, (struct str){ out.data, out.len }));
	assert_true(str_has_prefix((struct str){ first.data, first.len }, STR("r=clientnonce")));
	assert_non_null(strstr(buf_cstr(&first), ",i=4096"));
	end = strchr(first.data, ',');
	buf_adds(&bound, t->gs2);
	buf_add(&bound, t->binding.p, t->binding.len);
	buf_adds(&final, "c=");
	base64_encode(&final, bound.data, bound.len);
	buf_addc(&final, ',');
	buf_add(&final, first.data, (size_t)(end - first.data));
	buf_adds(&final, t->final_nonce);
	buf_adds(&auth, message.data + strlen(t->gs2));
	auth.len = message.len - strlen(t->gs2);
	buf_addc(&auth, ',');
	buf_add(&auth, first.data, first.len);
	buf_addc(&auth, ',');
	buf_add(&auth, final.data, final.len);
	derive(t->password, salted);
	mac(salted, STR("Client Key"), key);
	EVP_Digest(key, 32, stored, NULL, EVP_sha256(), NULL);
	mac(stored, (struct str){ auth.data, auth.len }, proof);
	for (int i = 0; i < 32; i++)
		proof[i] ^= key[i];
	buf_adds(&final, ",p=");
	base64_encode(&final, proof, 32);
	encode(&line, (struct str){ final.data, final.len });
	buf_reset(&out);
	assert_false(sasl_session_is_last(s));
	got = sasl_session_next(s, (struct str){ line.data, line.len }, &out);
	assert_int_equal(sasl_session_is_last(s), got == SASL_STATUS_MORE);
	if (got != t->final_status)
		fail_msg("attempt %zu final: %d", number, (int)got);
	if (got != SASL_STATUS_MORE)
		goto out;
	buf_reset(&first);
	assert_true(base64_decode(&first, (struct str){ out.data, out.len }));
	mac(salted, STR("Server Key"), key);
	mac(key, (struct str){ auth.data, auth.len }, expect);
	buf_reset(&final);
	buf_adds(&final, "v=");
	base64_encode(&final, expect, 32);
	assert_string_equal(buf_cstr(&first), buf_cstr(&final));
	assert_null(sasl_session_login(s));
	assert_int_equal(sasl_session_next(s, STR(""), &out), SASL_STATUS_DONE);
	assert_string_equal(sasl_session_login(s), "ann@example.org");
out:
	sasl_session_free(s);
	buf_free(&message);
	buf_free(&line);
	buf_free(&out);
	buf_free(&first);
	buf_free(&auth);
	buf_free(&final);
	buf_free(&bound);
}

#define E32  "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
#define P32  "pppppppppppppppppppppppppppppppp"
#define PLUS "SCRAM-SHA-256-PLUS"
#define BARE "SCRAM-SHA-256"

static void
test_scram(void **state)
{
	const enum sasl_status MORE = SASL_STATUS_MORE, DENIED = SASL_STATUS_DENIED,
			       BAD = SASL_STATUS_MALFORMED;
	const struct attempt ATTEMPTS[] = {
		{ BARE, "n,,", "n=ann", "", PW, STR(""), "", MORE, MORE },
		{ BARE, "n,a=ann,", "n=ann", "", PW, STR(""), "", MORE, MORE },
		{ BARE, "n,a=ann@example.org,", "n=ann", "", PW, STR(""), "", MORE, MORE },
		{ BARE, "n,a=bob,", "n=ann", "", PW, STR(""), "", MORE,
		    SASL_STATUS_NOT_AUTHORIZED },
		{ BARE, "n,a=bob,", "n=ann", "", "wrong", STR(""), "", MORE, DENIED },
		{ BARE, "n,,", "n=ann", "", "wrong", STR(""), "", MORE, DENIED },
		{ BARE, "n,,", "n=eve", "", PW, STR(""), "", MORE, DENIED }, /* fake keys */
		{ BARE, "n,,", "n=down", "", PW, STR(""), "", SASL_STATUS_TEMPFAIL, MORE },
		{ BARE, "n,,", "n=a=2Cn=3Dn", "", PW, STR(""), "", MORE, MORE },
		{ BARE, "n,,", "n=a=2cn", "", PW, STR(""), "", BAD, MORE },
		{ BARE, "n,,", "n=ann", ",x=optional", PW, STR(""), "", MORE, MORE },
		{ BARE, "n,,", "m=must,n=ann", "", PW, STR(""), "", BAD, MORE },
		{ BARE, "n,,", "n=ann", ",m=x", PW, STR(""), "", BAD, MORE },
		{ BARE, "n,,", "n=", "", PW, STR(""), "", BAD, MORE },
		{ BARE, "n,,", "n=ann", "", PW, STR(""), "x", MORE, DENIED }, /* nonce */
		{ BARE, "y,,", "n=ann", "", PW, STR(""), "", DENIED, MORE },  /* downgrade */
		{ BARE, "p=tls-exporter,,", "n=ann", "", PW, STR(E32), "", DENIED, MORE },
		{ BARE, "q,,", "n=ann", "", PW, STR(""), "", BAD, MORE },
		{ PLUS, "p=tls-exporter,,", "n=ann", "", PW, STR(E32), "", MORE, MORE },
		{ PLUS, "p=tls-server-end-point,,", "n=ann", "", PW, STR(P32), "", MORE, MORE },
		{ PLUS, "p=tls-exporter,,", "n=ann", "", PW, STR(P32), "", MORE, DENIED },
		{ PLUS, "p=tls-exporter,,", "n=ann", "", PW, STR(""), "", MORE, DENIED },
		{ PLUS, "p=tls-unique,,", "n=ann", "", PW, STR(E32), "", DENIED, MORE },
		{ PLUS, "n,,", "n=ann", "", PW, STR(""), "", DENIED, MORE },
		{ PLUS, "y,,", "n=ann", "", PW, STR(""), "", DENIED, MORE },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(ATTEMPTS); i++)
		run_attempt(i, &ATTEMPTS[i]);
}

/* --- SASLprep, RFC 4013 §3 and more --- */

static void
test_prep(void **state)
{
	static const struct {
		const char *in, *out;
	} CASES[] = {
		{ "user", "user" }, { "USER", "USER" }, { "I\xc2\xadX", "IX" }, /* soft hyphen */
		{ "\xc2\xaa", "a" },                                            /* NFKC */
		{ "\xe2\x85\xa8", "IX" },                                       /* roman nine */
		{ "e\xcc\x81", "\xc3\xa9" },                                    /* composed */
		{ "a\xc2\xa0z", "a z" },                                        /* no-break space */
		{ "\x07", NULL },                                               /* control */
		{ "\xd8\xa7\x31", NULL }, /* RandALCat must end so too */
		{ "\xd8\xa7\x31\xd8\xa8", "\xd8\xa7\x31\xd8\xa8" }, { "\xd8\xa7z\xd8\xa8", NULL },
		{ "\xee\x80\x80", NULL },                             /* private use */
		{ "\xef\xbf\xbd", NULL },                             /* replacement character */
		{ "\xe2\x80\xae", NULL },                             /* right-to-left override */
		{ "\xff", NULL }, { "", NULL }, { "\xc2\xad", NULL }, /* nothing left */
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct buf out = { 0 };

		if (sasl_prep(str_from(CASES[i].in), &out) != (CASES[i].out != NULL))
			fail_msg("case %zu", i);
		if (CASES[i].out != NULL)
			assert_string_equal(buf_cstr(&out), CASES[i].out);
		buf_free(&out);
	}
}

static void *
many_exchanges(void *arg)
{
	struct sasl_channel c = channel(true);
	struct buf out = { 0 };
	long failed = 0;

	for (int i = 0; i < 200; i++) {
		struct sasl_session *s = sasl_session_new(&SERVICE, &c, STR("PLAIN"));

		if (sasl_session_start(s, &STR("AGFubgBzw6ljcmV0"), &out) != SASL_STATUS_DONE)
			failed++;
		sasl_session_free(s);
	}
	buf_free(&out);
	*(long *)arg = failed;
	return NULL;
}

static void
test_threads(void **state)
{
	pthread_t threads[4];
	long failed[4];
	(void)state;

	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, many_exchanges, &failed[i]);
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(failed[i], 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_scram),
		cmocka_unit_test(test_prep),
		cmocka_unit_test(test_threads),
	};
	struct log *log = log_open("sasl_test", NULL, LOG_LEVEL_DEBUG);
	int failed = 1;

	if (sasl_setup(log)) {
		failed = cmocka_run_group_tests(tests, NULL, NULL);
		sasl_teardown();
	}
	log_close(log);
	return failed;
}
