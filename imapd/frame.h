/* What is IMAP's own in cutting a client's bytes into commands; the cutting itself is net/frame.h. */
#ifndef IMAPD_FRAME_H
#define IMAPD_FRAME_H

#include <stdbool.h>

#include "net/frame.h"

/* The limits before and after login; from then on APPEND's data is streamed. */
const struct frame_rules *imap_frame_rules(bool logged_in);

/* Does `line` (without its CRLF) end in the announcement of a literal?  At *start_out it begins. */
bool imap_frame_announces(struct str line, struct frame_literal *lit_out, size_t *start_out);

/* append = "APPEND" SP mailbox 1*append-message: does a literal that is announced behind `text` carry a
 * message?  It does when the mailbox's name is complete before it. */
bool imap_frame_is_append(struct str text);

/* The tag at the start of a command, or "*" if there is none to answer to. */
struct str imap_frame_tag(struct str text);

#endif
