/* The Exim user filter language ("# Exim filter"): a row of the table in filter.c.
 *
 * The text is parsed as a whole when it is compiled: a syntax error anywhere means that nothing is
 * obeyed.  Strings are expanded, patterns compiled and numbers read only when a run reaches them.
 * Whatever could touch the system (commands, files, lookups, sockets, other processes) is refused. */
#ifndef FILTER_EXIM_EXIM_H
#define FILTER_EXIM_EXIM_H

#include "filter/filter.h"

extern const struct filter_language FILTER_EXIM;

/* "# Exim filter" in any letter case, behind white space at most. */
bool exim_claims(struct str text);

/* The filter of accounts that have none: default.filter of this directory. */
extern const char EXIM_DEFAULT_FILTER[];

#endif
