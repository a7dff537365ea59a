#include "store/account_apps.h"
#include "store/account_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/account_test_place.h"
#include "store/auth.h"

static void
test_protocols(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		unsigned set;
		const char *printed;
	} CASES[] = {
		{ "imap", true, LOGIN_IMAP, "imap" },
		{ "sieve imap", true, LOGIN_IMAP | LOGIN_SIEVE, "imap sieve" },
		{ "IMAP,Submission, sieve", true, LOGIN_PROTOCOLS_ALL, "imap submission sieve" },
		{ "imap imap ", true, LOGIN_IMAP, "imap" },
		{ "", false, 0, "" },
		{ " , ", false, 0, "" }, /* good for nothing is no use */
		{ "pop3", false, 0, "" },
		{ "imap pop3", false, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct buf out = { 0 };
		unsigned set = 0;

		assert_int_equal(login_protocols_parse(str_from(CASES[i].text), &set), CASES[i].ok);
		if (CASES[i].ok)
			assert_int_equal(set, CASES[i].set);
		login_protocols_print(CASES[i].set, &out);
		assert_string_equal(buf_cstr(&out), CASES[i].printed);
		buf_free(&out);
	}
}

static void
test_normal_form(void **state)
{
	static const struct {
		const char *typed, *normal; /* NULL: no app password looks like that */
	} CASES[] = {
		{ "abcde-fghjk-mnopq-rstuv", "abcdefghjkmnopqrstuv" },
		{ "abcdefghjkmnopqrstuv", "abcdefghjkmnopqrstuv" },
		{ "ABCDE FGHJK MNOPQ RSTUV", "abcdefghjkmnopqrstuv" },
		{ "abcde-fghjk-mn0pq-rstu2", "abcdefghjkmnopqrstu2" }, /* no zero is ever made */
		{ "abcde-fghjk-mnopq-rstu", NULL },
		{ "abcde-fghjk-mnopq-rstuvw", NULL },
		{ "abcde-fghjk-mnopq-rstu1", NULL },
		{ "abcde-fghjk-mnopq-rstul", NULL },
		{ "", NULL },
		{ "correct horse battery staple", NULL },
	};
	char normal[ACCOUNT_APP_PASSWORD_CHARS + 1], other[ACCOUNT_APP_PASSWORD_CHARS + 1];
	char *a = account_app_generate(), *b = account_app_generate();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		assert_int_equal(account_app_normalise(str_from(CASES[i].typed), normal),
		    CASES[i].normal != NULL);
		if (CASES[i].normal != NULL)
			assert_string_equal(normal, CASES[i].normal);
	}
	assert_int_equal(strlen(a), 23);
	assert_true(account_app_normalise(str_from(a), normal));
	assert_true(account_app_normalise(str_from(b), other));
	assert_string_not_equal(normal, other);
	free(a);
	free(b);
}

static enum store_err
add(struct place *p, int64_t account, const char *label, unsigned protocols, int64_t expires_s,
    const char *plain)
{
	struct account_app app = { .account = account,
		.label = (char *)label,
		.protocols = protocols,
		.created_s = 1000,
		.expires_s = expires_s };

	return account_app_add(p->db, &app, str_from(plain));
}

#define PHONE  "abcde-fghjk-mnopq-rstuv"
#define TABLET "22222-33333-44444-55555"
#define OLD    "zzzzz-yyyyy-xxxxx-wwwww"

static void
test_life(void **state)
{
	struct place *p = *state;
	struct account_app *apps;
	char label[ACCOUNT_APP_LABEL_MAX + 2];
	size_t count;

	assert_int_equal(add(p, p->ann, "Phone", LOGIN_PROTOCOLS_ALL, 0, PHONE), STORE_OK);
	assert_int_equal(add(p, p->ann, "PHONE", LOGIN_IMAP, 0, TABLET), STORE_EXISTS);
	assert_int_equal(add(p, p->bob, "phone", LOGIN_IMAP, 5000, TABLET), STORE_OK);
	assert_int_equal(add(p, 99, "phone", LOGIN_IMAP, 0, TABLET), STORE_NOT_FOUND);
	assert_int_equal(add(p, p->ann, "", LOGIN_IMAP, 0, TABLET), STORE_INVALID);
	assert_int_equal(add(p, p->ann, "a\nb", LOGIN_IMAP, 0, TABLET), STORE_INVALID);
	assert_int_equal(add(p, p->ann, "tablet", 0, 0, TABLET), STORE_INVALID);
	assert_int_equal(add(p, p->ann, "tablet", LOGIN_IMAP, 0, "secret"), STORE_INVALID);
	memset(label, 'x', sizeof(label) - 1);
	label[sizeof(label) - 1] = '\0';
	assert_int_equal(add(p, p->ann, label, LOGIN_IMAP, 0, TABLET), STORE_INVALID);

	assert_int_equal(account_app_list(p->db, p->bob, &apps, &count), STORE_OK);
	assert_int_equal(count, 1);
	assert_string_equal(apps[0].label, "phone");
	assert_int_equal(apps[0].protocols, LOGIN_IMAP);
	assert_int_equal(apps[0].created_s, 1000);
	assert_int_equal(apps[0].expires_s, 5000);
	assert_null(strstr(apps[0].password, "22222"));
	account_apps_free(apps, count);

	assert_int_equal(account_app_delete(p->db, p->ann, STR("phone")), STORE_OK);
	assert_int_equal(account_app_delete(p->db, p->ann, STR("phone")), STORE_NOT_FOUND);
	/* What hangs on an account goes with it, whoever deletes it. */
	place_run_sql(p->path, "DELETE FROM account WHERE localpart = 'bob'");
	assert_int_equal(account_app_list(p->db, p->bob, &apps, &count), STORE_OK);
	assert_int_equal(count, 0);
	for (int i = 0; i < ACCOUNT_APPS_MAX; i++) {
		snprintf(label, sizeof(label), "%d", i);
		assert_int_equal(add(p, p->ann, label, LOGIN_IMAP, 0, TABLET), STORE_OK);
	}
	assert_int_equal(add(p, p->ann, "one more", LOGIN_IMAP, 0, TABLET), STORE_LIMIT);
}

static void
test_app_only(void **state)
{
	struct place *p = *state;
	enum account_app_only only;

	assert_int_equal(account_app_only_get(p->db, p->ann, &only), STORE_OK);
	assert_int_equal(only, ACCOUNT_APP_ONLY_DEFAULT);
	for (int want = ACCOUNT_APP_ONLY_DEFAULT; want <= ACCOUNT_APP_ONLY_YES; want++) {
		assert_int_equal(
		    account_app_only_set(p->db, p->ann, (enum account_app_only)want), STORE_OK);
		assert_int_equal(account_app_only_get(p->db, p->ann, &only), STORE_OK);
		assert_int_equal(only, want);
	}
	assert_int_equal(account_app_only_set(p->db, 99, ACCOUNT_APP_ONLY_YES), STORE_NOT_FOUND);
}

/* A file of version 3: read as it is, brought up to date by the first writer. */
static void
test_older_file(void **state)
{
	struct place *p = *state;
	struct auth_options options = { .default_domain = "example.org", .protocol = LOGIN_IMAP };
	struct account_limits limits;
	struct account_app *apps;
	struct auth *auth;
	size_t count;

	assert_int_equal(account_db_set_password(p->db, p->ann, "{PLAIN}x", NULL), STORE_OK);
	account_db_close(p->db);
	place_run_sql(p->path,
	    "DROP TRIGGER tenure_deleted; DROP TRIGGER tenure_renamed; DROP TABLE tenure;"
	    "DROP TRIGGER account_deleted; DROP TABLE app_password; DROP TABLE account_login;"
	    "ALTER TABLE account_limit DROP COLUMN mailboxes_max;"
	    "INSERT INTO account_limit (account, messages_max) VALUES (1, 7);"
	    "PRAGMA user_version = 3;"
	    "CREATE TRIGGER account_deleted AFTER DELETE ON account BEGIN"
	    "  DELETE FROM account_scram WHERE account = OLD.id; END;");
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_READ, NULL, &p->db), STORE_OK);
	assert_int_equal(account_app_list(p->db, p->ann, &apps, &count), STORE_OK);
	assert_int_equal(count, 0);
	assert_int_equal(account_limits_get(p->db, p->ann, &limits), STORE_OK);
	assert_int_equal(limits.messages_max, 7);
	assert_int_equal(limits.mailboxes_max, ACCOUNT_LIMIT_DEFAULT);
	auth = auth_new(p->db, &options, NULL);
	assert_int_equal(auth_password(auth, STR("ann"), STR("x"), NULL, NULL), STORE_OK);
	assert_int_equal(auth_password(auth, STR("ann"), STR(PHONE), NULL, NULL), STORE_DENIED);
	auth_free(auth);
	account_db_close(p->db);
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_WRITE, NULL, &p->db), STORE_OK);
	assert_int_equal(add(p, p->ann, "phone", LOGIN_IMAP, 0, PHONE), STORE_OK);
	assert_int_equal(account_db_delete(p->db, p->ann), STORE_OK);
	assert_int_equal(account_app_list(p->db, p->ann, &apps, &count), STORE_OK);
	assert_int_equal(count, 0);
}

static void
expect(struct auth *auth, const char *password, enum auth_outcome outcome, const char *app)
{
	struct auth_login login;
	enum store_err err = auth_login(auth, STR("ann"), str_from(password), &login);

	assert_int_equal(login.outcome, outcome);
	assert_int_equal(err, outcome == AUTH_OK ? STORE_OK : STORE_DENIED);
	assert_string_equal(login.app, app);
	assert_int_equal(login.app_id != 0, *app != '\0');
	if (outcome != AUTH_UNKNOWN)
		assert_string_equal(login.row.domain, "example.org");
	auth_login_free(&login);
}

/* Each row: who asks, with what, and what comes of it. */
static void
test_logins(void **state)
{
	static const struct {
		enum login_protocol protocol; /* 0: for managing */
		bool configured;              /* auth.app_passwords_only */
		enum account_app_only only;
		const char *password;
		enum auth_outcome outcome;
		const char *app;
	} CASES[] = {
		{ LOGIN_IMAP, false, ACCOUNT_APP_ONLY_DEFAULT, "right", AUTH_OK, "" },
		{ LOGIN_IMAP, false, ACCOUNT_APP_ONLY_DEFAULT, "wrong", AUTH_WRONG, "" },
		{ LOGIN_IMAP, false, ACCOUNT_APP_ONLY_DEFAULT, PHONE, AUTH_OK, "phone" },
		{ LOGIN_IMAP, false, ACCOUNT_APP_ONLY_DEFAULT, "ABCDEFGHJKMN0PQRSTUV", AUTH_OK,
		    "phone" },
		{ LOGIN_IMAP, false, ACCOUNT_APP_ONLY_DEFAULT, TABLET, AUTH_OK, "tablet" },
		{ LOGIN_SUBMISSION, false, ACCOUNT_APP_ONLY_DEFAULT, TABLET, AUTH_APP_PROTOCOL,
		    "tablet" },
		{ LOGIN_SUBMISSION, false, ACCOUNT_APP_ONLY_DEFAULT, PHONE, AUTH_OK, "phone" },
		{ LOGIN_SIEVE, false, ACCOUNT_APP_ONLY_DEFAULT, OLD, AUTH_APP_EXPIRED, "old" },
		{ LOGIN_IMAP, false, ACCOUNT_APP_ONLY_DEFAULT, "aaaaaaaaaaaaaaaaaaaa", AUTH_WRONG,
		    "" },
		{ LOGIN_IMAP, false, ACCOUNT_APP_ONLY_YES, "right", AUTH_APP_ONLY, "" },
		{ LOGIN_IMAP, false, ACCOUNT_APP_ONLY_YES, "wrong", AUTH_WRONG, "" },
		{ LOGIN_IMAP, false, ACCOUNT_APP_ONLY_YES, PHONE, AUTH_OK, "phone" },
		{ LOGIN_IMAP, true, ACCOUNT_APP_ONLY_DEFAULT, "right", AUTH_APP_ONLY, "" },
		{ LOGIN_IMAP, true, ACCOUNT_APP_ONLY_NO, "right", AUTH_OK, "" },
		/* The page where passwords are changed. */
		{ 0, true, ACCOUNT_APP_ONLY_YES, "right", AUTH_OK, "" },
		{ 0, false, ACCOUNT_APP_ONLY_DEFAULT, PHONE, AUTH_WRONG, "" },
	};
	struct place *p = *state;
	char *stored = password_create(STR("right"));

	assert_int_equal(account_db_set_password(p->db, p->ann, stored, NULL), STORE_OK);
	assert_int_equal(
	    add(p, p->ann, "phone", LOGIN_PROTOCOLS_ALL, time(NULL) + 1000, PHONE), STORE_OK);
	assert_int_equal(add(p, p->ann, "tablet", LOGIN_IMAP, 0, TABLET), STORE_OK);
	assert_int_equal(add(p, p->ann, "old", LOGIN_PROTOCOLS_ALL, time(NULL) - 1, OLD), STORE_OK);
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct auth_options options = { .default_domain = "example.org",
			.cache_ttl_s = 60,
			.protocol = CASES[i].protocol,
			.app_only = CASES[i].configured };
		struct auth *auth = auth_new(p->db, &options, NULL);

		assert_int_equal(account_app_only_set(p->db, p->ann, CASES[i].only), STORE_OK);
		expect(auth, CASES[i].password, CASES[i].outcome, CASES[i].app);
		auth_free(auth);
	}
	free(stored);
}

/* What is right and refused is not remembered: it would be refused faster the next time. */
static void
test_refusals_are_not_cached(void **state)
{
	struct place *p = *state;
	struct auth_options options = {
		.default_domain = "example.org", .cache_ttl_s = 60, .protocol = LOGIN_IMAP
	};
	struct auth *auth = auth_new(p->db, &options, NULL);
	char *stored = password_create(STR("right"));
	struct scram_keys keys, again;
	struct auth_login login;

	scram_keys_make(STR("right"), &keys);
	assert_int_equal(account_db_set_password(p->db, p->ann, stored, &keys), STORE_OK);
	expect(auth, "right", AUTH_OK, "");
	assert_int_equal(account_app_only_set(p->db, p->ann, ACCOUNT_APP_ONLY_YES), STORE_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(auth_login(auth, STR("ann"), STR("right"), &login), STORE_DENIED);
		assert_false(login.cached);
		auth_login_free(&login);
	}
	/* SCRAM knows the main password alone. */
	assert_int_equal(auth_login_keys(auth, STR("ann"), &again, &login), STORE_DENIED);
	assert_int_equal(login.outcome, AUTH_APP_ONLY);
	assert_memory_not_equal(again.stored_key, keys.stored_key, SCRAM_KEY_BYTES);
	auth_login_free(&login);
	assert_int_equal(account_app_only_set(p->db, p->ann, ACCOUNT_APP_ONLY_NO), STORE_OK);
	assert_int_equal(auth_login_keys(auth, STR("ann"), &again, &login), STORE_OK);
	assert_memory_equal(again.stored_key, keys.stored_key, SCRAM_KEY_BYTES);
	auth_login_free(&login);
	assert_int_equal(account_db_set_active(p->db, p->ann, false), STORE_OK);
	expect(auth, "right", AUTH_INACTIVE, "");
	assert_int_equal(account_db_set_active(p->db, p->ann, true), STORE_OK);
	assert_int_equal(account_db_set_password(p->db, p->ann, stored, NULL), STORE_OK);
	assert_int_equal(auth_login_keys(auth, STR("ann"), &again, &login), STORE_DENIED);
	assert_int_equal(login.outcome, AUTH_NO_KEYS);
	auth_login_free(&login);
	assert_int_equal(auth_login_keys(auth, STR("eve"), &again, &login), STORE_DENIED);
	assert_int_equal(login.outcome, AUTH_UNKNOWN);
	auth_login_free(&login);
	auth_free(auth);
	free(stored);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_normal_form),
		cmocka_unit_test_setup_teardown(test_life, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_app_only, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_older_file, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_logins, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_refusals_are_not_cached, place_set_up_db, place_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
