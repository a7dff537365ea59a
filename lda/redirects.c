#include "lda/redirects.h"

#include <string.h>

#include "base/mem.h"
#include "lda/copies.h"
#include "lda/delivery_record.h"
#include "lda/loops.h"
#include "lda/outgoing.h"
#include "lda/trace.h"
#include "service/service.h"
#include "store/address.h"
#include "store/state.h"

/* --- loops -------------------------------------------------------------------------------------- */

static const char *
find_loop(const struct lda_delivery *d, const struct view *view)
{
	if (loop_is_marked(view, d->account))
		return "redirected-before";
	return loop_hops(view) >= d->lda->hops_max ? "too-many-hops" : NULL;
}

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
	const char *loop = NULL;

	for (size_t i = 0; i < d->redirect_count; i++)
		if (str_eq_nocase(str_from(to->to), str_from(d->redirects[i].to->to)))
			return;
	if (!address_is_valid(str_from(to->to))) {
		delivery_trouble(d, by, "mail cannot be redirected to \"%.200s\"", to->to);
		loop = "no-address";
	} else if (ascii_eq_nocase(to->to, d->account)) {
		loop = "own-address";
	} else if (view != NULL) {
		loop = find_loop(d, view);
	}
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

static enum store_err
write_draft(void *arg, const void *bytes, size_t len)
{
	struct redirect *r = arg;
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len && !r->eight_bit; i++)
		r->eight_bit = p[i] >= 0x80;
	return spool_write(r->draft, bytes, len);
}

/* Our own hop, and the mark by which a loop is known. */
static void
add_top(struct lda_delivery *d, struct buf *top)
{
	struct trace trace = {
		.helo = d->envelope->helo,
		.peer = d->envelope->peer,
		.rcpt = d->rcpt->address,
		.hostname = d->lda->hostname,
		.with = d->envelope->with,
		.tls = d->envelope->tls,
		.id = d->envelope->id,
		.now = d->now,
	};

	trace_received(top, &trace);
	buf_printf(top, "%s: %s\n", FILTER_REDIRECT_MARK, d->account);
}

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
	struct spool *spool = outgoing_spool(d->lda);
	struct buf top = { 0 };
	struct pour_sink sink;
	bool sent = false;
	enum store_err err = spool != NULL ? was_sent(d, r, &sent) : STORE_IO;

	if (err != STORE_OK || sent)
		return err;
	err = spool_begin(spool, &r->draft);
	if (err != STORE_OK)
		return err;
	add_top(d, &top);
	sink = (struct pour_sink){ write_draft, r };
	err = pour_message(d->content, r->edit, (struct str){ top.data, top.len }, &sink);
	buf_free(&top);
	return err;
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

static bool
is_utf8(const char *address)
{
	for (; *address != '\0'; address++)
		if ((unsigned char)*address >= 0x80)
			return true;
	return false;
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
	struct spool_recipient to = {
		.address = arena_strdup(&d->arena, r->to->to),
		.orcpt = theirs ? copy_or_null(d, d->rcpt->orcpt) : NULL,
		.notify = r->to->notify != NULL ? outgoing_notify(r->to->notify)
			  : theirs              ? inherited_notify(d)
						: 0,
	};
	const char *ret = r->to->ret != NULL ? r->to->ret : theirs ? e->ret_text : NULL;
	struct spool_message envelope = {
		.sender = arena_strdup(&d->arena, sender),
		.account = arena_strdup(&d->arena, d->account),
		.envid = theirs ? copy_or_null(d, e->envid) : NULL,
		.ret = ret == NULL                    ? SPOOL_RET_UNSET
		       : ascii_eq_nocase(ret, "FULL") ? SPOOL_RET_FULL
						      : SPOOL_RET_HDRS,
		.body = e->binary      ? SPOOL_BODY_BINARYMIME
			: r->eight_bit ? SPOOL_BODY_8BITMIME
				       : SPOOL_BODY_7BIT,
		.smtputf8 = e->smtputf8 || is_utf8(r->to->to) || is_utf8(sender),
		.require_tls = e->require_tls,
		.by_mode = r->to->by_given ? r->to->by_mode : (char)0,
		.by_trace = r->to->by_trace,
		.deliver_by = d->now + r->to->by_seconds,
		.origin = arena_printf(&d->arena, "redirect id=%s", e->id),
		.recipients = &to,
		.recipient_count = 1,
	};
	char id[SPOOL_ID_LEN + 1];
	enum store_err err;

	memcpy(id, spool_draft_id(r->draft), sizeof(id));
	err = spool_commit(r->draft, &envelope, 0);
	r->draft = NULL;
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
		if (d->redirects[i].draft != NULL)
			err = commit(d, &d->redirects[i]);
	return err;
}

void
redirects_abort(struct lda_delivery *d)
{
	for (size_t i = 0; i < d->redirect_count; i++) {
		spool_abort(d->redirects[i].draft);
		d->redirects[i].draft = NULL;
	}
}
