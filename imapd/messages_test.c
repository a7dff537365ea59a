/* The commands on messages against a real store, without a network: dialogues of one or two sessions
 * on one account in a temporary directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/config.h"
#include "imapd/imapd.h"
#include "imapd/session.h"
#include "store/account.h"
#include "store/mailbox.h"

struct world {
	char dir[64];
	struct config *config;
	struct store *store;
	struct account *acct;
	struct imapd imapd;
	struct imap_session a, b;
	struct buf said; /* what the last command was answered */
};

/* --- set-up ------------------------------------------------------------------------------------ */

static const char *const MESSAGES[] = {
	/* 1: plain */
	"Date: Mon, 2 Feb 2026 23:30:00 -0800\nFrom: Ann <ann@example.org>\nTo: bob@example.org\n"
	"Subject: first\nMessage-ID: <1@example.org>\n\nHello one\nsecond line\n",
	/* 2: multipart with base64, quoted-printable and an unknown encoding */
	"Date: Tue, 3 Feb 2026 10:00:00 +0100\nFrom: bob@example.org\nTo: ann@example.org\n"
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\n"
	"Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n"
	"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
	"caf=C3=A9\n--b\nContent-Type: application/octet-stream\n"
	"Content-Transfer-Encoding: base64\n\nAAECAwQ=\n--b\nContent-Type: text/plain\n"
	"Content-Transfer-Encoding: x-odd\n\n???\n--b--\n",
	/* 3: a message within a message */
	"Date: Wed, 4 Feb 2026 10:00:00 +0000\nFrom: cy@example.org\nSubject: fwd\n"
	"MIME-Version: 1.0\nContent-Type: message/rfc822\n\n"
	"From: inner@example.org\nSubject: inside\n\ninner body\n",
	/* 4: no date */
	"From: dee@example.org\nSubject: dateless\n\nneedle\n",
};

static void
append(struct world *w, const char *text, int64_t internaldate_s)
{
	struct append_message_info info = { .internaldate_s = internaldate_s };
	uint32_t uidvalidity;
	struct append *ap;

	assert_int_equal(append_begin(w->acct, "INBOX", &ap), STORE_OK);
	assert_int_equal(append_message(ap, &info), STORE_OK);
	assert_int_equal(append_write(ap, text, strlen(text)), STORE_OK);
	assert_int_equal(append_commit(ap, &uidvalidity, NULL), STORE_OK);
	append_end(ap);
}

static int
set_up(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	struct buf errors = { 0 };

	strcpy(w->dir, "/tmp/sanger-messages-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->store = store_open(&(struct store_options){ .mail_root = w->dir });
	assert_non_null(w->store);
	w->imapd.store = w->store;
	w->imapd.progress_ns = UINT64_MAX / 2; /* nobody waits that long */
	w->imapd.config = w->config = config_parse("defaults", (struct str){ "", 0 }, &errors);
	assert_non_null(w->imapd.config);
	assert_int_equal(
	    account_open(w->store, "ann", "example.org", ACCOUNT_CREATE, &w->acct), STORE_OK);
	for (size_t i = 0; i < ARRAY_LEN(MESSAGES); i++)
		append(
		    w, MESSAGES[i], 1770000000 + (int64_t)i * 86400); /* 2026-02-02 02:40 UTC … */
	for (int i = 0; i < 2; i++) {
		struct imap_session *s = i == 0 ? &w->a : &w->b;

		s->imapd = &w->imapd;
		s->state = IMAP_AUTHENTICATED;
		s->acct = account_ref(w->acct);
	}
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;
	char command[128];

	imap_session_clear(&w->a);
	imap_session_clear(&w->b);
	account_close(w->acct);
	store_close(w->store);
	config_free(w->config);
	buf_free(&w->said);
	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	assert_int_equal(system(command), 0);
	free(w);
	return 0;
}

/* --- dialogues --------------------------------------------------------------------------------- */

/* Runs a command to its end; each step's output is taken as the loop would. */
static void
say(struct world *w, struct imap_session *s, const char *line)
{
	struct imap_run run = { 0 };
	enum imap_result r = imap_run_begin(s, &run, str_from(line));

	buf_reset(&w->said);
	for (;;) {
		buf_add(&w->said, s->out.data, s->out.len);
		buf_reset(&s->out);
		if (r != IMAP_MORE)
			break;
		r = imap_run_step(s, &run);
	}
	assert_int_not_equal(r, IMAP_WAIT);
}

/* "*" stands for anything but a line end, "**" for anything at all. */
static bool
fits(const char *pattern, const char *text)
{
	bool lines;

	for (; *pattern != '\0' && *pattern != '*'; pattern++, text++)
		if (*pattern != *text)
			return false;
	if (*pattern == '\0')
		return *text == '\0';
	lines = pattern[1] == '*';
	pattern += lines ? 2 : 1;
	for (;; text++) {
		if (fits(pattern, text))
			return true;
		if (*text == '\0' || (*text == '\n' && !lines))
			return false;
	}
}

struct line {
	char who; /* a or b */
	const char *say, *answer;
};

static void
dialogue_of(struct world *w, const struct line *lines, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		say(w, lines[i].who == 'a' ? &w->a : &w->b, lines[i].say);
		if (!fits(lines[i].answer, buf_cstr(&w->said)))
			fail_msg("%c: %s\nwanted:\n%s\ngot:\n%s", lines[i].who, lines[i].say,
			    lines[i].answer, buf_cstr(&w->said));
	}
}
#define DIALOGUE(w, lines) dialogue_of(w, lines, ARRAY_LEN(lines))

/* --- SELECT and its opposites ------------------------------------------------------------------ */

static void
select_says_all(void **state)
{
	static const struct line TALK[] = {
		{ 'a', "1 SELECT inbox",
		    "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n"
		    "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft *)] *\r\n"
		    "* 4 EXISTS\r\n* 4 RECENT\r\n* OK [UNSEEN 1] *\r\n* OK [MAILBOXID (F*)] *\r\n"
		    "* OK [UIDVALIDITY *] *\r\n"
		    "* OK [UIDNEXT 5] *\r\n* OK [HIGHESTMODSEQ *] *\r\n1 OK [READ-WRITE] *\r\n" },
		{ 'b', "1 EXAMINE INBOX",
		    "* FLAGS *\r\n* OK [PERMANENTFLAGS ()] *\r\n* 4 EXISTS\r\n* 0 RECENT\r\n**"
		    "1 OK [READ-ONLY] *\r\n" },
		{ 'b', "2 STORE 1 +FLAGS (\\Seen)", "2 NO *\r\n" },
		{ 'b', "3 EXPUNGE", "3 NO *\r\n" },
		{ 'b', "4 MOVE 1 Trash", "4 NO *\r\n" },
		{ 'b', "5 FETCH 1 BODY[]", "* 1 FETCH (BODY[] {**)\r\n5 OK *\r\n" },
		{ 'b', "6 FETCH 1 FLAGS", "* 1 FETCH (FLAGS ())\r\n6 OK *\r\n" },
		{ 'a', "2 SELECT nosuch", "* OK [CLOSED] *\r\n2 NO [NONEXISTENT] *\r\n" },
		{ 'a', "3 FETCH 1 FLAGS", "3 BAD *\r\n" },
		{ 'a', "4 SELECT INBOX (CONDSTORE)", "**4 OK [READ-WRITE] *\r\n" },
		{ 'a', "5 SELECT INBOX (NOSUCH)", "5 BAD *\r\n" },
		{ 'a', "6 CHECK", "6 OK *\r\n" },
		{ 'a', "7 CHECK x", "7 BAD *\r\n" },
		{ 'a', "8 UNSELECT", "8 OK *\r\n" },
		{ 'a', "9 UNSELECT", "9 BAD *\r\n" },
	};

	DIALOGUE(*state, TALK);
}

static void
rev2_selects_otherwise(void **state)
{
	struct world *w = *state;
	static const struct line TALK[] = {
		{ 'a', "1 SELECT INBOX",
		    "* FLAGS *\r\n* OK [PERMANENTFLAGS *\r\n* 4 EXISTS\r\n* OK [MAILBOXID *\r\n"
		    "* OK [UIDVALIDITY *\r\n"
		    "* OK [UIDNEXT *\r\n* OK [HIGHESTMODSEQ *\r\n* LIST () \"/\" *INBOX*\r\n"
		    "1 OK [READ-WRITE] *\r\n" },
		{ 'a', "2 FETCH 1 FLAGS", "* 1 FETCH (FLAGS ())\r\n2 OK *\r\n" },
		{ 'a', "3 SEARCH ALL", "* ESEARCH (TAG \"3\") ALL 1:4\r\n3 OK *\r\n" },
		{ 'a', "4 UID SEARCH DELETED", "* ESEARCH (TAG \"4\") UID\r\n4 OK *\r\n" },
	};

	w->a.enabled = IMAP_ENABLED_REV2;
	DIALOGUE(w, TALK);
}

static void
close_expunges(void **state)
{
	static const struct line TALK[] = {
		{ 'a', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'a', "2 STORE 2 +FLAGS.SILENT (\\Deleted)", "2 OK *\r\n" },
		{ 'a', "3 CLOSE", "3 OK *\r\n" },
		{ 'a', "4 SELECT INBOX", "**\r\n* 3 EXISTS\r\n**4 OK *\r\n" },
		{ 'a', "5 STORE 1 +FLAGS.SILENT (\\Deleted)", "5 OK *\r\n" },
		{ 'a', "6 UNSELECT", "6 OK *\r\n" },
		{ 'a', "7 EXAMINE INBOX", "**\r\n* 3 EXISTS\r\n**7 OK *\r\n" },
		{ 'a', "8 CLOSE", "8 OK *\r\n" },
		{ 'a', "9 SELECT INBOX", "**\r\n* 3 EXISTS\r\n**9 OK *\r\n" },
	};

	DIALOGUE(*state, TALK);
}

/* --- FETCH ------------------------------------------------------------------------------------- */

static void
fetch_gives_items(void **state)
{
	static const struct line TALK[] = {
		{ 'a', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'a', "2 FETCH 1 FAST",
		    "* 1 FETCH (FLAGS (\\Recent) INTERNALDATE \"02-Feb-2026 02:40:00 +0000\""
		    " RFC822.SIZE 159)\r\n2 OK *\r\n" },
		{ 'a', "3 FETCH 1 ENVELOPE",
		    "* 1 FETCH (ENVELOPE (\"Mon, 2 Feb 2026 23:30:00 -0800\" \"first\" ((\"Ann\" "
		    "NIL"
		    " \"ann\" \"example.org\")) *))\r\n3 OK *\r\n" },
		{ 'a', "4 FETCH 1 BODY", "* 1 FETCH (BODY (\"text\" \"plain\" *))\r\n4 OK *\r\n" },
		{ 'a', "5 FETCH 1:2 (UID FLAGS)",
		    "* 1 FETCH (UID 1 FLAGS (\\Recent))\r\n* 2 FETCH (UID 2 FLAGS (\\Recent))\r\n"
		    "5 OK *\r\n" },
		{ 'a', "6 UID FETCH 4:* FLAGS",
		    "* 4 FETCH (FLAGS (\\Recent) UID 4)\r\n6 OK *\r\n" },
		{ 'a', "7 UID FETCH 100 FLAGS", "7 OK *\r\n" },
		{ 'a', "8 UID FETCH 100:* FLAGS",
		    "* 4 FETCH (FLAGS (\\Recent) UID 4)\r\n8 OK *\r\n" },
		{ 'a', "9 FETCH 5 FLAGS", "9 BAD *\r\n" },
		{ 'a', "10 FETCH 2:5 FLAGS", "10 BAD *\r\n" },
		{ 'a', "11 FETCH * UID", "* 4 FETCH (UID 4)\r\n11 OK *\r\n" },
		{ 'a', "12 FETCH 1 NOSUCH", "12 BAD *\r\n" },
		{ 'a', "13 FETCH x FLAGS", "13 BAD *\r\n" },
		{ 'a', "14 FETCH 1", "14 BAD *\r\n" },
	};

	DIALOGUE(*state, TALK);
}

static void
fetch_gives_sections(void **state)
{
	static const struct line TALK[] = {
		{ 'a', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'a', "2 FETCH 1 BODY.PEEK[TEXT]",
		    "* 1 FETCH (BODY[TEXT] {24}\r\nHello one\r\nsecond line\r\n)\r\n2 OK *\r\n" },
		{ 'a', "3 FETCH 1 BODY.PEEK[TEXT]<6.5>",
		    "* 1 FETCH (BODY[TEXT]<6> {5}\r\none\r\n)\r\n3 OK *\r\n" },
		{ 'a', "4 FETCH 1 BODY.PEEK[TEXT]<11.100>",
		    "* 1 FETCH (BODY[TEXT]<11> {13}\r\nsecond line\r\n)\r\n4 OK *\r\n" },
		{ 'a', "5 FETCH 1 BODY.PEEK[TEXT]<100.5>",
		    "* 1 FETCH (BODY[TEXT]<100> {0}\r\n)\r\n5 OK *\r\n" },
		{ 'a', "6 FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT x-no)]",
		    "* 1 FETCH (BODY[HEADER.FIELDS (SUBJECT x-no)] {18}\r\nSubject: "
		    "first\r\n\r\n)\r\n"
		    "6 OK *\r\n" },
		{ 'a', "7 FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (date from to message-id)]<2.5>",
		    "* 1 FETCH (BODY[HEADER.FIELDS.NOT (date from to message-id)]<2> "
		    "{5}\r\nbject)\r\n"
		    "7 OK *\r\n" },
		{ 'a', "8 FETCH 1 BODY.PEEK[9]", "* 1 FETCH (BODY[9] NIL)\r\n8 OK *\r\n" },
		{ 'a', "9 FETCH 1 BODY.PEEK[1]",
		    "* 1 FETCH (BODY[1] {24}\r\nHello one\r\nsecond line\r\n)\r\n9 OK *\r\n" },
		{ 'a', "10 FETCH 2 (BODY.PEEK[1] BODY.PEEK[1.MIME])",
		    "* 2 FETCH (BODY[1] {9}\r\ncaf=C3=A9 BODY[1.MIME] {88}\r\n**)\r\n10 OK *\r\n" },
		{ 'a', "11 FETCH 3 (BODY.PEEK[1.HEADER] BODY.PEEK[1.TEXT] BODY.PEEK[1.1])",
		    "* 3 FETCH (BODY[1.HEADER] {44}\r\nFrom: inner@example.org\r\nSubject: "
		    "inside\r\n\r\n"
		    " BODY[1.TEXT] {12}\r\ninner body\r\n BODY[1.1] {12}\r\ninner body\r\n)\r\n"
		    "11 OK *\r\n" },
		{ 'a', "12 FETCH 2 (BINARY.SIZE[1] BINARY.SIZE[2] BINARY.PEEK[1])",
		    "* 2 FETCH (BINARY.SIZE[1] 5 BINARY.SIZE[2] 5 BINARY[1] {5}\r\ncaf\xc3\xa9)\r\n"
		    "12 OK *\r\n" },
		{ 'a', "13 FETCH 2 BINARY.PEEK[2]<1.3>",
		    "* 2 FETCH (BINARY[2]<1> {3}\r\n\x01\x02\x03)\r\n13 OK *\r\n" },
		{ 'a', "14 FETCH 2 BINARY.PEEK[3]",
		    "* 2 FETCH (BINARY[3] NIL)\r\n14 NO [UNKNOWN-CTE] *\r\n" },
		{ 'a', "15 FETCH 1:4 FLAGS",
		    "* 1 FETCH (FLAGS (\\Recent))\r\n**15 OK *\r\n" }, /* nothing was \Seen */
		{ 'a', "16 FETCH 4 (BODY[])",
		    "* 4 FETCH (BODY[] {52}\r\nFrom: dee@example.org\r\nSubject: dateless\r\n\r\n"
		    "needle\r\n FLAGS (\\Seen \\Recent))\r\n16 OK *\r\n" },
		{ 'a', "17 FETCH 4 (BODY[] FLAGS)",
		    "* 4 FETCH (BODY[] {52}\r\n** FLAGS (\\Seen \\Recent))\r\n17 OK *\r\n" },
		{ 'a', "18 FETCH 3 RFC822.TEXT",
		    "* 3 FETCH (RFC822.TEXT {56}\r\n** FLAGS (\\Seen \\Recent))\r\n18 OK *\r\n" },
		{ 'a', "19 FETCH 2 RFC822.HEADER",
		    "* 2 FETCH (RFC822.HEADER {*}\r\n**)\r\n19 OK *\r\n" },
		{ 'a', "20 FETCH 2 FLAGS", "* 2 FETCH (FLAGS (\\Recent))\r\n20 OK *\r\n" },
	};

	DIALOGUE(*state, TALK);
}

/* literal8 for what holds NULs, RFC 3516 §4.2 */
static void
fetch_binary_with_nuls(void **state)
{
	static const char WANTED[] = "* 2 FETCH (BINARY[2] ~{5}\r\n\0\1\2\3\4)\r\n";
	struct world *w = *state;

	say(w, &w->a, "1 SELECT INBOX");
	say(w, &w->a, "2 FETCH 2 BINARY.PEEK[2]");
	assert_true(w->said.len > sizeof(WANTED));
	assert_memory_equal(w->said.data, WANTED, sizeof(WANTED) - 1);
}

/* More than the output holds: in steps, each byte once. */
static void
fetch_big_in_steps(void **state)
{
	struct world *w = *state;
	struct buf text = { 0 };
	char line[64];

	buf_adds(&text, "From: a@b\n\n");
	for (int i = 0; i < 20000; i++)
		buf_printf(&text, "line %d of a big message\n", i);
	append(w, buf_cstr(&text), 1770000000);
	say(w, &w->a, "1 SELECT INBOX");
	say(w, &w->a, "2 FETCH 5 BODY.PEEK[]");
	snprintf(line, sizeof(line), "* 5 FETCH (BODY[] {%zu}\r\n", text.len + 20002);
	assert_memory_equal(w->said.data, line, strlen(line));
	assert_int_equal(
	    w->said.len, strlen(line) + text.len + 20002 + strlen(")\r\n2 OK FETCH done\r\n"));
	/* and in pieces, put together again */
	buf_reset(&text);
	for (size_t at = 0; at < 700000; at += 9999) {
		struct buf piece = { 0 };
		const char *body;

		buf_printf(&piece, "3 FETCH 5 BODY.PEEK[]<%zu.9999>", at);
		say(w, &w->a, buf_cstr(&piece));
		buf_free(&piece);
		body = strstr(buf_cstr(&w->said), "}\r\n") + 3;
		buf_add(&text, body, strtoul(strchr(w->said.data, '{') + 1, NULL, 10));
	}
	say(w, &w->a, "4 FETCH 5 BODY.PEEK[]");
	assert_memory_equal(w->said.data + strlen(line), text.data, text.len);
	assert_true(text.len > 500000);
	buf_free(&text);
}

/* The file shrinks while its literal is under way: nothing may be said any more, and above all not
 * the rest of a message that is not there. */
static void
fetch_breaks_rather_than_lies(void **state)
{
	struct world *w = *state;
	struct imap_run run = { 0 };
	struct buf text = { 0 };
	char command[256];
	enum imap_result r;

	buf_adds(&text, "From: a@b\n\n");
	for (int i = 0; i < 20000; i++)
		buf_printf(&text, "line %d of a big message\n", i);
	append(w, buf_cstr(&text), 1770000000);
	buf_free(&text);
	say(w, &w->a, "1 SELECT INBOX");
	r = imap_run_begin(&w->a, &run, STR("2 FETCH 5 BODY.PEEK[]"));
	assert_int_equal(r, IMAP_MORE);
	buf_reset(&w->a.out);
	snprintf(command, sizeof(command),
	    "find %s -size +100k -path '*/cur/*' -exec truncate -s 200000 {} +", w->dir);
	assert_int_equal(system(command), 0);
	while (r == IMAP_MORE) {
		buf_reset(&w->a.out);
		r = imap_run_step(&w->a, &run);
	}
	assert_true(w->a.broken);
	assert_int_equal(w->a.state, IMAP_LOGOUT);
	assert_null(memmem(w->a.out.data, w->a.out.len, "2 NO", 4));
	imap_run_abort(&run);
}

/* Before anything is announced it is no matter: the file counts as it is. */
static void
fetch_takes_the_file_as_it_is(void **state)
{
	static const struct line TALK[] = {
		{ 'a', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'a', "2 FETCH 4 BODY.PEEK[]",
		    "* 4 FETCH (BODY[] {55}\r\n**needle\r\nx\r\n)\r\n2 OK *\r\n" },
		{ 'a', "3 FETCH 4 BODY.PEEK[TEXT]",
		    "* 4 FETCH (BODY[TEXT] {11}\r\nneedle\r\nx\r\n)\r\n3 OK *\r\n" },
	};
	struct world *w = *state;
	char command[256];

	snprintf(command, sizeof(command),
	    "grep -rl dateless %s | while read f; do printf 'x\\n' >>\"$f\"; done", w->dir);
	assert_int_equal(system(command), 0);
	DIALOGUE(w, TALK);
}

/* --- STORE ------------------------------------------------------------------------------------- */

static void
store_changes_flags(void **state)
{
	static const struct line TALK[] = {
		{ 'a', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'b', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'a', "2 STORE 1 +FLAGS (\\Seen)",
		    "* 1 FETCH (*FLAGS (\\Seen \\Recent))\r\n2 OK *\r\n" },
		{ 'a', "3 STORE 1 +FLAGS (\\Seen)", /* said again though nothing changes */
		    "* 1 FETCH (FLAGS (\\Seen \\Recent))\r\n3 OK *\r\n" },
		{ 'b', "2 NOOP", "* 1 FETCH (*FLAGS (\\Seen))\r\n2 OK *\r\n" },
		{ 'a', "4 STORE 1,2 -FLAGS.SILENT (\\Seen)", "4 OK *\r\n" },
		{ 'a', "5 STORE 1 FLAGS (\\Flagged $Work)",
		    "* FLAGS (*$Work)\r\n* OK [PERMANENTFLAGS (*$Work *)] *\r\n"
		    "* 1 FETCH (*FLAGS (\\Flagged \\Recent $Work))\r\n5 OK *\r\n" },
		{ 'b', "3 NOOP",
		    "* FLAGS (*$Work)\r\n* OK [PERMANENTFLAGS (*$Work *)] *\r\n"
		    "* 1 FETCH (*FLAGS (\\Flagged $Work))\r\n3 OK *\r\n" },
		{ 'a', "6 UID STORE 2 +FLAGS (\\Draft)",
		    "* 2 FETCH (*UID 2*FLAGS (\\Draft \\Recent))\r\n6 OK *\r\n" },
		{ 'a', "7 UID STORE 99 +FLAGS (\\Draft)", "7 OK *\r\n" },
		{ 'a', "8 STORE 99 +FLAGS (\\Draft)", "8 BAD *\r\n" },
		{ 'a', "9 STORE 1 +FLAGS (\\Recent)", "9 BAD *\r\n" },
		{ 'a', "10 STORE 1 FLAGS ()", "* 1 FETCH (*FLAGS (\\Recent))\r\n10 OK *\r\n" },
	};

	DIALOGUE(*state, TALK);
}

static void
store_is_conditional(void **state)
{
	static const struct line TALK[] = {
		{ 'a', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'b', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'a', "2 FETCH 1 MODSEQ",
		    "* OK [HIGHESTMODSEQ *] *\r\n* 1 FETCH (MODSEQ (*))\r\n2 OK *\r\n" },
		{ 'b', "2 STORE 2 +FLAGS.SILENT (\\Flagged)", "2 OK *\r\n" },
		{ 'a', "3 STORE 2,3 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\Seen)",
		    "**3 OK [MODIFIED 2:3] *\r\n" },
		{ 'a', "4 STORE 3 (UNCHANGEDSINCE 9999999) +FLAGS.SILENT (\\Seen)",
		    "* 3 FETCH (*MODSEQ (*))\r\n4 OK *\r\n" },
		{ 'a', "5 UID STORE 4 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)",
		    "**5 OK [MODIFIED 4] *\r\n" },
		{ 'a', "6 STORE 4 +FLAGS (\\Seen)",
		    "* 4 FETCH (*FLAGS (\\Seen \\Recent) MODSEQ (*))\r\n6 OK *\r\n" },
		{ 'a', "7 FETCH 1:* FLAGS (CHANGEDSINCE 9999999)", "7 OK *\r\n" },
		{ 'a', "8 SEARCH MODSEQ 9999999", "* SEARCH\r\n8 OK *\r\n" },
		{ 'a', "9 SEARCH MODSEQ 1", "* SEARCH 1 2 3 4 (MODSEQ *)\r\n9 OK *\r\n" },
		{ 'a', "10 SEARCH RETURN (COUNT) MODSEQ 1",
		    "* ESEARCH (TAG \"10\") COUNT 4 MODSEQ *\r\n10 OK *\r\n" },
		{ 'b', "3 UID FETCH 1:* FLAGS (CHANGEDSINCE 1)",
		    "* OK [HIGHESTMODSEQ *] *\r\n* 2 FETCH (FLAGS (*) MODSEQ (*) UID 2)\r\n**"
		    "3 OK *\r\n" },
	};

	DIALOGUE(*state, TALK);
}

/* --- SEARCH ------------------------------------------------------------------------------------ */

static void
search_finds(void **state)
{
	static const struct line TALK[] = {
		{ 'a', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'a', "2 STORE 2:3 +FLAGS.SILENT (\\Seen)", "2 OK *\r\n" },
		{ 'a', "s SEARCH ALL", "* SEARCH 1 2 3 4\r\ns OK *\r\n" },
		{ 'a', "s SEARCH SEEN", "* SEARCH 2 3\r\ns OK *\r\n" },
		{ 'a', "s SEARCH UNSEEN", "* SEARCH 1 4\r\ns OK *\r\n" },
		{ 'a', "s SEARCH DELETED", "* SEARCH\r\ns OK *\r\n" },
		{ 'a', "s SEARCH OR SEEN 1", "* SEARCH 1 2 3\r\ns OK *\r\n" },
		{ 'a', "s SEARCH NOT 2:3", "* SEARCH 1 4\r\ns OK *\r\n" },
		{ 'a', "s SEARCH 3:9", "* SEARCH 3 4\r\ns OK *\r\n" },
		{ 'a', "s SEARCH NEW", "* SEARCH 1 4\r\ns OK *\r\n" },
		{ 'a', "s SEARCH SUBJECT first", "* SEARCH 1\r\ns OK *\r\n" },
		{ 'a', "s SEARCH SUBJECT {6}\r\nGR\xc3\x9c\xc3\x9f", "* SEARCH 2\r\ns OK *\r\n" },
		{ 'a', "s SEARCH FROM ann", "* SEARCH 1\r\ns OK *\r\n" },
		{ 'a', "s SEARCH TO ann", "* SEARCH 2\r\ns OK *\r\n" },
		{ 'a', "s SEARCH HEADER MIME-Version \"\"", "* SEARCH 2 3\r\ns OK *\r\n" },
		{ 'a', "s SEARCH BODY NEEDLE", "* SEARCH 4\r\ns OK *\r\n" },
		{ 'a', "s SEARCH TEXT inside", "* SEARCH 3\r\ns OK *\r\n" },
		{ 'a', "s SEARCH BODY {5}\r\ncaf\xc3\xa9", "* SEARCH 2\r\ns OK *\r\n" },
		{ 'a', "s SEARCH CHARSET ISO-8859-1 BODY {4}\r\ncaf\xe9",
		    "* SEARCH 2\r\ns OK *\r\n" },
		{ 'a', "s SEARCH OR BODY needle SUBJECT fwd", "* SEARCH 3 4\r\ns OK *\r\n" },
		{ 'a', "s SEARCH NOT BODY needle", "* SEARCH 1 2 3\r\ns OK *\r\n" },
		/* some keys from the index, some from the file */
		{ 'a', "s SEARCH SUBJECT fwd TEXT inside", "* SEARCH 3\r\ns OK *\r\n" },
		{ 'a', "s SEARCH SUBJECT first TEXT inside", "* SEARCH\r\ns OK *\r\n" },
		{ 'a', "s SEARCH NOT SUBJECT first", "* SEARCH 2 3 4\r\ns OK *\r\n" },
		{ 'a', "s SEARCH NOT FROM ann HEADER MIME-Version \"1\" NOT TEXT inside",
		    "* SEARCH 2\r\ns OK *\r\n" },
		{ 'a', "s SEARCH HEADER subject \"\" SENTSINCE 3-Feb-2026",
		    "* SEARCH 2 3\r\ns OK *\r\n" },
		{ 'a', "s SEARCH OR FROM ann (SENTSINCE 4-Feb-2026 TEXT inside)",
		    "* SEARCH 1 3\r\ns OK *\r\n" },
		{ 'a', "s SEARCH SENTON 2-Feb-2026", "* SEARCH 1\r\ns OK *\r\n" }, /* its own day */
		{ 'a', "s SEARCH SENTSINCE 3-Feb-2026", "* SEARCH 2 3\r\ns OK *\r\n" },
		{ 'a', "s SEARCH SENTBEFORE 4-Feb-2026", "* SEARCH 1 2\r\ns OK *\r\n" },
		{ 'a', "s SEARCH ON 3-Feb-2026", "* SEARCH 2\r\ns OK *\r\n" },
		{ 'a', "s SEARCH BEFORE 4-Feb-2026", "* SEARCH 1 2\r\ns OK *\r\n" },
		{ 'a', "s SEARCH SINCE 4-Feb-2026", "* SEARCH 3 4\r\ns OK *\r\n" },
		{ 'a', "s SEARCH YOUNGER 1", "* SEARCH\r\ns OK *\r\n" },
		{ 'a', "s SEARCH LARGER 300", "* SEARCH 2\r\ns OK *\r\n" },
		{ 'a', "s SEARCH SMALLER 100", "* SEARCH 4\r\ns OK *\r\n" },
		{ 'a', "s SEARCH UID 2:* UNSEEN", "* SEARCH 4\r\ns OK *\r\n" },
		{ 'a', "s SEARCH KEYWORD nosuch", "* SEARCH\r\ns OK *\r\n" },
		{ 'a', "s SEARCH UNKEYWORD nosuch", "* SEARCH 1 2 3 4\r\ns OK *\r\n" },
		{ 'a', "s SEARCH CHARSET nosuch ALL", "s NO [BADCHARSET (*)] *\r\n" },
		{ 'a', "s SEARCH NOSUCH", "s BAD *\r\n" },
		{ 'a', "s SEARCH RETURN () SEEN", "* ESEARCH (TAG \"s\") ALL 2:3\r\ns OK *\r\n" },
		{ 'a', "s UID SEARCH RETURN (MIN MAX COUNT ALL) SEEN",
		    "* ESEARCH (TAG \"s\") UID MIN 2 MAX 3 ALL 2:3 COUNT 2\r\ns OK *\r\n" },
		{ 'a', "s SEARCH RETURN (MIN COUNT) DELETED",
		    "* ESEARCH (TAG \"s\") COUNT 0\r\ns OK *\r\n" },
	};

	DIALOGUE(*state, TALK);
}

/* RFC 5182 and the table of RFC 9051 §6.4.4.4 */
static void
search_saves(void **state)
{
	static const struct line TALK[] = {
		{ 'a', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'a', "2 STORE 2:4 +FLAGS.SILENT (\\Seen)", "2 OK *\r\n" },
		{ 'a', "3 FETCH $ UID", "3 OK *\r\n" }, /* empty at first */
		{ 'a', "4 SEARCH RETURN (SAVE) SEEN", "4 OK *\r\n" },
		{ 'a', "5 SEARCH $", "* SEARCH 2 3 4\r\n5 OK *\r\n" },
		{ 'a', "6 UID FETCH $ UID",
		    "* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\n* 4 FETCH (UID 4)\r\n6 OK *\r\n" },
		{ 'a', "7 SEARCH RETURN (SAVE MIN) $",
		    "* ESEARCH (TAG \"7\") MIN 2\r\n7 OK *\r\n" },
		{ 'a', "8 SEARCH $", "* SEARCH 2\r\n8 OK *\r\n" },
		{ 'a', "9 SEARCH RETURN (SAVE MIN MAX) SEEN",
		    "* ESEARCH (TAG \"9\") MIN 2 MAX 4\r\n9 OK *\r\n" },
		{ 'a', "10 SEARCH $", "* SEARCH 2 4\r\n10 OK *\r\n" },
		{ 'a', "11 SEARCH RETURN (SAVE MIN COUNT) SEEN",
		    "* ESEARCH (TAG \"11\") MIN 2 COUNT 3\r\n11 OK *\r\n" },
		{ 'a', "12 SEARCH NOT $", "* SEARCH 1\r\n12 OK *\r\n" },
		{ 'a', "13 SEARCH RETURN (SAVE) NOSUCH", "13 BAD *\r\n" }, /* leaves it */
		{ 'a', "14 STORE $ +FLAGS.SILENT (\\Deleted)", "14 OK *\r\n" },
		{ 'a', "15 UID EXPUNGE 3", "* 3 EXPUNGE\r\n* 3 RECENT\r\n15 OK *\r\n" },
		{ 'a', "16 SEARCH $", "* SEARCH 2 3\r\n16 OK *\r\n" },
		{ 'a', "17 SEARCH RETURN (SAVE) CHARSET nosuch TEXT x", "17 NO [BADCHARSET *\r\n" },
		{ 'a', "18 SEARCH $", "* SEARCH\r\n18 OK *\r\n" },
	};

	DIALOGUE(*state, TALK);
}

/* --- COPY, MOVE, EXPUNGE ----------------------------------------------------------------------- */

static void
copies_and_moves(void **state)
{
	static const struct line TALK[] = {
		{ 'a', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'b', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'a', "2 COPY 2,4 Archive", "2 OK [COPYUID * 2,4 1:2] *\r\n" },
		{ 'a', "3 UID COPY 1 Archive", "3 OK [COPYUID * 1 3] *\r\n" },
		{ 'a', "4 UID COPY 77 Archive", "4 OK *\r\n" },
		{ 'a', "5 COPY 1 nosuch", "5 NO [TRYCREATE] *\r\n" },
		{ 'a', "6 COPY 9 Archive", "6 BAD *\r\n" },
		{ 'a', "7 COPY 1", "7 BAD *\r\n" },
		{ 'a', "8 COPY 1 INBOX", "* 5 EXISTS\r\n**8 OK [COPYUID * 1 5] *\r\n" },
		{ 'a', "9 MOVE 2:3 Archive",
		    "* OK [COPYUID * 2:3 4:5] *\r\n* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n**9 OK *\r\n" },
		{ 'a', "10 UID MOVE 4 Archive",
		    "* OK [COPYUID * 4 6] *\r\n* 2 EXPUNGE\r\n**10 OK *\r\n" },
		{ 'a', "11 MOVE 1 nosuch", "11 NO [TRYCREATE] *\r\n" },
		/* to b they are still there until it may be told */
		{ 'b', "2 FETCH 2:3 FLAGS", "**2 NO [EXPUNGEISSUED] *\r\n" },
		{ 'b', "3 STORE 2 +FLAGS (\\Seen)", "**3 NO [EXPUNGEISSUED] *\r\n" },
		{ 'b', "4 NOOP", "* 4 EXPUNGE\r\n* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n**4 OK *\r\n" },
		{ 'b', "5 FETCH 1:* UID", "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 5)\r\n5 OK *\r\n" },
	};

	DIALOGUE(*state, TALK);
}

static void
expunges(void **state)
{
	static const struct line TALK[] = {
		{ 'a', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'b', "1 SELECT INBOX", "**1 OK *\r\n" },
		{ 'a', "2 STORE 1,2,4 +FLAGS.SILENT (\\Deleted)", "2 OK *\r\n" },
		{ 'a', "3 UID EXPUNGE 2:3", "* 2 EXPUNGE\r\n* 3 RECENT\r\n3 OK *\r\n" },
		{ 'a', "4 EXPUNGE x", "4 BAD *\r\n" },
		{ 'a', "5 UID EXPUNGE", "5 BAD *\r\n" },
		{ 'a', "6 EXPUNGE", "* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n* 1 RECENT\r\n6 OK *\r\n" },
		{ 'a', "7 FETCH 1:* UID", "* 1 FETCH (UID 3)\r\n7 OK *\r\n" },
		{ 'a', "8 EXPUNGE", "8 OK *\r\n" },
		{ 'b', "2 SEARCH ALL", "* SEARCH **2 OK *\r\n" }, /* no EXPUNGE may come here */
		{ 'b', "3 NOOP", "* 4 EXPUNGE\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n**3 OK *\r\n" },
		{ 'a', "9 STORE 1 +FLAGS.SILENT (\\Deleted)", "9 OK *\r\n" },
		{ 'a', "10 EXPUNGE", "* 1 EXPUNGE\r\n* 0 RECENT\r\n10 OK *\r\n" },
		{ 'a', "11 FETCH 1:* UID", "11 BAD *\r\n" }, /* an empty mailbox has no "*" */
		{ 'a', "12 UID FETCH 1:* UID", "12 OK *\r\n" },
		{ 'a', "13 SEARCH 1:*", "* SEARCH\r\n13 OK *\r\n" },
	};

	DIALOGUE(*state, TALK);
}

/* A hundred thousand would take the test too long; enough for several batches and steps. */
static void
many_messages_in_batches(void **state)
{
	struct world *w = *state;
	struct append_message_info info = { .internaldate_s = 1770000000 };
	uint32_t uidvalidity;
	struct append *ap;
	size_t lines = 0;

	assert_int_equal(append_begin(w->acct, "Archive", &ap), STORE_OK);
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(append_message(ap, &info), STORE_OK);
		assert_int_equal(append_write(ap, "Subject: x\n\ny\n", 14), STORE_OK);
	}
	assert_int_equal(append_commit(ap, &uidvalidity, NULL), STORE_OK);
	append_end(ap);
	say(w, &w->a, "1 SELECT Archive");
	say(w, &w->a, "2 STORE 1:* +FLAGS (\\Seen)");
	for (const char *p = buf_cstr(&w->said); (p = strstr(p, " FETCH (")) != NULL; p++)
		lines++;
	assert_int_equal(lines, 5000);
	say(w, &w->a, "3 FETCH 1:* (UID FLAGS MODSEQ RFC822.SIZE)");
	assert_non_null(strstr(buf_cstr(&w->said), "\r\n* 5000 FETCH (UID 5000 FLAGS (\\Seen"));
	say(w, &w->a, "4 FETCH 1:* BODY.PEEK[TEXT]");
	assert_non_null(
	    strstr(buf_cstr(&w->said), "\r\n* 5000 FETCH (BODY[TEXT] {3}\r\ny\r\n)\r\n4 OK"));
	say(w, &w->a, "5 SEARCH RETURN (COUNT) BODY y");
	assert_non_null(strstr(buf_cstr(&w->said), "COUNT 5000"));
	/* RFC 10022: the batches lie side by side, whatever is missing */
	say(w, &w->a, "6 UIDBATCHES 2000");
	assert_string_equal(buf_cstr(&w->said),
	    "* UIDBATCHES (TAG \"6\") 5000:3001,3000:1001,1000:1\r\n6 OK UIDBATCHES done\r\n");
	say(w, &w->a, "7 UID STORE 2001:2900,4000 +FLAGS.SILENT (\\Deleted)");
	say(w, &w->a, "8 EXPUNGE");
	say(w, &w->a, "9 UIDBATCHES 2000 2:3");
	assert_string_equal(buf_cstr(&w->said), "9 NO [LIMIT] Nothing much has changed since these "
						"batches\r\n");
	say(w, &w->a, "10 UIDBATCHES 1000 2:3");
	assert_string_equal(buf_cstr(&w->said),
	    "* UIDBATCHES (TAG \"10\") 4000:3000,2999:1100\r\n10 OK UIDBATCHES done\r\n");
	say(w, &w->a, "11 UIDBATCHES 500 9:100");
	assert_string_equal(
	    buf_cstr(&w->said), "* UIDBATCHES (TAG \"11\") 99:1\r\n11 OK UIDBATCHES done\r\n");
	/* half a batch has come, §3.1.1 */
	say(w, &w->a, "12 UID COPY 1:249 Archive");
	say(w, &w->a, "13 UIDBATCHES 500 9:100");
	assert_string_equal(
	    buf_cstr(&w->said), "13 NO [LIMIT] Nothing much has changed since these batches\r\n");
	say(w, &w->a, "14 UID COPY 250 Archive");
	say(w, &w->a, "15 UIDBATCHES 500 9:100");
	assert_string_equal(
	    buf_cstr(&w->said), "* UIDBATCHES (TAG \"15\") 349:1\r\n15 OK UIDBATCHES done\r\n");
}

/* --- progress, RFC 9585 ------------------------------------------------------------------------ */

static long clock_jump_s; /* with each look at the clock */

int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);

int
__wrap_clock_gettime(clockid_t id, struct timespec *t)
{
	static long jumped_s;
	int rc = __real_clock_gettime(id, t);

	if (id == CLOCK_MONOTONIC)
		t->tv_sec += jumped_s += clock_jump_s;
	return rc;
}

/* A clock by which every message takes long. */
static void
long_commands_say_how_far_they_are(void **state)
{
	static const struct line LINES[] = {
		{ 'a', "a1 SEARCH TEXT needle",
		    "* OK [INPROGRESS (\"a1\" 0 4)] Done with 0%\r\n**\r\n* OK [INPROGRESS (\"a1\" "
		    "2 4)] *\r\n"
		    "* OK [INPROGRESS (\"a1\" 3 4)] *\r\n* SEARCH 4\r\na1 OK *\r\n" },
		{ 'a', "a2 COPY 1:3 Trash",
		    "* OK [INPROGRESS (\"a2\" 1 3)] Done with 33%\r\n"
		    "* OK [INPROGRESS (\"a2\" 2 3)] Done with 66%\r\na2 OK [COPYUID *\r\n" },
	};
	struct world *w = *state;

	say(w, &w->a, "s SELECT INBOX");
	w->imapd.progress_ns = UINT64_C(10000000000);
	clock_jump_s = 100;
	DIALOGUE(w, LINES);
	clock_jump_s = 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(select_says_all),
		TEST(rev2_selects_otherwise),
		TEST(close_expunges),
		TEST(fetch_gives_items),
		TEST(fetch_gives_sections),
		TEST(fetch_binary_with_nuls),
		TEST(fetch_big_in_steps),
		TEST(fetch_breaks_rather_than_lies),
		TEST(fetch_takes_the_file_as_it_is),
		TEST(store_changes_flags),
		TEST(store_is_conditional),
		TEST(search_finds),
		TEST(search_saves),
		TEST(copies_and_moves),
		TEST(expunges),
		TEST(many_messages_in_batches),
		TEST(long_commands_say_how_far_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
