/* Whole commands on a real account: the input is one command without its tag and last CRLF, in a session that has a
 * mailbox with messages selected.  The account lives in memory (/dev/shm) and is made anew every
 * so often. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/mem.h"
#include "imapd/append.h"
#include "imapd/frame.h"
#include "imapd/imapd.h"
#include "imapd/session.h"
#include "service/service.h"
#include "store/account.h"
#include "store/account_db.h"
#include "store/mailbox.h"

#define RUNS_PER_ACCOUNT 2000
#define STEPS_MAX        1000 /* IMAP_MORE in a row */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char MESSAGE[] = "From: Ann <ann@example.org>\r\n"
			      "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
			      "Date: Fri, 17 Jul 2026 02:44:25 +0200\r\n"
			      "Content-Type: multipart/mixed; boundary=b\r\n"
			      "\r\n"
			      "--b\r\n\r\nplain text\r\n"
			      "--b\r\nContent-Type: text/html; charset=utf-8\r\n"
			      "Content-Transfer-Encoding: base64\r\n\r\nPGI+aGVsbG88L2I+\r\n"
			      "--b--\r\n";

static struct fuzz_world {
	char dir[64];
	struct config *config;
	struct store *store;
	struct service service;
	struct imapd imapd;
	struct imap_session s;
	unsigned runs;
} world;

static void
check(enum store_err err)
{
	if (err == STORE_OK)
		return;
	fprintf(stderr, "store: %s\n", store_err_text(err));
	abort();
}

static void
add_message(struct account *acct, unsigned flags)
{
	struct append_message_info info = { .flags = flags, .internaldate_s = 1784249065 };
	struct append *ap;

	check(append_begin(acct, "INBOX", &ap));
	check(append_message(ap, &info));
	check(append_write(ap, MESSAGE, sizeof(MESSAGE) - 1));
	check(append_commit(ap, &(uint32_t){ 0 }, NULL));
	append_end(ap);
}

static void
world_close(struct fuzz_world *w)
{
	char command[128];

	if (w->store == NULL)
		return;
	imap_session_clear(&w->s);
	account_db_close(w->service.accounts);
	store_close(w->store);
	config_free(w->config);
	snprintf(command, sizeof(command), "rm -rf '%s'", w->dir);
	if (system(command) != 0)
		abort();
	*w = (struct fuzz_world){ 0 };
}

static void
on_exit_close(void)
{
	world_close(&world);
}

/* Commands ask it who owns a mailbox and who may be named in a list. */
static struct account_db *
make_accounts(const char *dir)
{
	static const char *const NAMES[] = { "ann", "bob" };
	char *path = mem_printf("%s/user.db", dir);
	struct account_db *db;

	check(account_db_open(path, ACCOUNT_DB_WRITE, NULL, &db));
	free(path);
	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
		struct account_row row = { .localpart = mem_strdup(NAMES[i]),
			.domain = mem_strdup("example.org"),
			.password = mem_strdup("{PLAIN}x"),
			.active = true };

		check(account_db_add(db, &row, NULL));
		account_row_free(&row);
	}
	return db;
}

static void
world_open(struct fuzz_world *w)
{
	struct store_options options = { .mail_root = w->dir, .free_floor_bytes = 1 };
	struct buf errors = { 0 };

	snprintf(w->dir, sizeof(w->dir), "/dev/shm/sanger-fuzz-XXXXXX");
	if (mkdtemp(w->dir) == NULL)
		abort();
	w->config = config_parse("fuzz", str_from("[imapd]\njunk_training = yes\n"), &errors);
	w->store = store_open(&options);
	if (w->config == NULL || w->store == NULL)
		abort();
	check(account_open(w->store, "ann", "example.org", ACCOUNT_CREATE, &w->s.acct));
	add_message(w->s.acct, MESSAGE_SEEN);
	add_message(w->s.acct, 0);
	add_message(w->s.acct, MESSAGE_DELETED);
	w->imapd.store = w->store;
	w->imapd.message_max_bytes = 1000000;
	w->imapd.config = w->config;
	w->service.config = w->config;
	w->service.accounts = make_accounts(w->dir);
	w->imapd.service = &w->service;
	w->s.imapd = &w->imapd;
	w->s.peer = "192.0.2.1";
	w->s.state = IMAP_AUTHENTICATED;
}

/* What a command leaves behind must be a state that the next one can live with. */
static void
check_session(const struct imap_session *s)
{
	if ((s->state == IMAP_SELECTED) != (s->box != NULL))
		abort();
}

static void
run_command(struct imap_session *s, struct str text)
{
	struct imap_run run = { 0 };
	enum imap_result r = imap_run_begin(s, &run, text);

	for (unsigned i = 0; r == IMAP_MORE && i < STEPS_MAX; i++) {
		buf_reset(&s->out);
		r = imap_run_step(s, &run);
	}
	if (r == IMAP_MORE || r == IMAP_WAIT)
		imap_run_abort(&run); /* as when the client goes away */
	buf_reset(&s->out);
	check_session(s);
	s->bad_commands = 0;
}

/* --- APPEND and REPLACE: literals go by the parser, as in connection.c --- */

struct streaming {
	struct imap_session *s;
	struct imap_run run;
	enum imap_result result;
	bool begun;
};

static enum imap_result
head(struct streaming *st, const struct frame *f)
{
	struct str text = { f->text.data, f->text.len };
	const struct imap_literal lit = { f->literal.size_bytes, true, f->literal.binary };
	struct imap_request *req = &st->run.req;
	struct str tag;

	if (!st->begun) {
		req->arena = &st->run.arena;
		req->command = imap_command_of(text, &tag, &req->uid, &req->args);
		req->tag = STR("a");
		text = (struct str){ req->args.p, cursor_left(&req->args) };
		st->begun = true;
		st->result = imap_command_allowed(st->s, req);
		if (st->result != IMAP_OK)
			return st->result;
	}
	do {
		st->result = imap_append_head(st->s, req, text, &lit);
	} while (st->result == IMAP_MORE);
	return st->result;
}

/* Takes the literal's bytes, as far as there are any; false: the command is over. */
static bool
data(struct streaming *st, const struct frame *f, struct cursor *input)
{
	size_t len = f->literal.size_bytes < cursor_left(input) ? (size_t)f->literal.size_bytes
								: cursor_left(input);

	if (len > 0)
		st->result = imap_append_data(st->s, &st->run.req, (struct str){ input->p, len });
	input->p += len;
	return st->result == IMAP_WAIT;
}

static void
finish(struct streaming *st, const struct frame *f)
{
	st->run.req.args = cursor_from((struct str){ f->text.data, f->text.len });
	do {
		st->result = imap_run_step(st->s, &st->run);
		buf_reset(&st->s->out);
	} while (st->result == IMAP_MORE);
}

/* The input with whatever literals it announces; one command. */
static void
run_framed(struct imap_session *s, struct str bytes)
{
	struct streaming st = { .s = s };
	struct cursor input = cursor_from(bytes);
	struct frame f = { 0 };
	enum frame_event event;
	bool go_on = true;
	size_t used;

	while (go_on && !cursor_at_end(&input)) {
		event = frame_feed(&f, imap_frame_rules(true), input.p, cursor_left(&input), &used);
		input.p += used;
		go_on = event == FRAME_NEED_INPUT || event == FRAME_CONTINUE;
		if (event == FRAME_STREAM && head(&st, &f) == IMAP_WAIT && data(&st, &f, &input)) {
			frame_resume(&f);
			go_on = true;
		} else if (event == FRAME_COMMAND && f.streamed) {
			finish(&st, &f);
		} else if (event == FRAME_COMMAND) {
			run_command(s, (struct str){ f.text.data, f.text.len });
		}
	}
	imap_run_abort(&st.run);
	frame_reset(&f);
	buf_reset(&s->out);
	check_session(s);
}

static void
be_selected(struct fuzz_world *w)
{
	if (w->s.state == IMAP_LOGOUT || w->runs++ % RUNS_PER_ACCOUNT == 0) {
		world_close(w);
		world_open(w);
		w->runs = 1;
	}
	if (w->s.box == NULL)
		run_command(&w->s, STR("s SELECT INBOX"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = { 0 };

	if (world.store == NULL)
		atexit(on_exit_close);
	be_selected(&world);
	buf_adds(&text, "a ");
	buf_add(&text, data, size);
	buf_adds(&text, "\r\n");
	run_framed(&world.s, (struct str){ text.data, text.len });
	buf_free(&text);
	return 0;
}
