/* How the configuration lets addresses differ from what is in the account database. */
#ifndef SERVICE_ADDRESSES_H
#define SERVICE_ADDRESSES_H

#include "store/account_aliases.h"

struct config;

/* lda.detail_delimiter, store.localpart_case, lda.catch_all. */
struct account_resolve_rules service_address_rules(const struct config *config);

#endif
