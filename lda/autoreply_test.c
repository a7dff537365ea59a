/* What is answered, to whom, and how it looks: replies, notifications, refusals, receipts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lda/filter_report.h"
#include "lda/receipt.h"
#include "lda/rejection.h"
#include "sending/autoreply.h"
#include "sending/complaint.h"
#include "sending/notification.h"

struct stage {
	struct arena arena;
	struct view view;
	struct reply_facts facts;
};

static void
set_stage_bytes(struct stage *t, const char *sender, struct str message)
{
	struct filter_message m = { .fd = -1, .bytes = message };

	*t = (struct stage){ 0 };
	assert_true(view_open(&t->view, &m, &t->arena));
	t->facts = (struct reply_facts){
		.account = "ann@example.org",
		.rcpt = "ann+x@example.org",
		.sender = sender,
		.hostname = "mail.example.org",
		.now = 1700000000,
		.message = &t->view,
	};
}

static void
set_stage(struct stage *t, const char *sender, const char *message)
{
	set_stage_bytes(t, sender, str_from(message));
}

static void
clear_stage(struct stage *t)
{
	view_close(&t->view);
	arena_free(&t->arena);
}

/* --- may it be answered? ------------------------------------------------------------------------ */

struct objection_case {
	enum filter_action_kind kind;
	const char *sender, *header;
	const char *why; /* NULL: it may */
};

#define TO_ANN "To: Ann <ann@example.org>\n"
static const struct objection_case OBJECTIONS[] = {
	{ FILTER_VACATION, "bob@example.net", TO_ANN, NULL },
	{ FILTER_VACATION, "", TO_ANN, "null-sender" },
	{ FILTER_VACATION, "bob@example.net", "To: all@example.org\n", "not-addressed" },
	{ FILTER_VACATION, "bob@example.net", "", "not-addressed" },
	/* every field of recipients counts, every spelling of the address, and :addresses */
	{ FILTER_VACATION, "bob@example.net", "Cc: x@y, ANN@Example.ORG\n", NULL },
	{ FILTER_VACATION, "bob@example.net", "Resent-To: ann@example.org\n", NULL },
	{ FILTER_VACATION, "bob@example.net", "To: ann+x@example.org\n", NULL },
	{ FILTER_VACATION, "bob@example.net", "To: group: alias@example.org;\n", NULL },
	{ FILTER_VACATION, "bob@example.net", "X-To: ann@example.org\n", "not-addressed" },
	/* machines */
	{ FILTER_VACATION, "bob@example.net", TO_ANN "Auto-Submitted: auto-replied\n",
	    "auto-submitted" },
	{ FILTER_VACATION, "bob@example.net", TO_ANN "Auto-submitted: (c) No (sic); x=y\n", NULL },
	{ FILTER_VACATION, "bob@example.net", TO_ANN "Auto-Submitted: notified\n",
	    "auto-submitted" },
	{ FILTER_VACATION, "bob@example.net", TO_ANN "List-Unsubscribe: <x>\n", "list-or-bulk" },
	{ FILTER_VACATION, "bob@example.net", TO_ANN "Precedence: Junk\n", "list-or-bulk" },
	{ FILTER_VACATION, "bob@example.net", TO_ANN "Precedence: first-class\n", NULL },
	{ FILTER_VACATION, "bob@example.net", TO_ANN "X-Auto-Response-Suppress: dr,OOF\n",
	    "suppressed-by-sender" },
	{ FILTER_VACATION, "bob@example.net", TO_ANN "X-Auto-Response-Suppress: DR\n", NULL },
	{ FILTER_VACATION, "MAILER-Daemon@example.net", TO_ANN, "system-sender" },
	{ FILTER_VACATION, "owner-list@example.net", TO_ANN, "system-sender" },
	{ FILTER_VACATION, "list-request@example.net", TO_ANN, "system-sender" },
	{ FILTER_VACATION, "list-bounces+ann=example.org@example.net", TO_ANN, "system-sender" },
	{ FILTER_VACATION, "list-requests@example.net", TO_ANN, NULL },
	{ FILTER_VACATION, "\"MAILER-DAEMON\"@example.net", TO_ANN, "system-sender" },
	{ FILTER_VACATION, "bounce-17-42@example.net", TO_ANN, "system-sender" },
	{ FILTER_VACATION, "bounces+17=ann@example.net", TO_ANN, "system-sender" },
	{ FILTER_VACATION, "dev-return-9-ann=x@example.net", TO_ANN, "system-sender" },
	{ FILTER_VACATION, "no-reply+7@example.net", TO_ANN, "system-sender" },
	{ FILTER_VACATION, "dev-owner@example.net", TO_ANN, "system-sender" },
	{ FILTER_VACATION, "bouncer@example.net", TO_ANN, NULL },
	{ FILTER_VACATION, "homeowner@example.net", TO_ANN, NULL },
	{ FILTER_VACATION, "ann+x@example.org", TO_ANN, "own-address" },
	{ FILTER_VACATION, "bob@example.net", TO_ANN "Precedence:\n List\n", "list-or-bulk" },
	{ FILTER_VACATION, "bob@example.net", TO_ANN "Precedence: normal\nPrecedence: bulk\n",
	    "list-or-bulk" },
	{ FILTER_VACATION, "bob@example.net", TO_ANN "List-Id: x\n", "list-or-bulk" },
	{ FILTER_VACATION, "Ann@example.org", TO_ANN, "own-address" },
	{ FILTER_VACATION, "alias@example.org", TO_ANN, "own-address" },
	/* Exim's mail: whatever its owner wants, but never for machines */
	{ FILTER_MAIL, "bob@example.net", "To: all@example.org\nPrecedence: bulk\n", NULL },
	/* … but what goes to the sender is an answer like others */
	{ FILTER_MAIL, "bob@example.net", "From: bob@example.net\nPrecedence: bulk\n",
	    "list-or-bulk" },
	{ FILTER_MAIL, "list-bounces@example.net",
	    "From: carol@example.net\nList-Id: <x.example>\n", "list-or-bulk" },
	{ FILTER_MAIL, "bob@example.net", "From: b@x\nReply-To: c@x\nList-Post: <x>\n",
	    "list-or-bulk" },
	{ FILTER_MAIL, "bob@example.net", "From: owner-x@x\n", "system-recipient" },
	{ FILTER_MAIL, "bob@example.net", "From: bob@example.net\n", NULL },
	{ FILTER_MAIL, "", TO_ANN, "null-sender" },
	{ FILTER_MAIL, "bob@example.net", "Auto-Submitted: auto-generated\n", "auto-submitted" },
};

static void
test_objections(void **state)
{
	static const char *OWN[] = { "alias@example.org" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(OBJECTIONS); i++) {
		const struct objection_case *c = &OBJECTIONS[i];
		struct filter_action action = { .kind = c->kind,
			.reply = { .own_addresses = OWN, .own_address_count = 1 } };
		char *message = mem_printf("%s\nbody\n", c->header);
		const char *why;
		struct stage t;

		set_stage(&t, c->sender, message);
		why = autoreply_objection(&t.facts, &action);
		if ((why == NULL) != (c->why == NULL) || (why != NULL && strcmp(why, c->why) != 0))
			fail_msg("%s, %s: %s", c->sender, c->header, why != NULL ? why : "none");
		clear_stage(&t);
		free(message);
	}
}

/* --- to whom ------------------------------------------------------------------------------------ */

struct recipient_case {
	const char *header, *to, *cc, *bcc;
	const char *recipients; /* divided by blanks */
};

static const struct recipient_case RECIPIENTS[] = {
	{ "From: a@x\nReply-To: B <b@x>\n", NULL, NULL, NULL, "b@x" },
	{ "From: a@x\nReply-To: \n", NULL, NULL, NULL, "a@x" },
	{ "From: a@x\n", "C <c@x>, d@x", "e@x", "f@x, c@x", "c@x d@x e@x f@x" },
	/* never to oneself: that would be a loop */
	{ "From: ann@example.org\n", NULL, NULL, NULL, "" },
	{ "From: a@x\n", "ann@example.org, a@x", NULL, NULL, "a@x" },
	{ "From: nobody at all\n", NULL, NULL, NULL, "" },
	{ "", NULL, NULL, NULL, "" },
};

static void
test_recipients(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(RECIPIENTS); i++) {
		const struct recipient_case *c = &RECIPIENTS[i];
		struct filter_action action = { .kind = FILTER_MAIL,
			.reply = { .to = c->to, .cc = c->cc, .bcc = c->bcc } };
		char *message = mem_printf("%s\nbody\n", c->header);
		const char *found[AUTOREPLY_RECIPIENTS_MAX];
		struct buf all = { 0 };
		struct stage t;
		size_t count;

		set_stage(&t, "s@x", message);
		count = autoreply_recipients(&t.facts, &action, &t.arena, found);
		for (size_t n = 0; n < count; n++)
			buf_printf(&all, "%s%s", n > 0 ? " " : "", found[n]);
		assert_string_equal(buf_cstr(&all), c->recipients);
		buf_free(&all);
		clear_stage(&t);
		free(message);
	}
}

/* --- how it looks ------------------------------------------------------------------------------- */

struct look_case {
	struct filter_action action;
	const char *message;
	const char *has[6];
	const char *lacks[3];
};

#define MESSAGE                                                                                    \
	"From: Bob <bob@example.net>\nTo: ann@example.org\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\n" \
	"Message-ID: <2@x>\nReferences: <1@x>\n\nHello\n"

static const struct look_case LOOKS[] = {
	{ { .kind = FILTER_VACATION, .reply = { .body = "Away." } }, MESSAGE,
	    { "From: ann@example.org\nTo: bob@example.net\nSubject: Auto: =?utf-8?B?",
		"\nIn-Reply-To: <2@x>\nReferences: <1@x> <2@x>\n",
		"\nAuto-Submitted: auto-replied (vacation)\n", "\nMIME-Version: 1.0\n",
		"charset=us-ascii\nContent-Transfer-Encoding: 7bit\n\nAway.\n",
		"Precedence: bulk" },
	    { "\nBcc", "\r" } },
	{ { .kind = FILTER_VACATION, .reply = { .body = "x" } }, "To: ann@example.org\n\n",
	    { "\nSubject: Automated reply\n" }, { "In-Reply-To", "References" } },
	{ { .kind = FILTER_VACATION,
	      .reply = { .subject = "Weg: für immer",
		  .body = "Schöne Grüße",
		  .from = "Ännchen <ann@example.org>" } },
	    MESSAGE,
	    { "From: =?utf-8?B?w4RubmNoZW4=?= <ann@example.org>\n",
		"\nSubject: Weg: =?utf-8?B?ZsO8cg==?= immer\n",
		"quoted-printable\n\nSch=C3=B6ne Gr" },
	    { "Auto: " } },
	/* nothing in filter or message makes a field of its own */
	{ { .kind = FILTER_VACATION,
	      .reply = { .subject = "a\nBcc: victim@x",
		  .from = "b@x\nBcc: victim@x",
		  .body = "" } },
	    "Subject: x\nMessage-ID: <a@b>\r \n\tBcc: victim@x\nReferences: x\n Bcc: victim@x\n\n",
	    { "\nSubject: a Bcc: victim@x\n" }, { "\nBcc" } },
	/* a MIME entity: its own fields alone */
	{ { .kind = FILTER_VACATION,
	      .reply = { .mime = true,
		  .body = "Content-Type: text/html; charset=utf-8\nBcc: victim@x\n\n<p>away" } },
	    MESSAGE, { "\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n<p>away\n" },
	    { "Bcc", "text/plain" } },
	/* Exim's mail */
	{ { .kind = FILTER_MAIL,
	      .reply = { .to = "C <c@x>",
		  .cc = "d@x",
		  .bcc = "hidden@x",
		  .subject = "S",
		  .body = "text",
		  .reply_to = "other@x",
		  .extra_headers = "X-One: 1\nFrom: forged@x\nX-Two: zwei, für\n",
		  .return_message = true } },
	    MESSAGE,
	    { "\nTo: C <c@x>\nCc: d@x\nSubject: S\n", "\nX-One: 1\n", "\nReply-To: other@x",
		"\nAuto-Submitted: auto-replied\n", "\n\nHello\n", "a copy of the message" },
	    { "hidden", "forged", "Precedence" } },
	{ { .kind = FILTER_MAIL,
	      .reply = { .extra_headers = "MIME-Version: 1.0\nContent-Type: text/html\n",
		  .body = "<p>hi" } },
	    MESSAGE, { "\nTo: Bob <bob@example.net>\n", "Content-Type: text/html\n\n<p>hi\n" },
	    { "\nSubject", "text/plain" } },
	{ { .kind = FILTER_MAIL, .reply = { .file = "x" } }, MESSAGE,
	    { "\n\nThis is an automatic reply to your message.\n" }, { NULL } },
};

static void
test_looks(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(LOOKS); i++) {
		const struct look_case *c = &LOOKS[i];
		struct buf out = { 0 };
		struct stage t;

		set_stage(&t, "bob@example.net", c->message);
		autoreply_compose(&out, &t.facts, &c->action);
		for (size_t n = 0; n < ARRAY_LEN(c->has) && c->has[n] != NULL; n++)
			if (strstr(buf_cstr(&out), c->has[n]) == NULL)
				fail_msg("%zu lacks \"%s\":\n%s", i, c->has[n], buf_cstr(&out));
		for (size_t n = 0; n < ARRAY_LEN(c->lacks) && c->lacks[n] != NULL; n++)
			if (strstr(buf_cstr(&out), c->lacks[n]) != NULL)
				fail_msg("%zu has \"%s\":\n%s", i, c->lacks[n], buf_cstr(&out));
		buf_free(&out);
		clear_stage(&t);
	}
}

/* --- hostile originals --------------------------------------------------------------------------- */

#define TEN(x)      x x x x x x x x x x
#define THOUSAND(x) TEN(TEN(TEN(x)))
#define S(literal)                                                                                 \
	{                                                                                          \
		(literal), sizeof(literal) - 1                                                     \
	}

/* What somebody might write to have a reply say what he wants: none of it leaves its field. */
static const struct str HOSTILE[] = {
	S("Subject: a\r\n b\r\nMessage-ID: <a@b>\r\n\r\nx"),
	S("Subject: a\rBcc: victim@x\rX: y\nMessage-ID: <a\rBcc: victim@x>\n\nx"),
	S("Subject: a\0\nBcc: victim@x\nMessage-ID: <a\0@b>\nReferences: <\0>\n\nx"),
	/* encoded words that decode to line ends, to NUL, and to more of a header */
	S("Subject: =?utf-8?Q?a=0D=0ABcc:_victim@x=0D=0A=0D=0Abody?=\n\nx"),
	S("Subject: =?utf-8?B?YQ0KQmNjOiB2aWN0aW1AeA==?=\nFrom: =?utf-8?Q?a=0ABcc:v?= <a@x>\n\nx"),
	S("From: =?utf-8?Q?=00=0D?= <a@x>\nReply-To: \"a\r\n b\" <c@x>\n\nx"),
	S("Subject: =?utf-16?B?AAoADQBC?=\n\nx"),
	/* 8 bits without a word, and no UTF-8 */
	S("Subject: \xfc\xff\nMessage-ID: <\xc3\xbc@b>\nReferences: <\xfc> <ok@x>\n\nx"),
	S("From: \xfc <a@x>\n\xfc: x\n\n\xfc"),
	/* longer than a line may be */
	S("Subject: " THOUSAND("long") "\nMessage-ID: <" THOUSAND("long") "@b>\n\nx"),
	S("Message-ID: <a@b>\nReferences: " THOUSAND("<x@yz>") "\n\nx"),
	S("Message-ID: <a@b>\nReferences: " THOUSAND("<x@yz> ") "\n\nx"),
	S("From: " THOUSAND("long") " <a@x>\nX-Long: " THOUSAND("y") "\n\nx"),
	/* no message at all */
	S(""),
	S("\n\n"),
	S(":\n x\n"),
};

static const char *const OUR_FIELDS[] = { "From", "To", "Cc", "Subject", "Date", "Message-ID",
	"In-Reply-To", "References", "Auto-Submitted", "X-Auto-Response-Suppress", "Precedence",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Importance", "X-Priority" };

static void
check_header(size_t number, struct str message)
{
	struct cursor c = cursor_from(message);
	struct header_field field;

	for (size_t i = 0, line = 0; i < message.len; i++) {
		line = message.p[i] == '\n' ? 0 : line + 1;
		if (line > 998 || message.p[i] == '\r' || message.p[i] == '\0')
			fail_msg("%zu: byte %zu of\n%s", number, i, message.p);
	}
	while (header_next(&c, &field)) {
		bool ours = false;

		for (size_t i = 0; i < ARRAY_LEN(OUR_FIELDS); i++)
			ours = ours || str_eq_nocase(field.name, str_from(OUR_FIELDS[i]));
		if (!ours || str_trim(field.value).len == 0)
			fail_msg("%zu: field %.*s of\n%s", number, (int)field.name.len,
			    field.name.p, message.p);
		for (size_t i = 0; i < field.raw.len; i++)
			if ((unsigned char)field.raw.p[i] >= 0x80)
				fail_msg("%zu: 8 bits in\n%s", number, message.p);
	}
}

static void
test_hostile(void **state)
{
	static const char *TO[] = { "a@x" };
	const struct filter_action vacation = { .kind = FILTER_VACATION, .reply = { .body = "x" } };
	const struct filter_action mail = { .kind = FILTER_MAIL,
		.reply = { .to = "a@x", .return_message = true } };
	const struct filter_notify notify = { .method = "mailto:a@x", .to = TO, .to_count = 1 };
	const struct filter_reject reject = { .reason = "no" }, ereject = { "no", true };
	const struct filter_report report = { .type = "abuse", .message = "m", .to = "a@x" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(HOSTILE); i++) {
		struct buf out[7] = { 0 };
		struct stage t;

		set_stage_bytes(&t, "bob@example.net", HOSTILE[i]);
		t.facts.orig_rcpt = "rfc822;a\r\nBcc: victim@x";
		autoreply_compose(&out[0], &t.facts, &vacation);
		autoreply_compose(&out[1], &t.facts, &mail);
		notification_compose(&out[2], &t.facts, &notify);
		rejection_compose(&out[3], &t.facts, &reject);
		rejection_compose(&out[4], &t.facts, &ereject);
		receipt_compose(&out[5], &t.facts, "id\r\nBcc: victim@x");
		complaint_compose(&out[6], &t.facts, &report);
		for (size_t n = 0; n < ARRAY_LEN(out); n++) {
			check_header(i * 10 + n, (struct str){ buf_cstr(&out[n]), out[n].len });
			buf_free(&out[n]);
		}
		clear_stage(&t);
	}
}

/* --- notifications ------------------------------------------------------------------------------ */

static void
test_notification(void **state)
{
	static const char *TO[] = { "a@x", "b@x" };
	struct filter_notify notify = { .method = "mailto:a@x,b@x?cc=c@x&bcc=d@x&subject=Gr%C3%BC%"
						  "0Ae&from=z@x&keywords=a%0Ab&bcC=e@x",
		.to = TO,
		.to_count = 2,
		.importance = 1,
		.message = "the text" };
	const char *found[NOTIFICATION_RECIPIENTS_MAX];
	struct buf out = { 0 };
	struct stage t;

	(void)state;
	set_stage(&t, "bob@example.net", MESSAGE);
	assert_null(notification_objection(&t.facts, &notify));
	assert_int_equal(notification_recipients(&notify, &t.arena, found), 4);
	assert_string_equal(found[3], "d@x");
	notification_compose(&out, &t.facts, &notify);
	assert_non_null(strstr(buf_cstr(&out), "From: ann@example.org\nTo: a@x, b@x\nCc: c@x\n"));
	assert_non_null(strstr(buf_cstr(&out), "\nSubject: the text\n"));
	assert_non_null(
	    strstr(buf_cstr(&out), "\nAuto-Submitted: auto-notified; "
				   "owner-email=\"ann@example.org\"\nImportance: high\n"));
	assert_non_null(strstr(buf_cstr(&out), "the text"));
	assert_non_null(strstr(buf_cstr(&out), "\nKeywords: a b\n"));
	assert_null(strstr(buf_cstr(&out), "d@x"));
	assert_null(strstr(buf_cstr(&out), "z@x"));
	buf_reset(&out);
	notify.message = NULL;
	notification_compose(&out, &t.facts, &notify);
	assert_non_null(strstr(buf_cstr(&out), "\nSubject: =?utf-8?B?R3LDvA==?= e\n"));
	buf_reset(&out);
	notify =
	    (struct filter_notify){ .method = "mailto:a@x?body=b%0D%0Ac", .to = TO, .to_count = 1 };
	notification_compose(&out, &t.facts, &notify);
	assert_non_null(strstr(buf_cstr(&out), "\nSubject: [New mail] =?utf-8?"));
	assert_non_null(strstr(buf_cstr(&out), "\n\nb\nc\n"));
	buf_free(&out);
	clear_stage(&t);
	set_stage(&t, "bob@example.net", "Auto-Submitted: auto-notified\n\n");
	assert_string_equal(notification_objection(&t.facts, &notify), "auto-submitted");
	clear_stage(&t);
}

/* --- feedback reports --------------------------------------------------------------------------- */

/* RFC 5965 §2: text, feedback, message. */
static void
test_complaints(void **state)
{
	struct filter_report report = {
		.type = "abuse", .message = "This is spam.", .to = "Desk <abuse@example.net>"
	};
	struct buf out = { 0 };
	struct stage t;

	(void)state;
	set_stage(&t, "bob@example.net", MESSAGE);
	assert_string_equal(complaint_recipient(&report, &t.arena), "abuse@example.net");
	complaint_compose(&out, &t.facts, &report);
	assert_non_null(strstr(buf_cstr(&out),
	    "From: ann@example.org\nTo: Desk <abuse@example.net>\nSubject: Report: "));
	assert_non_null(strstr(buf_cstr(&out), "; report-type=feedback-report;"));
	assert_non_null(strstr(buf_cstr(&out), "\n\nThis is spam.\n"));
	assert_non_null(
	    strstr(buf_cstr(&out), "\n\nFeedback-Type: abuse\nUser-Agent: Sanger/1\nVersion: 1\n"
				   "Original-Mail-From: <bob@example.net>\n"));
	assert_non_null(strstr(buf_cstr(&out), "Content-Type: message/rfc822\n"));
	buf_reset(&out);
	report.headers_only = true;
	complaint_compose(&out, &t.facts, &report);
	assert_non_null(strstr(buf_cstr(&out), "Content-Type: text/rfc822-headers\n"));
	assert_null(strstr(buf_cstr(&out), "message/rfc822"));
	buf_free(&out);
	clear_stage(&t);
}

/* --- refusals ----------------------------------------------------------------------------------- */

struct refusal_case {
	const char *reason;
	bool ereject, by_reply;
	const char *text;
};

static const struct refusal_case REFUSALS[] = {
	{ "No.", false, true, "No." },
	{ "One\r\ntwo\tthree\r\n", false, true, "One\ntwo three" },
	{ "für mich nicht", false, false, NULL },
	{ "für mich nicht", true, true, "The recipient does not want this message" },
	{ "bell\a", false, false, NULL },
	{ "", true, true, "The recipient does not want this message" },
};

static void
test_refusals(void **state)
{
	char text[REJECTION_TEXT_BYTES], longer[REJECTION_TEXT_BYTES + 10];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(REFUSALS); i++) {
		struct filter_reject r = { REFUSALS[i].reason, REFUSALS[i].ereject };

		assert_int_equal(rejection_reply(&r, text), REFUSALS[i].by_reply);
		if (REFUSALS[i].by_reply)
			assert_string_equal(text, REFUSALS[i].text);
	}
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_false(rejection_reply(&(struct filter_reject){ longer, false }, text));
	assert_true(rejection_reply(&(struct filter_reject){ longer, true }, text));
	assert_int_equal(strlen(text), REJECTION_TEXT_BYTES - 1);
}

static void
test_reports(void **state)
{
	struct trouble trouble = {
		.kind = "compile", .line = 2, .text = "what is this?", .whole = true
	};
	const struct filter_report_facts facts = { .account = "ann@example.org",
		.hostname = "mail.example.org",
		.now = 1700000000,
		.filter = STR("keep;\r\n\tthis;\r\n"),
		.subject = STR("=?utf-8?q?caf=C3=A9?="),
		.date = STR("now") };
	struct buf out = { 0 };
	struct stage t;

	(void)state;
	set_stage(&t, "bob@example.net", MESSAGE);
	t.facts.orig_rcpt = "rfc822;alias@example.org";
	rejection_compose(&out, &t.facts, &(struct filter_reject){ "No.", false });
	assert_non_null(strstr(buf_cstr(&out), "report-type=disposition-notification;"));
	assert_non_null(strstr(buf_cstr(&out),
	    "\nOriginal-Recipient: rfc822;alias@example.org\nFinal-Recipient: rfc822; "
	    "ann+x@example.org\nOriginal-Message-ID: <2@x>\n"
	    "Disposition: automatic-action/MDN-sent-automatically; deleted\n"));
	assert_non_null(strstr(buf_cstr(&out), "\nReferences: <1@x>\n\n--=_"));
	assert_null(strstr(buf_cstr(&out), "Hello")); /* the body stays here */
	buf_reset(&out);
	rejection_compose(&out, &t.facts, &(struct filter_reject){ "No.", true });
	assert_non_null(strstr(buf_cstr(&out), "\nAction: failed\nStatus: 5.7.1\n"));
	buf_reset(&out);
	receipt_compose(&out, &t.facts, "my id");
	assert_non_null(strstr(buf_cstr(&out), "\nOriginal-Envelope-Id: my id\nReporting-MTA: "));
	assert_non_null(strstr(buf_cstr(&out), "\nAction: delivered\nStatus: 2.1.5\n"));
	buf_reset(&out);
	filter_report_compose(&out, &facts, &trouble);
	assert_non_null(
	    strstr(buf_cstr(&out), "\nSubject: Your mail filter has a mistake in line 2\n"));
	assert_non_null(strstr(buf_cstr(&out), "\nAuto-Submitted: auto-generated\n"));
	assert_non_null(strstr(buf_cstr(&out), "\n    line 2: what is this?\n    >  this;\n"));
	assert_non_null(strstr(buf_cstr(&out), "\n    Subject: caf=C3=A9\n    Date: now\n"));
	assert_null(strstr(buf_cstr(&out), "From: bob"));
	buf_reset(&out);
	trouble.text = "included script \"x\": what?"; /* whose line it is then */
	filter_report_compose(&out, &facts, &trouble);
	assert_null(strstr(buf_cstr(&out), "this;"));
	buf_reset(&out);
	trouble = (struct trouble){ .kind = "runtime", .text = "cannot be" };
	filter_report_compose(&out, &facts, &trouble);
	assert_non_null(strstr(buf_cstr(&out), "has a mistake\n"));
	assert_non_null(strstr(buf_cstr(&out), "\n    cannot be\n\n"));
	assert_null(strstr(buf_cstr(&out), "was not applied"));
	buf_free(&out);
	clear_stage(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objections),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_notification),
		cmocka_unit_test(test_complaints),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
