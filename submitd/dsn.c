#include "submitd/dsn.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "net/smtp_parse.h"
#include "store/compose.h"

#define DSN_FULL_MAX_BYTES   (100 * 1024) /* a larger original comes back as its header only */
#define DSN_HEADER_MAX_BYTES (64 * 1024)

#define NOTIFY_ANY                                                                                 \
	(SPOOL_NOTIFY_SUCCESS | SPOOL_NOTIFY_FAILURE | SPOOL_NOTIFY_DELAY) /* not NEVER */

struct wording {
	const char *action; /* RFC 3464 §2.3.3 */
	unsigned notify;    /* what NOTIFY asks for it by */
	const char *status; /* where the relay gave none … */
	bool is_ours;       /* … or whatever it said */
	const char *subject;
	const char *text;
};

static const struct wording WORDINGS[] = {
	[DSN_FAILED] = { "failed", SPOOL_NOTIFY_FAILURE, "5.0.0", false,
	    "Your message could not be delivered",
	    "Your message could not be delivered to the following recipients and will not be\n"
	    "tried again:\n" },
	[DSN_DELAYED] = { "delayed", SPOOL_NOTIFY_DELAY, "4.0.0", false,
	    "Your message is still waiting",
	    "Your message has not been delivered to the following recipients yet.  You need not\n"
	    "send it again; it will be tried for some more time:\n" },
	[DSN_RELAYED] = { "relayed", SPOOL_NOTIFY_SUCCESS, "2.0.0", false,
	    "Your message was handed on",
	    "Your message was handed on for the following recipients to a server that does not\n"
	    "report what becomes of it:\n" },
	[DSN_LATE] = { "delayed", SPOOL_NOTIFY_DELAY, "4.4.7", true, "Your message is late",
	    "The time in which your message was to be delivered has passed, and it has not been\n"
	    "delivered to the following recipients yet.  You need not send it again; it will be\n"
	    "tried for some more time:\n" },
	[DSN_UNTIMED] = { "relayed", NOTIFY_ANY, "2.0.0", false, "Your message was handed on",
	    "Your message was handed on for the following recipients to a server that does not\n"
	    "keep to the time in which it was to be delivered, nor tell if it is late:\n" },
	[DSN_TRACED] = { "relayed", NOTIFY_ANY, "2.0.0", false, "Your message was handed on",
	    "Your message was handed on for the following recipients, and with it the time in\n"
	    "which it is to be delivered:\n" },
};

bool
dsn_is_wanted(
    const struct spool_message *msg, const struct spool_recipient *rcpt, enum dsn_action action)
{
	unsigned notify = rcpt->notify;

	if (*msg->sender == '\0')
		return false;
	if (notify == 0) /* RFC 3461 §4.1: the usual is failure, and delay if we like */
		notify = SPOOL_NOTIFY_FAILURE | SPOOL_NOTIFY_DELAY;
	return (notify & WORDINGS[action].notify) != 0;
}

/* Text without line ends; where it must be ASCII, "?" for the rest. */
static void
add_flat(struct buf *out, const char *text, bool utf8)
{
	for (; *text != '\0'; text++)
		buf_addc(out, (unsigned char)*text < ' '            ? ' '
			      : utf8 || (unsigned char)*text < 0x80 ? *text
								    : '?');
}

static bool
is_ascii(struct str text)
{
	size_t n = 0;

	while (n < text.len && (unsigned char)text.p[n] < 0x80)
		n++;
	return n == text.len;
}

/* The "5.1.1" behind the code of a reply, or at the start of our own words, if it is there. */
static void
add_status(struct buf *out, const char *reply, const struct wording *w)
{
	struct buf line = { 0 };
	struct smtp_reply_line parsed = { 0 };

	if (reply != NULL && !smtp_parse_reply_line(str_from(reply), &parsed)) {
		buf_printf(&line, "%c00 %s", *reply, reply);
		smtp_parse_reply_line((struct str){ line.data, line.len }, &parsed);
	}
	buf_adds(out, parsed.enhanced[0] != '\0' && !w->is_ours ? parsed.enhanced : w->status);
	buf_free(&line);
}

/* RFC 3464 §2.3.6: "smtp" is what a server said. */
static const char *
diagnostic_type(const char *reply)
{
	struct smtp_reply_line parsed;

	return smtp_parse_reply_line(str_from(reply), &parsed) ? "smtp" : "x-sanger";
}

/* mta-name of type dns, RFC 3464 §2.1.2: a domain, or an address in brackets (RFC 5321 §4.1.3); `relay` is
 * HOST, HOST:PORT or [IPV6]:PORT. */
static void
add_mta(struct buf *out, const char *relay)
{
	const char *end = strrchr(relay, ']'), *colon = strrchr(relay, ':');
	struct str host = str_from(*relay == '[' ? relay + 1 : relay);
	bool is_v6 = *relay == '[' || (colon != NULL && strchr(relay, ':') != colon);

	if (*relay == '[' && end != NULL)
		host.len = (size_t)(end - host.p);
	else if (!is_v6 && colon != NULL)
		host.len = (size_t)(colon - host.p);
	if (is_v6)
		buf_printf(out, "[IPv6:%.*s]", (int)host.len, host.p);
	else if (strspn(host.p, "0123456789.") >= host.len)
		buf_printf(out, "[%.*s]", (int)host.len, host.p);
	else
		buf_add(out, host.p, host.len);
}

/* per-recipient-fields, RFC 3464 §2.3 */
static void
add_recipient(struct buf *out, const struct spool_recipient *rcpt, const struct wording *w,
    bool utf8, int64_t expires)
{
	buf_adds(out, "\n");
	if (rcpt->orcpt != NULL) {
		buf_adds(out, "Original-Recipient: ");
		add_flat(out, rcpt->orcpt, utf8);
		buf_adds(out, "\n");
	}
	buf_printf(out, "Final-Recipient: %s; %s\nAction: %s\nStatus: ",
	    is_ascii(str_from(rcpt->address)) ? "rfc822" : "utf-8", rcpt->address, w->action);
	add_status(out, rcpt->reply, w);
	buf_adds(out, "\n");
	if (rcpt->relay != NULL) {
		buf_adds(out, "Remote-MTA: dns; ");
		add_mta(out, rcpt->relay);
		buf_adds(out, "\n");
	}
	if (rcpt->reply != NULL) {
		buf_printf(out, "Diagnostic-Code: %s; ", diagnostic_type(rcpt->reply));
		add_flat(out, rcpt->reply, utf8);
		buf_adds(out, "\n");
	}
	if (w->notify == SPOOL_NOTIFY_DELAY) {
		buf_adds(out, "Will-Retry-Until: ");
		compose_date(out, expires);
		buf_adds(out, "\n");
	}
}

static void
add_date_field(struct buf *out, const char *name, int64_t when)
{
	buf_printf(out, "%s: ", name);
	compose_date(out, when);
	buf_adds(out, "\n");
}

struct selection {
	const struct spool_message *msg;
	enum dsn_action action;
	bool (*pick)(const struct spool_recipient *rcpt);
};

static bool
is_selected(const struct selection *s, const struct spool_recipient *rcpt)
{
	return s->pick(rcpt) && dsn_is_wanted(s->msg, rcpt, s->action);
}

/* Everything up to the returned original. */
static void
compose_report(struct buf *out, const char *hostname, const struct spool_message *msg,
    enum dsn_action action, int64_t expires, bool (*pick)(const struct spool_recipient *rcpt),
    const char *boundary)
{
	const struct wording *w = &WORDINGS[action];
	const struct selection s = { msg, action, pick };
	struct buf id = { 0 };

	compose_message_id(&id, hostname);
	buf_printf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\nTo: %s\nSubject: %s\n",
	    hostname, msg->sender, w->subject);
	add_date_field(out, "Date", time(NULL));
	buf_printf(out,
	    "Message-ID: %s\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
	    "Content-Transfer-Encoding: 8bit\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"%s\"\n\n"
	    "--%s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: "
	    "8bit\n\n%s\n",
	    buf_cstr(&id), boundary, boundary, w->text);
	buf_free(&id);
	for (size_t i = 0; i < msg->recipient_count; i++) {
		const struct spool_recipient *r = &msg->recipients[i];

		if (!is_selected(&s, r))
			continue;
		buf_printf(out, "  %s\n", r->address);
		if (r->reply != NULL) {
			buf_adds(out, "    ");
			add_flat(out, r->reply, true);
			buf_adds(out, "\n");
		}
	}
	buf_printf(out, "\n--%s\nContent-Type: message/%sdelivery-status\n", boundary,
	    msg->smtputf8 ? "global-" : "");
	buf_adds(out, msg->smtputf8 ? "Content-Transfer-Encoding: 8bit\n\n" : "\n");
	if (msg->envid != NULL) { /* as it was before xtext, RFC 3461 §6.3 */
		buf_adds(out, "Original-Envelope-Id: ");
		add_flat(out, msg->envid, msg->smtputf8);
		buf_adds(out, "\n");
	}
	buf_printf(out, "Reporting-MTA: dns; %s\n", hostname);
	add_date_field(out, "Arrival-Date", msg->received);
	if (msg->by_mode != 0)
		add_date_field(out, "Deliver-By-Date", msg->deliver_by); /* RFC 2852 */
	for (size_t i = 0; i < msg->recipient_count; i++)
		if (is_selected(&s, &msg->recipients[i]))
			add_recipient(out, &msg->recipients[i], w, msg->smtputf8, expires);
}

/* The end of the header: behind its last field's line end. */
static size_t
header_end_of(const struct buf *b)
{
	for (size_t at = 0; at < b->len;) {
		const char *line = b->data + at;
		const char *lf = memchr(line, '\n', b->len - at);

		if (*line == '\n' || *line == '\r')
			return at;
		if (lf == NULL)
			break;
		at = (size_t)(lf - b->data) + 1;
	}
	return b->len;
}

/* The original, whole or its header: RFC 3461 §6.2; never whole with REQUIRETLS, RFC 8689 §5.  CR are left out, so that the report has one kind
 * of line ends. */
static enum store_err
add_original(struct buf *out, struct spool *spool, const struct spool_message *msg,
    enum dsn_action action, const char *boundary)
{
	bool full = action == DSN_FAILED && msg->ret != SPOOL_RET_HDRS && !msg->require_tls &&
		    msg->body != SPOOL_BODY_BINARYMIME && msg->size_bytes <= DSN_FULL_MAX_BYTES;
	size_t want = full ? DSN_FULL_MAX_BYTES : DSN_HEADER_MAX_BYTES;
	struct buf text = { 0 };
	ssize_t got;
	int fd;
	enum store_err err = spool_content(spool, msg->id, &fd);

	if (err != STORE_OK)
		return err;
	buf_reserve(&text, want);
	while (text.len < want && (got = read(fd, text.data + text.len, want - text.len)) != 0) {
		if (got > 0)
			text.len += (size_t)got;
		else if (errno != EINTR)
			break;
	}
	close(fd);
	if (!full)
		text.len = header_end_of(&text);
	buf_printf(out, "\n--%s\nContent-Type: %s\n%s\n", boundary,
	    full ? (msg->smtputf8 ? "message/global" : "message/rfc822")
		 : (msg->smtputf8 ? "message/global-headers" : "text/rfc822-headers"),
	    msg->body != SPOOL_BODY_7BIT || msg->smtputf8 ? "Content-Transfer-Encoding: 8bit\n"
							  : "");
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] != '\r')
			buf_addc(out, text.data[i]);
	buf_printf(out, "\n--%s--\n", boundary);
	buf_free(&text);
	return STORE_OK;
}

/* Needs SMTPUTF8 only if its own header does, so that the sender can hear of a relay that has none: what is
 * within is 8bit.  A report about a message with REQUIRETLS has it, too (RFC 8689 §5). */
static enum store_err
put_into_spool(struct spool *spool, const struct spool_message *about, const struct buf *report)
{
	struct spool_recipient to = { .address = about->sender, .notify = SPOOL_NOTIFY_NEVER };
	struct spool_message envelope = {
		.sender = (char[]){ "" },
		.body = is_ascii((struct str){ report->data, report->len }) ? SPOOL_BODY_7BIT
									    : SPOOL_BODY_8BITMIME,
		.smtputf8 = !is_ascii(str_from(about->sender)),
		.require_tls = about->require_tls,
		.recipients = &to,
		.recipient_count = 1,
	};
	struct spool_draft *draft;
	enum store_err err = spool_begin(spool, &draft);

	if (err != STORE_OK)
		return err;
	err = spool_write(draft, report->data, report->len);
	if (err == STORE_OK)
		return spool_commit(draft, &envelope, 0);
	spool_abort(draft);
	return err;
}

enum store_err
dsn_send(struct spool *spool, const char *hostname, const struct spool_message *msg,
    enum dsn_action action, int64_t expires, bool (*pick)(const struct spool_recipient *rcpt))
{
	struct buf report = { 0 }, boundary = { 0 };
	enum store_err err;

	buf_printf(&boundary, "=_%s_%llx", msg->id, (unsigned long long)time(NULL));
	compose_report(&report, hostname, msg, action, expires, pick, buf_cstr(&boundary));
	err = add_original(&report, spool, msg, action, buf_cstr(&boundary));
	if (err == STORE_OK)
		err = put_into_spool(spool, msg, &report);
	buf_free(&report);
	buf_free(&boundary);
	return err;
}
