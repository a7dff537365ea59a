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
#include "store/spool.h"
#include "submitd/header.h"

/* One connection.  The list it hangs in is the loop's; all else belongs to the handler that runs. */
struct submit_session {
	struct submit_door *door;
	struct smtp_session *smtp;
	struct submit_session *next, **link;

	/* the transaction */
	struct arena arena;
	struct spool_message envelope;
	size_t rcpt_room;
	struct spool_draft *draft;
	struct header_mender mender;
	struct buf out; /* mended bytes on their way to the draft */
	enum store_err err;
	bool header_too_large;
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
	buf_free(&ss->out);
	free(ss->envelope.recipients);
	ss->envelope = (struct spool_message){ 0 };
	ss->rcpt_room = 0;
	ss->err = STORE_OK;
	ss->header_too_large = false;
	arena_reset(&ss->arena);
}

/* --- whose address is it ------------------------------------------------------------------------ */

/* The account's own address, letter case aside, also with a +detail. */
static bool
is_own_address(const struct submit_session *ss, const struct smtp_path *from, const char *login)
{
	const char *delimiter = config_string(ss->door->sv->config, "lda.detail_delimiter");
	const char *at = strrchr(login, '@'), *detail;
	struct str local = str_from(from->local);

	if (at == NULL || !ascii_eq_nocase(at + 1, from->domain))
		return false;
	if (str_eq_nocase(local, (struct str){ login, (size_t)(at - login) }))
		return true;
	detail = delimiter != NULL && *delimiter != '\0' ? strchr(from->local, *delimiter) : NULL;
	if (detail == NULL)
		return false;
	local.len = (size_t)(detail - from->local);
	return str_eq_nocase(local, (struct str){ login, (size_t)(at - login) });
}

/* The null reverse-path is for what may not be answered (RFC 8098 §2.1: receipts). */
static bool
may_send_as(const struct submit_session *ss, const struct smtp_path *from, const char *login)
{
	return *from->address == '\0' || is_own_address(ss, from, login) ||
	       strcmp(config_string(ss->door->sv->config, "submitd.sender_policy"), "any") == 0;
}

/* --- handlers, in the order of a dialogue ------------------------------------------------------- */

static uint64_t
auth_delay_ms(struct smtp_session *s)
{
	return login_delay_ms(session_of(s)->door->sv, smtp_session_peer_ip(s));
}

static void
on_auth(struct smtp_session *s, const char *login, const char *user, const char *mechanism,
    struct smtp_reply *r)
{
	(void)r;
	login_ended(session_of(s)->door->sv, smtp_session_log(s), smtp_session_peer_ip(s), login,
	    user, mechanism);
}

static void
on_mail(struct smtp_session *s, const struct smtp_mail *mail, struct smtp_reply *r)
{
	struct submit_session *ss = session_of(s);
	const char *login = smtp_session_facts(s)->login;

	forget_transaction(ss);
	if (!may_send_as(ss, &mail->from, login)) {
		log_info(smtp_session_log(s), "sender-refused", "user=%s from=%s", login,
		    mail->from.address);
		smtp_reply_set(
		    r, 553, "5.7.1", "<%s> is not an address of %s", mail->from.address, login);
		return;
	}
	ss->envelope = (struct spool_message){
		.sender = arena_strdup(&ss->arena, mail->from.address),
		.account = arena_strdup(&ss->arena, login),
		.envid = mail->envid != NULL ? arena_strdup(&ss->arena, mail->envid) : NULL,
		.ret = mail->ret == SMTP_RET_FULL   ? SPOOL_RET_FULL
		       : mail->ret == SMTP_RET_HDRS ? SPOOL_RET_HDRS
						    : SPOOL_RET_UNSET,
		.body = mail->body == SMTP_BODY_BINARYMIME ? SPOOL_BODY_BINARYMIME
			: mail->body == SMTP_BODY_8BITMIME ? SPOOL_BODY_8BITMIME
							   : SPOOL_BODY_7BIT,
		.smtputf8 = mail->smtputf8,
	};
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
	};
	ss->envelope.origin = arena_printf(&ss->arena, "host=%s mech=%s", facts.peer, f->mechanism);
	header_begin(&ss->mender, &facts);
	return STORE_OK;
}

static void
write_out(struct submit_session *ss)
{
	if (ss->err == STORE_OK && ss->out.len > 0)
		ss->err = spool_write(ss->draft, ss->out.data, ss->out.len);
	buf_reset(&ss->out);
}

/* What goes wrong here is answered in on_data_end, with the code that fits. */
static bool
on_data_write(struct smtp_session *s, const char *bytes, size_t len)
{
	struct submit_session *ss = session_of(s);

	if (ss->draft == NULL && ss->err == STORE_OK)
		ss->err = begin_draft(s, ss);
	if (ss->err != STORE_OK || ss->header_too_large)
		return true;
	ss->header_too_large = !header_feed(&ss->mender, (struct str){ bytes, len }, &ss->out);
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

static void
on_data_end(struct smtp_session *s, struct smtp_reply *replies, size_t count)
{
	struct submit_session *ss = session_of(s);
	char id[SPOOL_ID_LEN + 1] = "";
	uint64_t size = 0;

	(void)count;
	if (ss->draft == NULL && ss->err == STORE_OK) /* an empty message */
		ss->err = begin_draft(s, ss);
	if (ss->err == STORE_OK && !ss->header_too_large) {
		header_finish(&ss->mender, &ss->out);
		write_out(ss);
	}
	if (ss->err == STORE_OK && !ss->header_too_large) {
		memcpy(id, spool_draft_id(ss->draft), sizeof(id));
		size = spool_draft_size(ss->draft);
		ss->err = spool_commit(ss->draft, &ss->envelope, 0);
		ss->draft = NULL;
	}
	if (ss->header_too_large) {
		smtp_reply_set(&replies[0], 552, "5.3.4", "The message's header is too large");
	} else if (ss->err != STORE_OK) {
		log_error(smtp_session_log(s), "not-queued", "user=%s error=%s",
		    ss->envelope.account, store_err_text(ss->err));
		refuse(&replies[0], ss->err);
	} else {
		log_info(smtp_session_log(s), "queued", "id=%s user=%s from=%s rcpts=%zu size=%llu",
		    id, ss->envelope.account, ss->envelope.sender, ss->envelope.recipient_count,
		    (unsigned long long)size);
		smtp_reply_set(&replies[0], 250, "2.0.0", "queued as %s", id);
	}
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
submit_door_drain(struct submit_door *door)
{
	for (struct submit_session *ss = door->first, *next; ss != NULL; ss = next) {
		next = ss->next;
		smtp_server_drain(ss->smtp);
	}
}
