/* The bytes of a message in another server's Maildir: as they are, or packed by Dovecot's zlib plugin (gzip). */
#ifndef ADMIN_MAILDIR_BYTES_H
#define ADMIN_MAILDIR_BYTES_H

#include "base/text.h"
#include "store/err.h"
#include "store/mailbox.h"

#define MAILDIR_BYTES_MAX (INT64_C(1024) * 1024 * 1024) /* of one message, unpacked */

enum maildir_packing { MAILDIR_PLAIN, MAILDIR_GZIP, MAILDIR_UNREADABLE };

/* What the first bytes of a file say; for MAILDIR_UNREADABLE also why, in words. */
enum maildir_packing maildir_bytes_packing(struct str start, const char **why_out);

/* Appends the message, with the file's mtime as its date.  *problem_out, if not NULL afterwards, says why the file cannot be
 * read; the append is of no use then.  `fd` stays open. */
enum store_err maildir_bytes_append(
    struct append *ap, struct append_message_info *info, int fd, const char **problem_out);

#endif
