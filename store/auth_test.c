/* Whom a login names cannot be told from the work it costs. */
#include "store/auth.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/mem.h"
#include "store/account_test_place.h"
#include "store/password.h"

#define RIGHT "right-Pw1"

static unsigned hashed; /* slow hashes computed since somebody set it to zero */

/* Stands before libsodium's, counts, and hands on: the one slow hash of the usual scheme. */
int
crypto_pwhash_str_verify(const char stored[crypto_pwhash_STRBYTES], const char *password,
    unsigned long long password_len)
{
	static int (*real)(const char *, const char *, unsigned long long);

	if (real == NULL) {
		void *found = dlsym(RTLD_NEXT, "crypto_pwhash_str_verify");

		assert_non_null(found);
		memcpy(&real, &found, sizeof(real));
	}
	hashed++;
	return real(stored, password, password_len);
}

static void
add(struct account_db *db, const char *localpart, const char *stored)
{
	place_add(db, localpart, "example.org", stored);
}

static unsigned
hashes_of(struct auth *auth, const char *user, const char *password, enum auth_outcome outcome)
{
	struct auth_login login;

	hashed = 0;
	(void)auth_login(auth, str_from(user), str_from(password), &login);
	assert_int_equal(login.outcome, outcome);
	auth_login_free(&login);
	return hashed;
}

static void
test_refusals_cost_the_same(void **state)
{
	static const struct {
		const char *user, *password;
		enum auth_outcome outcome;
	} CASES[] = {
		{ "usual", "wrong", AUTH_WRONG },
		{ "nobody", "wrong", AUTH_UNKNOWN },
		{ "not an address @@", "wrong", AUTH_UNKNOWN },
		/* hashes of old, cheap schemes, as they come from elsewhere */
		{ "sha", "wrong", AUTH_WRONG },
		{ "plain", "wrong", AUTH_WRONG },
		{ "broken", "wrong", AUTH_WRONG },
		{ "closed", "wrong", AUTH_WRONG },
		{ "closed", RIGHT, AUTH_INACTIVE },
		{ "closed-sha", RIGHT, AUTH_INACTIVE },
		/* what looks like an app password */
		{ "usual", "abcde-fghjk-mnopq-rstuv", AUTH_WRONG },
		{ "sha", "abcde-fghjk-mnopq-rstuv", AUTH_WRONG },
		{ "nobody", "abcde-fghjk-mnopq-rstuv", AUTH_UNKNOWN },
	};
	struct auth_options options = {
		.default_domain = "example.org", .cache_ttl_s = 60, .protocol = LOGIN_IMAP
	};
	struct place *p = *state;
	struct auth *auth = auth_new(p->db, &options, NULL);
	char *usual = password_create(STR(RIGHT));

	add(p->db, "usual", usual);
	add(p->db, "sha", "{SHA}7wGzDTGTBgeQNl2ghGQ9YmqBzkQ=");
	add(p->db, "plain", "{PLAIN}" RIGHT);
	add(p->db, "broken", "{ARGON2ID}$argon2id$broken");
	add(p->db, "closed", usual);
	add(p->db, "closed-sha", "{PLAIN}" RIGHT);
	place_run_sql(p->path, "UPDATE account SET active = 0 WHERE localpart LIKE 'closed%'");
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
		for (int again = 0; again < 2; again++) /* nor is it any faster the second time */
			if (hashes_of(auth, CASES[i].user, CASES[i].password, CASES[i].outcome) !=
			    1)
				fail_msg("%s, %s: %u slow hashes", CASES[i].user, CASES[i].password,
				    hashed);
	assert_int_equal(hashes_of(auth, "usual", RIGHT, AUTH_OK), 1);
	assert_int_equal(hashes_of(auth, "usual", RIGHT, AUTH_OK), 0); /* remembered */
	free(usual);
	auth_free(auth);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_refusals_cost_the_same, place_set_up_db, place_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
