#include "managesieved/test_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "managesieved/response.h"
#include "store/account.h"
#include "store/auth.h"

static void
check(enum store_err err)
{
	if (err == STORE_OK)
		return;
	fprintf(stderr, "store: %s\n", store_err_text(err));
	abort();
}

static enum sasl_verdict
verify_password(void *arg, const char *user, struct str password, const char *peer,
    struct buf *login_out, struct buf *note_out)
{
	(void)note_out;
	(void)arg;
	(void)peer;
	if (strcmp(user, "ann@example.org") != 0 || !str_eq(password, STR(WORLD_PASSWORD)))
		return SASL_VERDICT_DENIED;
	buf_adds(login_out, user);
	return SASL_VERDICT_OK;
}

static const struct sasl_backend BACKEND = { .verify_password = verify_password };

void
world_open(struct world *w)
{
	struct store_options options = { .mail_root = w->dir, .free_floor_bytes = 1 };
	struct auth_options auth = { 0 };
	struct account *acct;
	char path[128];

	*w = (struct world){ 0 };
	snprintf(w->dir, sizeof(w->dir), "/dev/shm/sanger-test-XXXXXX");
	if (mkdtemp(w->dir) == NULL || !sasl_setup(NULL))
		abort();
	snprintf(path, sizeof(path), "%s/user.db", w->dir);
	check(account_db_open(path, ACCOUNT_DB_WRITE, NULL, &w->daemon.accounts));
	w->ann = (struct account_row){ .localpart = mem_strdup("ann"),
		.domain = mem_strdup("example.org"),
		.password = mem_strdup("{PLAIN}" WORLD_PASSWORD),
		.active = true };
	check(account_db_add(w->daemon.accounts, &w->ann, NULL));
	w->daemon.store = store_open(&options);
	w->daemon.auth = auth_new(w->daemon.accounts, &auth, NULL);
	if (w->daemon.store == NULL || w->daemon.auth == NULL)
		abort();
	check(account_open(w->daemon.store, "ann", "example.org", ACCOUNT_CREATE, &acct));
	account_close(acct);
	w->sasl = (struct sasl_service){ .name = "sieve", .backend = &BACKEND };
	w->daemon.sasl = &w->sasl;
	w->daemon.service = &w->service;
	w->daemon.limits =
	    (struct account_script_limits){ .scripts_max = 5, .bytes_max = 2 * 1024 * 1024 };
	world_session(w, MSIEVE_CLEAR);
}

void
world_close(struct world *w)
{
	char command[128];

	if (w->daemon.store == NULL)
		return;
	msieve_run_abort(&w->run);
	msieve_session_clear(&w->s);
	auth_free(w->daemon.auth);
	store_close(w->daemon.store);
	account_db_close(w->daemon.accounts);
	account_row_free(&w->ann);
	sasl_teardown();
	snprintf(command, sizeof(command), "rm -rf '%s'", w->dir);
	if (system(command) != 0)
		abort();
	*w = (struct world){ 0 };
}

static void
be_tls(struct world *w)
{
	w->s.channel = mem_zalloc(sizeof(*w->s.channel));
	w->s.channel->tls = true;
	w->s.channel->peer = "192.0.2.1";
	w->s.state = MSIEVE_UNAUTHENTICATED;
}

void
world_session(struct world *w, enum msieve_state state)
{
	msieve_run_abort(&w->run);
	msieve_session_clear(&w->s);
	w->waiting = false;
	w->s = (struct msieve_session){
		.daemon = &w->daemon, .state = MSIEVE_CLEAR, .peer = "192.0.2.1"
	};
	if (state != MSIEVE_CLEAR)
		be_tls(w);
	if (state != MSIEVE_AUTHENTICATED)
		return;
	w->s.user = mem_strdup("ann@example.org");
	w->s.localpart = mem_strdup("ann");
	w->s.domain = mem_strdup("example.org");
	w->s.tenure = mem_strdup("");
	w->s.account = w->ann.id;
	w->s.state = MSIEVE_AUTHENTICATED;
}

void
world_command(struct world *w, struct str text)
{
	enum msieve_result r = w->waiting ? msieve_run_step(&w->s, &w->run, text)
					  : msieve_run_begin(&w->s, &w->run, text);

	w->waiting = r == MSIEVE_WAIT;
	if (!w->s.start_tls)
		return;
	w->s.start_tls = false;
	be_tls(w);
}

static void
handle(struct world *w, struct frame *f, enum frame_event event)
{
	struct str text = { f->text.data, f->text.len };

	if (event == FRAME_COMMAND) {
		world_command(w, text);
	} else if (event == FRAME_REFUSED) {
		msieve_run_abort(&w->run);
		w->waiting = false;
		msieve_refuse(&w->s, text, f->too_big == FRAME_LITERAL_TOO_BIG);
	} else if (event == FRAME_HOPELESS) {
		msieve_bye(&w->s, "QUOTA/MAXSIZE", "Literal too big");
	}
	if (event != FRAME_NEED_INPUT)
		frame_reset(f);
}

void
world_converse(struct world *w, struct str bytes, size_t piece, struct buf *out)
{
	struct frame f = { 0 };
	size_t at = 0;

	while (at < bytes.len && w->s.state != MSIEVE_ENDED) {
		const struct frame_rules *rules =
		    msieve_frame_rules(w->s.state == MSIEVE_AUTHENTICATED);
		size_t give = bytes.len - at < piece ? bytes.len - at : piece, used;

		handle(w, &f, frame_feed(&f, rules, bytes.p + at, give, &used));
		at += used;
		buf_add(out, w->s.out.data, w->s.out.len);
		buf_reset(&w->s.out);
	}
	frame_reset(&f);
}
