#include "imapd/session.h"

#include <stdlib.h>
#include <string.h>

#include "imapd/blanks.h"
#include "imapd/context.h"
#include "imapd/imapd.h"
#include "imapd/imapsieve.h"
#include "imapd/messages.h"
#include "imapd/meters.h"
#include "imapd/news.h"
#include "imapd/notify.h"
#include "imapd/parse.h"
#include "imapd/place.h"
#include "imapd/progress.h"
#include "imapd/response.h"
#include "net/sasl.h"
#include "service/login.h"
#include "service/service.h"
#include "store/account.h"
#include "store/mailbox.h"
#include "store/uidset.h"

void
imap_batches_forget(struct imap_session *s)
{
	uidset_free(&s->batches_asked.batches);
	s->batches_asked = (struct imap_batches_asked){ 0 };
}

void
imap_deselect(struct imap_session *s)
{
	if (s->box == NULL)
		return;
	imap_news_free(s);
	imap_notify_deselect(s);
	context_close_all(s);
	mailbox_close(s->box);
	s->box = NULL;
	s->read_only = false;
	s->rights = 0;
	s->silent_store = false;
	s->modseq_due = false;
	imap_batches_forget(s);
	s->fetch_resume = (struct imap_fetch_resume){ 0 };
	if (s->search_saved != NULL)
		uidset_free(s->search_saved);
	free(s->search_saved);
	s->search_saved = NULL;
	if (s->state == IMAP_SELECTED)
		s->state = IMAP_AUTHENTICATED;
}

void
imap_bye(struct imap_session *s, const char *code, const char *text)
{
	if (s->state == IMAP_LOGOUT)
		return;
	if (code != NULL)
		imap_untagged(s, "BYE [%s] %s", code, text);
	else
		imap_untagged(s, "BYE %s", text);
	s->state = IMAP_LOGOUT;
}

void
imap_session_clear(struct imap_session *s)
{
	imap_sieve_end(s);
	imap_metadata_report_end(s);
	imap_notify_free(s);
	imap_deselect(s);
	imap_places_free(s);
	account_close(s->acct);
	s->acct = NULL;
	free(s->user);
	s->user = NULL;
	free(s->tenure);
	s->tenure = NULL;
	free(s->client);
	s->client = NULL;
	login_event_free(s->event);
	s->event = NULL;
	free(s->channel);
	s->channel = NULL;
	buf_free(&s->out);
}

/* Whatever is not named here is as in a new session. */
void
imap_session_unauthenticate(struct imap_session *s)
{
	struct imap_session kept = { .imapd = s->imapd,
		.log = s->log,
		.state = IMAP_UNAUTHENTICATED,
		.peer = s->peer,
		.out = s->out,
		.tell = s->tell,
		.tell_arg = s->tell_arg,
		.compressed = s->compressed,
		.end_compress = s->compressed };

	s->out = (struct buf){ 0 };
	imap_session_clear(s);
	*s = kept;
}

const struct imap_command *
imap_command_of(struct str text, struct str *tag_out, bool *uid_out, struct cursor *args_out)
{
	struct cursor c = cursor_from(text);
	struct str name;

	*uid_out = false;
	*tag_out = STR("*");
	if (!imap_parse_tag(&c, tag_out) || !imap_parse_sp(&c)) {
		*tag_out = STR("*");
		return NULL;
	}
	while (imap_parse_sp(&c)) /* imapd/blanks.h */
		continue;
	if (!imap_parse_atom(&c, &name))
		return NULL;
	if (str_eq_nocase(name, STR("UID"))) {
		*uid_out = true;
		if (!imap_parse_sp(&c) || !imap_parse_atom(&c, &name))
			return NULL;
	}
	*args_out = c;
	return imap_command_find(name);
}

/* May it run now?  NULL if so, else why not. */
static const char *
state_problem(const struct imap_session *s, const struct imap_request *req)
{
	const struct imap_command *cmd = req->command;

	if (cmd == NULL || (req->uid && (cmd->flags & IMAP_CMD_UID) == 0))
		return "Unknown command";
	if ((cmd->states & s->state) != 0)
		return NULL;
	if (s->state == IMAP_CLEAR)
		return "STARTTLS first";
	if (s->state == IMAP_UNAUTHENTICATED)
		return "Log in first";
	return s->state == IMAP_AUTHENTICATED && (cmd->states & IMAP_SELECTED) != 0
		   ? "Select a mailbox first"
		   : "Not now";
}

/* RFC 9586 §3 */
static bool
uid_is_required(const struct imap_session *s, const struct imap_request *req)
{
	return imap_enabled(s, IMAP_ENABLED_UIDONLY) && !req->uid &&
	       (req->command->flags & IMAP_CMD_UID) != 0 &&
	       (req->command->flags & IMAP_CMD_NUMBERLESS) == 0;
}

enum imap_result
imap_command_allowed(struct imap_session *s, struct imap_request *req)
{
	const char *problem = state_problem(s, req);

	if (problem != NULL)
		return imap_bad(req, problem);
	if (!imap_account_was_there(s))
		return imap_no(req, NULL, "Not any more");
	if (uid_is_required(s, req))
		return imap_uid_required(req);
	if ((req->command->states & IMAP_AUTHENTICATED) != 0 || imap_selected_is_open(s))
		return IMAP_OK;
	imap_bye(s, NULL, "The selected mailbox is not shared any more");
	return imap_no(req, NULL, "Not any more");
}

static const char *
result_word(enum imap_result result)
{
	return result == IMAP_OK ? "OK" : result == IMAP_NO ? "NO" : "BAD";
}

/* response-tagged = tag SP resp-cond-state CRLF */
static void
write_tagged(struct imap_session *s, const struct imap_run *run)
{
	const struct imap_request *req = &run->req;
	const char *name = req->command != NULL ? req->command->name : "Command";

	buf_add(&s->out, req->tag.p, req->tag.len);
	buf_printf(&s->out, " %s ", result_word(run->result));
	if (req->code != NULL)
		buf_printf(&s->out, "[%s] ", req->code);
	if (req->text != NULL)
		buf_adds(&s->out, req->text);
	else if (run->result == IMAP_OK)
		buf_printf(&s->out, "%s%s done", req->uid ? "UID " : "", name);
	else
		buf_printf(&s->out, "%s failed", name);
	buf_adds(&s->out, "\r\n");
}

static void
count_bad(struct imap_session *s, enum imap_result result)
{
	s->bad_commands = result == IMAP_BAD ? s->bad_commands + 1 : 0;
	if (s->bad_commands >= IMAP_BAD_COMMANDS_MAX)
		imap_bye(s, NULL, "Too many bad commands");
}

static bool
wants_updates(const struct imap_session *s, const struct imap_run *run)
{
	const struct imap_command *cmd = run->req.command;

	return s->state != IMAP_LOGOUT && run->result != IMAP_BAD && cmd != NULL &&
	       (cmd->flags & IMAP_CMD_NO_UPDATES) == 0;
}

/* EXPUNGE would change the numbers a pipelined FETCH, STORE or SEARCH relies on, RFC 9051 §7.5.1. */
static bool
expunges_allowed(const struct imap_run *run)
{
	if (run->req.uid)
		return !run->req.keeps_numbers;
	return (run->req.command->flags & IMAP_CMD_KEEPS_NUMBERS) == 0;
}

/* The job ends, the command does not. */
static enum imap_result
pause_run(struct imap_run *run, enum imap_result result)
{
	if (run->since_ns != 0)
		run->worked_ns += metrics_now_ns() - run->since_ns;
	run->since_ns = 0;
	return result;
}

/* RFC 7162 §3.2.7, §3.2.9, RFC 6851 §4.3; not CLOSE, which has no mailbox any more to say it of. */
static bool
says_modseq(const struct imap_session *s, const struct imap_run *run)
{
	return run->result == IMAP_OK && run->req.expunged && run->req.code == NULL &&
	       run->req.limited_uid == 0 && s->box != NULL && imap_enabled(s, IMAP_ENABLED_QRESYNC);
}

/* With another response code in the tagged reply this one stands in an untagged NO, RFC 9738 §3.1. */
static void
add_limit(struct imap_session *s, struct imap_run *run)
{
	struct imap_request *req = &run->req;
	uint32_t limit = messages_limit(s);

	if (req->limited_uid == 0 || run->result == IMAP_BAD)
		return;
	if (run->result == IMAP_OK && req->code == NULL)
		imap_okf(req, "Done for the last messages only", "MESSAGELIMIT %u %u", limit,
		    req->limited_uid);
	else
		imap_untagged(s, "NO [MESSAGELIMIT %u %u] Done for the last messages only", limit,
		    req->limited_uid);
}

static void
add_modseq(struct imap_session *s, struct imap_run *run)
{
	struct mailbox_facts facts;

	s->modseq_due = s->modseq_in_tagged = false;
	mailbox_facts(s->box, &facts);
	imap_okf(&run->req, NULL, "HIGHESTMODSEQ %llu", (unsigned long long)facts.told_modseq);
}

enum imap_result
imap_run_settle(struct imap_session *s, struct imap_run *run, enum imap_result result)
{
	if (s->broken) {
		imap_run_abort(run);
		return result;
	}
	run->result = result;
	if (!run->settling)
		s->own_expunge = run->req.expunged;
	run->settling = true;
	if (!imap_sieve_run(s))
		return pause_run(run, IMAP_MORE);
	s->modseq_in_tagged = says_modseq(s, run);
	if (wants_updates(s, run) && !imap_send_updates(s, expunges_allowed(run)))
		return pause_run(run, IMAP_MORE);
	if (s->broken) {
		imap_run_abort(run);
		return result;
	}
	if (wants_updates(s, run))
		imap_metadata_report(s);
	if (s->modseq_in_tagged)
		add_modseq(s, run);
	add_limit(s, run);
	log_debug(s->log, "command", "name=%s result=%s",
	    run->req.command != NULL ? run->req.command->name : "?", result_word(result));
	if (s->imapd != NULL && s->imapd->service != NULL)
		imap_meters_count(s->imapd->service, run->req.command, result,
		    run->worked_ns + (run->since_ns != 0 ? metrics_now_ns() - run->since_ns : 0));
	write_tagged(s, run);
	count_bad(s, result);
	imap_run_abort(run);
	return result;
}

static enum imap_result
handle(struct imap_session *s, struct imap_run *run)
{
	struct imap_progress progress = { s, &run->req };
	enum imap_result result;

	/* Not once it has been called: its output may have ended in the middle of a literal, and what is told goes ahead of
	 * the rest. */
	if (s->box != NULL && run->req.state == NULL)
		mailbox_on_progress(s->box, imap_on_progress, &progress);
	result = run->req.command->run(s, &run->req);
	if (s->box != NULL)
		mailbox_on_progress(s->box, NULL, NULL);
	if (result == IMAP_MORE || result == IMAP_WAIT)
		return pause_run(run, result);
	return imap_run_settle(s, run, result);
}

enum imap_result
imap_run_begin(struct imap_session *s, struct imap_run *run, struct str text)
{
	struct imap_request *req = &run->req;
	enum imap_result result;

	run->since_ns = metrics_now_ns();
	if (s->imapd != NULL)
		req->progress_due_ns = run->since_ns + s->imapd->progress_ns;
	req->arena = &run->arena;
	req->command = imap_command_of(
	    imap_squeeze_blanks(&run->arena, text), &req->tag, &req->uid, &req->args);
	result = imap_command_allowed(s, req);
	if (result == IMAP_OK)
		return handle(s, run);
	if (req->command != NULL && (req->command->flags & IMAP_CMD_UID) == 0 && req->uid)
		req->command = NULL;
	return imap_run_settle(s, run, result);
}

/* Who loses the right to read while a command is under way gets no more of it, however long the client takes to read
 * what there is so far.  That may end in the middle of a literal, so nothing can be said. */
static bool
may_go_on(struct imap_session *s, const struct imap_run *run)
{
	return (run->req.command->states & IMAP_AUTHENTICATED) != 0 || imap_selected_goes_on(s);
}

enum imap_result
imap_run_step(struct imap_session *s, struct imap_run *run)
{
	run->since_ns = metrics_now_ns();
	if (run->settling)
		return imap_run_settle(s, run, run->result);
	if (!may_go_on(s, run)) {
		log_info(
		    s->log, "not-shared", "user=%s command=%s", s->user, run->req.command->name);
		s->broken = true;
		s->state = IMAP_LOGOUT;
		return imap_run_settle(s, run, IMAP_NO);
	}
	return handle(s, run);
}

void
imap_run_abort(struct imap_run *run)
{
	if (run->req.state_free != NULL && run->req.state != NULL)
		run->req.state_free(run->req.state);
	arena_free(&run->arena);
	*run = (struct imap_run){ 0 };
}
