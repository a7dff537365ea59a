#include "service/addresses.h"

#include <string.h>

#include "base/config.h"

struct account_resolve_rules
service_address_rules(const struct config *config)
{
	const char *delimiter = config_string(config, "lda.detail_delimiter");

	return (struct account_resolve_rules){
		.delimiter = delimiter != NULL ? *delimiter : '\0',
		.exact_case = strcmp(config_string(config, "store.localpart_case"), "exact") == 0,
		.catch_all = config_bool(config, "lda.catch_all"),
	};
}
