#include "service/account_quota.h"

#include "store/account_limits.h"

struct quota_limits
account_quota_limits(
    struct account_db *db, const struct account_row *row, const struct config *config)
{
	struct account_limits own = ACCOUNT_LIMITS_DEFAULT;
	struct quota_limits limits = {
		.bytes = row->quota_kb * QUOTA_KILOBYTE_BYTES,
		.message_bytes = config_size(config, "store.message_size_max"),
	};
	uint64_t kb;

	account_limits_get(db, row->id, &own); /* an error is logged, and leaves the defaults */
	limits.messages =
	    account_limit_or(own.messages_max, config_integer(config, "store.messages_max"));
	limits.mailboxes =
	    account_limit_or(own.mailboxes_max, config_integer(config, "store.mailboxes_max"));
	kb = account_limit_or(own.message_kb_max, 0);
	if (kb > 0 && kb < limits.message_bytes / QUOTA_KILOBYTE_BYTES)
		limits.message_bytes = kb * QUOTA_KILOBYTE_BYTES;
	return limits;
}
