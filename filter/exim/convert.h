/* From an Exim filter to a Sieve script (RFC 5228) that does the same.
 *
 * What has no equivalent is left out and named, a line each: "line N: what, and why".  The script
 * stands as it is only if there are no problems.  Exim joins several headers of one name to one string, Sieve
 * looks at each: for messages that have a header once both do the same. */
#ifndef FILTER_EXIM_CONVERT_H
#define FILTER_EXIM_CONVERT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/text.h"
#include "filter/filter.h"

/* Appends the script and the problems (an empty `problems_out`: the script is complete).  False, and
 * error_out, if the text is no Exim filter or cannot be parsed. */
bool exim_convert(struct str text, struct buf *sieve_out, struct buf *problems_out,
    struct filter_error *error_out);

#endif
