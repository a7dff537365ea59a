#include "submitd/policy.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/smtp_server.h"
#include "service/addresses.h"
#include "service/service.h"
#include "store/account_tenure.h"

/* What is counted.  The enhanced code 4.7.1 is RFC 3463's "not authorized", as other servers answer for a rate; the basic
 * code is 451, as RFC 5321 §4.3.2 does not know 450 at MAIL.  Too many recipients is 452 4.5.3, §4.5.3.1.10. */
struct rate {
	const char *name; /* in the log, as in the account's limits */
	const char *setting;
	size_t limit;   /* in struct account_limits */
	size_t counted; /* in struct spool_sent */
	const char *what;
};
static const struct rate RATES[] = {
	{ "sent_messages_hour", "submitd.rate_messages_hour",
	    offsetof(struct account_limits, sent_messages_hour),
	    offsetof(struct spool_sent, messages_hour), "messages in an hour" },
	{ "sent_messages_day", "submitd.rate_messages_day",
	    offsetof(struct account_limits, sent_messages_day),
	    offsetof(struct spool_sent, messages_day), "messages in a day" },
	{ "sent_recipients_hour", "submitd.rate_recipients_hour",
	    offsetof(struct account_limits, sent_recipients_hour),
	    offsetof(struct spool_sent, recipients_hour), "recipients in an hour" },
	{ "sent_recipients_day", "submitd.rate_recipients_day",
	    offsetof(struct account_limits, sent_recipients_day),
	    offsetof(struct spool_sent, recipients_day), "recipients in a day" },
};
#define RATE_RECIPIENTS 2 /* the first that counts recipients */

static uint64_t *
counted_at(struct spool_sent *sent, const struct rate *rate)
{
	return (uint64_t *)((char *)sent + rate->counted);
}

static uint64_t
number_of(const struct spool_sent *sent, const struct rate *rate)
{
	return *(const uint64_t *)((const char *)sent + rate->counted);
}

/* --- reading ------------------------------------------------------------------------------------ */

static void
set_limits(struct policy *p, const struct account_limits *l)
{
	const struct config *c = p->sv->config;

	for (size_t i = 0; i < ARRAY_LEN(RATES); i++) {
		int64_t own = *(const int64_t *)((const char *)l + RATES[i].limit);

		*counted_at(&p->most, &RATES[i]) =
		    account_limit_or(own, config_integer(c, RATES[i].setting));
	}
	p->recipients_max =
	    account_limit_or(l->recipients_max, config_integer(c, "submitd.recipients_max"));
	p->message_max_bytes = account_limit_or(l->message_kb_max, 0) * 1024;
	p->sent_copy = account_limit_or(l->sent_copy, config_bool(c, "submitd.sent_copy")) != 0;
}

/* The account as it is now: it may have changed since the login. */
static enum store_err
read_account(struct policy *p, const char *login, const char *tenure)
{
	struct account_limits limits;
	bool lasts = false;
	enum store_err err = account_db_find_address(p->sv->accounts, str_from(login), &p->account);

	if (err == STORE_OK)
		err = account_tenure_lasts(p->sv->accounts, str_from(login), tenure, &lasts);
	if (err == STORE_OK && (!p->account.active || !lasts))
		err = STORE_NOT_FOUND;
	if (err == STORE_OK)
		err = account_limits_get(p->sv->accounts, p->account.id, &limits);
	if (err == STORE_OK)
		set_limits(p, &limits);
	return err;
}

/* --- rates -------------------------------------------------------------------------------------- */

/* Once in a transaction: whoever sends on is told, and need not fill the log. */
static void
log_exceeded(struct policy *p, const char *limit, uint64_t count, uint64_t most)
{
	if (!p->logged)
		log_warn(p->log, "rate-exceeded",
		    "account=%s limit=%s count=%" PRIu64 " max=%" PRIu64, p->login, limit, count,
		    most);
	p->logged = true;
}

/* The rate that does not allow `messages` and `recipients` more, or NULL. */
static const struct rate *
exceeded(const struct policy *p, uint64_t messages, uint64_t recipients)
{
	for (size_t i = 0; i < ARRAY_LEN(RATES); i++) {
		uint64_t most = number_of(&p->most, &RATES[i]);
		uint64_t more = i < RATE_RECIPIENTS ? messages : recipients;

		if (most > 0 && number_of(&p->sent, &RATES[i]) + more > most)
			return &RATES[i];
	}
	return NULL;
}

static void
refuse(struct policy *p, const struct rate *rate, struct smtp_reply *r)
{
	uint64_t most = number_of(&p->most, rate);

	log_exceeded(p, rate->name, number_of(&p->sent, rate), most);
	smtp_reply_set(r, 451, "4.7.1", "%s may send no more than %" PRIu64 " %s, try again later",
	    p->login, most, rate->what);
}

void
policy_refuse_rate(struct policy *p, size_t recipient_count, struct smtp_reply *r)
{
	const struct rate *rate = NULL;

	if (spool_sent_count(p->sv->spool, p->login, time(NULL), &p->sent) == STORE_OK)
		rate = exceeded(p, 1, recipient_count);
	if (rate != NULL)
		refuse(p, rate, r);
	else /* what was sent before has become older in this very moment */
		smtp_reply_set(r, 451, "4.7.1", "Too much at once, try again later");
}

bool
policy_rcpt(struct policy *p, size_t recipient_count, struct smtp_reply *r)
{
	const struct rate *rate = exceeded(p, 1, recipient_count + 1);

	if (p->recipients_max > 0 && recipient_count >= p->recipients_max) {
		log_exceeded(p, "recipients_max", recipient_count, p->recipients_max);
		smtp_reply_set(r, 452, "4.5.3",
		    "No more than %" PRIu64 " recipients in one message", p->recipients_max);
		return false;
	}
	if (rate == NULL)
		return true;
	refuse(p, rate, r);
	r->code = 452;
	memcpy(r->enhanced, "4.5.3", sizeof("4.5.3"));
	return false;
}

/* --- size --------------------------------------------------------------------------------------- */

bool
policy_is_too_large(const struct policy *p, uint64_t size_bytes, struct smtp_reply *r)
{
	if (p->message_max_bytes == 0 || size_bytes <= p->message_max_bytes)
		return false;
	smtp_reply_set(r, 552, "5.3.4", "%s may send no more than %" PRIu64 " KB in one message",
	    p->login, p->message_max_bytes / 1024);
	return true;
}

/* --- addresses ---------------------------------------------------------------------------------- */

bool
policy_is_own(const struct policy *p, struct str address)
{
	struct account_resolve_rules rules = service_address_rules(p->sv->config);

	return account_owns_address(p->sv->accounts, p->account.id, &rules, address) == STORE_OK;
}

/* The null reverse-path is for what may not be answered (RFC 8098 §2.1: receipts). */
static bool
may_send_as(const struct policy *p, const struct smtp_path *from)
{
	return *from->address == '\0' ||
	       strcmp(config_string(p->sv->config, "submitd.sender_policy"), "any") == 0 ||
	       policy_is_own(p, str_from(from->address));
}

static bool
owns(void *arg, struct str address)
{
	const struct policy *p = arg;

	return policy_is_own(p, address);
}

struct from_check
policy_from_check(struct policy *p)
{
	static const struct {
		const char *word;
		enum from_policy policy;
	} WORDS[] = {
		{ "off", FROM_OFF },
		{ "refuse", FROM_REFUSE },
		{ "add-sender", FROM_ADD_SENDER },
	};
	const char *word = config_string(p->sv->config, "submitd.from_policy");
	struct from_check check = { .policy = FROM_ADD_SENDER, .is_own = owns, .arg = p };

	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
		if (strcmp(word, WORDS[i].word) == 0)
			check.policy = WORDS[i].policy;
	return check;
}

/* --- at MAIL ------------------------------------------------------------------------------------ */

static bool
refuse_account(struct policy *p, enum store_err err, struct smtp_reply *r)
{
	if (err == STORE_NOT_FOUND) {
		log_info(p->log, "sender-refused", "user=%s reason=inactive", p->login);
		smtp_reply_set(r, 550, "5.7.1", "%s may not send any more", p->login);
	} else {
		log_error(p->log, "policy", "user=%s error=%s", p->login, store_err_text(err));
		smtp_reply_set(r, 451, "4.3.0", "Temporary failure, try again later");
	}
	return false;
}

bool
policy_begin(struct policy *p, struct service *sv, const struct log *log, const char *login,
    const char *tenure, const struct smtp_mail *mail, struct smtp_reply *r)
{
	const struct rate *rate;
	enum store_err err;

	*p = (struct policy){ .sv = sv, .log = log, .login = login };
	err = read_account(p, login, tenure);
	if (err == STORE_OK)
		err = spool_sent_count(sv->spool, login, time(NULL), &p->sent);
	if (err != STORE_OK)
		return refuse_account(p, err, r);
	if (!may_send_as(p, &mail->from)) {
		log_info(log, "sender-refused", "user=%s from=%s", login, mail->from.address);
		smtp_reply_set(
		    r, 553, "5.7.1", "<%s> is not an address of %s", mail->from.address, login);
		return false;
	}
	if (policy_is_too_large(p, mail->size_bytes, r))
		return false;
	rate = exceeded(p, 1, 1);
	if (rate != NULL)
		refuse(p, rate, r);
	return rate == NULL;
}

void
policy_end(struct policy *p)
{
	account_row_free(&p->account);
	*p = (struct policy){ 0 };
}
