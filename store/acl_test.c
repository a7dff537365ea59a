/* Lists of who may do what: letters, identifiers, files, and how entries combine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/account_acl.h"
#include "store/acl.h"

#define ANN "ann@example.org"
#define BOB "bob@example.org"

static const char *
letters(unsigned rights, bool obsolete)
{
	static char text[32];
	struct buf out = { 0 };

	acl_rights_format(&out, rights, obsolete);
	snprintf(text, sizeof(text), "%s", buf_cstr(&out));
	buf_free(&out);
	return text;
}

static void
test_letters(void **state)
{
	static const struct {
		const char *in, *out, *told; /* NULL: none */
	} CASES[] = {
		{ "", "", "" },
		{ "lrswipkxtea", "lrswipkxtea", "lrswipkxteacd" },
		{ "aetxkpiwsrl", "lrswipkxtea", "lrswipkxteacd" },
		{ "cda", "kxtea", "kxteacd" }, /* RFC 4314 §2.1.1 */
		{ "k", "k", "kc" },
		{ "t", "t", "td" },
		{ "ll", "l", "l" },
		{ "lrQ", NULL, NULL },
		{ "lrq", NULL, NULL },
		{ "l r", NULL, NULL },
		{ "l3", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		unsigned rights;
		bool ok = acl_rights_parse(str_from(CASES[i].in), &rights);

		assert_int_equal(ok, CASES[i].out != NULL);
		if (!ok)
			continue;
		assert_string_equal(letters(rights, false), CASES[i].out);
		assert_string_equal(letters(rights, true), CASES[i].told);
	}
}

static void
test_identifiers(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: none */
		enum acl_kind kind;
		bool negative;
	} CASES[] = {
		{ "anyone", "anyone", ACL_ANYONE, false },
		{ "anonymous", "anyone", ACL_ANYONE, false },
		{ "authenticated", "authenticated", ACL_AUTHENTICATED, false },
		{ "-anyone", "-anyone", ACL_ANYONE, true },
		{ "owner", ANN, ACL_OWNER, false },
		{ ANN, ANN, ACL_OWNER, false },
		{ "Ann", ANN, ACL_OWNER, false }, /* in the owner's domain */
		{ "-ann", "-" ANN, ACL_OWNER, true },
		{ "bob", BOB, ACL_USER, false },
		{ "Bob@Example.ORG", BOB, ACL_USER, false },
		{ "-bob", "-" BOB, ACL_USER, true },
		{ "bob@example.net", "bob@example.net", ACL_USER, false },
		{ "$team", "$team", ACL_GROUP, false },
		{ "!$team", "!$team", ACL_GROUP_OVERRIDE, false },
		{ "", NULL, ACL_USER, false },
		{ "-", NULL, ACL_USER, false },
		{ "$", NULL, ACL_USER, false },
		{ "a\tb", NULL, ACL_USER, false },
		{ "a\nuser=b", NULL, ACL_USER, false },
		{ "\xff", NULL, ACL_USER, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct arena arena = { 0 };
		struct buf out = { 0 };
		struct acl_id id;
		bool ok = acl_id_parse(&arena, str_from(CASES[i].in), ANN, &id);

		assert_int_equal(ok, CASES[i].out != NULL);
		if (ok) {
			acl_id_format(&out, &id, ANN);
			assert_string_equal(buf_cstr(&out), CASES[i].out);
			assert_int_equal(id.kind, CASES[i].kind);
			assert_int_equal(id.negative, CASES[i].negative);
		}
		buf_free(&out);
		arena_free(&arena);
	}
}

/* As Dovecot 2.3 answers MYRIGHTS, but for the last part. */
static void
test_combination(void **state)
{
	static const struct {
		const char *file, *bobs, *anns; /* NULL: damaged */
	} CASES[] = {
		{ "", "", "lrswipkxtea" },
		{ "anyone lrs\nuser=" BOB " lw\n", "lw", "lrswipkxtea" },
		{ "anyone lrs\nuser=" BOB "\n", "", "lrswipkxtea" },
		{ "anyone lrs\n-user=" BOB " r\n", "ls", "lrswipkxtea" },
		{ "anyone lrs\n-user=" BOB " r\nuser=" BOB " lrwi\n", "lwi", "lrswipkxtea" },
		{ "user=" BOB " lrwi\n-anyone w\n", "lri", "lrsipkxtea" },
		{ "authenticated lrs\nanyone lw\n", "lrs", "lrswipkxtea" },
		{ "anyone lr\nauthenticated lw\n", "lw", "lrswipkxtea" },
		{ "user=" BOB " lr :foo\n", "lr", "lrswipkxtea" },
		{ "group=team lr\ngroup-override=team lrw\n", "", "lrswipkxtea" },
		{ "\"user=bob smith\" lr\n", "", "lrswipkxtea" },
		{ "owner lr\n", "", "lra" },
		{ "user=" ANN " lr\n", "", "lra" },
		{ "owner lrs\nuser=" ANN " lw\n", "", "lwa" },
		{ "-owner r\n", "", "lswipkxtea" },
		{ "-owner la\n", "", "lrswipkxtea" },
		{ "# a remark\n\n  user=" BOB "\tlr  \n", "lr", "lrswipkxtea" },
		{ "USER=" BOB " lr\n", NULL, NULL },
		{ "garbage\n", NULL, NULL },
		{ "user=" BOB " lrZ\n", NULL, NULL },
		{ "user=" BOB " l r\n", NULL, NULL },
		{ "user=" BOB " lr\nuser=" BOB " lw\n", NULL, NULL },
		{ "\"user=bob lr\n", NULL, NULL },
		{ "\"user=bob\"lr\n", NULL, NULL },
		{ "user= lr\n", NULL, NULL },
		/* ours: a name alone is in the owner's domain */
		{ "user=bob lr\n", "lr", "lrswipkxtea" },
		{ "user=bob lr\nuser=" BOB " w\n", "lrw", "lrswipkxtea" },
	};

	const struct acl_user ann = { ANN, "" }, bob = { BOB, "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct acl acl;

		if (acl_parse(str_from(CASES[i].file), &acl) != (CASES[i].bobs != NULL))
			fail_msg("%s", CASES[i].file);
		if (CASES[i].bobs != NULL) {
			assert_string_equal(
			    letters(acl_rights_of(&acl, ANN, &bob), false), CASES[i].bobs);
			assert_string_equal(
			    letters(acl_rights_of(&acl, ANN, &ann), false), CASES[i].anns);
		}
		acl_free(&acl);
	}
}

static void
expect(const struct acl *acl, const char *text)
{
	struct buf out = { 0 };

	acl_format(&out, acl);
	assert_string_equal(buf_cstr(&out), text);
	buf_free(&out);
}

static void
test_changes(void **state)
{
	const struct acl_id anyone = { .kind = ACL_ANYONE }, owner = { .kind = ACL_OWNER };
	const struct acl_id bob = { .kind = ACL_USER, .name = BOB };
	const struct acl_id not_bob = { .kind = ACL_USER, .negative = true, .name = BOB };
	const struct acl_user ann = { ANN, "" };
	struct acl acl;

	(void)state;
	assert_true(acl_parse(STR("user=" ANN " lr\n\"group=a b\" l :x y\n"), &acl));
	assert_int_equal(acl_set(&acl, ANN, &not_bob, "", ACL_REPLACE, ACL_SEEN), STORE_OK);
	assert_int_equal(acl_set(&acl, ANN, &bob, "", ACL_REMOVE, ACL_SEEN), STORE_OK);
	assert_int_equal(acl_set(&acl, ANN, &bob, "", ACL_ADD, ACL_LOOKUP | ACL_READ), STORE_OK);
	assert_int_equal(acl_set(&acl, ANN, &anyone, "", ACL_REPLACE, 0), STORE_OK);
	expect(&acl,
	    "anyone \n\"group=a b\" l :x y\nuser=" ANN " lr\nuser=" BOB " lr\n-user=" BOB " s\n");
	/* the owner by name becomes "owner", and keeps l and a */
	assert_int_equal(
	    acl_set(&acl, ANN, &owner, "", ACL_REMOVE, ACL_LOOKUP | ACL_READ), STORE_OK);
	expect(&acl, "anyone \n\"group=a b\" l :x y\nowner la\nuser=" BOB " lr\n-user=" BOB " s\n");
	assert_true(acl_delete(&acl, ANN, &bob));
	assert_false(acl_delete(&acl, ANN, &bob));
	assert_true(acl_delete(&acl, ANN, &anyone));
	assert_true(acl_delete(&acl, ANN, &owner));
	expect(&acl, "\"group=a b\" l :x y\n-user=" BOB " s\n");
	/* from all that she has */
	assert_int_equal(acl_set(&acl, ANN, &owner, "", ACL_REMOVE, ACL_WRITE), STORE_OK);
	assert_string_equal(letters(acl_rights_of(&acl, ANN, &ann), false), "lrsipkxtea");
	for (int i = 0; i < ACL_ENTRIES_MAX + 10; i++) {
		char name[40];
		struct acl_id one = { .kind = ACL_USER, .name = name };

		snprintf(name, sizeof(name), "u%d@example.org", i);
		if (acl_set(&acl, ANN, &one, "", ACL_REPLACE, ACL_READ) == STORE_LIMIT)
			break;
		assert_int_not_equal(i, ACL_ENTRIES_MAX + 9);
	}
	acl_free(&acl);
}

/* bob's address is at its third holder, and nobody has lost any other yet. */
static enum store_err
tenure_of(void *arg, const char *address, struct buf *out)
{
	buf_adds(out, strcmp(address, BOB) == 0 ? arg : "");
	return STORE_OK;
}

static void
test_tenures(void **state)
{
	static const struct {
		const char *file, *first, *third,
		    *now; /* what the first and the third bob may; what is left */
	} CASES[] = {
		{ "user=" BOB " lr\n", "lr", "", "" },
		{ "user=" BOB " lr :tenure=three\n", "", "lr", "user=" BOB " lr :tenure=three\n" },
		{ "user=" BOB " lr :tenure=two\n", "", "", "" },
		{ "user=bob lr\nuser=cat lr\n", "lr", "", "user=cat lr\n" },
		{ "anyone l\nuser=" BOB " lr\n", "lr", "l", "anyone l\n" },
		/* what was taken stays taken */
		{ "anyone lrw\nuser=" BOB "\n", "", "", "anyone lrw\nuser=" BOB " \n" },
		{ "anyone lrw\n-user=" BOB " w\n", "lr", "lr", "anyone lrw\n-user=" BOB " w\n" },
		/* other words behind the colon */
		{ "user=" BOB " lr :a,tenure=three  b\n", "", "lr",
		    "user=" BOB " lr :a b tenure=three\n" },
		{ "user=" BOB " lr :tenure=three\v\f b\n", "", "lr",
		    "user=" BOB " lr :b tenure=three\n" },
		{ "user=" ANN " lr :tenure=other\n", "", "", "user=" ANN " lr :tenure=other\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		const struct acl_tenures tenures = { tenure_of, (void *)"three" };
		const struct acl_user first = { BOB, "" }, third = { BOB, "three" };
		struct acl acl;

		assert_true(acl_parse(str_from(CASES[i].file), &acl));
		assert_string_equal(
		    letters(acl_rights_of(&acl, ANN, &first), false), CASES[i].first);
		assert_string_equal(
		    letters(acl_rights_of(&acl, ANN, &third), false), CASES[i].third);
		assert_int_equal(acl_drop_former(&acl, ANN, &tenures), STORE_OK);
		expect(&acl, CASES[i].now);
		acl_free(&acl);
	}
}

/* Nothing is added to what another has had. */
static void
test_tenures_change(void **state)
{
	const struct acl_id bob = { .kind = ACL_USER, .name = BOB };
	struct acl acl;

	(void)state;
	assert_true(acl_parse(STR("user=" BOB " lrw\n"), &acl));
	assert_int_equal(acl_set(&acl, ANN, &bob, "three", ACL_ADD, ACL_LOOKUP), STORE_OK);
	expect(&acl, "user=" BOB " l :tenure=three\n");
	assert_int_equal(acl_set(&acl, ANN, &bob, "three", ACL_ADD, ACL_READ), STORE_OK);
	expect(&acl, "user=" BOB " lr :tenure=three\n");
	acl_forget_tenures(&acl);
	expect(&acl, "user=" BOB " lr\n");
	acl_free(&acl);
}

static void
test_shares_file(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		size_t pairs;
	} CASES[] = {
		{ "sanger-shares 1\nend 0\n", true, 0 },
		{ "sanger-shares 1\na\tb\nc\td\nend 2\n", true, 2 },
		{ "sanger-shares 1\na\tb\nend 2\n", false, 0 },
		{ "sanger-shares 1\na\tb\n", false, 0 },
		{ "sanger-shares 1\na\tb\nend 1", false, 0 },
		{ "sanger-shares 2\nend 0\n", false, 0 },
		{ "sanger-shares 1\n", false, 0 },
		{ "", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		size_t pairs = 0;

		assert_int_equal(shares_parse(str_from(CASES[i].text), &pairs), CASES[i].ok);
		if (CASES[i].ok)
			assert_int_equal(pairs, CASES[i].pairs);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_identifiers),
		cmocka_unit_test(test_combination),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_tenures),
		cmocka_unit_test(test_tenures_change),
		cmocka_unit_test(test_shares_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
