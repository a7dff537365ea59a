#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "filter/account.h"
#include "lda/copies.h"
#include "lda/delivery.h"
#include "lda/delivery_record.h"
#include "lda/detail.h"
#include "lda/duplicates.h"
#include "lda/filter_report.h"
#include "lda/filtering.h"
#include "lda/meters.h"
#include "lda/redirects.h"
#include "lda/rejection.h"
#include "lda/replies.h"
#include "lda/warning.h"
#include "sending/loops.h"
#include "service/load.h"
#include "service/service.h"
#include "store/deliver.h"
#include "store/state.h"

enum lda_verdict
delivery_verdict(enum store_err err)
{
	switch (err) {
	case STORE_OK: return LDA_OK;
	case STORE_FULL: return LDA_NO_SPACE;
	case STORE_OVER_QUOTA: return LDA_OVER_QUOTA;
	default: return LDA_TEMPORARY;
	}
}

/* --- checks ------------------------------------------------------------------------------------- */

enum lda_verdict
lda_check_quota(struct lda *l, const struct lda_rcpt *rcpt)
{
	struct quota_usage usage;
	struct home *home;
	enum store_err err;

	if (!quota_is_limited(&rcpt->quota))
		return LDA_OK;
	err = home_open(l->root, rcpt->localpart, rcpt->domain, false, &home);
	if (err == STORE_NOT_FOUND)
		return LDA_OK; /* no mail yet */
	if (err != STORE_OK)
		return delivery_verdict(err);
	err = quota_usage(home, &rcpt->quota, &usage);
	if (err == STORE_OK && !quota_allows(&rcpt->quota, &usage)) {
		warning_check(l, rcpt, home); /* IMAP may have filled it */
		err = STORE_OVER_QUOTA;
	}
	home_close(home);
	return delivery_verdict(err);
}

enum lda_verdict
lda_check_resources(const struct lda *l)
{
	const struct config *c = l->sv->config;
	struct statvfs fs;
	double load;

	if (fstatvfs(store_root_fd(l->root), &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < config_size(c, "store.free_space_floor"))
		return LDA_NO_SPACE;
	if (service_overloaded(c, &load))
		return LDA_TEMPORARY;
	return LDA_OK;
}

/* --- what the parts share ----------------------------------------------------------------------- */

const struct view *
delivery_view(struct lda_delivery *d)
{
	struct filter_message message = { .fd = d->content->fd,
		.bytes = { d->content->memory.data, d->content->memory.len } };

	if (!d->view_is_open)
		d->view_is_open = view_open(&d->view, &message, &d->arena);
	return d->view_is_open ? &d->view : NULL;
}

const char *
delivery_digest(struct lda_delivery *d)
{
	if (d->digest[0] == '\0' && pour_digest(d->content, d->digest) != STORE_OK) {
		d->digest[0] = '\0';
		return NULL;
	}
	return d->digest;
}

struct state *
delivery_state(struct lda_delivery *d)
{
	return d->around != NULL ? filter_account_state(d->around) : NULL;
}

static void
add_trouble(struct lda_delivery *d, struct trouble trouble)
{
	trouble.text = arena_strdup(&d->arena, trouble.text);
	if (d->trouble_count < ARRAY_LEN(d->troubles))
		d->troubles[d->trouble_count++] = trouble;
}

void
delivery_trouble(struct lda_delivery *d, struct decision by, const char *fmt, ...)
{
	struct buf text = { 0 };
	va_list args;

	if (strcmp(by.script, "own") != 0)
		return;
	va_start(args, fmt);
	buf_vprintf(&text, fmt, args);
	va_end(args);
	add_trouble(
	    d, (struct trouble){ .kind = "runtime", .line = by.line, .text = buf_cstr(&text) });
	buf_free(&text);
}

void
delivery_failure(struct lda_delivery *d, const char *kind, const struct filter_error *error)
{
	add_trouble(d, (struct trouble){
			   .kind = kind, .line = error->line, .text = error->text, .whole = true });
}

/* --- what shall become of it -------------------------------------------------------------------- */

/* What nobody has decided about goes where the address says. */
static void
keep(struct lda_delivery *d, const struct filter_action *a, struct decision by)
{
	struct filter_store store = a->store;

	if (a->implicit && store.mailbox == NULL && d->found.failure_count == 0)
		store.mailbox = detail_mailbox(d);
	copies_add(d, &store, a->edit, by);
}

static void
choose(struct lda_delivery *d, size_t i)
{
	const struct filter_action *a = &d->found.result.actions[i];
	struct decision by = delivery_decision(d, i);

	switch (a->kind) {
	case FILTER_SAVE:
		if (a->store.mailbox == NULL) { /* a path that is none of a mailbox */
			log_warn(d->lda->sv->log, "filter-target",
			    "account=%s path=%s kept=INBOX filter=%s script=%s line=%u", d->account,
			    a->path, by.language, by.script, by.line);
			delivery_trouble(d, by, "mail cannot be saved to \"%.200s\"", a->path);
		}
		copies_add(d, &a->store, a->edit, by);
		break;
	case FILTER_KEEP: keep(d, a, by); break;
	case FILTER_FILEINTO: copies_add(d, &a->store, a->edit, by); break;
	case FILTER_REDIRECT:
	case FILTER_DELIVER: redirects_add(d, &a->redirect, a->edit, by); break;
	case FILTER_REJECT:
		d->reject = a;
		d->reject_number = i;
		break;
	default: break; /* discard says nothing; the rest comes when the message is safe */
	}
}

/* Refused in the dialogue, if there is an answer for this recipient alone that can carry the reason; else by a message.
 * One that may not be answered by a machine (RFC 3834), or that nobody would hear of (the null reverse-path, RFC 5429 §2.1), is
 * kept. */
static void
decide_refusal(struct lda_delivery *d)
{
	struct decision by = delivery_decision(d, d->reject_number);
	const char *why;

	d->refused = d->envelope->answers_alone && rejection_reply(&d->reject->reject, d->refusal);
	if (d->refused)
		return;
	why = replies_refusal_objection(d);
	if (why == NULL)
		return;
	log_info(d->lda->sv->log, "not-rejected",
	    "account=%s reason=%s kept=INBOX id=%s filter=%s script=%s line=%u", d->account, why,
	    d->envelope->id, by.language, by.script, by.line);
	d->reject = NULL;
	copies_add_inbox(d, by);
}

/* Exim: a `seen mail` counts as delivery.  If it may not be sent, the message would be gone without a trace. */
static bool
is_lost_with_its_reply(struct lda_delivery *d)
{
	const struct filter_result *found = &d->found.result;

	if (d->copy_count > 0 || d->redirect_count > 0 || d->reject != NULL)
		return false;
	for (size_t i = 0; i < found->action_count; i++)
		if (found->actions[i].kind == FILTER_MAIL && !found->actions[i].unseen &&
		    !replies_may_answer(d, &found->actions[i]))
			return true;
	return false;
}

static enum lda_verdict
choose_all(struct lda_delivery *d)
{
	enum lda_verdict v;

	if (d->rcpt->leave != NULL) { /* nothing is kept: lda_send() answers */
		filtering_surround(d);
		return LDA_OK;
	}
	if (d->envelope->mailbox != NULL) {
		copies_add(d, &(struct filter_store){ .mailbox = d->envelope->mailbox }, NULL,
		    (struct decision){ .language = "none", .script = "-m" });
		return LDA_OK;
	}
	v = filtering_run(d);
	if (v != LDA_OK)
		return v;
	for (size_t i = 0; i < d->found.result.action_count; i++)
		choose(d, i);
	if (d->reject != NULL)
		decide_refusal(d);
	if (is_lost_with_its_reply(d))
		copies_add_inbox(d, delivery_decision(d, SIZE_MAX));
	return LDA_OK;
}

/* --- preparing ---------------------------------------------------------------------------------- */

static enum lda_verdict
open_home(struct lda_delivery *d)
{
	const struct lda_rcpt *rcpt = d->rcpt;
	enum store_err err =
	    home_open(d->lda->root, rcpt->localpart, rcpt->domain, false, &d->home);

	if (err == STORE_NOT_FOUND) {
		err = copies_make_mailbox(d, "INBOX", NULL);
		if (err == STORE_OK)
			err =
			    home_open(d->lda->root, rcpt->localpart, rcpt->domain, true, &d->home);
	}
	if (err == STORE_OK && quota_is_limited(&rcpt->quota))
		err = quota_usage(d->home, &rcpt->quota, &d->before);
	return delivery_verdict(err);
}

/* Quota is enforced once usage has reached the limit, however large this message is, and only for
 * mailboxes that count. */
static bool
quota_refuses(const struct lda_delivery *d)
{
	const struct quota_rules *rules = &d->rcpt->quota;

	if (d->envelope->quota_checked || quota_allows(rules, &d->before))
		return false;
	for (size_t i = 0; i < d->copy_count; i++)
		if (!quota_excludes(rules, d->copies[i].mailbox))
			return true;
	return false;
}

/* What is asked before its filters are. */
static enum lda_verdict
look_at_it(struct lda_delivery *d)
{
	const struct lda *l = d->lda;
	const struct view *view = delivery_view(d);
	const char *loop;

	if (!d->envelope->size_checked && d->content->size_bytes > d->rcpt->message_max_bytes)
		return LDA_TOO_BIG;
	loop =
	    view != NULL ? loop_find(view, d->rcpt->address, l->hops_max, l->delivered_to) : NULL;
	if (loop != NULL) {
		log_warn(l->sv->log, "mail-loop", "account=%s rcpt=%s from=%s reason=%s id=%s",
		    d->account, d->rcpt->address, d->envelope->sender, loop, d->envelope->id);
		return LDA_LOOP;
	}
	warning_settle(d->lda, d->rcpt, d->home, &d->before);
	return duplicates_begin(d);
}

enum lda_verdict
lda_prepare(struct lda *l, const struct lda_rcpt *rcpt, const struct lda_envelope *envelope,
    const struct content *content, struct lda_delivery **delivery_out)
{
	struct lda_delivery *d = mem_zalloc(sizeof(*d));
	enum lda_verdict v;

	d->lda = l;
	d->rcpt = rcpt;
	d->envelope = envelope;
	d->content = content;
	d->account = arena_printf(&d->arena, "%s@%s", rcpt->localpart, rcpt->domain);
	d->now = (int64_t)time(NULL);
	d->begun_ns = metrics_now_ns();
	d->once.fd = -1;
	d->verdict = LDA_VERDICT_COUNT;
	delivery_record_begin(d);
	v = open_home(d);
	if (v == LDA_OK)
		v = look_at_it(d);
	if (v == LDA_OK && !d->once.is_duplicate)
		v = choose_all(d);
	if (v == LDA_OK && quota_refuses(d)) {
		warning_check(l, rcpt, d->home);
		v = LDA_OVER_QUOTA;
	}
	if (v == LDA_OK)
		v = delivery_verdict(redirects_prepare(d));
	if (v == LDA_OK)
		v = copies_prepare(d);
	if (v == LDA_OK) {
		*delivery_out = d;
		return LDA_OK;
	}
	log_warn(l->sv->log, "not-delivered", "account=%s from=%s id=%s verdict=%u", d->account,
	    envelope->sender, envelope->id, v);
	d->verdict = v;
	lda_abort(d);
	return v;
}

/* --- doing it ----------------------------------------------------------------------------------- */

static void
delivery_free(struct lda_delivery *d)
{
	delivery_record_end(d, d->verdict);
	lda_meters_delivery(d->lda->sv, d->verdict, d->begun_ns);
	duplicates_end(d);
	filtering_end(d);
	if (d->view_is_open)
		view_close(&d->view);
	home_close(d->home);
	arena_free(&d->arena);
	free(d);
}

void
lda_abort(struct lda_delivery *d)
{
	if (d == NULL)
		return;
	copies_abort(d);
	redirects_abort(d);
	delivery_free(d);
}

static void
note_refusal(struct lda_delivery *d)
{
	struct decision by = delivery_decision(d, d->reject_number);

	log_info(d->lda->sv->log, "rejected",
	    "account=%s from=%s by=%s id=%s filter=%s script=%s line=%u", d->account,
	    d->envelope->sender, d->refused ? "reply" : "message", d->envelope->id, by.language,
	    by.script, by.line);
	delivery_record_note(
	    d, d->refused ? "refuse" : "refuse-by-message", by, d->reject->reject.reason);
}

/* What the filter wants to be known the next time (RFC 7352); a failure costs a duplicate at most. */
static void
remember(struct lda_delivery *d)
{
	const struct filter_result *found = &d->found.result;

	for (size_t i = 0; i < found->memory_count; i++)
		if (delivery_state(d) != NULL)
			state_remember(delivery_state(d), found->memories[i].key,
			    found->memories[i].seconds, d->now);
}

static void
note_discard(struct lda_delivery *d)
{
	struct decision by = delivery_decision(d, SIZE_MAX);

	for (size_t i = 0; i < d->found.result.action_count; i++)
		if (d->found.result.actions[i].kind == FILTER_DISCARD)
			by = delivery_decision(d, i);
	log_info(d->lda->sv->log, "discarded",
	    "account=%s from=%s id=%s filter=%s script=%s line=%u", d->account, d->envelope->sender,
	    d->envelope->id, by.language, by.script, by.line);
	delivery_record_note(d, "discard", by, NULL);
}

/* The user has gone, and this is no second copy of what was answered. */
static bool
is_left(const struct lda_delivery *d)
{
	return d->rcpt->leave != NULL && d->around != NULL;
}

static void
note_left(struct lda_delivery *d)
{
	log_info(d->lda->sv->log, "left", "account=%s rcpt=%s from=%s id=%s", d->account,
	    d->rcpt->address, d->envelope->sender, d->envelope->id);
	delivery_record_note(d, "left", (struct decision){ .language = "none", .script = "left" },
	    "the user has left");
}

enum lda_verdict
lda_send(struct lda_delivery *d)
{
	enum store_err err = redirects_finish(d);

	if (err == STORE_OK && d->reject != NULL && !d->refused)
		err = replies_refuse(d);
	if (err == STORE_OK && is_left(d))
		err = replies_leave(d);
	if (err != STORE_OK)
		d->verdict = delivery_verdict(err);
	return delivery_verdict(err);
}

enum lda_verdict
lda_finish(struct lda_delivery *d, char refusal_out[LDA_REFUSAL_BYTES])
{
	enum store_err err = copies_finish(d);
	bool refused;

	if (err != STORE_OK) {
		log_error(d->lda->sv->log, "not-delivered", "account=%s id=%s error=%s", d->account,
		    d->envelope->id, store_err_text(err));
		d->verdict = delivery_verdict(err);
		lda_abort(d);
		return delivery_verdict(err);
	}
	if (!d->refused)
		duplicates_remember(d);
	if (d->once.is_duplicate)
		; /* noted already */
	else if (d->reject != NULL)
		note_refusal(d);
	else if (is_left(d))
		note_left(d);
	else if (d->copy_count == 0 && d->redirect_count == 0)
		note_discard(d);
	replies_send(d);
	remember(d);
	filter_report(d);
	warning_check(d->lda, d->rcpt, d->home);
	refused = d->refused;
	d->verdict = refused ? LDA_REFUSED : LDA_OK;
	if (refused)
		memcpy(refusal_out, d->refusal, LDA_REFUSAL_BYTES);
	delivery_free(d);
	return refused ? LDA_REFUSED : LDA_OK;
}

enum lda_verdict
lda_deliver(struct lda *l, const struct lda_rcpt *rcpt, const struct lda_envelope *envelope,
    const struct content *content, char refusal_out[LDA_REFUSAL_BYTES])
{
	struct lda_delivery *d;
	enum lda_verdict v = lda_prepare(l, rcpt, envelope, content, &d);

	if (v != LDA_OK)
		return v;
	v = lda_send(d);
	if (v == LDA_OK)
		return lda_finish(d, refusal_out);
	lda_abort(d);
	return v;
}

enum lda_verdict
lda_deliver_system(struct lda *l, const struct lda_rcpt *rcpt, struct str message)
{
	struct maildir_delivery *file;
	struct home *home;
	enum store_err err =
	    maildir_delivery_begin(l->root, rcpt->localpart, rcpt->domain, "INBOX", true, &file);
	int64_t size;

	if (err != STORE_OK)
		return delivery_verdict(err);
	err = maildir_delivery_write(file, message.p, message.len);
	if (err != STORE_OK) {
		maildir_delivery_abort(file);
		return delivery_verdict(err);
	}
	size = (int64_t)maildir_delivery_size(file);
	err = maildir_delivery_finish(file, MAILDIR_DATE_NOW, 0, 0, NULL);
	if (err == STORE_OK &&
	    home_open(l->root, rcpt->localpart, rcpt->domain, false, &home) == STORE_OK) {
		quota_add(home, &rcpt->quota, "INBOX", size, 1);
		home_close(home);
	}
	return delivery_verdict(err);
}
