/* A line of a Dovecot passwd-file: user:password:uid:gid:gecos:home:shell:extra_fields, of which the end may be missing.
 * Extra fields are "key" or "key=value", divided by blanks; a value may hold colons. */
#ifndef ADMIN_PASSWD_FILE_H
#define ADMIN_PASSWD_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct passwd_line { /* spans of the line */
	struct str user, password, gecos, extra;
};

/* False: nothing to read, an empty line or a comment. */
bool passwd_line_split(struct str line, struct passwd_line *out);
/* The next extra field; a key without "=" has value.p NULL.  False at the end. */
bool passwd_extra_next(struct cursor *extra, struct str *key_out, struct str *value_out);

/* What a quota rule says of all mailboxes: "*:storage=5G:messages=1000".  Storage without a unit is kilobytes there,
 * bytes= are bytes.  What it does not say is 0.  False: not for all mailboxes, or not understood. */
bool passwd_quota_rule(struct str rule, uint64_t *bytes_out, uint64_t *messages_out);

#endif
