#include "store/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

#define PASSWORD "sécret pass"

/* clang-format off */
/* Each stands for PASSWORD.  Those with an upper-case {SCHEME} come from `doveadm pw`. */
static const char *const STORED[] = {
	"{PLAIN}sécret pass",
	"{CLEAR}sécret pass",
	"{CLEARTEXT}sécret pass",
	"{MD5}$1$8LGlmHix$5VYRo5is0tLvA8WK2X9VM1",
	"{PLAIN-MD5}1ecd5b799f5df23bb05049a4b88807bb",
	"{LDAP-MD5}Hs1beZ9d8juwUEmkuIgHuw==",
	"{SMD5}ckwaQ0JJMa//2upnOsp4tE7ciQE=",
	"{SHA}70QCi8RF0Slo71PshBP5IXr7vAU=",
	"{SHA1}70QCi8RF0Slo71PshBP5IXr7vAU=",
	"{SSHA}YQnMkdLzNw4MhIL7hlF8cG2aLQaXBYTK",
	"{SHA256}OPeqtbJGq08eOdqRmPhWOVpoLLmFFmXiVqikiTcDEX4=",
	"{SSHA256}LUU6igeCqXp/HN9ffY+zMmYV8S9vAf8CpnDNYfKDMbc3gvx/",
	"{SHA512}C7Td6cJ2THBNFQuKsHz9lAC/3xEKfvBtPX6GLPb49bWCcxCQsI6SVnN+pLj1dxb8ubQEb0xMMdYQbjg51f7I7Q==",
	"{SSHA512}XAqSQW9ooPgGrKGbL5UyOE0qq+1GUoW6bQn0hCe+tj1GhnNPP8mDnhypPBxFCMBEEjaB3GACENnmDa1EDQ5/AyIPa+s=",
	"{CRYPT}$2y$05$8I3BpM6YX4uynu4xCkpQ6.M3UbhP/ws2cwU9FhZpaw4pUb23YfvC.",
	"{DES-CRYPT}UVMCBMuDqAlZ6",
	"{MD5-CRYPT}$1$jXo7.ojS$A4Bsdw56GKjMLT8iBL/Tk.",
	"{BLF-CRYPT}$2y$05$QeVfPjpBRiB0PmgU7jzzdupdZ4LB5RStWKtO4x8w5TpOCm9U8w5j6",
	"{SHA256-CRYPT}$5$OD1C/2gjgXBoN5yb$egboCcohZwf96lvwYtCXP466mUHX/veu0/ybVaA20KB",
	"{SHA512-CRYPT}$6$Vco1Ip0YG3ISYArW$WLYuZF1APbzi/dQ6E0C30XtPPhP0FRDdLYyIs8I4KcT4cx.kM7M3MEbZOpKXRgHINYCZ1EFol.NYy0yYueQAh.",
	"{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$GUdyqEpczBpgdCRghGAdmw$VbqH5vE6PhZwgry7rYI45Eom7aoRzwROFcthMDKlLvY",
	"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$OAbRKlzP6dasBY89eQKRjQ$kQNco7D58Cep+hrdkw2/Wtw5aJipCImlsjjZnY/R8hI",
	/* two lanes, the old version, longer than libsodium takes */
	"{ARGON2ID}$argon2id$v=19$m=1024,t=2,p=2$MDEyMzQ1Njc4OWFiY2RlZg$p2MeeeNPC9HygRAFaDDmDNaQRLQIThtELlr06rqcH+8",
	"{ARGON2ID}$argon2id$v=16$m=1024,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$ocMh6R+HoFTgebCuy9HcCcT7yAJLMWV9U9LHFGIcofU",
	"{ARGON2ID}$argon2id$v=19$m=1024,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm$B+OCxZWMs0rBG8DoaP3pmIyCHIpWY0TZx7k2tBb0osOCdZ1U1B4lzYNHsJnMcWuadjogfRjLK9NH8JTyH9FYHA",
	"{PBKDF2}$1$KC15cLBFeQmJMV8g$5000$d9699bc509fcba1df3c3cc934bbfae67641c9237",
	"{SCRAM-SHA-256}4096,llWBVKxY0OzPBetpWsh8tw==,s/5P3uQzY3Dtyx1Z+iCDjTU2JI4vzFRebV1CCtT9klg=,X0qkiIc5Rm0ju+f0uT2gFSVR5b8/mFHjwwayUEg1Nbo=",
	"{SHA.HEX}ef44028bc445d12968ef53ec8413f9217afbbc05",
	"{SSHA256.B64}SJRysf0MT8t2pk8CAf4L6pqztJ9oa6AUBCdUF5KtVqrFz5AX",
	"{SSHA256.HEX}b24964395425e7e49d51fba3a1d461254befdb8ee4f003952f88800f483f38f170805155",
	"{PLAIN-MD5.B64}Hs1beZ9d8juwUEmkuIgHuw==",
	"{PLAIN.B64}c8OpY3JldCBwYXNz",
	"{PLAIN.HEX}73c3a9637265742070617373",
	"{SHA512.HEX}0bb4dde9c2764c704d150b8ab07cfd9400bfdf110a7ef06d3d7e862cf6f8f5b582731090b08e9256737ea4b8f57716fcb9b4046f4c4c31d6106e3839d5fec8ed",
	"{SMD5.B64}fAZ45XnTperbtxcZZQk65KetHGg=",
	"{SMD5.HEX}91753d12ea201c72178ca954151558402467d30c",
	"{sha256}38f7aab5b246ab4f1e39da9198f856395a682cb9851665e256a8a4893703117e",
	"{SHA1}EF44028BC445D12968EF53EC8413F9217AFBBC05",
	"{md5}1ecd5b799f5df23bb05049a4b88807bb",
	"{MD5}Hs1beZ9d8juwUEmkuIgHuw==",
	"{SSHA}f4a229081722d5bb6d2ae97f432b4c2e334a738530313233",
	"$6$rounds=1000$abcdefgh$2RmQGn8KQixj3FPglt4dQ/U/SAgJO/xcM6feJwxK6LDAiRhigez24tFbJLBqreIMcs3FpfC86DKrhraS3jyHu/",
	"{CRYPT}$5$abcdefgh$.7ksLuiucaLcGp5N8LohAPSz5PMr7xV4PA3aQcXU42B",
	"{crypt}abGZIgVyRL4wQ",
	"{YESCRYPT}$y$j75$abcdefgh$cAMl5QTBKXMDREy6A/M87v1AAdRAIfn9KqqiKL3iDC1",
	"$y$j9T$abcdefgh$XgQqGEj2aQalmdISGIL8ZK76seLe7zMzAMEupjU6N2B",
	"$argon2id$v=19$m=65536,t=3,p=1$khxL01EwswqmvsFRUs64Mw$I6e41on52m4nXLkYpWHkBGJAz8oQVLJfPC1526k3/y4",
	"$pbkdf2-sha256$1000$c2FsdHlzYWx0..8$68GUc2QG6t5GLgIjVfDFo5Pk0P/UhFjv81ei132795w",
	"$pbkdf2-sha512$1000$c2FsdHlzYWx0..8$159hIkvNW3kTeKRRhRrOurjsnhYFD8q97Kh6VAnO3jEgZlyNriy4f6GwDXezIqJXHipFxvw/vM36vOhrqTGRTw",
	"$pbkdf2$1000$c2FsdHlzYWx0..8$fCUU.l2Df/P/ixAPHCnixU7EV5U",
	"{PBKDF2-SHA256}1000$c2FsdHlzYWx0$0mbsKcizQ2ORkTcwL5d1IzoDcI1G0GRDFFoDCEMOwms",
};

static const char *const BAD[] = {
	"",
	"plain text",
	"{NTLM}1234",
	"{PLAIN",
	"{SHA}70QCi8RF0Slo71PshBP5IXr7vAU=x",
	"{SHA}AAAA",
	"{SHA.oct}1234",
	"{SHA.hex}70QCi8RF0Slo71PshBP5IXr7vAU=",
	"{SSHA}AAAA",
	"{CRYPT}",
	"{CRYPT}*",
	"{CRYPT}!",
	"{CRYPT}*0",
	"{CRYPT}$6$rounds=999999999$abcdefgh$x",                 /* minutes of work */
	"{CRYPT}$2b$31$jKMJ.5ypQCWf9JNMsZ0VWuTrLu4MESdPjqcPubA4yCOwmwrb8xPPC", /* weeks */
	"{CRYPT}$y$jUz$abcdefgh$x",                             /* all memory there is */
	"{CRYPT}$9$unknown",
	"{SHA512-CRYPT}$6$x",			/* cut off: nothing would ever match */
	"{CRYPT}$1$abcdefgh$short",
	"{ARGON2ID}$argon2id$v=19$m=4294967295,t=1,p=1$NgzPgGSDjd+kbGMMY3g0Fg$N4pjLx7eBIGjP6ba2L9KXSIsHbsc+tfzb4Pvhcd4dCk",
	"{ARGON2ID}$argon2id$v=19$m=65536,t=4294967295,p=1$NgzPgGSDjd+kbGMMY3g0Fg$N4pjLx7eBIGjP6ba2L9KXSIsHbsc+tfzb4Pvhcd4dCk",
	"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$x",
	"{ARGON2ID}$argon2d$v=19$m=65536,t=3,p=1$NgzPgGSDjd+kbGMMY3g0Fg$N4pjLx7eBIGjP6ba2L9KXSIsHbsc+tfzb4Pvhcd4dCk",
	"{PBKDF2}$1$salt$4000000000$63c2eabb535e09272981f363199218a3e5c53673",
	"{PBKDF2}$1$salt$0$63c2eabb535e09272981f363199218a3e5c53673",
	"{PBKDF2}$1$salt$5000$xx",
	"{PBKDF2}$1$salt",
	"$pbkdf2-sha256$1000$!$AAAAAAAAAAAAAAAAAAAAAAAA",
	"{SCRAM-SHA-256}4096,3S1a6Rt3acv7HB5Y/q4BLg==,AAAA,AAAA",
	"{SCRAM-SHA-256}0,,,",
};
/* clang-format on */

static void
test_right_and_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(STORED); i++) {
		const char *why;

		if (password_verify(STORED[i], str_from(PASSWORD)) != PASSWORD_MATCH)
			fail_msg("%s does not match", STORED[i]);
		if (password_verify(STORED[i], str_from("Sécret pass")) != PASSWORD_WRONG)
			fail_msg("%s matches all", STORED[i]);
		if (password_verify(STORED[i], STR("")) != PASSWORD_WRONG)
			fail_msg("%s matches nothing", STORED[i]);
		if (!password_stored_ok(STORED[i], &why))
			fail_msg("%s: %s", STORED[i], why);
	}
}

static void
test_bad_hashes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
		const char *why = NULL;

		if (password_verify(BAD[i], str_from(PASSWORD)) != PASSWORD_BAD_HASH)
			fail_msg("%s is taken", BAD[i]);
		if (password_stored_ok(BAD[i], &why))
			fail_msg("%s is fine", BAD[i]);
		assert_non_null(why);
	}
}

static void
test_impossible_passwords(void **state)
{
	char longer[PASSWORD_MAX_BYTES + 2];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(password_verify("{PLAIN}ab", (struct str){ "ab\0c", 4 }), PASSWORD_WRONG);
	assert_int_equal(password_verify("{PLAIN}ab", (struct str){ NULL, 0 }), PASSWORD_WRONG);
	assert_int_equal(password_verify("{PLAIN}x", str_from(longer)), PASSWORD_WRONG);
}

static void
test_create(void **state)
{
	static const char *const SCHEMES[] = { "ARGON2ID", "yescrypt", "SHA512-CRYPT", "BLF-CRYPT",
		"SSHA512", "PLAIN" };
	char *stored;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++) {
		stored = password_create_by(SCHEMES[i], str_from(PASSWORD));
		assert_non_null(stored);
		assert_int_equal(password_verify(stored, str_from(PASSWORD)), PASSWORD_MATCH);
		assert_int_equal(password_verify(stored, STR("x")), PASSWORD_WRONG);
		free(stored);
	}
	assert_null(password_create_by("NTLM", STR("x")));
	stored = password_create(STR("x"));
	assert_int_equal(strncmp(stored, "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$", 41), 0);
	free(stored);
}

static void
test_generate(void **state)
{
	char *a = password_generate(), *b = password_generate();

	(void)state;
	assert_int_equal(strlen(a), 23);
	assert_string_not_equal(a, b);
	free(a);
	free(b);
}

/* The example of RFC 7677 §3: its proof and its server signature come from these keys. */
static void
test_scram(void **state)
{
	static const char STORED_KEYS[] = "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
					  "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
					  "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
	struct scram_keys from_stored, derived, made;
	struct buf salt = { 0 };

	(void)state;
	assert_true(base64_decode(&salt, STR("W22ZaJ0SNY7soEsUEjb6gQ==")));
	scram_keys_derive(STR("pencil"), (const uint8_t *)salt.data, salt.len, 4096, &derived);
	assert_true(scram_keys_from_stored(STORED_KEYS, &from_stored));
	assert_int_equal(from_stored.iterations, 4096);
	assert_memory_equal(from_stored.salt, derived.salt, salt.len);
	assert_memory_equal(from_stored.stored_key, derived.stored_key, SCRAM_KEY_BYTES);
	assert_memory_equal(from_stored.server_key, derived.server_key, SCRAM_KEY_BYTES);
	assert_int_equal(password_verify(STORED_KEYS, STR("pencil")), PASSWORD_MATCH);
	scram_keys_make(STR("pencil"), &made);
	assert_int_equal(made.salt_len, 16);
	assert_int_equal(made.iterations, PASSWORD_SCRAM_ITERATIONS);
	assert_memory_not_equal(made.stored_key, derived.stored_key, SCRAM_KEY_BYTES);
	assert_false(scram_keys_from_stored("{PLAIN}x", &made));
	buf_free(&salt);
}

static void
test_plain(void **state)
{
	struct str plain;

	(void)state;
	assert_true(password_plain("{plain}a{b}c", &plain));
	assert_true(str_eq(plain, STR("a{b}c")));
	assert_false(password_plain("{SHA}x", &plain));
	assert_false(password_plain("x", &plain));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right_and_wrong),
		cmocka_unit_test(test_bad_hashes),
		cmocka_unit_test(test_impossible_passwords),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_generate),
		cmocka_unit_test(test_scram),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
