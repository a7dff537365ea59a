/* A second opinion on a Sieve script: would a server that uses libsieve2 take it?
 *
 * Debian's libsieve2 has few extensions, takes some wrong scripts and crashes on others.  It runs nowhere but here, in a
 * child without files, network and other processes (rlimits, seccomp), which may die as it likes. */
#ifndef ADMIN_PORTABLE_H
#define ADMIN_PORTABLE_H

#include "base/buf.h"
#include "base/text.h"

enum portable {
	PORTABLE_YES,
	PORTABLE_NO,      /* `why` has its messages, each on a line */
	PORTABLE_CRASHED, /* the library died of it: `why` says how */
	PORTABLE_UNKNOWN, /* no child could be made: `why` says why */
};

enum portable portable_check(struct str script, struct buf *why);

#endif
