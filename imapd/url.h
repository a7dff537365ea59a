/* IMAP URLs that name a message or a part of one, RFC 5092: what CATENATE (RFC 4469) copies from, with the range of bytes of
 * URL-PARTIAL (RFC 5550 §3.1).
 *
 *	/Drafts;UIDVALIDITY=385759045/;UID=20/;SECTION=1.MIME
 *	imap://ann@mail.example.org/INBOX/;UID=7/;PARTIAL=0.1024
 *	;UID=7                              of the mailbox that is selected
 *
 * Percent-encoding is taken away; names of parameters come in any letter case.  A URL of a server, of a
 * mailbox, of a search or with URLAUTH (RFC 4467) is none of ours: false. */
#ifndef IMAPD_URL_H
#define IMAPD_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"

#define IMAP_URL_MAX_BYTES 8192

struct imap_url {
	char *host;           /* NULL: this server; without the port */
	char *user;           /* NULL: not said */
	char *mailbox;        /* our UTF-8; NULL: the one selected */
	uint32_t uidvalidity; /* 0: not said */
	uint32_t uid;
	char *section; /* of BODY[…], "" for the whole message */
	bool has_partial;
	uint64_t offset, count; /* count 0: to the end */
};

/* `base`: the mailbox selected (our UTF-8), against which a relative path is resolved, RFC 3986 §5.2; NULL: none.
 * Everything lives in the arena. */
bool imap_url_parse(struct str text, const char *base, struct arena *a, struct imap_url *url_out);

#endif
