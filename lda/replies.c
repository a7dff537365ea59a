#include "lda/replies.h"

#include <stdio.h>

#include "filter/account.h"
#include "filter/surroundings.h"
#include "lda/copies.h"
#include "lda/delivery_record.h"
#include "lda/leave.h"
#include "lda/receipt.h"
#include "lda/rejection.h"
#include "sending/autoreply.h"
#include "sending/complaint.h"
#include "sending/notification.h"
#include "sending/outgoing.h"
#include "sending/places.h"
#include "service/service.h"
#include "store/state.h"

#define CLAIMS_MAX 4

/* One thing to be said. */
struct saying {
	struct lda_delivery *d;
	const char *what; /* "vacation", "mail", "notify", "report", "reject": for the log */
	struct decision by;
	size_t number; /* of the action */
	struct reply_facts facts;
	const char *recipients[AUTOREPLY_RECIPIENTS_MAX];
	size_t recipient_count;
	bool is_answer; /* to the sender: bounded for each */
	/* What is claimed for it. */
	const char *keys[CLAIMS_MAX];
	const char *to_whom[CLAIMS_MAX];
	size_t claim_count;
};

static bool
is_own(void *arg, struct str address)
{
	const struct filter_surroundings *around = arg;

	return around != NULL && around->is_own_address != NULL &&
	       around->is_own_address(around->arg, address) == FILTER_YES;
}

static bool
know_facts(struct lda_delivery *d, struct reply_facts *f)
{
	const struct view *view = delivery_view(d);

	*f = (struct reply_facts){
		.account = d->account,
		.rcpt = d->rcpt->address,
		.orig_rcpt = d->rcpt->orcpt,
		.sender = d->envelope->sender,
		.hostname = d->lda->hostname,
		.now = d->now,
		.message = view,
		.is_own = is_own,
	};
	if (d->around != NULL) /* taken as given back: only its owner calls through it */
		f->is_own_arg = (void *)(uintptr_t)filter_account_around(d->around);
	return view != NULL;
}

static void
record_silence(const struct saying *s, const char *reason)
{
	struct record *r = delivery_record_did(s->d, "not-answered", s->by);

	record_text(r, "kind", s->what);
	record_text(r, "reason", reason);
	record_end(r);
}

static void
note_silence(const struct saying *s, const char *reason)
{
	log_info(s->d->lda->sv->log, "not-answered",
	    "account=%s what=%s from=%s reason=%s id=%s filter=%s script=%s line=%u", s->d->account,
	    s->what, s->d->envelope->sender, reason, s->d->envelope->id, s->by.language,
	    s->by.script, s->by.line);
	record_silence(s, reason);
}

/* --- claims ------------------------------------------------------------------------------------- */

static void
give_back(struct saying *s)
{
	struct state *state = delivery_state(s->d);

	while (s->claim_count > 0) {
		s->claim_count--;
		if (state != NULL)
			state_once_undo(state, s->keys[s->claim_count], s->to_whom[s->claim_count]);
	}
}

static bool
claim(struct saying *s, const char *key, const char *to, uint64_t seconds, bool *may_out)
{
	struct state *state = delivery_state(s->d);

	*may_out = false;
	if (state == NULL || state_once(state, key, to, seconds, s->d->now, may_out) != STORE_OK)
		return false;
	if (*may_out) {
		s->keys[s->claim_count] = key;
		s->to_whom[s->claim_count++] = to;
	}
	return true;
}

/* One of the places of this hour: of all together (`to` is ""), or for one address. */
static bool
claim_place(struct saying *s, const char *to, unsigned places, bool *may_out)
{
	struct state *state = delivery_state(s->d);
	const char *key;

	*may_out = false;
	if (state == NULL ||
	    place_claim(state, &s->d->arena, to, places, s->d->now, &key) != STORE_OK)
		return false;
	if (key == NULL)
		return true;
	*may_out = true;
	s->keys[s->claim_count] = key;
	s->to_whom[s->claim_count++] = to;
	return true;
}

static const char SAID_ALREADY[] = "said-already";
static const char NO_MEMORY[] = "no-memory";

/* As the filter asked, once for each `to` in some time (key NULL: always); once for this message, however often it is
 * delivered; and within the account's bound.  NULL: it may be said. */
static const char *
claim_all(struct saying *s, const char *key, const char *to, uint64_t seconds)
{
	const char *digest = delivery_digest(s->d);
	bool may = false;

	if (key != NULL) {
		if (!claim(s, key, to, seconds, &may))
			return NO_MEMORY;
		if (!may)
			return "told-lately";
	}
	if (digest == NULL ||
	    !claim(s, arena_printf(&s->d->arena, "said %s %zu", digest, s->number), s->what,
		REPLY_MEMORY_S, &may))
		return NO_MEMORY;
	if (!may)
		return SAID_ALREADY;
	if (s->is_answer && !claim_place(s, s->d->envelope->sender, REPLIES_TO_ONE_PER_HOUR, &may))
		return NO_MEMORY;
	if (!may)
		return "too-many-to-sender";
	if (!claim_place(s, "", REPLIES_PER_HOUR, &may))
		return NO_MEMORY;
	return may ? NULL : "too-many";
}

/* --- saying it ---------------------------------------------------------------------------------- */

static void
keep_copy(struct saying *s, const struct filter_store *fcc, struct str message)
{
	enum store_err err = fcc != NULL ? copies_store_made(s->d, fcc, message) : STORE_OK;

	if (err == STORE_OK)
		return;
	log_warn(s->d->lda->sv->log, "fcc", "account=%s mailbox=%s error=%s line=%u", s->d->account,
	    fcc->mailbox != NULL ? fcc->mailbox : "INBOX", store_err_text(err), s->by.line);
	delivery_trouble(s->d, s->by,
	    "the copy of what was sent cannot be put into a mailbox named \"%.200s\"",
	    fcc->mailbox != NULL ? fcc->mailbox : "INBOX");
}

static void
record_answer(const struct saying *s, const char *id)
{
	struct record *r = delivery_record_did(s->d, "answer", s->by);

	record_text(r, "kind", s->what);
	record_text(r, "to", s->recipients[0]);
	record_text(r, "spool", id);
	record_end(r);
}

static enum store_err
send(struct saying *s, struct str message, const struct filter_store *fcc)
{
	struct lda_delivery *d = s->d;
	const char *origin = arena_printf(&d->arena, "%s id=%s", s->what, d->envelope->id);
	char id[SPOOL_ID_LEN + 1];
	enum store_err err = outgoing_send(
	    &d->lda->outgoing, d->account, origin, message, s->recipients, s->recipient_count, id);

	if (err != STORE_OK) {
		log_error(d->lda->sv->log, "not-answered",
		    "account=%s what=%s to=%s error=%s id=%s line=%u", d->account, s->what,
		    s->recipients[0], store_err_text(err), d->envelope->id, s->by.line);
		record_silence(s, store_err_text(err));
		give_back(s);
		return err;
	}
	log_info(d->lda->sv->log, "answered",
	    "account=%s what=%s to=%s recipients=%zu spool=%s id=%s filter=%s script=%s line=%u",
	    d->account, s->what, s->recipients[0], s->recipient_count, id, d->envelope->id,
	    s->by.language, s->by.script, s->by.line);
	record_answer(s, id);
	keep_copy(s, fcc, message);
	return STORE_OK;
}

/* Exim's `file` and what else a filter names that is not read here. */
static void
note_file(struct saying *s, const struct filter_reply *reply)
{
	if (reply->file != NULL)
		delivery_trouble(s->d, s->by,
		    "the reply was sent without the file \"%.200s\": filters cannot read files",
		    reply->file);
}

/* STORE_OK too where nothing is said for a good reason. */
static enum store_err
say_reply(struct saying *s, const struct filter_action *action)
{
	const struct filter_reply *reply = &action->reply;
	bool vacation = action->kind == FILTER_VACATION;
	struct lda_delivery *d = s->d;
	const char *why = autoreply_objection(&s->facts, action), *key = NULL, *to = "";
	uint64_t seconds = reply->seconds;
	struct buf message = { 0 };
	enum store_err err;

	if (why == NULL) {
		s->recipient_count =
		    autoreply_recipients(&s->facts, action, &d->arena, s->recipients);
		why = s->recipient_count == 0 ? "no-recipient" : NULL;
		for (size_t i = 0; i < s->recipient_count; i++)
			s->is_answer = s->is_answer || str_eq_nocase(str_from(s->recipients[i]),
							   str_from(d->envelope->sender));
	}
	if (why == NULL && reply->key != NULL) {
		key = arena_printf(&d->arena, "%s %s", vacation ? "vacation" : "once", reply->key);
		to = vacation ? d->envelope->sender : autoreply_to(&s->facts, reply, &d->arena);
		if ((vacation || reply->is_vacation) && seconds != 0 &&
		    seconds < d->lda->vacation_min_s)
			seconds = d->lda->vacation_min_s;
	}
	if (why == NULL)
		why = claim_all(s, key, to, seconds);
	if (why != NULL) {
		give_back(s);
		note_silence(s, why);
		return why == NO_MEMORY ? STORE_BUSY : STORE_OK;
	}
	autoreply_compose(&message, &s->facts, action);
	err = send(s, (struct str){ message.data, message.len }, reply->fcc);
	note_file(s, reply);
	buf_free(&message);
	return err;
}

static void
say_notification(struct saying *s, const struct filter_notify *notify)
{
	const char *why = notification_objection(&s->facts, notify);
	struct buf message = { 0 };

	s->recipient_count = notification_recipients(notify, &s->d->arena, s->recipients);
	if (why == NULL && s->recipient_count == 0)
		why = "no-recipient";
	if (why == NULL)
		why = claim_all(s, NULL, NULL, 0);
	if (why != NULL) {
		give_back(s);
		note_silence(s, why);
		return;
	}
	notification_compose(&message, &s->facts, notify);
	send(s, (struct str){ message.data, message.len }, notify->fcc);
	buf_free(&message);
}

static void
say_report(struct saying *s, const struct filter_report *report)
{
	const char *to = complaint_recipient(report, &s->d->arena);
	const char *why = complaint_objection(&s->facts);
	struct buf message = { 0 };

	if (why == NULL)
		why = to == NULL ? "no-recipient" : claim_all(s, NULL, NULL, 0);

	if (why != NULL) {
		give_back(s);
		note_silence(s, why);
		return;
	}
	s->recipients[0] = to;
	s->recipient_count = 1;
	complaint_compose(&message, &s->facts, report);
	send(s, (struct str){ message.data, message.len }, NULL);
	buf_free(&message);
}

const char *
replies_refusal_objection(struct lda_delivery *d)
{
	struct reply_facts facts;

	return know_facts(d, &facts) ? reply_objection(&facts) : "unreadable";
}

enum store_err
replies_refuse(struct lda_delivery *d)
{
	struct saying s = {
		.d = d, .what = "reject", .number = d->reject_number, .is_answer = true
	};
	struct buf message = { 0 };
	const char *why;
	enum store_err err;

	s.by = delivery_decision(d, s.number);
	if (!know_facts(d, &s.facts))
		return STORE_IO;
	why = claim_all(&s, NULL, NULL, 0);
	if (why != NULL) {
		give_back(&s);
		note_silence(&s, why);
		return why == SAID_ALREADY ? STORE_OK : STORE_BUSY;
	}
	s.recipients[0] = s.facts.sender;
	s.recipient_count = 1;
	rejection_compose(&message, &s.facts, &d->reject->reject);
	err = send(&s, (struct str){ message.data, message.len }, NULL);
	buf_free(&message);
	return err;
}

enum store_err
replies_leave(struct lda_delivery *d)
{
	struct saying s = { .d = d, .what = "left" };
	struct filter_action action = { .kind = FILTER_VACATION };

	s.by = (struct decision){ .language = "none", .script = "left" };
	if (!know_facts(d, &s.facts))
		return STORE_IO;
	leave_reply(d->rcpt->leave, d->lda->leave_template, &d->arena, &action.reply);
	action.reply.seconds = d->lda->settings->vacation_default_seconds;
	return say_reply(&s, &action);
}

/* Who asked to be told of success (RFC 3461 §4.1) is told, unless a redirect has taken that over. */
static void
say_receipt(struct lda_delivery *d)
{
	struct saying s = { .d = d, .what = "receipt", .by = delivery_decision(d, SIZE_MAX) };
	struct buf message = { 0 };

	if ((outgoing_notify(d->rcpt->notify_text) & SPOOL_NOTIFY_SUCCESS) == 0 ||
	    *d->envelope->sender == '\0' || d->reject != NULL || d->rcpt->leave != NULL ||
	    (d->copy_count == 0 && d->redirect_count > 0) || !know_facts(d, &s.facts))
		return;
	s.recipients[0] = s.facts.sender;
	s.recipient_count = 1;
	receipt_compose(&message, &s.facts, d->envelope->envid);
	send(&s, (struct str){ message.data, message.len }, NULL);
	buf_free(&message);
}

/* --- all of it ---------------------------------------------------------------------------------- */

bool
replies_may_answer(struct lda_delivery *d, const struct filter_action *action)
{
	struct reply_facts facts;

	return know_facts(d, &facts) && autoreply_objection(&facts, action) == NULL;
}

void
replies_send(struct lda_delivery *d)
{
	const struct filter_result *found = &d->found.result;

	for (size_t i = 0; i < found->action_count; i++) {
		const struct filter_action *a = &found->actions[i];
		struct saying s = { .d = d, .by = delivery_decision(d, i), .number = i };

		if (a->kind != FILTER_VACATION && a->kind != FILTER_MAIL &&
		    a->kind != FILTER_NOTIFY && a->kind != FILTER_REPORT)
			continue;
		if (!know_facts(d, &s.facts)) {
			log_error(d->lda->sv->log, "not-answered", "account=%s id=%s error=%s",
			    d->account, d->envelope->id, "the message cannot be read");
			return;
		}
		switch (a->kind) {
		case FILTER_VACATION:
		case FILTER_MAIL:
			s.what = a->kind == FILTER_VACATION ? "vacation" : "mail";
			say_reply(&s, a);
			break;
		case FILTER_NOTIFY:
			s.what = "notify";
			say_notification(&s, &a->notify);
			break;
		default:
			s.what = "report";
			say_report(&s, &a->report);
			break;
		}
	}
	if (!d->once.is_duplicate)
		say_receipt(d);
}
