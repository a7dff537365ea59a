#include "admin/commands.h"

#include "base/mem.h"

const struct admin_command *const ADMIN_COMMANDS[] = {
	&admin_cmd_account_add,
	&admin_cmd_account_list,
	&admin_cmd_account_show,
	&admin_cmd_account_set,
	&admin_cmd_account_passwd,
	&admin_cmd_account_rename,
	&admin_cmd_account_delete,
	&admin_cmd_account_leave,
	&admin_cmd_quota_show,
	&admin_cmd_quota_recount,
	&admin_cmd_mailbox_list,
	&admin_cmd_mailbox_create,
	&admin_cmd_mailbox_delete,
	&admin_cmd_mailbox_subscribe,
	&admin_cmd_mailbox_unsubscribe,
	&admin_cmd_reindex,
	&admin_cmd_queue_list,
	&admin_cmd_queue_show,
	&admin_cmd_queue_flush,
	&admin_cmd_queue_hold,
	&admin_cmd_queue_release,
	&admin_cmd_queue_delete,
	&admin_cmd_config_check,
	&admin_cmd_config_list,
	&admin_cmd_doctor,
};
const size_t ADMIN_COMMANDS_COUNT = ARRAY_LEN(ADMIN_COMMANDS);
