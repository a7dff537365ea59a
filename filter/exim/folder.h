/* What a `save` path means here: a folder in the account's own Maildir++.
 *
 * 1. ".A.B/" is the folder A/B, each level in modified UTF-7 or UTF-8; a path without the dot in front is split
 *    at slashes.  "./", "INBOX" and ".INBOX/" are INBOX.  With or without a slash at the end.
 * 2. The account's mail root in front ("$home/…") is cut off.
 * 3. Nothing leads out: another absolute path, "..", empty parts, control bytes, broken UTF-7 or UTF-8 and
 *    names that are too long are no folder. */
#ifndef FILTER_EXIM_FOLDER_H
#define FILTER_EXIM_FOLDER_H

#include "base/mem.h"
#include "base/text.h"

/* The mailbox ("INBOX", "A/B"), or NULL if the path is none.  `home` may be NULL. */
const char *exim_folder(struct arena *a, struct str path, const char *home);

#endif
