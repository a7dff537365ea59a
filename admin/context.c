#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/command.h"
#include "base/mem.h"
#include "service/account_quota.h"
#include "service/service.h"
#include "store/role.h"
#include "store/root.h"
#include "store/spool.h"
#include "store/state.h"

const char *
admin_option(const struct admin *a, const char *name)
{
	for (size_t i = 0; i < ADMIN_OPTIONS_MAX && a->command->options[i].name != NULL; i++)
		if (strcmp(a->command->options[i].name, name) == 0)
			return a->values[i];
	abort();
}

bool
admin_option_is_many(const struct admin_option *o)
{
	size_t len = o->value != NULL ? strlen(o->value) : 0;

	return len > 3 && strcmp(o->value + len - 3, "...") == 0;
}

size_t
admin_option_all(
    const struct admin *a, const char *name, const char *values_out[static ADMIN_ARGS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < a->many_count; i++)
		if (strcmp(a->many[i].option, name) == 0)
			values_out[count++] = a->many[i].value;
	return count;
}

/* --- saying no ---------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 1, 0))) say(const char *fmt, va_list args)
{
	fputs("mailadmin: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

enum admin_status
admin_refuse(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	return ADMIN_REFUSED;
}

enum admin_status
admin_bad_usage(const struct admin *a, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	if (a->command != NULL)
		fprintf(stderr, "See: mailadmin %s%s%s --help\n", a->command->group,
		    a->command->name != NULL ? " " : "",
		    a->command->name != NULL ? a->command->name : "");
	else
		fputs("See: mailadmin --help\n", stderr);
	return ADMIN_USAGE;
}

enum admin_status
admin_result(enum store_err err, const char *what)
{
	return err == STORE_OK ? ADMIN_DONE : admin_refuse("%s: %s", what, store_err_text(err));
}

/* --- what commands open ------------------------------------------------------------------------- */

bool
admin_become_user(const struct config *config)
{
	const char *user = config_string(config, "server.user");

	if (geteuid() != 0 || user == NULL)
		return true;
	if (getpwnam(user) == NULL) {
		admin_refuse("server.user: there is no user %s on this machine; make it (useradd "
			     "--system %s) or name another",
		    user, user);
		return false;
	}
	if (!service_drop_root(config)) {
		admin_refuse("cannot become the user %s: %s", user, strerror(errno));
		return false;
	}
	return true;
}

bool
admin_start(struct admin *a)
{
	struct buf errors = { 0 };

	a->config = config_load(a->config_path, &errors);
	if (a->config == NULL)
		fputs(buf_cstr(&errors), stderr);
	buf_free(&errors);
	return a->config != NULL && admin_become_user(a->config);
}

bool
admin_open_accounts(struct admin *a)
{
	const char *path = config_string(a->config, "store.account_db");
	enum store_err err;

	if (a->accounts != NULL)
		return true;
	err = account_db_open(path, ACCOUNT_DB_WRITE, a->log, &a->accounts);
	if (err != STORE_OK)
		admin_refuse(
		    "account database %s: %s; see mailadmin doctor", path, store_err_text(err));
	return err == STORE_OK;
}

bool
admin_open_store(struct admin *a)
{
	size_t count = config_count(a->config, "store.quota_exempt");
	const char **exempt;
	struct store_options options = {
		.mail_root = config_string(a->config, "store.mail_root"),
		.index_root = config_string(a->config, "store.index_root"),
		.free_floor_bytes = config_size(a->config, "store.free_space_floor"),
		.keep_s = config_integer(a->config, "store.undelete_days") * STORE_DAY_S,
		.keep_max_bytes = config_size(a->config, "store.undelete_size"),
		.search = store_search_parse(config_string(a->config, "store.search_index")),
		.search_max_bytes = config_size(a->config, "store.search_index_size"),
		.log = a->log,
	};

	if (a->store != NULL)
		return true;
	exempt = mem_realloc_array(NULL, count + 1, sizeof(*exempt));
	for (size_t i = 0; i < count; i++)
		exempt[i] = config_string_at(a->config, "store.quota_exempt", i);
	options.quota_exempt = exempt;
	options.quota_exempt_count = count;
	a->store = store_open(&options);
	free(exempt);
	if (a->store == NULL)
		admin_refuse(
		    "mail tree %s: cannot be opened; see mailadmin doctor", options.mail_root);
	return a->store != NULL;
}

bool
admin_open_spool(struct admin *a)
{
	const char *dir = config_string(a->config, "store.spool");
	enum store_err err;

	if (a->spool != NULL)
		return true;
	err = spool_open(dir, NULL, a->log, &a->spool);
	if (err != STORE_OK)
		admin_refuse("spool %s: %s; see mailadmin doctor", dir, store_err_text(err));
	return err == STORE_OK;
}

bool
admin_may_act(const struct admin *a)
{
	const char *problem = role_problem(config_string(a->config, "store.mail_root"));

	if (problem != NULL)
		admin_refuse("%s", problem);
	return problem == NULL;
}

/* --- accounts ----------------------------------------------------------------------------------- */

bool
admin_find_account(struct admin *a, const char *address, struct account_row *row_out)
{
	enum store_err err;

	if (!admin_open_accounts(a))
		return false;
	err = account_db_find_address(a->accounts, str_from(address), row_out);
	if (err == STORE_INVALID)
		admin_refuse("%s is no address of an account: LOCALPART@DOMAIN is needed", address);
	else if (err == STORE_NOT_FOUND)
		admin_refuse("there is no account %s; mailadmin account list shows all", address);
	else if (err != STORE_OK)
		admin_refuse("%s: %s", address, store_err_text(err));
	return err == STORE_OK;
}

bool
admin_open_mail(struct admin *a, const struct account_row *row, struct account **acct_out)
{
	struct quota_limits limits;
	enum store_err err;

	if (!admin_open_store(a))
		return false;
	err = account_open(a->store, row->localpart, row->domain, ACCOUNT_CREATE, acct_out);
	if (err != STORE_OK) {
		admin_refuse("mail tree of %s@%s: %s; see mailadmin doctor", row->localpart,
		    row->domain, store_err_text(err));
		return false;
	}
	limits = account_quota_limits(a->accounts, row, a->config);
	limits.mailboxes = 0; /* the administrator may make more */
	account_set_quota_limits(*acct_out, &limits);
	return true;
}

enum admin_status
admin_with_mail(struct admin *a, enum admin_status (*act)(struct admin *a, struct account *mail))
{
	struct account_row row = { 0 };
	struct account *mail = NULL;
	enum admin_status status = ADMIN_REFUSED;

	if (admin_find_account(a, a->args[0], &row) && admin_open_mail(a, &row, &mail))
		status = act(a, mail);
	account_close(mail);
	account_row_free(&row);
	return status;
}

bool
admin_open_state(struct admin *a, const struct account_row *row, struct state **state_out)
{
	struct store_root *root = NULL;
	struct home *home = NULL;
	enum store_err err =
	    store_root_open(config_string(a->config, "store.mail_root"), a->log, &root);

	*state_out = NULL;
	if (err == STORE_OK)
		err = home_open(root, row->localpart, row->domain, false, &home);
	if (err == STORE_OK)
		err = state_open(home->fd, false, a->log, state_out);
	home_close(home);
	store_root_close(root);
	return err == STORE_OK || err == STORE_NOT_FOUND ||
	       admin_result(err, "state of the account") == ADMIN_DONE;
}
