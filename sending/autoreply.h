/* Automatic replies: whether a message may be answered at all, and how the answer looks.  Vacation of RFC 5230 and
 * Exim's `mail` and `vacation`; for all of them RFC 3834.  Nothing is sent from here. */
#ifndef SENDING_AUTOREPLY_H
#define SENDING_AUTOREPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "filter/actions.h"
#include "filter/view.h"

#define AUTOREPLY_RECIPIENTS_MAX 20
#define AUTOREPLY_RETURN_BYTES   (100 * 1024) /* of a message that is sent back with the answer */

/* What the answer is about.  All borrowed. */
struct reply_facts {
	const char *account;   /* localpart@domain */
	const char *rcpt;      /* envelope recipient */
	const char *orig_rcpt; /* before aliasing, "type;address"; NULL: unknown */
	const char *sender;    /* envelope; "" for the null reverse-path */
	const char *hostname;
	int64_t now;
	const struct view *message;
	/* Another address of the account?  NULL: none. */
	bool (*is_own)(void *arg, struct str address);
	void *is_own_arg;
};

/* Why nothing at all may be answered to the sender by a machine (RFC 3834 §2, RFC 5230 §4.6): no sender, a machine's or
 * a list's message, one to many, a sender behind whom nobody reads, or the account itself.  A word for the log; NULL:
 * it may. */
const char *reply_objection(const struct reply_facts *f);
/* The same for FILTER_VACATION, which also wants the account named as a recipient, and FILTER_MAIL, which is an answer
 * where it goes to the sender or an address of From, Sender or Reply-To; else a notice, which only may not answer
 * bounces and machines. */
const char *autoreply_objection(const struct reply_facts *f, const struct filter_action *action);

/* Is the message itself made by a machine (RFC 3834 §2: Auto-Submitted other than "no")? */
bool reply_is_automatic(const struct view *message);
/* Is the address one of the account's? */
bool reply_is_own(const struct reply_facts *f, struct str address);

/* The answer's recipients, NUL-terminated and in the arena, without the account's own addresses.  Vacation: the
 * envelope sender, RFC 5230 §4.5.  Mail: To (or else Reply-To or From of the message), Cc and Bcc. */
size_t autoreply_recipients(const struct reply_facts *f, const struct filter_action *action,
    struct arena *arena, const char *recipients_out[AUTOREPLY_RECIPIENTS_MAX]);

/* The text of To: of a reply, in the arena: what Exim's `once` remembers. */
const char *autoreply_to(
    const struct reply_facts *f, const struct filter_reply *reply, struct arena *arena);

/* The whole answer with LF line ends.  Whatever stands in the message or the filter, a field stays one field. */
void autoreply_compose(
    struct buf *out, const struct reply_facts *f, const struct filter_action *action);

/* For whoever composes other answers to a message. */
struct str reply_field(
    const struct view *message, const char *name);       /* as it stands; p NULL: none */
struct str reply_message_id(const struct view *message); /* "<…>"; p NULL: none that can stand */
void reply_add_subject(struct buf *out, const char *prefix, const struct view *message);
void reply_add_identity(struct buf *out, const struct reply_facts *f); /* Date, Message-ID */
/* In-Reply-To and References, RFC 5322 §3.6.4: of the message's only what is a msg-id. */
void reply_add_threading(struct buf *out, const struct view *message);
/* A boundary for parts, which is in no message; lies in `memory`. */
struct str reply_boundary(struct buf *memory, const struct reply_facts *f);
/* A part message/delivery-status, RFC 3464 §2.1; envid may be NULL. */
void reply_add_status(struct buf *out, const struct reply_facts *f, const char *envid,
    const char *action, const char *status);
/* Their lines, without CRs and NULs, none longer than RFC 5322 allows. */
void reply_add_lines(struct buf *out, struct str text);
/* A part text/rfc822-headers: without NULs and CRs, no line longer than RFC 5322 allows. */
void reply_add_header_of(struct buf *out, const struct view *message);

#endif
