/* The rows of all commands; commands.c puts them in the order in which --help shows them. */
#ifndef ADMIN_COMMANDS_H
#define ADMIN_COMMANDS_H

#include "admin/command.h"

extern const struct admin_command admin_cmd_account_add, admin_cmd_account_list,
    admin_cmd_account_show, admin_cmd_account_set, admin_cmd_account_passwd,
    admin_cmd_account_delete;
extern const struct admin_command admin_cmd_config_check, admin_cmd_config_list;

#endif
