/* What a URL of CATENATE names, being read: a message or a part of one in a mailbox of this session, as FETCH BODY.PEEK[…]
 * would give it, RFC 4469 §3.  The mailbox and the message of the last URL stay open: several URLs of one command mostly
 * name parts of the same message. */
#ifndef IMAPD_APPEND_URL_H
#define IMAPD_APPEND_URL_H

#include <sys/types.h>

#include "base/mem.h"
#include "base/text.h"
#include "imapd/place.h"
#include "imapd/session.h"
#include "store/mime_read.h"

/* Zero-initialise it; ends with append_url_close(). */
struct append_url {
	struct mailbox *box;  /* NULL: none */
	bool own;             /* opened for this, not the one selected */
	struct account *acct; /* whose mailbox it is, and its name: what `own` is about */
	char *name;
	uint32_t uid; /* of the open message; 0: none */
	int fd;
	struct mime_message *mime;
	uint64_t
	    parsed_bytes; /* of messages that were opened, since the caller set it to 0; mailboxes count too */

	/* what is being read: the file, or memory (fields of a header) */
	struct mime_reader reader;
	struct buf fields;
	bool from_fields;
	size_t fields_at;
	uint64_t left; /* bytes still to come */
};

/* What it parses lies in `a`, which may be reset when it returns.
 * STORE_INVALID: it names nothing that can be read here: BADURL.  Other errors are of the store. */
enum store_err append_url_open(
    struct imap_session *s, struct arena *a, struct append_url *u, struct str text);
/* Up to `len` bytes with CRLF line ends, 0 when `left` is, -1 and errno. */
ssize_t append_url_read(struct append_url *u, void *bytes, size_t len);
void append_url_close(struct append_url *u);

#endif
