#include "store/sanger_mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "base/mem.h"
#include "store/folder.h"
#include "store/maildir_testdir.h"

#define HEAD "sanger-mailbox 1\nuidvalidity 7\nmailbox-id AAAAAAAAAAAAAAAAAAAAA_\n"
#define TAIL "uid-lease 5\nmodseq-lease 9\nuid-source own\n"

static const struct {
	const char *text;
	bool good;
	unsigned version;
} TEXTS[] = {
	{ HEAD TAIL "end\n", true, 1 },
	{ HEAD TAIL "special-use \\Sent\nend\n", true, 1 },
	{ HEAD TAIL "future thing\nend\n", true, 1 },
	{ HEAD TAIL "end", false, 1 },
	{ HEAD TAIL, false, 1 },
	{ HEAD "end\n", false, 1 },
	{ HEAD TAIL "uid-lease 0\nend\n", false, 1 },
	{ HEAD TAIL "uid-lease 4294967296\nend\n", false, 1 },
	{ HEAD TAIL "uid-source moon\nend\n", false, 1 },
	{ "sanger-mailbox 2\nend\n", false, 2 },
	{ "something\n", false, 0 },
	{ "", false, 0 },
};

static void
texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
		struct sanger_mailbox m;
		struct buf out = { 0 };
		unsigned version;

		assert_int_equal(
		    sanger_mailbox_parse(str_from(TEXTS[i].text), &m, &version), TEXTS[i].good);
		assert_int_equal(version, TEXTS[i].version);
		if (TEXTS[i].good) { /* all that was there is kept */
			sanger_mailbox_format(&out, &m);
			assert_string_equal(buf_cstr(&out), TEXTS[i].text);
		}
		sanger_mailbox_free(&m);
		buf_free(&out);
	}
}

static void
kept(void **state)
{
	struct sanger_mailbox m, again;
	struct testdir t;
	char *text;

	(void)state;
	testdir_open(&t);
	assert_int_equal(sanger_mailbox_read(t.home, t.home->fd, &m), STORE_NOT_FOUND);
	assert_int_equal(sanger_mailbox_new(t.home, &m), STORE_OK);
	m.uid_lease = 1000;
	strcpy(m.special_use, "\\Sent");
	assert_int_equal(sanger_mailbox_write(t.home, t.home->fd, &m), STORE_OK);
	assert_int_equal(sanger_mailbox_read(t.home, t.home->fd, &again), STORE_OK);
	assert_int_equal(again.uid_validity, m.uid_validity);
	assert_string_equal(again.mailbox_id, m.mailbox_id);
	assert_int_equal(again.uid_lease, 1000);
	sanger_mailbox_free(&again);
	/* Damage: set aside, and a new UIDVALIDITY is larger. */
	testdir_write(t.home->fd, "sanger-mailbox", "sanger-mailbox 1\nuidv");
	assert_int_equal(sanger_mailbox_read(t.home, t.home->fd, &again), STORE_NOT_FOUND);
	assert_int_equal(sanger_mailbox_new(t.home, &again), STORE_OK);
	assert_true(again.uid_validity > m.uid_validity);
	text = testdir_read(t.home->fd, "sanger-mailbox.damaged");
	assert_non_null(text);
	free(text);
	testdir_write(t.home->fd, "sanger-mailbox", "sanger-mailbox 2\nend\n");
	assert_int_equal(sanger_mailbox_read(t.home, t.home->fd, &again), STORE_VERSION);
	testdir_close(&t);
}

/* The clock may stand still or run backwards. */
static void
validity_grows(void **state)
{
	uint32_t one, two, far = (uint32_t)time(NULL) + 1000000;
	struct sanger_mailbox m;
	struct maildir dir;
	struct testdir t;

	(void)state;
	testdir_open(&t);
	assert_int_equal(sanger_uid_validity_new(t.home, &one), STORE_OK);
	assert_true(one >= (uint32_t)time(NULL) - 10);
	assert_int_equal(sanger_uid_validity_new(t.home, &two), STORE_OK);
	assert_true(two > one);
	assert_int_equal(sanger_uid_validity_seen(t.home, far), STORE_OK);
	assert_int_equal(sanger_uid_validity_new(t.home, &one), STORE_OK);
	assert_int_equal(one, far + 1);
	/* sanger-account lost: what the folders have counts. */
	assert_int_equal(folder_create(t.home, "A"), STORE_OK);
	assert_int_equal(maildir_open(t.home, "A", &dir), STORE_OK);
	assert_int_equal(sanger_mailbox_new(t.home, &m), STORE_OK);
	assert_int_equal(sanger_mailbox_write(t.home, dir.fd, &m), STORE_OK);
	maildir_close(&dir);
	testdir_write(t.home->fd, "sanger-account", "rubbish");
	assert_int_equal(sanger_uid_validity_new(t.home, &two), STORE_OK);
	assert_int_equal(two, m.uid_validity + 1);
	testdir_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(kept),
		cmocka_unit_test(validity_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
