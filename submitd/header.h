/* The header of a submitted message as it goes by: what a submission server must mend, RFC 6409 §8.
 * Date and Message-ID are added where they are missing, From too; Sender by submitd/from.h; Bcc goes
 * (RFC 5322 §3.6.3), MT-Priority too; one Received line comes in front.  The body passes untouched.  Line ends are CRLF. */
#ifndef SUBMITD_HEADER_H
#define SUBMITD_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"
#include "submitd/from.h"

#define HEADER_MAX_BYTES (1024 * 1024)

struct header_facts {
	const char *hostname; /* ours */
	const char *helo, *peer, *tls, *with;
	const char *account; /* the address of who submits: for From and Sender */
	const char *id;
	int64_t now;
	struct from_check from;
	/* Not NULL: gets the same bytes with the Bcc fields still there, for the author's own copy. */
	struct buf *copy;
};

struct header_mender {
	struct header_facts facts;
	struct buf held; /* the header as far as it has come */
	bool done;       /* it has been given out */
	/* Once done: */
	struct from_verdict from; /* if refused, the message is not to go out */
	struct buf message_id;    /* as in its field, also when it was added here */
	bool tls_optional;        /* "TLS-Required: No", RFC 8689 §5 */
	bool bulk;                /* it says of itself that it goes to many: Precedence, List-Id */
};

/* Strings of the facts are borrowed until the message ends. */
void header_begin(struct header_mender *m, const struct header_facts *facts);
/* Takes the next bytes of the message and appends what may go out now.  False: the header is larger
 * than HEADER_MAX_BYTES. */
bool header_feed(struct header_mender *m, struct str bytes, struct buf *out);
/* The message is complete: what is still held goes out. */
void header_finish(struct header_mender *m, struct buf *out);
void header_end(struct header_mender *m); /* frees; a zeroed one is fine */

#endif
