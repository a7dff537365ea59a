/* Loops: a message that has come through too many hands, or to the very same recipient before.  It is refused (554 5.4.6), and
 * so comes back to its sender; nothing is lost.  Redirects that would loop are kept instead, see redirect.h. */
#ifndef SENDING_LOOPS_H
#define SENDING_LOOPS_H

#include <stdbool.h>

#include "filter/filter.h"
#include "filter/view.h"

/* Has the account redirected this message, which now comes back?  FILTER_REDIRECT_MARK with its address says so. */
bool loop_is_marked(const struct view *message, const char *account);
/* Received fields, RFC 5321 §6.3. */
unsigned loop_hops(const struct view *message);
/* Why the message is in a loop, as a word for the log; NULL: it is not.
 * A Delivered-To of this recipient counts where a Received stands above it: one on the very top was put there by who
 * hands the message over now (Postfix's flags=D). */
const char *loop_find(
    const struct view *message, const char *rcpt, unsigned hops_max, bool delivered_to);

#endif
