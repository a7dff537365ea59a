/* The rows of all commands; commands.c puts them in the order in which --help shows them. */
#ifndef ADMIN_COMMANDS_H
#define ADMIN_COMMANDS_H

#include "admin/command.h"

extern const struct admin_command admin_cmd_account_add;
extern const struct admin_command admin_cmd_account_list;
extern const struct admin_command admin_cmd_account_show;
extern const struct admin_command admin_cmd_account_set;
extern const struct admin_command admin_cmd_account_passwd;
extern const struct admin_command admin_cmd_account_rename;
extern const struct admin_command admin_cmd_account_delete;
extern const struct admin_command admin_cmd_account_logins;
extern const struct admin_command admin_cmd_account_import_csv;
extern const struct admin_command admin_cmd_account_import_passwd;
extern const struct admin_command admin_cmd_account_leave;
extern const struct admin_command admin_cmd_leave;
extern const struct admin_command admin_cmd_app_add;
extern const struct admin_command admin_cmd_app_list;
extern const struct admin_command admin_cmd_app_delete;
extern const struct admin_command admin_cmd_passwd;
extern const struct admin_command admin_cmd_alias_add;
extern const struct admin_command admin_cmd_alias_delete;
extern const struct admin_command admin_cmd_alias_list;
extern const struct admin_command admin_cmd_quota_show;
extern const struct admin_command admin_cmd_quota_recount;
extern const struct admin_command admin_cmd_mailbox_list;
extern const struct admin_command admin_cmd_mailbox_create;
extern const struct admin_command admin_cmd_mailbox_delete;
extern const struct admin_command admin_cmd_mailbox_annotate, admin_cmd_mailbox_annotations;
extern const struct admin_command admin_cmd_mailbox_subscribe;
extern const struct admin_command admin_cmd_mailbox_unsubscribe;
extern const struct admin_command admin_cmd_mailbox_acl;
extern const struct admin_command admin_cmd_mailbox_share;
extern const struct admin_command admin_cmd_mailbox_unshare;
extern const struct admin_command admin_cmd_reindex;
extern const struct admin_command admin_cmd_import_maildir;
extern const struct admin_command admin_cmd_export_maildir;
extern const struct admin_command admin_cmd_filter_show;
extern const struct admin_command admin_cmd_filter_set;
extern const struct admin_command admin_cmd_filter_clear;
extern const struct admin_command admin_cmd_filter_check;
extern const struct admin_command admin_cmd_filter_test;
extern const struct admin_command admin_cmd_filter_convert;
extern const struct admin_command admin_cmd_filter_history;
extern const struct admin_command admin_cmd_filter_list;
extern const struct admin_command admin_cmd_filter_put;
extern const struct admin_command admin_cmd_filter_get;
extern const struct admin_command admin_cmd_filter_activate;
extern const struct admin_command admin_cmd_filter_delete;
extern const struct admin_command admin_cmd_filter_run;
extern const struct admin_command admin_cmd_list_show;
extern const struct admin_command admin_cmd_list_add;
extern const struct admin_command admin_cmd_list_remove;
extern const struct admin_command admin_cmd_queue_list;
extern const struct admin_command admin_cmd_queue_show;
extern const struct admin_command admin_cmd_queue_flush;
extern const struct admin_command admin_cmd_queue_hold;
extern const struct admin_command admin_cmd_queue_release;
extern const struct admin_command admin_cmd_queue_delete;
extern const struct admin_command admin_cmd_queue_reroute;
extern const struct admin_command admin_cmd_publish;
extern const struct admin_command admin_cmd_cleanup;
extern const struct admin_command admin_cmd_promote;
extern const struct admin_command admin_cmd_standby_mark;
extern const struct admin_command admin_cmd_standby_retire;
extern const struct admin_command admin_cmd_standby_status;
extern const struct admin_command admin_cmd_undelete;
extern const struct admin_command admin_cmd_backup;
extern const struct admin_command admin_cmd_verify;
extern const struct admin_command admin_cmd_restore;
extern const struct admin_command admin_cmd_bayes;
extern const struct admin_command admin_cmd_why;
extern const struct admin_command admin_cmd_log;
extern const struct admin_command admin_cmd_arf;
extern const struct admin_command admin_cmd_clientconfig;
extern const struct admin_command admin_cmd_config_check;
extern const struct admin_command admin_cmd_config_list;
extern const struct admin_command admin_cmd_doctor;
extern const struct admin_command admin_cmd_import_imap;
extern const struct admin_command admin_cmd_import_mbox;
extern const struct admin_command admin_cmd_export_mbox;

#endif
