#include "submitd/dsn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

#define WORDS_MAX 10

static const struct spool_options OPTIONS = {
	.free_space_floor = 1024,
	.message_size_max = 1000000,
	.messages_max = 1000,
};

static char ANN[] = "ann@example.org", JOERG[] = "j\xc3\xb6rg@example.org";
static char BOB[] = "bob@example.net", RENE[] = "ren\xc3\xa9@example.net";

#define PLAIN "From: a\r\nSubject: s\r\n\r\nthe body\r\n"
#define EIGHT "From: a\r\nSubject: s\r\n\r\ngr\xc3\xbc\xc3\x9f\x65\r\n"

enum { WIDE = 1, EIGHT_BIT = 2, SECRET = 4, BINARY = 8 };

/* One message with one recipient, and what its report says (lines; from "!" on what it does not). */
static const struct case_ {
	const char *what;
	enum dsn_action action;
	char *sender, *rcpt;
	const char *reply, *relay, *orcpt, *envid;
	unsigned how;
	enum spool_ret ret;
	const char *says[WORDS_MAX];
	unsigned flags; /* of the report: WIDE, EIGHT_BIT, SECRET */
} CASES[] = {
	{ "refused", DSN_FAILED, ANN, BOB, "550 5.1.1 who\nis that", "relay.example.net:25", NULL,
	    NULL, 0, SPOOL_RET_UNSET,
	    { "Final-Recipient: rfc822; bob@example.net\nAction: failed\nStatus: "
	      "5.1.1\nRemote-MTA: ",
		"\nRemote-MTA: dns; relay.example.net\nDiagnostic-Code: smtp; 550 5.1.1 who is "
		"that\n",
		"Content-Type: message/rfc822\n", "the body", "!", "Original-", "Will-Retry" },
	    0 },
	{ "no status in the reply", DSN_FAILED, ANN, BOB, "550 who", "relay", NULL, NULL, 0,
	    SPOOL_RET_FULL, { "Status: 5.0.0\n", "Remote-MTA: dns; relay\n" }, 0 },
	{ "found by us", DSN_FAILED, ANN, BOB, "5.6.7 The next host", NULL, NULL, NULL, 0,
	    SPOOL_RET_UNSET,
	    { "Status: 5.6.7\nDiagnostic-Code: x-sanger; 5.6.7 The next host\n", "!",
		"Remote-MTA" },
	    0 },
	{ "nothing was said", DSN_FAILED, ANN, BOB, NULL, NULL, NULL, NULL, 0, SPOOL_RET_UNSET,
	    { "Status: 5.0.0\n", "!", "Diagnostic-Code", "Remote-MTA" }, 0 },
	{ "the envelope as it was before xtext", DSN_FAILED, ANN, BOB, NULL, "192.0.2.1:2525",
	    "rfc822;o+ld@x", "my id+1", 0, SPOOL_RET_UNSET,
	    { "Original-Envelope-Id: my id+1\nReporting-MTA: dns; mail.example.org\nArrival-Date: ",
		"Original-Recipient: rfc822;o+ld@x\n", "Remote-MTA: dns; [192.0.2.1]\n" },
	    0 },
	{ "ORCPT beyond ASCII in a plain message", DSN_FAILED, ANN, BOB, NULL, NULL,
	    "rfc822;r\xc3\xa9@x", NULL, 0, SPOOL_RET_UNSET,
	    { "Original-Recipient: rfc822;r??@x\n" }, 0 },
	{ "IPv6", DSN_FAILED, ANN, BOB, NULL, "[2001:db8::1]:25", NULL, NULL, 0, SPOOL_RET_UNSET,
	    { "Remote-MTA: dns; [IPv6:2001:db8::1]\n" }, 0 },
	{ "IPv6 without brackets", DSN_FAILED, ANN, BOB, NULL, "2001:db8::1", NULL, NULL, 0,
	    SPOOL_RET_UNSET, { "Remote-MTA: dns; [IPv6:2001:db8::1]\n" }, 0 },
	{ "the header alone", DSN_FAILED, ANN, BOB, NULL, NULL, NULL, NULL, 0, SPOOL_RET_HDRS,
	    { "Content-Type: text/rfc822-headers\n", "Subject: s\n", "!", "the body" }, 0 },
	{ "REQUIRETLS: the header alone", DSN_FAILED, ANN, BOB, NULL, NULL, NULL, NULL, SECRET,
	    SPOOL_RET_FULL, { "Content-Type: text/rfc822-headers\n", "!", "the body" }, SECRET },
	{ "BINARYMIME: the header alone", DSN_FAILED, ANN, BOB, NULL, NULL, NULL, NULL, BINARY,
	    SPOOL_RET_FULL, { "Content-Type: text/rfc822-headers\n", "!", "the body" }, 0 },
	{ "delayed", DSN_DELAYED, ANN, BOB, "451 4.3.0 later", NULL, NULL, NULL, 0, SPOOL_RET_FULL,
	    { "Action: delayed\nStatus: 4.3.0\n", "Will-Retry-Until: Sun, 09 Sep 2001 ",
		"text/rfc822-headers", "!", "the body" },
	    0 },
	{ "late is our word", DSN_LATE, ANN, BOB, "451 4.3.0 later", NULL, NULL, NULL, 0,
	    SPOOL_RET_FULL, { "Action: delayed\nStatus: 4.4.7\n" }, 0 },
	{ "relayed", DSN_RELAYED, ANN, BOB, "250 2.1.5 ok", NULL, NULL, NULL, 0, SPOOL_RET_FULL,
	    { "Action: relayed\nStatus: 2.1.5\n", "text/rfc822-headers", "!", "the body" }, 0 },
	{ "eight bits", DSN_FAILED, ANN, BOB, NULL, NULL, NULL, NULL, EIGHT_BIT, SPOOL_RET_FULL,
	    { "MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n",
		"Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n" },
	    EIGHT_BIT },
	{ "a reply in UTF-8", DSN_FAILED, ANN, BOB, "550 5.1.1 caf\xc3\xa9", NULL, NULL, NULL, 0,
	    SPOOL_RET_FULL, { "Diagnostic-Code: smtp; 550 5.1.1 caf??\n" }, EIGHT_BIT },
	{ "RFC 6533", DSN_FAILED, ANN, RENE, "550 5.1.1 caf\xc3\xa9", NULL, NULL, NULL, WIDE,
	    SPOOL_RET_FULL,
	    { "Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: 8bit\n\n",
		"Final-Recipient: utf-8; ren\xc3\xa9@example.net\n", "5.1.1 caf\xc3\xa9\n",
		"Content-Type: message/global\n" },
	    EIGHT_BIT }, /* its own header is plain */
	{ "RFC 6533, the header alone", DSN_FAILED, JOERG, BOB, NULL, NULL, NULL, NULL, WIDE,
	    SPOOL_RET_HDRS,
	    { "To: j\xc3\xb6rg@example.org\n", "Final-Recipient: rfc822; bob@example.net\n",
		"Content-Type: message/global-headers\n" },
	    WIDE | EIGHT_BIT },
};

static bool
everybody(const struct spool_recipient *rcpt)
{
	(void)rcpt;
	return true;
}

static char *
copy_of(const char *text)
{
	return text != NULL ? mem_strdup(text) : NULL;
}

static void
put_message(struct spool *spool, const struct case_ *t)
{
	const char *text = (t->how & EIGHT_BIT) != 0 ? EIGHT : PLAIN;
	struct spool_recipient to = { .address = t->rcpt,
		.orcpt = copy_of(t->orcpt),
		.notify = SPOOL_NOTIFY_SUCCESS | SPOOL_NOTIFY_FAILURE | SPOOL_NOTIFY_DELAY };
	struct spool_message envelope = { .sender = t->sender,
		.envid = copy_of(t->envid),
		.ret = t->ret,
		.body = (t->how & BINARY) != 0      ? SPOOL_BODY_BINARYMIME
			: (t->how & EIGHT_BIT) != 0 ? SPOOL_BODY_8BITMIME
						    : SPOOL_BODY_7BIT,
		.smtputf8 = (t->how & WIDE) != 0,
		.require_tls = (t->how & SECRET) != 0,
		.recipients = &to,
		.recipient_count = 1 };
	struct spool_draft *draft;

	assert_int_equal(spool_begin(spool, &draft), STORE_OK);
	assert_int_equal(spool_write(draft, text, strlen(text)), STORE_OK);
	assert_int_equal(spool_commit(draft, &envelope, 0), STORE_OK);
	free(to.orcpt);
	free(envelope.envid);
}

static void
check_text(const struct case_ *t, const char *report)
{
	bool wanted = true;

	for (size_t i = 0; i < WORDS_MAX && t->says[i] != NULL; i++) {
		if (strcmp(t->says[i], "!") == 0)
			wanted = false;
		else if ((strstr(report, t->says[i]) != NULL) != wanted)
			fail_msg("%s: %s in\n%s", t->what, t->says[i], report);
	}
	assert_null(strchr(report, '\r'));
}

/* The only other message that is due. */
static void
check_report(struct spool *spool, const struct case_ *t)
{
	struct spool_message *m;
	char text[8192];
	ssize_t len;
	int fd;

	assert_int_equal(spool_claim(spool, time(NULL) + 1, &m), STORE_OK);
	assert_string_equal(m->sender, "");
	assert_string_equal(m->recipients[0].address, t->sender);
	assert_int_equal(m->recipients[0].notify, SPOOL_NOTIFY_NEVER);
	assert_int_equal(m->smtputf8, (t->flags & WIDE) != 0);
	assert_int_equal(m->require_tls, (t->flags & SECRET) != 0);
	assert_int_equal(m->body == SPOOL_BODY_8BITMIME, (t->flags & EIGHT_BIT) != 0);
	assert_int_equal(spool_content(spool, m->id, &fd), STORE_OK);
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(len > 0);
	text[len] = '\0';
	check_text(t, text);
	m->recipients[0].state = SPOOL_DELIVERED;
	assert_int_equal(spool_release(spool, m), STORE_OK);
}

static void
run_case(struct spool *spool, const struct case_ *t)
{
	struct spool_message *m;

	put_message(spool, t);
	assert_int_equal(spool_claim(spool, time(NULL) + 1, &m), STORE_OK);
	m->recipients[0].reply = copy_of(t->reply);
	m->recipients[0].relay = copy_of(t->relay);
	assert_int_equal(
	    dsn_send(spool, "mail.example.org", m, t->action, 1000000000, everybody), STORE_OK);
	m->recipients[0].state = SPOOL_DELIVERED;
	assert_int_equal(spool_release(spool, m), STORE_OK);
	check_report(spool, t);
}

static void
test_reports(void **state)
{
	char dir[] = "/tmp/dsn_test.XXXXXX", *command;
	struct spool *spool;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(spool_open(dir, &OPTIONS, NULL, &spool), STORE_OK);
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
		run_case(spool, &CASES[i]);
	spool_close(spool);
	command = mem_printf("rm -rf %s", dir);
	assert_int_equal(system(command), 0);
	free(command);
}

static void
test_who_wants_what(void **state)
{
	static const struct {
		const char *sender;
		unsigned notify;
		const char *wanted; /* by action, in their order */
	} ROWS[] = {
		{ "a@b", 0, "yynyyy" },
		{ "a@b", SPOOL_NOTIFY_NEVER, "nnnnnn" },
		{ "a@b", SPOOL_NOTIFY_FAILURE, "ynnnyy" },
		{ "a@b", SPOOL_NOTIFY_DELAY, "nynyyy" },
		{ "a@b", SPOOL_NOTIFY_SUCCESS, "nnynyy" },
		{ "a@b", SPOOL_NOTIFY_SUCCESS | SPOOL_NOTIFY_FAILURE, "ynynyy" },
		{ "", SPOOL_NOTIFY_FAILURE, "nnnnnn" }, /* no report about a report */
		{ "", 0, "nnnnnn" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		char sender[8] = "";
		struct spool_message msg = { .sender = sender };
		struct spool_recipient rcpt = { .notify = ROWS[i].notify };

		memcpy(sender, ROWS[i].sender, strlen(ROWS[i].sender));
		for (size_t k = 0; ROWS[i].wanted[k] != '\0'; k++)
			assert_int_equal(dsn_is_wanted(&msg, &rcpt, (enum dsn_action)k),
			    ROWS[i].wanted[k] == 'y');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_who_wants_what),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
