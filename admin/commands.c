#include "admin/commands.h"

#include "base/mem.h"

const struct admin_command *const ADMIN_COMMANDS[] = {
	&admin_cmd_account_add,
	&admin_cmd_account_list,
	&admin_cmd_account_show,
	&admin_cmd_account_set,
	&admin_cmd_account_passwd,
	&admin_cmd_account_delete,
	&admin_cmd_config_check,
	&admin_cmd_config_list,
};
const size_t ADMIN_COMMANDS_COUNT = ARRAY_LEN(ADMIN_COMMANDS);
