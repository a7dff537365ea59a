#include <string.h>

#include "imapd/commands.h"
#include "imapd/imapd.h"
#include "imapd/parse.h"
#include "imapd/quota.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "service/account_quota.h"
#include "service/service.h"
#include "store/account_limits.h"

/* Limits, RFC 9208 §5; 0: not named. */
struct wanted {
	uint64_t storage_kb, messages, mailboxes;
};

static const struct {
	struct str name;
	size_t offset;
	uint64_t max;
} RESOURCES[] = {
	{ STR("STORAGE"), offsetof(struct wanted, storage_kb), ACCOUNT_LIMIT_MAX },
	{ STR("MESSAGE"), offsetof(struct wanted, messages), ACCOUNT_LIMIT_MAX },
	{ STR("MAILBOX"), offsetof(struct wanted, mailboxes), STORE_MAILBOX_MAX },
};

/* setquota-resource = resource-name SP resource-limit; *problem_out: one that cannot be set here. */
static bool
parse_resource(struct cursor *c, struct wanted *wanted, unsigned *seen, const char **problem_out)
{
	struct str name;
	uint64_t limit;

	if (!imap_parse_atom(c, &name) || !imap_parse_sp(c) || !cursor_take_u64(c, &limit) ||
	    limit > INT64_MAX)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(RESOURCES); i++) {
		if (!str_eq_nocase(name, RESOURCES[i].name))
			continue;
		if ((*seen & 1U << i) != 0)
			return false;
		*seen |= 1U << i;
		if (limit == 0)
			*problem_out = "0 would prohibit any use, which no account here can have";
		else if (limit > RESOURCES[i].max)
			*problem_out = "That is more than an account can have";
		memcpy((char *)wanted + RESOURCES[i].offset, &limit, sizeof(limit));
		return true;
	}
	*problem_out = "Only STORAGE, MESSAGE and MAILBOX can be limited";
	return true;
}

/* setquota-list = "(" [setquota-resource *(SP setquota-resource)] ")" */
static bool
parse_list(struct cursor *c, struct wanted *wanted, const char **problem_out)
{
	unsigned seen = 0;

	if (!cursor_take(c, '('))
		return false;
	if (cursor_take(c, ')'))
		return true;
	do {
		if (!parse_resource(c, wanted, &seen, problem_out))
			return false;
	} while (imap_parse_sp(c));
	return cursor_take(c, ')');
}

/* What is not named is unlimited from now on, whatever the configuration gives to all. */
static enum store_err
set(struct imap_session *s, struct account *acct, const struct wanted *wanted)
{
	struct account_db *db = s->imapd->service->accounts;
	struct account_limits limits;
	struct account_row row = { 0 };
	struct quota_limits now;
	enum store_err err = account_db_find_address(db, str_from(account_address(acct)), &row);

	if (err == STORE_OK)
		err = account_limits_get(db, row.id, &limits);
	if (err == STORE_OK) {
		limits.messages_max = (int64_t)wanted->messages;
		limits.mailboxes_max = (int64_t)wanted->mailboxes;
		err = account_db_change(db, row.id,
		    &(struct account_change){ .quota_kb = &wanted->storage_kb, .limits = &limits });
	}
	if (err == STORE_OK) {
		row.quota_kb = wanted->storage_kb;
		now = account_quota_limits(db, &row, s->imapd->config);
		account_set_quota_limits(acct, &now);
	}
	log_info(s->log, "quota-set",
	    "user=%s account=%s storage_kb=%llu messages=%llu mailboxes=%llu result=%s", s->user,
	    account_address(acct), (unsigned long long)wanted->storage_kb,
	    (unsigned long long)wanted->messages, (unsigned long long)wanted->mailboxes,
	    store_err_text(err));
	account_row_free(&row);
	return err;
}

/* SETQUOTA.  RFC 9208 §4.1.3, for those whom imapd.quota_admins names; nobody else is told what accounts there are. */
static enum imap_result
setquota_run(struct imap_session *s, struct imap_request *req)
{
	const char *problem = NULL;
	struct account *acct = NULL;
	struct wanted wanted = { 0 };
	enum store_err err;
	struct str root;
	bool limited;

	if (!imap_arg_astring(req, &root) || !imap_arg_sp(req))
		return IMAP_BAD;
	if (!parse_list(&req->args, &wanted, &problem) || !imap_arg_end(req))
		return imap_bad(req, "A list of resources and limits expected");
	if (!imap_is_quota_admin(s))
		return imap_no(req, "NOPERM", "Only the administrator sets quotas");
	if (problem != NULL)
		return imap_no(req, "CANNOT", problem);
	err = imap_quota_account(s, root, &acct);
	if (err == STORE_OK && acct == NULL)
		return imap_no(req, "NONEXISTENT", "No such quota root");
	if (err == STORE_OK)
		err = set(s, acct, &wanted);
	if (err == STORE_OK)
		err = imap_send_quota(s, acct, true, &limited);
	return imap_finish(req, err);
}

const struct imap_command imap_cmd_setquota = {
	.name = "SETQUOTA",
	.rfc = "RFC 9208 4.1.3",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = setquota_run,
};
