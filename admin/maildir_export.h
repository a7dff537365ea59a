/* Writes an account's mail as a Maildir++ tree that Dovecot serves as it is: `mailadmin export maildir`.
 *
 * 1. UIDVALIDITY, UIDs, flags, keywords, dates and bytes are what clients see here.
 * 2. The server may run: each mailbox is as it was at one moment.  What is expunged meanwhile is left out.
 * 3. All is written into DIR.new, made durable, and renamed: a DIR that exists is whole, and nothing is replaced. */
#ifndef ADMIN_MAILDIR_EXPORT_H
#define ADMIN_MAILDIR_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/account.h"
#include "store/acl.h"
#include "store/quota.h"

struct maildir_export_options {
	bool link;                  /* hard links instead of copies, on the same file system */
	struct quota_limits limits; /* for maildirsize */
	struct acl_tenures tenures; /* by which dovecot-acl leaves out who is gone */
};
struct maildir_export_result { /* of one mailbox */
	const char *mailbox;
	const char *name; /* in the tree, in which a level has no dot */
	size_t messages;
	uint32_t uidvalidity, uidnext;
	size_t keywords; /* names in use */
	size_t beyond;   /* of these, without a letter: in dovecot.index.log */
};
typedef void maildir_export_row_fn(void *arg, const struct maildir_export_result *result);

/* False with the reason on stderr, `label` (the account) in front; then there is no DIR. */
bool maildir_export(struct account *mail, const char *dir, const char *label,
    const struct maildir_export_options *options, maildir_export_row_fn *row, void *arg);

#endif
