/* What a STORE asks for: its modifier, item and flags, RFC 9051 §6.4.6 and RFC 7162 §3.1.3. */
#ifndef IMAPD_STORE_PLAN_H
#define IMAPD_STORE_PLAN_H

#include <stdbool.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/mailbox.h"

struct store_plan {
	struct flags_change change; /* names in the arena */
	bool silent;
	bool beyond; /* of what a mailbox can keep: NO [LIMIT] */
};

/* What follows the message set.  False: a syntax error; \Recent is one. */
bool store_plan_parse(struct cursor *c, struct arena *a, struct store_plan *plan_out);

#endif
