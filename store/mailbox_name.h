/* Mailbox names: UTF-8 inside, levels split by '/', "INBOX" for the account's own directory, and the
 * Maildir++ directory a name stands for: ".Level.Level", each level in modified UTF-7 in which a
 * dot is written "&AC4-" and a slash "&AC8-" (a level never holds '/', so the latter is never ours).
 *
 * 1. Every directory name that starts with a dot, but ".", ".." and Dovecot's "..DOVECOT-TRASHED",
 *    has exactly one mailbox name, and that name leads back to the same bytes.  No mail is hidden.
 * 2. A level that is not the canonical form of anything a user may choose (raw 8-bit, broken or
 *    lazy UTF-7, empty, "inbox" in other case on top, a control character) is shown as "&=" and its
 *    bytes on disk, where '%', '/', control bytes and what is not UTF-8 stand as %XX.
 *    Courier 5 has names on disk in UTF-8; there store/folder.h decides, see mailbox_name_from_utf8_folder().
 * 3. "INBOX" as first level matches in any case and is given back in capitals; children of INBOX
 *    ("INBOX/x") lie in ".INBOX.x". */
#ifndef STORE_MAILBOX_NAME_H
#define STORE_MAILBOX_NAME_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/text.h"
#include "store/err.h"

#define MAILBOX_LEVEL_MAX_BYTES  240 /* of UTF-8 */
#define MAILBOX_FOLDER_MAX_BYTES 255 /* of the directory's name, NAME_MAX */
#define MAILBOX_LEVELS_MAX       64

bool mailbox_name_is_inbox(const char *name); /* "INBOX" in any case */

/* May a user create this?  NULL if so, else why not, for a NO: not UTF-8, not Net-Unicode (RFC 5198:
 * control characters, U+2028, U+2029, unassigned byte order marks), an empty or too long level, too
 * many levels, too long on disk, "." or ".." as a level, a level that starts with "&=". */
const char *mailbox_name_problem(struct str name);

/* The name with INBOX in capitals, appended to `out`; nothing else is changed (no NFC: two names
 * that differ in bytes differ). */
void mailbox_name_canonical(struct buf *out, struct str name);

/* Appends the directory: "" for INBOX, else ".A.B".  Takes every name that folder_to_mailbox_name()
 * gives and every one mailbox_name_problem() finds none in; others are STORE_INVALID. */
enum store_err mailbox_name_to_folder(struct buf *out, struct str name);
/* Appends the name of directory ".A.B" ("" is INBOX); false if it is none of ours (see 1). */
bool mailbox_name_from_folder(struct buf *out, struct str folder);

/* The same for a directory whose levels are names in UTF-8, as Courier has written them since 5.0: ".Entwürfe" is
 * "Entwürfe".  False, and nothing appended: it is ASCII alone, or has a level that no user may choose.  Such a name has two
 * directories, so this is for who looks which of them is there (store/folder.h). */
bool mailbox_name_from_utf8_folder(struct buf *out, struct str folder);
bool mailbox_name_to_utf8_folder(struct buf *out, struct str name);

/* Is `child` below `parent` ("a/b" below "a")?  Both canonical. */
bool mailbox_name_is_below(struct str child, struct str parent);

#endif
