/* Trace headers: what the final delivery adds on top of a message, and what it takes away.
 * RFC 5321 §4.4: one Received per hop, one Return-Path, put there by the final delivery.  A
 * Return-path, Envelope-to or Delivery-date from an earlier delivery is dropped, as Exim does. */
#ifndef SENDING_TRACE_H
#define SENDING_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

struct trace {
	const char *sender;   /* envelope; "" for the null reverse-path */
	const char *rcpt;     /* envelope recipient */
	const char *helo;     /* NULL: no Received (lda -d: the caller's own stands there) */
	const char *peer;     /* address as text; "local" for a UNIX socket */
	const char *hostname; /* ours */
	const char *with;     /* protocol keyword, RFC 3848 */
	const char *tls;      /* NULL in the clear */
	const char *id;
	int64_t now;
	bool delivered_to; /* for others' loop detection and our own */
};

/* The lines to be put in front, with LF line ends. */
void trace_headers(struct buf *out, const struct trace *t);
/* Received alone, for a message that goes on from here; also without a helo, so that its hops are counted. */
void trace_received(struct buf *out, const struct trace *t);

/* Copies the beginning of a message, as far as its header goes, without the fields that an earlier
 * delivery left.  Returns how many bytes of `start` that covers: all of it if the header does not end in it. */
size_t trace_copy_header(struct buf *out, struct str start);

#endif
