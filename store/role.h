/* MAIL_ROOT/sanger-role: which part a host plays in a pair with a standby (doc/failover.md).  Without the file, which is
 * the usual thing, there is no pair and nothing to guard.
 *
 *     sanger-role 1
 *     role primary
 *     boot 0b4dc1a8-…          of the machine, when it was last known to be the primary
 *     since 1795247699
 *     end
 *
 * 1. `primary`: daemons start as long as the machine has not been restarted since: after that the standby may have
 *    been promoted, and somebody has to look (mailadmin promote).
 * 2. `promoting`: a copy is being put in its place; daemons do not start.
 * 3. `retired`: the other one is the primary; daemons do not start.
 * A file that is damaged stands for `retired`: better no server than two. */
#ifndef STORE_ROLE_H
#define STORE_ROLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"
#include "store/err.h"

#define ROLE_FILE       "sanger-role"
#define ROLE_BOOT_BYTES 64

enum role_kind { ROLE_NONE, ROLE_PRIMARY, ROLE_PROMOTING, ROLE_RETIRED };
struct role {
	enum role_kind kind;
	char boot[ROLE_BOOT_BYTES];
	int64_t since_s;
};

/* ROLE_NONE where there is no file, and no directory. */
enum store_err role_read(const char *mail_root, struct role *role_out);
/* Durable on STORE_OK; of this boot and this moment. */
enum store_err role_write(const char *mail_root, enum role_kind kind);
const char *role_name(enum role_kind kind);
/* Of the boot that this machine is in now? */
bool role_is_of_this_boot(const struct role *role);

/* May daemons start?  NULL, or why not and what to do. */
const char *role_problem(const char *mail_root);

/* The text form, for tests and fuzzing: false if damaged. */
bool role_parse(struct str text, struct role *role_out);
void role_format(struct buf *out, const struct role *role);

#endif
