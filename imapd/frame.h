/* What is IMAP's own in cutting a client's bytes into commands; the cutting itself is net/frame.h. */
#ifndef IMAPD_FRAME_H
#define IMAPD_FRAME_H

#include <stdbool.h>

#include "net/frame.h"

/* The limits before and after login; from then on APPEND's data is streamed. */
const struct frame_rules *imap_frame_rules(bool logged_in);

/* Does `line` (without its CRLF) end in the announcement of a literal?  At *start_out it begins. */
bool imap_frame_announces(struct str line, struct frame_literal *lit_out, size_t *start_out);

/* append = "APPEND" SP mailbox 1*append-message, and REPLACE (RFC 8508): does a literal that is announced
 * behind `text` carry a message, or a piece of one?  It does when the mailbox's name is complete before it, unless it is the
 * URL of a cat-part (RFC 4469). */
bool imap_frame_streams(struct str text, bool behind);

/* The tag at the start of a command, or "*" if there is none to answer to. */
struct str imap_frame_tag(struct str text);

#endif
