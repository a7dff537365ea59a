#include "lda/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lda/delivery_record.h"
#include "lda/lda.h"
#include "lda/message_log.h"
#include "lda/meters.h"
#include "lda/reply.h"
#include "net/cidr.h"
#include "net/stream.h"
#include "sending/content.h"
#include "service/service.h"

/* One connection.  The list it hangs in is the loop's; all else belongs to the handler that runs. */
struct lda_session {
	struct lda_door *door;
	struct smtp_session *smtp;
	struct lda_session *next, **link;
	bool refused; /* not one of our relays */

	/* the transaction */
	struct arena arena;
	char *sender;
	uint64_t size_bytes;          /* as declared; 0: not */
	const char *envid, *ret_text; /* DSN; NULL: not given */
	bool require_tls;
	struct lda_rcpt *rcpts;
	size_t rcpt_count;
	struct content content;
	char id[MESSAGE_LOG_ID_BYTES];
};

static struct lda_session *
session_of(const struct smtp_session *s)
{
	return smtp_session_data(s);
}

static bool
is_lmtp(const struct lda_session *ls)
{
	return ls->door->service.protocol == SMTP_PROTOCOL_LMTP;
}

/* SMTP has one answer for all recipients of a message, so quota is always a matter of RCPT there. */
static bool
quota_at_rcpt(const struct lda_session *ls)
{
	return !is_lmtp(ls) || config_bool(ls->door->lda->sv->config, "lda.quota_at_rcpt");
}

static void
forget_transaction(struct lda_session *ls)
{
	content_reset(&ls->content);
	free(ls->rcpts);
	ls->rcpts = NULL;
	ls->rcpt_count = 0;
	ls->sender = NULL;
	ls->envid = ls->ret_text = NULL;
	arena_reset(&ls->arena);
}

static struct lda_envelope
envelope_of(struct smtp_session *s)
{
	const struct lda_session *ls = session_of(s);
	const struct smtp_facts *facts = smtp_session_facts(s);

	return (struct lda_envelope){
		.sender = ls->sender,
		.helo = facts->helo,
		.peer = facts->peer,
		.with = facts->with,
		.tls = facts->tls,
		.id = ls->id,
		.quota_checked = quota_at_rcpt(ls),
		.answers_alone = is_lmtp(ls) || ls->rcpt_count == 1,
		.binary = facts->body == SMTP_BODY_BINARYMIME,
		.smtputf8 = facts->smtputf8,
		.require_tls = ls->require_tls,
		.envid = ls->envid,
		.ret_text = ls->ret_text,
	};
}

/* --- handlers, in the order of a dialogue ------------------------------------------------------- */

static void
on_connect(struct smtp_session *s, struct smtp_reply *r)
{
	struct lda_session *ls = session_of(s);

	if (ls->refused)
		smtp_reply_set(r, 554, "5.7.1", "Only our relays may deliver here");
}

static void
on_mail(struct smtp_session *s, const struct smtp_mail *mail, struct smtp_reply *r)
{
	struct lda_session *ls = session_of(s);
	enum lda_verdict v = lda_check_resources(ls->door->lda);

	if (v != LDA_OK) {
		reply_set(r, v, false, mail->from.address);
		return;
	}
	forget_transaction(ls);
	ls->sender = arena_strdup(&ls->arena, mail->from.address);
	ls->size_bytes = mail->size_bytes;
	ls->require_tls = mail->require_tls;
	ls->envid = mail->envid != NULL ? arena_strdup(&ls->arena, mail->envid) : NULL;
	ls->ret_text = mail->ret == SMTP_RET_FULL   ? "FULL"
		       : mail->ret == SMTP_RET_HDRS ? "HDRS"
						    : NULL;
	message_log_id(ls->id);
}

/* As it was given, but in one order: what `envelope "notify"` compares with, RFC 6009 §3. */
static const char *
notify_text(struct arena *arena, unsigned notify)
{
	static const struct {
		unsigned notify;
		const char *word;
	} WORDS[] = {
		{ SMTP_NOTIFY_NEVER, "NEVER" },
		{ SMTP_NOTIFY_SUCCESS, "SUCCESS" },
		{ SMTP_NOTIFY_FAILURE, "FAILURE" },
		{ SMTP_NOTIFY_DELAY, "DELAY" },
	};
	const char *text = NULL;

	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
		if ((notify & WORDS[i].notify) != 0)
			text = text == NULL ? WORDS[i].word
					    : arena_printf(arena, "%s,%s", text, WORDS[i].word);
	return text;
}

static void
on_rcpt(struct smtp_session *s, const struct smtp_rcpt *rcpt, struct smtp_reply *r)
{
	struct lda_session *ls = session_of(s);
	struct lda *l = ls->door->lda;
	struct lda_envelope envelope;
	struct lda_rcpt found;
	enum lda_verdict v =
	    lda_resolve(l, &ls->arena, rcpt->to.local, rcpt->to.domain, rcpt->to.address, &found);

	if (v == LDA_OK && ls->size_bytes > found.message_max_bytes)
		v = LDA_TOO_BIG;
	if (v == LDA_OK && quota_at_rcpt(ls))
		v = lda_check_quota(l, &found);
	reply_set(r, v, ls->door->lda->quota_permanent, rcpt->to.address);
	if (v != LDA_OK) {
		lda_meters_refused(l->sv, v);
		log_info(smtp_session_log(s), "rcpt-refused", "rcpt=%s from=%s code=%d reason=%s",
		    rcpt->to.address, ls->sender, r->code, reply_text(v));
		envelope = envelope_of(s);
		delivery_record_refused(l, &envelope, rcpt->to.address, v, r);
		return;
	}
	found.orcpt = rcpt->orcpt != NULL ? arena_strdup(&ls->arena, rcpt->orcpt) : NULL;
	found.notify_text = notify_text(&ls->arena, rcpt->notify);
	ls->rcpts = mem_realloc_array(ls->rcpts, ls->rcpt_count + 1, sizeof(*ls->rcpts));
	ls->rcpts[ls->rcpt_count++] = found;
}

static bool
on_data_write(struct smtp_session *s, const char *bytes, size_t len)
{
	struct lda_session *ls = session_of(s);

	return content_write(&ls->content, store_root_fd(ls->door->lda->root), bytes, len) ==
	       STORE_OK;
}

static void
answer(struct lda_session *ls, struct smtp_reply *r, enum lda_verdict v, const char *rcpt,
    const char *refusal)
{
	if (v == LDA_REFUSED)
		reply_set_refusal(r, rcpt, refusal);
	else
		reply_set(r, v, ls->door->lda->quota_permanent, rcpt);
}

/* LMTP: each recipient has its own answer, so each is delivered on its own. */
static void
deliver_each(struct smtp_session *s, struct smtp_reply *replies)
{
	struct lda_session *ls = session_of(s);
	struct lda_envelope envelope = envelope_of(s);

	for (size_t i = 0; i < ls->rcpt_count; i++) {
		char refusal[LDA_REFUSAL_BYTES] = "";
		enum lda_verdict v =
		    lda_deliver(ls->door->lda, &ls->rcpts[i], &envelope, &ls->content, refusal);

		if (v == LDA_OK)
			smtp_reply_set(&replies[i], 250, "2.0.0", "<%s> delivered, id=%s",
			    ls->rcpts[i].address, ls->id);
		else
			answer(ls, &replies[i], v, ls->rcpts[i].address, refusal);
	}
}

/* A client that declares no size learns of a recipient's limit only if all have one that is passed: the others shall
 * have their message. */
static bool
is_too_big_for_all(const struct lda_session *ls)
{
	for (size_t i = 0; i < ls->rcpt_count; i++)
		if (ls->content.size_bytes <= ls->rcpts[i].message_max_bytes)
			return false;
	return true;
}

/* SMTP: one answer for all.  Everything that can go wrong is tried before the first copy is
 * published, so that a temporary failure leaves nothing behind that the retry would double. */
static void
deliver_all(struct smtp_session *s, struct smtp_reply *reply)
{
	struct lda_session *ls = session_of(s);
	struct lda_envelope envelope = envelope_of(s);
	struct lda_delivery **ready = mem_zalloc(ls->rcpt_count * sizeof(struct lda_delivery *));
	char refusal[LDA_REFUSAL_BYTES] = "";
	enum lda_verdict v = LDA_OK;
	size_t i;

	envelope.size_checked = !is_too_big_for_all(ls);
	envelope.siblings = ready;
	for (i = 0; v == LDA_OK && i < ls->rcpt_count; i++) {
		envelope.sibling_count = i;
		v = lda_prepare(ls->door->lda, &ls->rcpts[i], &envelope, &ls->content, &ready[i]);
	}
	for (i = 0; v == LDA_OK && i < ls->rcpt_count; i++)
		v = lda_send(ready[i]);
	if (v == LDA_OK) {
		for (i = 0; i < ls->rcpt_count; i++) {
			enum lda_verdict one = lda_finish(ready[i], refusal);

			v = one != LDA_OK ? one : v;
		}
	} else {
		for (i = 0; i < ls->rcpt_count; i++)
			lda_abort(ready[i]);
	}
	free(ready);
	if (v == LDA_OK)
		smtp_reply_set(reply, 250, "2.0.0", "delivered, id=%s", ls->id);
	else
		answer(ls, reply, v, ls->rcpts[0].address, refusal);
}

static void
on_data_end(struct smtp_session *s, struct smtp_reply *replies, size_t count)
{
	struct lda_session *ls = session_of(s);
	const struct lda_envelope envelope = envelope_of(s);

	(void)count;
	message_log_received(smtp_session_log(s), &envelope, &ls->content, ls->rcpt_count);
	if (is_lmtp(ls))
		deliver_each(s, replies);
	else
		deliver_all(s, &replies[0]);
	forget_transaction(ls);
}

static void
on_reset(struct smtp_session *s, enum smtp_reset why)
{
	(void)why;
	forget_transaction(session_of(s));
}

static const struct smtp_handlers HANDLERS = {
	.connect = on_connect,
	.mail = on_mail,
	.rcpt = on_rcpt,
	.data_write = on_data_write,
	.data_end = on_data_end,
	.reset = on_reset,
	.fast = SMTP_FAST_CONNECT | SMTP_FAST_MAIL | SMTP_FAST_DATA_BEGIN,
};

/* --- doors -------------------------------------------------------------------------------------- */

void
lda_door_open(struct lda_door *door, struct lda *lda, enum smtp_protocol protocol)
{
	struct service *sv = lda->sv;

	*door = (struct lda_door){ .lda = lda };
	door->service = (struct smtp_service){
		.protocol = protocol,
		.hostname = lda->hostname,
		.software = "Sanger",
		.handlers = &HANDLERS,
		.arg = door,
		.tls = sv->tls,
		.log = sv->log,
		.dsn = true,
		.requiretls = true,
		.limits = true,
		.xclient_from = &sv->proxies,
		.size_max_bytes = config_size(sv->config, "store.message_size_max"),
		.rcpt_max = (unsigned)config_integer(sv->config, "lda.recipients_max"),
		.command_timeout_s = (unsigned)config_duration_s(sv->config, "lda.timeout"),
	};
}

static void
on_end(void *arg)
{
	struct lda_session *ls = arg;

	*ls->link = ls->next;
	if (ls->next != NULL)
		ls->next->link = ls->link;
	forget_transaction(ls);
	arena_free(&ls->arena);
	free(ls);
}

void
lda_door_accept(struct lda_door *door, struct net_stream *st)
{
	struct lda_session *ls = mem_zalloc(sizeof(*ls));
	const struct net_ip *ip = net_stream_peer_ip(st);

	ls->door = door;
	content_init(&ls->content);
	ls->refused = ip != NULL && !net_cidr_list_match(&door->lda->sv->relays, ip);
	ls->next = door->first;
	ls->link = &door->first;
	if (door->first != NULL)
		door->first->link = &ls->next;
	door->first = ls;
	ls->smtp = smtp_server_start(st, &door->service, on_end, ls);
}

void
lda_door_drain(struct lda_door *door)
{
	for (struct lda_session *ls = door->first, *next; ls != NULL; ls = next) {
		next = ls->next;
		smtp_server_drain(ls->smtp);
	}
}
