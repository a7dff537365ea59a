/* Aliases and limits: what the tables of version 3 hold. */
#include "store/account_aliases.h"
#include "store/account_test_place.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/account_limits.h"

static enum store_err
alias(struct place *p, int64_t account, const char *address)
{
	struct str localpart, domain;

	if (!account_alias_parse(str_from(address), &localpart, &domain))
		return STORE_INVALID;
	return account_alias_add(p->db, account, localpart, domain);
}

static enum store_err
unalias(struct place *p, const char *address)
{
	struct str localpart, domain;

	assert_true(account_alias_parse(str_from(address), &localpart, &domain));
	return account_alias_delete(p->db, localpart, domain);
}

static void
test_parse(void **state)
{
	static const struct {
		const char *address;
		bool valid;
		const char *localpart;
	} CASES[] = {
		{ "info@example.org", true, "info" },
		{ "@example.org", true, "" },
		{ "*@example.org", true, "" },
		{ "**@example.org", true, "**" }, /* an atom like another */
		{ "@", false, "" },
		{ "*@", false, "" },
		{ "", false, "" },
		{ "info", false, "" },
		{ "@exa mple.org", false, "" },
	};
	struct str localpart, domain;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		if (account_alias_parse(str_from(CASES[i].address), &localpart, &domain) !=
		    CASES[i].valid)
			fail_msg("%s", CASES[i].address);
		if (CASES[i].valid && !str_eq(localpart, str_from(CASES[i].localpart)))
			fail_msg("%s", CASES[i].address);
	}
}

static void
expect_list(struct place *p, int64_t account, const char *domain, const char *wanted)
{
	struct account_alias *aliases;
	struct buf got = { 0 };
	size_t count;

	assert_int_equal(account_alias_list(p->db, account, domain, &aliases, &count), STORE_OK);
	for (size_t i = 0; i < count; i++) {
		char *address = account_alias_address(&aliases[i]);

		buf_printf(&got, "%s>%s ", address, aliases[i].target);
		free(address);
	}
	account_aliases_free(aliases, count);
	assert_string_equal(buf_cstr(&got), wanted);
	buf_free(&got);
}

static void
test_add_list_delete(void **state)
{
	struct place *p = *state;
	struct account_row row = { .localpart = mem_strdup("INFO"),
		.domain = mem_strdup("example.org"),
		.password = mem_strdup("{PLAIN}x") };

	assert_int_equal(alias(p, p->ann, "Info@example.org"), STORE_OK);
	assert_int_equal(alias(p, p->bob, "info@EXAMPLE.org"), STORE_EXISTS);
	assert_int_equal(alias(p, p->bob, "ann@example.org"), STORE_EXISTS); /* an account */
	assert_int_equal(alias(p, 77, "x@example.org"), STORE_NOT_FOUND);
	assert_int_equal(alias(p, p->bob, "*@example.net"), STORE_OK);
	assert_int_equal(alias(p, p->bob, "JÜRGEN@example.net"), STORE_OK);
	expect_list(p, 0, NULL,
	    "@example.net>bob@example.org jürgen@example.net>bob@example.org "
	    "Info@example.org>Ann@example.org ");
	expect_list(p, p->ann, NULL, "Info@example.org>Ann@example.org ");
	expect_list(p, 0, "EXAMPLE.org", "Info@example.org>Ann@example.org ");
	expect_list(p, p->ann, "example.net", "");

	/* Nor may an account come by an address that is an alias. */
	assert_int_equal(account_db_add(p->db, &row, NULL), STORE_EXISTS);
	account_row_free(&row);
	assert_int_equal(
	    account_db_rename(p->db, p->bob, STR("info"), STR("example.org")), STORE_EXISTS);

	assert_int_equal(unalias(p, "INFO@example.org"), STORE_OK);
	assert_int_equal(unalias(p, "info@example.org"), STORE_NOT_FOUND);
	assert_int_equal(
	    account_db_rename(p->db, p->ann, STR("info"), STR("example.org")), STORE_OK);
	/* They go with the account, whoever deletes it. */
	place_run_sql(p->path, "DELETE FROM account WHERE localpart = 'bob'");
	expect_list(p, 0, NULL, "");
}

static void
test_too_many(void **state)
{
	struct place *p = *state;
	struct buf text = { 0 };

	buf_adds(&text, "BEGIN;");
	for (int i = 0; i < ALIASES_MAX; i++)
		buf_printf(&text, "INSERT INTO alias VALUES ('a%d', 'example.org', %lld);", i,
		    (long long)p->ann);
	buf_adds(&text, "COMMIT");
	place_run_sql(p->path, buf_cstr(&text));
	buf_free(&text);
	assert_int_equal(alias(p, p->ann, "one.more@example.org"), STORE_LIMIT);
	assert_int_equal(alias(p, p->bob, "one.more@example.org"), STORE_OK);
}

static void
test_resolve(void **state)
{
	static const struct {
		const char *localpart, *domain;
		struct account_resolve_rules rules;
		const char *account; /* NULL: nobody */
		const char *detail;  /* NULL: none */
	} CASES[] = {
		{ "ann", "example.org", { '+', false, false }, "Ann", NULL },
		{ "ann", "example.org", { '+', true, false }, NULL, NULL },
		{ "Ann", "example.org", { '+', true, false }, "Ann", NULL },
		{ "ann+x", "example.org", { '+', false, false }, "Ann", "x" },
		{ "ann+x+y", "example.org", { '+', false, false }, "Ann", "x+y" },
		{ "ann+", "example.org", { '+', false, false }, "Ann", "" },
		{ "+x", "example.org", { '+', false, false }, NULL, NULL },
		{ "ann-x", "example.org", { '+', false, false }, NULL, NULL },
		{ "ann-x", "example.org", { '-', false, false }, "Ann", "x" },
		{ "ann+x", "example.org", { '\0', false, false }, NULL, NULL },
		{ "info", "example.org", { '+', false, false }, "Ann", NULL },
		{ "info", "example.org", { '+', true, false }, NULL, NULL }, /* is Info */
		{ "Info", "example.org", { '+', true, false }, "Ann", NULL },
		{ "info+x", "example.org", { '+', false, false }, "Ann", "x" },
		{ "ann+list", "example.org", { '+', false, false }, "bob", NULL }, /* an alias */
		{ "ann+own", "example.org", { '+', false, false }, "ann+own", NULL },
		{ "both", "example.org", { '+', false, false }, "both",
		    NULL }, /* the account wins */
		{ "nobody", "example.org", { '+', false, false }, NULL, NULL },
		{ "nobody", "example.org", { '+', false, true }, "bob", NULL },
		{ "nobody+x", "example.org", { '+', false, true }, "bob", NULL },
		{ "ann+x", "example.org", { '+', false, true }, "Ann", "x" },
		{ "", "example.org", { '+', false, false }, NULL,
		    NULL }, /* no name of the catch-all */
		{ "nobody", "example.net", { '+', false, true }, NULL, NULL },
		{ "nobody", "example.com", { '+', false, true }, NULL, NULL }, /* inactive */
		{ "old", "example.com", { '+', false, true }, "gone", NULL },
		{ "info", "example.net", { '+', false, true }, NULL, NULL },
	};
	struct place *p = *state;
	int64_t gone = place_add(p->db, "gone", "example.com", "{PLAIN}x");

	place_add(p->db, "ann+own", "example.org", "{PLAIN}x");
	place_add(p->db, "both", "example.org", "{PLAIN}x");
	assert_int_equal(alias(p, p->ann, "Info@example.org"), STORE_OK);
	assert_int_equal(alias(p, p->bob, "ann+list@example.org"), STORE_OK);
	assert_int_equal(alias(p, p->bob, "*@example.org"), STORE_OK);
	assert_int_equal(account_db_set_active(p->db, gone, false), STORE_OK);
	assert_int_equal(alias(p, gone, "*@example.com"), STORE_OK);
	assert_int_equal(alias(p, gone, "old@example.com"), STORE_OK);
	place_run_sql(p->path, "INSERT INTO alias SELECT 'both', 'example.org', id FROM account"
			       " WHERE localpart = 'ann'"); /* another program's */
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct account_row row = { 0 };
		struct str detail;
		enum store_err err = account_resolve(p->db, &CASES[i].rules,
		    str_from(CASES[i].localpart), str_from(CASES[i].domain), &row, &detail);
		bool detail_right =
		    CASES[i].detail == NULL
			? detail.p == NULL
			: detail.p != NULL && str_eq(detail, str_from(CASES[i].detail));

		if (err != (CASES[i].account != NULL ? STORE_OK : STORE_NOT_FOUND) ||
		    (err == STORE_OK &&
			(strcmp(row.localpart, CASES[i].account) != 0 || !detail_right)))
			fail_msg("%s@%s (%zu)", CASES[i].localpart, CASES[i].domain, i);
		account_row_free(&row);
	}
}

static void
test_owns(void **state)
{
	static const struct {
		const char *address;
		bool anns;
	} CASES[] = {
		{ "ann@example.org", true },
		{ "ANN+x@Example.Org", true },
		{ "ann+a/b c@example.org", true }, /* a detail may be anything */
		{ "info@example.net", true },
		{ "info+x@example.net", true },
		{ "bob@example.org", false },
		{ "ann+bob@example.org", false }, /* an alias of somebody else */
		{ "anyone@example.net", false },  /* the catch-all makes nothing her own */
		{ "@example.net", false },
		{ "ann", false },
		{ "", false },
		{ "@", false },
	};
	const struct account_resolve_rules rules = { '+', false, true };
	struct place *p = *state;

	assert_int_equal(alias(p, p->ann, "info@example.net"), STORE_OK);
	assert_int_equal(alias(p, p->ann, "*@example.net"), STORE_OK);
	assert_int_equal(alias(p, p->bob, "ann+bob@example.org"), STORE_OK);
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
		if (account_owns_address(p->db, p->ann, &rules, str_from(CASES[i].address)) !=
		    (CASES[i].anns ? STORE_OK : STORE_NOT_FOUND))
			fail_msg("%s", CASES[i].address);
}

static void
test_limits(void **state)
{
	struct place *p = *state;
	struct account_limits limits, bad;

	assert_int_equal(account_limits_get(p->db, p->ann, &limits), STORE_OK);
	assert_memory_equal(&limits, &ACCOUNT_LIMITS_DEFAULT, sizeof(limits));
	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++)
		*account_limit_at(&limits, i) = i == 7 ? 1 : (int64_t)i * 10;
	assert_int_equal(account_limits_set(p->db, p->ann, &limits), STORE_OK);
	assert_int_equal(account_limits_set(p->db, 77, &limits), STORE_NOT_FOUND);
	assert_int_equal(account_limits_get(p->db, p->ann, &limits), STORE_OK);
	assert_int_equal(limits.messages_max, ACCOUNT_LIMIT_NONE);
	assert_int_equal(limits.message_kb_max, 10);
	assert_int_equal(limits.sent_recipients_day, 50);
	assert_int_equal(limits.recipients_max, 60);
	assert_int_equal(limits.sent_copy, 1);
	assert_int_equal(account_limits_get(p->db, p->bob, &limits), STORE_OK);
	assert_int_equal(limits.sent_copy, ACCOUNT_LIMIT_DEFAULT);

	/* With other changes: all or nothing. */
	limits.messages_max = 5;
	bad = limits;
	bad.sent_copy = 2;
	assert_int_equal(account_db_change(p->db, p->bob,
			     &(struct account_change){ .realname = "Eve", .limits = &bad }),
	    STORE_INVALID);
	bad.sent_copy = ACCOUNT_LIMIT_MAX + 1;
	assert_int_equal(account_limits_set(p->db, p->bob, &bad), STORE_INVALID);
	assert_int_equal(
	    account_db_change(p->db, p->bob, &(struct account_change){ .limits = &limits }),
	    STORE_OK);
	assert_int_equal(account_limits_get(p->db, p->bob, &limits), STORE_OK);
	assert_int_equal(limits.messages_max, 5);
	assert_int_equal(limits.message_kb_max, ACCOUNT_LIMIT_DEFAULT);

	/* What cannot be counts as not set. */
	place_run_sql(
	    p->path, "UPDATE account_limit SET messages_max = -7, recipients_max = 'many'");
	assert_int_equal(account_limits_get(p->db, p->ann, &limits), STORE_OK);
	assert_int_equal(limits.messages_max, ACCOUNT_LIMIT_DEFAULT);
	assert_int_equal(limits.recipients_max, ACCOUNT_LIMIT_DEFAULT);

	assert_int_equal(account_limit_or(ACCOUNT_LIMIT_DEFAULT, 9), 9);
	assert_int_equal(account_limit_or(ACCOUNT_LIMIT_NONE, 9), 0);
	assert_int_equal(account_limit_or(3, 9), 3);

	/* Ids are used again. */
	assert_int_equal(account_db_delete(p->db, p->bob), STORE_OK);
	assert_int_equal(place_add(p->db, "cy", "example.org", "{PLAIN}x"), p->bob);
	assert_int_equal(account_limits_get(p->db, p->bob, &limits), STORE_OK);
	assert_memory_equal(&limits, &ACCOUNT_LIMITS_DEFAULT, sizeof(limits));
}

static void
expect_leave_whole(struct account_db *db, int64_t id)
{
	bool whole;
	char *text;

	assert_int_equal(account_db_leave_text(db, id, &text, &whole), STORE_OK);
	assert_string_equal(text, "gone");
	assert_true(whole);
	free(text);
}

/* A file of version 2: read as it is, brought up to date by the first writer. */
static void
test_older_file(void **state)
{
	struct place *p = *state;
	const struct account_resolve_rules rules = { '+', false, true };
	struct account_limits limits;
	struct account_row row;
	struct str detail;

	account_db_close(p->db);
	place_run_sql(p->path,
	    "DROP TRIGGER tenure_deleted; DROP TRIGGER tenure_renamed; DROP TABLE tenure;"
	    "DROP TRIGGER account_deleted; DROP TABLE alias; DROP TABLE account_limit;"
	    "DROP TABLE app_password; DROP TABLE account_login;"
	    "ALTER TABLE account_leave DROP COLUMN whole;"
	    "INSERT INTO account_leave VALUES (1, 'gone');"
	    "PRAGMA user_version = 2;"
	    "CREATE TRIGGER account_deleted AFTER DELETE ON account BEGIN"
	    "  DELETE FROM account_scram WHERE account = OLD.id; END;");
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_READ, NULL, &p->db), STORE_OK);
	assert_int_equal(account_db_version(p->db), 2);
	expect_list(p, 0, NULL, "");
	expect_leave_whole(p->db, p->ann);
	assert_int_equal(account_limits_get(p->db, p->ann, &limits), STORE_OK);
	assert_int_equal(
	    account_resolve(p->db, &rules, STR("ann+x"), STR("example.org"), &row, &detail),
	    STORE_OK);
	account_row_free(&row);
	assert_int_equal(
	    account_resolve(p->db, &rules, STR("eve"), STR("example.org"), &row, &detail),
	    STORE_NOT_FOUND);
	assert_int_equal(alias(p, p->ann, "info@example.org"), STORE_DENIED);
	account_db_close(p->db);
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_WRITE, NULL, &p->db), STORE_OK);
	assert_int_equal(account_db_version(p->db), ACCOUNT_DB_VERSION);
	expect_leave_whole(p->db, p->ann);
	assert_int_equal(alias(p, p->ann, "info@example.org"), STORE_OK);
	limits.messages_max = 3;
	assert_int_equal(account_limits_set(p->db, p->ann, &limits), STORE_OK);
	assert_int_equal(account_db_delete(p->db, p->ann), STORE_OK);
	expect_list(p, 0, NULL, "");
	assert_int_equal(account_limits_get(p->db, p->ann, &limits), STORE_OK);
	assert_int_equal(limits.messages_max, ACCOUNT_LIMIT_DEFAULT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test_setup_teardown(
		    test_add_list_delete, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_too_many, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_resolve, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_owns, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_limits, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_older_file, place_set_up_db, place_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
