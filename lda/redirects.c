#include "lda/redirects.h"

#include <string.h>

#include "base/mem.h"
#include "lda/copies.h"
#include "lda/delivery_record.h"
#include "sending/outgoing.h"
#include "service/service.h"
#include "store/state.h"

static void
record_not_sent(struct lda_delivery *d, const struct filter_redirect *to, struct decision by,
    const char *reason)
{
	struct record *r = delivery_record_did(d, "not-redirected", by);

	record_text(r, "to", to->to);
	record_text(r, "reason", reason);
	record_end(r);
}

void
redirects_add(struct lda_delivery *d, const struct filter_redirect *to,
    const struct filter_edit *edit, struct decision by)
{
	const struct view *view = delivery_view(d);
	const char *loop;

	for (size_t i = 0; i < d->redirect_count; i++)
		if (str_eq_nocase(str_from(to->to), str_from(d->redirects[i].to->to)))
			return;
	loop = redirect_objection(to, d->account, view, d->lda->hops_max);
	if (loop != NULL && strcmp(loop, "no-address") == 0)
		delivery_trouble(d, by, "mail cannot be redirected to \"%.200s\"", to->to);
	if (loop == NULL) {
		d->redirects[d->redirect_count++] =
		    (struct redirect){ .to = to, .edit = edit, .by = by };
		return;
	}
	log_info(d->lda->sv->log, "not-redirected",
	    "account=%s to=%s reason=%s kept=INBOX id=%s filter=%s script=%s line=%u", d->account,
	    to->to, loop, d->envelope->id, by.language, by.script, by.line);
	record_not_sent(d, to, by, loop);
	copies_add(d, &(struct filter_store){ 0 }, edit, by);
}

/* --- writing ------------------------------------------------------------------------------------ */

/* Has it been sent already, by a delivery that failed afterwards? */
static enum store_err
was_sent(struct lda_delivery *d, struct redirect *r, bool *sent_out)
{
	struct state *state = delivery_state(d);
	const char *digest = delivery_digest(d);
	enum store_err err;

	if (state == NULL || digest == NULL)
		return STORE_IO;
	r->key = arena_printf(&d->arena, "redirect %s %s", digest, r->to->to);
	err = state_remembered(state, r->key, d->now, sent_out);
	if (err == STORE_OK && *sent_out) {
		log_info(d->lda->sv->log, "not-redirected",
		    "account=%s to=%s reason=sent-already id=%s filter=%s script=%s line=%u",
		    d->account, r->to->to, d->envelope->id, r->by.language, r->by.script,
		    r->by.line);
		record_not_sent(d, r->to, r->by, "sent-already");
		err = state_remember(state, r->key, REDIRECT_MEMORY_S, d->now);
	}
	return err;
}

static enum store_err
prepare(struct lda_delivery *d, struct redirect *r)
{
	struct trace hop = {
		.helo = d->envelope->helo,
		.peer = d->envelope->peer,
		.rcpt = d->rcpt->address,
		.hostname = d->lda->hostname,
		.with = d->envelope->with,
		.tls = d->envelope->tls,
		.id = d->envelope->id,
		.now = d->now,
	};
	bool sent = false;
	enum store_err err =
	    outgoing_spool(&d->lda->outgoing) != NULL ? was_sent(d, r, &sent) : STORE_IO;

	if (err != STORE_OK || sent)
		return err;
	return redirect_write(&d->lda->outgoing, d->content, r->edit, &hop, d->account, &r->draft);
}

enum store_err
redirects_prepare(struct lda_delivery *d)
{
	enum store_err err = STORE_OK;

	for (size_t i = 0; err == STORE_OK && i < d->redirect_count; i++)
		err = prepare(d, &d->redirects[i]);
	return err;
}

/* --- sending ------------------------------------------------------------------------------------ */

/* The null reverse-path stays what it is: nobody may be told of what becomes of a bounce. */
static const char *
sender_of(const struct lda_delivery *d, const struct redirect *r)
{
	if (*d->envelope->sender == '\0')
		return "";
	return r->to->listed || d->lda->redirect_as_account ? d->account : d->envelope->sender;
}

static char *
copy_or_null(struct lda_delivery *d, const char *text)
{
	return text != NULL ? arena_strdup(&d->arena, text) : NULL;
}

/* What the sender asked of DSN goes along (RFC 3461 §5.2.7), but of two copies only the one here reports success. */
static unsigned
inherited_notify(const struct lda_delivery *d)
{
	unsigned notify = outgoing_notify(d->rcpt->notify_text);

	if (d->copy_count > 0 && (notify & SPOOL_NOTIFY_SUCCESS) != 0)
		notify &= ~(unsigned)SPOOL_NOTIFY_SUCCESS;
	else
		return notify;
	return notify != 0 ? notify : SPOOL_NOTIFY_NEVER;
}

static void
record_sent(struct lda_delivery *d, const struct redirect *to, const char *sender, const char *id)
{
	struct record *r = delivery_record_did(d, "redirect", to->by);

	record_text(r, "to", to->to->to);
	record_text(r, "from", sender);
	record_text(r, "spool", id);
	record_end(r);
}

/* RFC 6009 §5: what the filter says of DSN, else what the message came with; that only where its sender stays, who asked for it. */
static enum store_err
commit(struct lda_delivery *d, struct redirect *r)
{
	const struct lda_envelope *e = d->envelope;
	const char *sender = sender_of(d, r);
	bool theirs = strcmp(sender, e->sender) == 0;
	struct spool_recipient to;
	struct spool_message envelope;
	char id[SPOOL_ID_LEN + 1];
	enum store_err err;

	redirect_envelope(&d->arena, &r->draft, r->to, d->account, sender, d->now, &to, &envelope);
	if (theirs) {
		to.orcpt = copy_or_null(d, d->rcpt->orcpt);
		if (r->to->notify == NULL)
			to.notify = inherited_notify(d);
		envelope.envid = copy_or_null(d, e->envid);
		if (r->to->ret == NULL && e->ret_text != NULL)
			envelope.ret =
			    ascii_eq_nocase(e->ret_text, "FULL") ? SPOOL_RET_FULL : SPOOL_RET_HDRS;
	}
	if (e->binary)
		envelope.body = SPOOL_BODY_BINARYMIME;
	envelope.smtputf8 = envelope.smtputf8 || e->smtputf8;
	envelope.require_tls = e->require_tls;
	envelope.origin = arena_printf(&d->arena, "redirect id=%s", e->id);
	err = redirect_commit(&r->draft, &envelope, id);
	if (err != STORE_OK)
		return err;
	log_info(d->lda->sv->log, "redirected",
	    "account=%s to=%s from=%s spool=%s id=%s filter=%s script=%s line=%u", d->account,
	    r->to->to, sender, id, e->id, r->by.language, r->by.script, r->by.line);
	record_sent(d, r, sender, id);
	/* Sent it is: a memory that fails costs at most a second copy. */
	state_remember(delivery_state(d), r->key, REDIRECT_MEMORY_S, d->now);
	return STORE_OK;
}

enum store_err
redirects_finish(struct lda_delivery *d)
{
	enum store_err err = STORE_OK;

	for (size_t i = 0; err == STORE_OK && i < d->redirect_count; i++)
		if (d->redirects[i].draft.draft != NULL)
			err = commit(d, &d->redirects[i]);
	return err;
}

void
redirects_abort(struct lda_delivery *d)
{
	for (size_t i = 0; i < d->redirect_count; i++) {
		redirect_abort(&d->redirects[i].draft);
	}
}
