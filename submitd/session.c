#include "submitd/session.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/stream.h"
#include "service/hostname.h"
#include "service/load.h"
#include "service/login.h"
#include "service/service.h"
#include "store/account_tenure.h"
#include "store/spool.h"
#include "submitd/header.h"
#include "submitd/meters.h"
#include "submitd/policy.h"
#include "submitd/sent_copy.h"
#include "submitd/submission_record.h"

/* One connection.  The list it hangs in is the loop's; all else belongs to the handler that runs. */
struct submit_session {
	struct submit_door *door;
	struct smtp_session *smtp;
	struct submit_session *next, **link;
	bool login_delayed; /* the last login waited, because others had failed before */
	char *tenure;       /* of the login's address: store/account_tenure.h */

	/* the transaction */
	struct arena arena;
	struct policy policy;
	struct spool_message envelope;
	size_t rcpt_room;
	struct spool_draft *draft;
	struct header_mender mender;
	struct buf out; /* mended bytes on their way to the draft */
	struct sent_copy *copy;
	struct buf copy_out; /* and to the copy */
	uint64_t size;       /* as the client counts */
	enum store_err err;
	struct smtp_reply refusal; /* what the data will be answered with, once there is a code */
};

static struct submit_session *
session_of(const struct smtp_session *s)
{
	return smtp_session_data(s);
}

static void
forget_transaction(struct submit_session *ss)
{
	spool_abort(ss->draft);
	ss->draft = NULL;
	header_end(&ss->mender);
	sent_copy_abort(ss->copy);
	ss->copy = NULL;
	policy_end(&ss->policy);
	buf_free(&ss->out);
	buf_free(&ss->copy_out);
	free(ss->envelope.recipients);
	ss->envelope = (struct spool_message){ 0 };
	ss->rcpt_room = 0;
	ss->size = 0;
	ss->err = STORE_OK;
	ss->refusal.code = 0;
	arena_reset(&ss->arena);
}

/* --- handlers, in the order of a dialogue ------------------------------------------------------- */

static uint64_t
auth_delay_ms(struct smtp_session *s)
{
	struct submit_session *ss = session_of(s);
	uint64_t delay_ms = login_delay_ms(ss->door->sv, smtp_session_peer_ip(s));

	ss->login_delayed = delay_ms > 0;
	return delay_ms;
}

/* Whoever gets the address later is somebody else. */
static bool
learn_tenure(struct submit_session *ss, const char *login)
{
	struct buf tenure = { 0 };
	bool known = account_tenure(ss->door->sv->accounts, str_from(login), &tenure) == STORE_OK;

	free(ss->tenure);
	ss->tenure = buf_take(&tenure);
	return known;
}

static void
on_auth(struct smtp_session *s, const char *login, const char *user, const char *mechanism,
    struct smtp_reply *r)
{
	struct submit_session *ss = session_of(s);
	struct login_end end = { .ip = smtp_session_peer_ip(s),
		.login = login,
		.user = user,
		.mechanism = mechanism,
		.note = smtp_session_auth_note(s),
		.client = smtp_session_facts(s)->helo,
		.delayed = ss->login_delayed };

	if (login != NULL && !learn_tenure(ss, login)) {
		smtp_reply_set(r, 454, "4.7.0", "Temporary authentication failure");
		return;
	}
	login_ended(ss->door->sv, smtp_session_log(s), &end, NULL);
}

/* When the message may go, RFC 4865; a time that is past is now. */
static int64_t
release_of(const struct smtp_mail *mail, int64_t now)
{
	return mail->hold_mode == 'F' ? now + mail->hold : mail->hold;
}

/* What the extensions of MAIL ask of the queue. */
static void
take_wishes(struct submit_session *ss, const struct smtp_mail *mail, struct smtp_reply *r)
{
	struct spool_message *e = &ss->envelope;
	int priority_max = (int)config_integer(ss->door->sv->config, "submitd.priority_max");
	int64_t now = time(NULL);

	e->require_tls = mail->require_tls;
	e->by_mode = mail->by_mode;
	e->by_trace = mail->by_trace;
	e->deliver_by = now + mail->by_seconds;
	e->release_mode = mail->hold_mode;
	e->release_at = mail->hold_mode != 0 ? release_of(mail, now) : 0;
	e->priority = mail->priority;
	if (mail->priority <= priority_max)
		return;
	e->priority = priority_max; /* RFC 6710 §4.1: told, with the new one first in the text */
	smtp_reply_set(
	    r, 250, "2.3.6", "%d is the new priority assigned to the message", priority_max);
}

static void
on_mail(struct smtp_session *s, const struct smtp_mail *mail, struct smtp_reply *r)
{
	struct submit_session *ss = session_of(s);
	char *login;

	forget_transaction(ss);
	login = arena_strdup(&ss->arena, smtp_session_facts(s)->login);
	if (!policy_begin(
		&ss->policy, ss->door->sv, smtp_session_log(s), login, ss->tenure, mail, r))
		return;
	ss->envelope = (struct spool_message){
		.sender = arena_strdup(&ss->arena, mail->from.address),
		.account = login,
		.most = &ss->policy.most,
		.envid = mail->envid != NULL ? arena_strdup(&ss->arena, mail->envid) : NULL,
		.ret = mail->ret == SMTP_RET_FULL   ? SPOOL_RET_FULL
		       : mail->ret == SMTP_RET_HDRS ? SPOOL_RET_HDRS
						    : SPOOL_RET_UNSET,
		.body = mail->body == SMTP_BODY_BINARYMIME ? SPOOL_BODY_BINARYMIME
			: mail->body == SMTP_BODY_8BITMIME ? SPOOL_BODY_8BITMIME
							   : SPOOL_BODY_7BIT,
		.smtputf8 = mail->smtputf8,
	};
	take_wishes(ss, mail, r);
}

/* The spool keeps what the client gave and the runner passes it on. */
_Static_assert((int)SMTP_NOTIFY_NEVER == (int)SPOOL_NOTIFY_NEVER, "the same bits");
_Static_assert((int)SMTP_NOTIFY_SUCCESS == (int)SPOOL_NOTIFY_SUCCESS, "the same bits");
_Static_assert((int)SMTP_NOTIFY_FAILURE == (int)SPOOL_NOTIFY_FAILURE, "the same bits");
_Static_assert((int)SMTP_NOTIFY_DELAY == (int)SPOOL_NOTIFY_DELAY, "the same bits");

static void
on_rcpt(struct smtp_session *s, const struct smtp_rcpt *rcpt, struct smtp_reply *r)
{
	struct submit_session *ss = session_of(s);
	struct spool_message *e = &ss->envelope;

	if (*rcpt->to.domain == '\0') { /* RFC 6409 §4.2: all domains are fully qualified */
		smtp_reply_set(r, 554, "5.1.2", "<%s> has no domain", rcpt->to.address);
		return;
	}
	if (!policy_rcpt(&ss->policy, e->recipient_count, r))
		return;
	if (e->recipient_count == ss->rcpt_room) {
		ss->rcpt_room = ss->rcpt_room > 0 ? 2 * ss->rcpt_room : 4;
		e->recipients =
		    mem_realloc_array(e->recipients, ss->rcpt_room, sizeof(*e->recipients));
	}
	e->recipients[e->recipient_count++] = (struct spool_recipient){
		.address = arena_strdup(&ss->arena, rcpt->to.address),
		.orcpt = rcpt->orcpt != NULL ? arena_strdup(&ss->arena, rcpt->orcpt) : NULL,
		.notify = rcpt->notify,
	};
}

/* A machine that cannot keep up takes nothing new. */
static void
on_data_begin(struct smtp_session *s, struct smtp_reply *r)
{
	double load;

	if (!service_overloaded(session_of(s)->door->sv->config, &load))
		return;
	log_warn(smtp_session_log(s), "load", "load=%.1f ceiling=server.load_ceiling", load);
	smtp_reply_set(r, 451, "4.3.2", "The system is overloaded, try again later");
}

static enum store_err
begin_draft(struct smtp_session *s, struct submit_session *ss)
{
	const struct smtp_facts *f = smtp_session_facts(s);
	enum store_err err = spool_begin(ss->door->sv->spool, &ss->draft);
	struct header_facts facts;

	if (err != STORE_OK)
		return err;
	facts = (struct header_facts){
		.hostname = ss->door->hostname,
		.helo = arena_strdup(&ss->arena, f->helo),
		.peer = arena_strdup(&ss->arena, f->peer),
		.tls = f->tls != NULL ? arena_strdup(&ss->arena, f->tls) : NULL,
		.with = arena_strdup(&ss->arena, f->with),
		.account = ss->envelope.account,
		.id = arena_strdup(&ss->arena, spool_draft_id(ss->draft)),
		.now = time(NULL),
		.from = policy_from_check(&ss->policy),
		.copy = ss->policy.sent_copy ? &ss->copy_out : NULL,
	};
	ss->envelope.origin = arena_printf(&ss->arena, "host=%s mech=%s", facts.peer, f->mechanism);
	header_begin(&ss->mender, &facts);
	if (ss->policy.sent_copy)
		ss->copy = sent_copy_begin(ss->door->sv, smtp_session_log(s), &ss->policy.account);
	return STORE_OK;
}

/* What the header says is known once it has been given out. */
static void
judge_header(struct submit_session *ss)
{
	const struct from_verdict *from = &ss->mender.from;

	if (!ss->mender.done || !from->refused || ss->refusal.code != 0)
		return;
	log_info(ss->policy.log, "from-refused", "user=%s why=%s", ss->policy.login, from->why);
	smtp_reply_set(&ss->refusal, 550, "5.7.1", "%s", from->why);
}

static void
write_out(struct submit_session *ss)
{
	judge_header(ss);
	if (ss->err == STORE_OK && ss->refusal.code == 0 && ss->out.len > 0) {
		ss->err = spool_write(ss->draft, ss->out.data, ss->out.len);
		sent_copy_write(ss->copy, ss->copy_out.data, ss->copy_out.len);
	}
	buf_reset(&ss->out);
	buf_reset(&ss->copy_out);
}

/* What goes wrong here is answered in on_data_end, with the code that fits. */
static bool
on_data_write(struct smtp_session *s, const char *bytes, size_t len)
{
	struct submit_session *ss = session_of(s);

	if (ss->draft == NULL && ss->err == STORE_OK)
		ss->err = begin_draft(s, ss);
	ss->size += len;
	if (ss->err != STORE_OK || ss->refusal.code != 0 ||
	    policy_is_too_large(&ss->policy, ss->size, &ss->refusal))
		return true;
	if (!header_feed(&ss->mender, (struct str){ bytes, len }, &ss->out))
		smtp_reply_set(&ss->refusal, 552, "5.3.4", "The message's header is too large");
	write_out(ss);
	return true;
}

static void
refuse(struct smtp_reply *r, enum store_err err)
{
	if (err == STORE_FULL)
		smtp_reply_set(r, 452, "4.3.1", "Not enough disk space, try again later");
	else if (err == STORE_LIMIT)
		smtp_reply_set(r, 452, "4.3.1", "The queue is full, try again later");
	else
		smtp_reply_set(r, 451, "4.3.0", "Temporary failure, try again later");
}

/* The last of the header, for a message that ends in it. */
static void
finish_content(struct smtp_session *s, struct submit_session *ss)
{
	if (ss->draft == NULL && ss->err == STORE_OK) /* an empty message */
		ss->err = begin_draft(s, ss);
	if (ss->err != STORE_OK || ss->refusal.code != 0)
		return;
	header_finish(&ss->mender, &ss->out);
	write_out(ss);
}

/* Into the spool, and then into Sent. */
static void
commit(struct submit_session *ss, char id_out[SPOOL_ID_LEN + 1])
{
	const struct buf *message_id = &ss->mender.message_id;
	enum store_err err;

	memcpy(id_out, spool_draft_id(ss->draft), SPOOL_ID_LEN + 1);
	/* REQUIRETLS goes before the field, RFC 8689 §4.1 */
	ss->envelope.tls_optional = ss->mender.tls_optional && !ss->envelope.require_tls;
	ss->envelope.bulk = ss->mender.bulk;
	err = spool_commit(ss->draft, &ss->envelope, 0);
	ss->draft = NULL;
	if (err == STORE_OK) {
		sent_copy_finish(ss->copy, (struct str){ message_id->data, message_id->len },
		    id_out, ss->policy.login);
		ss->copy = NULL;
	} else if (err == STORE_LIMIT) {
		policy_refuse_rate(&ss->policy, ss->envelope.recipient_count, &ss->refusal);
	} else {
		ss->err = err;
	}
}

static void
on_data_end(struct smtp_session *s, struct smtp_reply *replies, size_t count)
{
	struct submit_session *ss = session_of(s);
	char id[SPOOL_ID_LEN + 1] = "";
	uint64_t size = 0;

	(void)count;
	finish_content(s, ss);
	if (ss->refusal.code == 0 && ss->err == STORE_OK) {
		size = spool_draft_size(ss->draft);
		commit(ss, id);
	}
	if (ss->refusal.code != 0) {
		replies[0] = ss->refusal;
	} else if (ss->err != STORE_OK) {
		log_error(smtp_session_log(s), "not-queued", "user=%s error=%s",
		    ss->envelope.account, store_err_text(ss->err));
		refuse(&replies[0], ss->err);
	} else {
		log_info(smtp_session_log(s), "queued",
		    "id=%s user=%s from=%s rcpts=%zu size=%llu msgid=%s", id, ss->envelope.account,
		    ss->envelope.sender, ss->envelope.recipient_count, (unsigned long long)size,
		    buf_cstr(&ss->mender.message_id));
		smtp_reply_set(&replies[0], 250, "2.0.0", "queued as %s", id);
		submission_record_queued(ss->door->sv, smtp_session_facts(s), &ss->envelope,
		    buf_cstr(&ss->mender.message_id), id, size);
	}
	submit_meters_answered(ss->door->sv, replies[0].code);
	if (!smtp_reply_is_ok(&replies[0]))
		submission_record_refused(ss->door->sv, smtp_session_facts(s), &ss->envelope,
		    buf_cstr(&ss->mender.message_id), replies[0].code, replies[0].text);
	forget_transaction(ss);
}

static void
on_reset(struct smtp_session *s, enum smtp_reset why)
{
	(void)why;
	forget_transaction(session_of(s));
}

static const struct smtp_handlers HANDLERS = {
	.auth = on_auth,
	.auth_delay_ms = auth_delay_ms,
	.mail = on_mail,
	.rcpt = on_rcpt,
	.data_begin = on_data_begin,
	.data_write = on_data_write,
	.data_end = on_data_end,
	.reset = on_reset,
	.fast = SMTP_FAST_RCPT | SMTP_FAST_DATA_BEGIN,
};

/* --- the door ----------------------------------------------------------------------------------- */

void
submit_door_open(struct submit_door *door, struct service *sv, bool implicit_tls)
{
	*door = (struct submit_door){ .sv = sv };
	door->hostname = service_hostname(sv->config);
	door->service = (struct smtp_service){
		.protocol = SMTP_PROTOCOL_SUBMISSION,
		.hostname = door->hostname,
		.software = "Sanger",
		.handlers = &HANDLERS,
		.arg = door,
		.sasl = &sv->sasl,
		.tls = sv->tls,
		.implicit_tls = implicit_tls,
		.log = sv->log,
		.tls_required = true,
		.auth_required = true,
		.dsn = true,
		.requiretls = true,
		.priority = "MIXER",
		.deliver_by = true,
		.by_min_s = (unsigned)config_duration_s(sv->config, "submitd.deliver_by_min"),
		.hold_max_s = config_duration_s(sv->config, "submitd.hold_max"),
		.limits = true,
		.mail_max = (unsigned)config_integer(sv->config, "submitd.messages_per_connection"),
		.xclient_from = &sv->proxies,
		.refuse_bare_newlines = true,
		.size_max_bytes = config_size(sv->config, "store.message_size_max"),
		.rcpt_max = (unsigned)config_integer(sv->config, "submitd.recipients_max"),
		.command_timeout_s = (unsigned)config_duration_s(sv->config, "submitd.timeout"),
		.login_timeout_s = (unsigned)config_duration_s(sv->config, "auth.login_timeout"),
	};
}

void
submit_door_close(struct submit_door *door)
{
	free(door->hostname);
	*door = (struct submit_door){ 0 };
}

static void
on_end(void *arg)
{
	struct submit_session *ss = arg;

	*ss->link = ss->next;
	if (ss->next != NULL)
		ss->next->link = ss->link;
	forget_transaction(ss);
	arena_free(&ss->arena);
	free(ss->tenure);
	free(ss);
}

void
submit_door_accept(struct submit_door *door, struct net_stream *st)
{
	struct submit_session *ss = mem_zalloc(sizeof(*ss));

	ss->door = door;
	ss->next = door->first;
	ss->link = &door->first;
	if (door->first != NULL)
		door->first->link = &ss->next;
	door->first = ss;
	ss->smtp = smtp_server_start(st, &door->service, on_end, ss);
}

void
submit_door_drain(struct submit_door *door, enum net_drain how)
{
	for (struct submit_session *ss = door->first, *next; ss != NULL; ss = next) {
		next = ss->next;
		if (how == NET_DRAIN_FINISH)
			smtp_server_finish(ss->smtp);
		else
			smtp_server_drain(ss->smtp);
	}
}
