#include "imapd/filters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "clients/facts.h"
#include "filter/account.h"
#include "filter/cache.h"
#include "service/hostname.h"
#include "service/service.h"
#include "store/account.h"
#include "store/account_limits.h"
#include "store/root.h"

#define SIEVE_PORT    4190
#define CACHE_ENTRIES 200
#define CACHE_BYTES   (16 * 1024 * 1024) /* clients send scripts that nobody asks for again */

/* sieveurl-server, RFC 5804 §3 */
static char *
sieve_url(const struct config *config)
{
	struct clients_facts facts;
	const struct clients_endpoint *at = &facts.at[CLIENTS_SIEVE];
	char *url = NULL;

	clients_facts_read(config, &facts);
	if (clients_offers(&facts, CLIENTS_SIEVE))
		url = at->port == SIEVE_PORT
			  ? mem_printf("sieve://%s", at->host)
			  : mem_printf("sieve://%s:%u", at->host, (unsigned)at->port);
	clients_facts_free(&facts);
	return url;
}

struct imap_filters *
imap_filters_new(const struct service *sv)
{
	struct imap_filters *f = mem_zalloc(sizeof(*f));

	if (store_root_open(config_string(sv->config, "store.mail_root"), sv->log, &f->root) !=
	    STORE_OK) {
		free(f);
		return NULL;
	}
	f->sv = sv;
	f->cache = filter_cache_new(CACHE_ENTRIES, CACHE_BYTES);
	f->settings = filter_settings_new(sv->config);
	f->hostname = service_hostname(sv->config);
	f->sieve_url = sieve_url(sv->config);
	f->hops_max = (unsigned)config_integer(sv->config, "lda.hops_max");
	outgoing_open(&f->outgoing, sv->config, sv->log);
	return f;
}

void
imap_filters_free(struct imap_filters *f)
{
	if (f == NULL)
		return;
	outgoing_close(&f->outgoing);
	free(f->sieve_url);
	free(f->hostname);
	filter_settings_free(f->settings);
	filter_cache_free(f->cache);
	store_root_close(f->root);
	free(f);
}

/* --- a script ----------------------------------------------------------------------------------- */

static enum store_err
compile(struct imap_script *script, struct str text, struct filter_error *error_out)
{
	switch (filter_cache_get(script->filters->cache, text, &script->cached, error_out)) {
	case FILTER_OK: script->filter = filter_cached_filter(script->cached); return STORE_OK;
	case FILTER_TEMPFAIL: return STORE_IO;
	default: return STORE_INVALID;
	}
}

/* A text that is compiled for the client who wrote it: with remarks. */
static enum store_err
compile_given(struct imap_script *script, struct str text, struct filter_error *error_out,
    struct filter_warnings *warnings)
{
	enum store_err err = compile(script, text, error_out);
	struct filter_error error;
	struct filter *again;

	if (err == STORE_OK && warnings != NULL &&
	    filter_compile(text, &again, &error, warnings) == FILTER_OK)
		filter_free(again);
	return err;
}

/* By the same way as include :personal and :global. */
static enum store_err
stored(struct imap_script *script, enum imap_script_place place, const char *name,
    struct filter_error *error_out)
{
	const struct filter_surroundings *around = filter_account_around(script->around);
	const char *why = NULL;

	switch (around->script(around->arg, &script->arena,
	    place == IMAP_SCRIPT_GLOBAL ? FILTER_GLOBAL : FILTER_PERSONAL, name, &script->filter,
	    &why)) {
	case FILTER_NO: return STORE_NOT_FOUND;
	case FILTER_FAILED: return STORE_IO;
	case FILTER_YES: break;
	}
	if (script->filter != NULL)
		return STORE_OK;
	snprintf(error_out->text, sizeof(error_out->text), "%s",
	    why != NULL ? why : "it does not compile");
	return STORE_INVALID;
}

/* What scripts may ask of the account. */
static struct filter_account *
open_around(const struct imap_script *script)
{
	const struct imap_filters *f = script->filters;
	struct filter_account_spec spec = filter_account_spec_of(f->sv->config);

	spec.root = f->root;
	spec.accounts = f->sv->accounts;
	spec.cache = f->cache;
	spec.settings = f->settings;
	spec.log = f->sv->log;
	spec.localpart = script->localpart;
	spec.domain = script->domain;
	return filter_account_open(&spec);
}

static enum store_err
active(struct imap_script *script, const struct account_row *row, struct filter_error *error_out,
    struct filter_warnings *warnings)
{
	if (row->filter == NULL) {
		script->filter = filter_default();
		return STORE_OK;
	}
	return compile_given(
	    script, (struct str){ row->filter, row->filter_len }, error_out, warnings);
}

/* A redirect counts as a message that the account has sent: scripts over one's own mailboxes are no way around the
 * limits of submission. */
static void
set_limits(struct imap_script *script, int64_t account)
{
	const struct config *c = script->filters->sv->config;
	struct account_limits own;

	(void)account_limits_get(script->filters->sv->accounts, account, &own);
	script->most.messages_hour = account_limit_or(
	    own.sent_messages_hour, config_integer(c, "submitd.rate_messages_hour"));
	script->most.messages_day =
	    account_limit_or(own.sent_messages_day, config_integer(c, "submitd.rate_messages_day"));
	script->most.recipients_hour = account_limit_or(
	    own.sent_recipients_hour, config_integer(c, "submitd.rate_recipients_hour"));
	script->most.recipients_day = account_limit_or(
	    own.sent_recipients_day, config_integer(c, "submitd.rate_recipients_day"));
}

enum store_err
imap_script_open(struct imap_script *script, struct imap_filters *filters, struct account *acct,
    enum imap_script_place place, struct str name, struct filter_error *error_out,
    struct filter_warnings *warnings)
{
	const char *address = account_address(acct), *at = strrchr(address, '@');
	struct account_row row = { 0 };
	enum store_err err;
	char *text;

	*script = (struct imap_script){ .filters = filters };
	*error_out = (struct filter_error){ 0 };
	if (at == NULL)
		return STORE_NOT_FOUND;
	script->localpart = mem_strndup(address, (size_t)(at - address));
	script->domain = mem_strdup(at + 1);
	err = account_db_find(
	    filters->sv->accounts, str_from(script->localpart), str_from(script->domain), &row);
	if (err != STORE_OK)
		return err;
	set_limits(script, row.id);
	script->around = open_around(script);
	text = mem_strndup(name.p != NULL ? name.p : "", name.len);
	snprintf(script->name, sizeof(script->name), "%s",
	    place == IMAP_SCRIPT_ACTIVE ? "active"
	    : place == IMAP_SCRIPT_TEXT ? "given"
					: text);
	switch (place) {
	case IMAP_SCRIPT_ACTIVE: err = active(script, &row, error_out, warnings); break;
	case IMAP_SCRIPT_PERSONAL:
	case IMAP_SCRIPT_GLOBAL: err = stored(script, place, text, error_out); break;
	case IMAP_SCRIPT_TEXT: err = compile_given(script, name, error_out, warnings); break;
	}
	free(text);
	account_row_free(&row);
	return err;
}

void
imap_script_close(struct imap_script *script)
{
	filter_account_close(script->around);
	arena_free(&script->arena);
	if (script->filters != NULL)
		filter_cache_release(script->filters->cache, script->cached);
	free(script->localpart);
	free(script->domain);
	*script = (struct imap_script){ 0 };
}
