#include <stdlib.h>
#include <string.h>

#include "filter/account.h"
#include "filter/cache.h"
#include "lda/filtering.h"
#include "lda/lda.h"
#include "lda/leave.h"
#include "service/account_quota.h"
#include "service/addresses.h"
#include "service/hostname.h"
#include "service/service.h"
#include "store/account.h"
#include "store/account_db.h"
#include "store/spool.h"

/* Rising, each once; 0 says nothing. */
static void
read_warnings(struct lda *l, const struct config *c)
{
	size_t count = config_count(c, "lda.quota_warning");

	for (unsigned percent = 1; percent <= 100; percent++)
		for (size_t i = 0; i < count && l->warning_count < LDA_WARNINGS_MAX; i++)
			if (config_integer_at(c, "lda.quota_warning", i) == percent) {
				l->warnings[l->warning_count++] = percent;
				break;
			}
}

bool
lda_open(struct lda *l, struct service *sv)
{
	const struct config *c = sv->config;
	size_t count = config_count(c, "store.quota_exempt");

	*l = (struct lda){ .sv = sv };
	if (store_root_open(config_string(c, "store.mail_root"), sv->log, &l->root) != STORE_OK)
		return false;
	l->hostname = service_hostname(c);
	l->addresses = service_address_rules(c);
	l->detail_mailbox = config_bool(c, "lda.detail_mailbox");
	l->leave_template = leave_template_read(config_string(c, "lda.leave_template"), sv->log);
	read_warnings(l, c);
	l->duplicate_window_s = config_duration_s(c, "lda.duplicate_window");
	l->hops_max = (unsigned)config_integer(c, "lda.hops_max");
	l->delivered_to = config_bool(c, "lda.delivered_to");
	l->quota_exempt = mem_zalloc((count + 1) * sizeof(*l->quota_exempt));
	for (size_t i = 0; i < count; i++)
		l->quota_exempt[i] = config_string_at(c, "store.quota_exempt", i);
	l->quota_permanent = strcmp(config_string(c, "lda.quota_reject"), "permanent") == 0;
	l->redirect_as_account = strcmp(config_string(c, "filter.redirect_sender"), "account") == 0;
	l->vacation_min_s = config_duration_s(c, "filter.vacation_min_period");
	l->scripts = mem_zalloc(sizeof(*l->scripts));
	filtering_scripts_open(l->scripts, c, sv->log);
	l->cache = filter_cache_new(0, 0);
	l->settings = filter_settings_new(c);
	outgoing_open(&l->outgoing, c, sv->log);
	return true;
}

void
lda_close(struct lda *l)
{
	outgoing_close(&l->outgoing);
	filter_settings_free(l->settings);
	filter_cache_free(l->cache);
	filtering_scripts_close(l->scripts);
	free(l->scripts);
	store_root_close(l->root);
	free(l->quota_exempt);
	free(l->leave_template);
	free(l->hostname);
	*l = (struct lda){ 0 };
}

/* What to say of a recipient whose account was looked for. */
static enum lda_verdict
judge(struct lda *l, enum store_err err, const struct account_row *row)
{
	if (err == STORE_NOT_FOUND || err == STORE_INVALID)
		return LDA_NO_USER;
	if (err != STORE_OK)
		return LDA_TEMPORARY;
	if (!account_localpart_is_valid(str_from(row->localpart)) ||
	    !account_domain_is_valid(
		str_from(row->domain))) { /* "../ann": nobody can log in to it either */
		char *address = account_row_address(row);

		log_warn(l->sv->log, "bad-account-name", "account=%s do=%s", address,
		    "rename or delete the row");
		free(address);
		return LDA_NO_USER;
	}
	return row->active ? LDA_OK : LDA_INACTIVE;
}

/* An inactive account whose senders are told something.  LDA_INACTIVE: they are refused. */
static enum lda_verdict
find_leave(struct lda *l, struct arena *arena, const struct account_row *row,
    const struct leave **leave_out)
{
	struct leave *leave;
	char *text;
	bool whole;
	enum store_err err = account_db_leave_text(l->sv->accounts, row->id, &text, &whole);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? LDA_INACTIVE : LDA_TEMPORARY;
	leave = arena_alloc(arena, sizeof(*leave));
	*leave = (struct leave){
		.text = arena_strdup(arena, text),
		.whole = whole,
		.address = arena_printf(arena, "%s@%s", row->localpart, row->domain),
		.localpart = arena_strdup(arena, row->localpart),
		.domain = arena_strdup(arena, row->domain),
		.name = row->realname != NULL ? arena_strdup(arena, row->realname) : NULL,
	};
	free(text);
	*leave_out = leave;
	return LDA_OK;
}

enum lda_verdict
lda_resolve(struct lda *l, struct arena *arena, const char *local, const char *domain,
    const char *address, struct lda_rcpt *rcpt_out)
{
	const char *default_domain = config_string(l->sv->config, "auth.default_domain");
	struct account_row row = { 0 };
	const struct leave *leave = NULL;
	struct str detail = { NULL, 0 };
	struct quota_limits limits;
	enum store_err err;
	enum lda_verdict v;

	if (*domain == '\0' && default_domain != NULL)
		domain = default_domain;
	err = account_resolve(
	    l->sv->accounts, &l->addresses, str_from(local), str_from(domain), &row, &detail);
	v = judge(l, err, &row);
	if (v == LDA_INACTIVE)
		v = find_leave(l, arena, &row, &leave);
	if (v == LDA_OK) {
		limits = account_quota_limits(l->sv->accounts, &row, l->sv->config);
		*rcpt_out = (struct lda_rcpt){
			.localpart = arena_strdup(arena, row.localpart),
			.domain = arena_strdup(arena, row.domain),
			.address = arena_strdup(arena, address),
			.detail = detail.p != NULL ? arena_strndup(arena, detail.p, detail.len) : NULL,
			.has_filter = row.filter != NULL,
			.quota = {
				.limit_bytes = limits.bytes,
				.limit_messages = limits.messages,
				.excluded = l->quota_exempt,
			},
			.message_max_bytes = limits.message_bytes,
		};
	}
	if (v == LDA_OK && leave != NULL) {
		rcpt_out->leave = leave;
		rcpt_out->quota = (struct quota_rules){ .excluded = l->quota_exempt };
	}
	account_row_free(&row);
	return v;
}
