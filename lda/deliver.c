#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "filter/filter.h"
#include "lda/lda.h"
#include "lda/trace.h"
#include "lda/warning.h"
#include "service/load.h"
#include "service/service.h"
#include "store/account.h"
#include "store/deliver.h"

/* One copy on its way into one mailbox. */
struct copy {
	const char *mailbox;
	unsigned flags;
	struct maildir_delivery *file;
};

struct lda_delivery {
	struct lda *lda;
	const struct lda_rcpt *rcpt;
	const struct lda_envelope *envelope;
	struct arena arena;
	struct home *home;
	struct quota_usage before;
	struct copy copies[FILTER_ACTIONS_MAX];
	size_t copy_count;
};

static enum lda_verdict
verdict_of(enum store_err err)
{
	switch (err) {
	case STORE_OK: return LDA_OK;
	case STORE_FULL: return LDA_NO_SPACE;
	case STORE_OVER_QUOTA: return LDA_OVER_QUOTA;
	default: return LDA_TEMPORARY;
	}
}

/* --- checks ------------------------------------------------------------------------------------- */

enum lda_verdict
lda_check_quota(struct lda *l, const struct lda_rcpt *rcpt)
{
	struct quota_usage usage;
	struct home *home;
	enum store_err err;

	if (rcpt->quota.limit_bytes == 0)
		return LDA_OK;
	err = home_open(l->root, rcpt->localpart, rcpt->domain, false, &home);
	if (err == STORE_NOT_FOUND)
		return LDA_OK; /* no mail yet */
	if (err != STORE_OK)
		return verdict_of(err);
	err = quota_usage(home, &rcpt->quota, &usage);
	home_close(home);
	if (err != STORE_OK)
		return verdict_of(err);
	return quota_allows(&rcpt->quota, &usage) ? LDA_OK : LDA_OVER_QUOTA;
}

enum lda_verdict
lda_check_resources(const struct lda *l)
{
	const struct config *c = l->sv->config;
	struct statvfs fs;
	double load;

	if (fstatvfs(store_root_fd(l->root), &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < config_size(c, "store.free_space_floor"))
		return LDA_NO_SPACE;
	if (service_overloaded(c, &load))
		return LDA_TEMPORARY;
	return LDA_OK;
}

/* --- what the filter says ----------------------------------------------------------------------- */

/* A filter's own fault never costs mail: INBOX it is, and the log says why. */
static void
keep_instead(struct lda_delivery *d, const struct filter_error *error, struct filter_result *result)
{
	log_warn(d->lda->sv->log, "filter-error", "account=%s@%s line=%u error=%s kept=INBOX",
	    d->rcpt->localpart, d->rcpt->domain, error->line, error->text);
	*result = (struct filter_result){ .action_count = 1 };
	result->actions[0] = (struct filter_action){ .kind = FILTER_KEEP };
}

/* The account's filter as it is now; *own_out stays NULL if it has been cleared meanwhile. */
static enum filter_status
compile_own(struct lda_delivery *d, struct filter **own_out, struct filter_error *error)
{
	struct account_row row = { 0 };
	enum filter_status status = FILTER_OK;
	enum store_err err = account_db_find(
	    d->lda->sv->accounts, str_from(d->rcpt->localpart), str_from(d->rcpt->domain), &row);

	if (err != STORE_OK && err != STORE_NOT_FOUND)
		status = FILTER_TEMPFAIL;
	else if (row.filter != NULL)
		status = filter_compile(
		    (struct str){ row.filter, row.filter_len }, own_out, error, NULL);
	account_row_free(&row);
	return status;
}

static enum lda_verdict
run_filter(struct lda_delivery *d, const struct content *content, struct filter_result *result)
{
	const struct lda_rcpt *rcpt = d->rcpt;
	struct filter_message message = {
		.fd = content->fd,
		.bytes = { content->memory.data, content->memory.len },
		.sender = d->envelope->sender,
		.rcpt = rcpt->address,
		.account = arena_printf(&d->arena, "%s@%s", rcpt->localpart, rcpt->domain),
		.detail = rcpt->detail,
	};
	const struct filter *use = d->lda->default_filter;
	struct filter *own = NULL;
	struct filter_error error;
	enum filter_status status = FILTER_OK;

	if (use == NULL)
		use = filter_default();
	if (rcpt->has_filter) {
		status = compile_own(d, &own, &error);
		use = own != NULL ? own : use;
	}
	if (status == FILTER_OK)
		status = filter_run(use, &message, NULL, &d->arena, result, &error);
	filter_free(own);
	if (status == FILTER_TEMPFAIL)
		return LDA_TEMPORARY;
	if (status != FILTER_OK)
		keep_instead(d, &error, result);
	return LDA_OK;
}

static enum lda_verdict
choose_mailboxes(struct lda_delivery *d, const struct content *content)
{
	struct filter_result result = { 0 };
	enum lda_verdict v = LDA_OK;

	if (d->envelope->mailbox != NULL) {
		d->copies[0].mailbox = d->envelope->mailbox;
		d->copy_count = 1;
		return LDA_OK;
	}
	v = run_filter(d, content, &result);
	for (size_t i = 0; v == LDA_OK && i < result.action_count; i++) {
		const struct filter_action *a = &result.actions[i];

		d->copies[d->copy_count++] = (struct copy){
			.mailbox = a->store.mailbox != NULL ? a->store.mailbox : "INBOX",
			.flags = a->store.flags,
		};
	}
	return v;
}

/* --- writing ------------------------------------------------------------------------------------ */

/* Makes the tree of a new account, or a mailbox that is not there yet, and subscribes to it. */
static enum store_err
make_mailbox(struct lda_delivery *d, const char *mailbox)
{
	struct account *acct;
	enum store_err err = account_open(
	    d->lda->sv->store, d->rcpt->localpart, d->rcpt->domain, ACCOUNT_CREATE, &acct);

	if (err != STORE_OK)
		return err;
	if (!mailbox_name_is_inbox(mailbox)) {
		err = account_create_mailbox(acct, mailbox, SPECIAL_NONE);
		if (err == STORE_EXISTS)
			err = STORE_OK;
		if (err == STORE_OK)
			err = account_subscribe(acct, mailbox);
	}
	account_close(acct);
	return err;
}

static enum store_err
begin_copy(struct lda_delivery *d, struct copy *copy)
{
	const struct lda_rcpt *rcpt = d->rcpt;
	enum store_err err = maildir_delivery_begin(
	    d->lda->root, rcpt->localpart, rcpt->domain, copy->mailbox, false, &copy->file);

	if (err == STORE_NOT_FOUND) {
		err = make_mailbox(d, copy->mailbox);
		if (err == STORE_OK)
			err = maildir_delivery_begin(d->lda->root, rcpt->localpart, rcpt->domain,
			    copy->mailbox, true, &copy->file);
	}
	return err;
}

/* The trace headers, the message's header without what earlier deliveries left, the rest. */
static enum store_err
write_copy(struct lda_delivery *d, struct copy *copy, const struct content *content)
{
	struct trace trace = {
		.sender = d->envelope->sender,
		.rcpt = d->rcpt->address,
		.helo = d->envelope->helo,
		.peer = d->envelope->peer,
		.hostname = d->lda->hostname,
		.with = d->envelope->with,
		.tls = d->envelope->tls,
		.id = d->envelope->id,
		.now = time(NULL),
	};
	struct buf piece = { 0 }, top = { 0 };
	uint64_t at = 0;
	enum store_err err;

	trace_headers(&top, &trace);
	err = content_read(content, 0, CONTENT_MEMORY_BYTES, &piece);
	if (err == STORE_OK) {
		at = trace_copy_header(&top, (struct str){ piece.data, piece.len });
		err = maildir_delivery_write(copy->file, top.data, top.len);
	}
	if (err == STORE_OK)
		err = maildir_delivery_write(copy->file, piece.data + at, piece.len - at);
	at = piece.len;
	while (err == STORE_OK && at < content->size_bytes) {
		buf_reset(&piece);
		err = content_read(content, at, CONTENT_COPY_BYTES, &piece);
		if (err == STORE_OK)
			err = maildir_delivery_write(copy->file, piece.data, piece.len);
		at += piece.len;
	}
	buf_free(&piece);
	buf_free(&top);
	return err;
}

/* A target of the filter's that cannot be is not the sender's problem: INBOX then. */
static enum store_err
prepare_copy(struct lda_delivery *d, struct copy *copy, const struct content *content)
{
	enum store_err err = begin_copy(d, copy);

	if ((err == STORE_INVALID || err == STORE_LIMIT) && d->envelope->mailbox == NULL) {
		log_warn(d->lda->sv->log, "filter-target",
		    "account=%s@%s mailbox=%s error=%s kept=INBOX", d->rcpt->localpart,
		    d->rcpt->domain, copy->mailbox, store_err_text(err));
		copy->mailbox = "INBOX";
		err = begin_copy(d, copy);
	}
	return err == STORE_OK ? write_copy(d, copy, content) : err;
}

static enum lda_verdict
open_home(struct lda_delivery *d)
{
	const struct lda_rcpt *rcpt = d->rcpt;
	enum store_err err =
	    home_open(d->lda->root, rcpt->localpart, rcpt->domain, false, &d->home);

	if (err == STORE_NOT_FOUND) {
		err = make_mailbox(d, "INBOX");
		if (err == STORE_OK)
			err =
			    home_open(d->lda->root, rcpt->localpart, rcpt->domain, true, &d->home);
	}
	if (err == STORE_OK && rcpt->quota.limit_bytes > 0)
		err = quota_usage(d->home, &rcpt->quota, &d->before);
	return verdict_of(err);
}

/* Quota is enforced once usage has reached the limit, however large this message is, and only for
 * mailboxes that count. */
static bool
quota_refuses(const struct lda_delivery *d)
{
	const struct quota_rules *rules = &d->rcpt->quota;

	if (d->envelope->quota_checked || quota_allows(rules, &d->before))
		return false;
	for (size_t i = 0; i < d->copy_count; i++)
		if (!quota_excludes(rules, d->copies[i].mailbox))
			return true;
	return false;
}

enum lda_verdict
lda_prepare(struct lda *l, const struct lda_rcpt *rcpt, const struct lda_envelope *envelope,
    const struct content *content, struct lda_delivery **delivery_out)
{
	struct lda_delivery *d = mem_zalloc(sizeof(*d));
	enum store_err err = STORE_OK;
	enum lda_verdict v;

	d->lda = l;
	d->rcpt = rcpt;
	d->envelope = envelope;
	v = open_home(d);
	if (v == LDA_OK)
		v = choose_mailboxes(d, content);
	if (v == LDA_OK && quota_refuses(d))
		v = LDA_OVER_QUOTA;
	for (size_t i = 0; v == LDA_OK && i < d->copy_count; i++) {
		err = prepare_copy(d, &d->copies[i], content);
		v = err == STORE_INVALID || err == STORE_LIMIT ? LDA_NO_MAILBOX : verdict_of(err);
	}
	if (v == LDA_OK) {
		*delivery_out = d;
		return LDA_OK;
	}
	log_warn(l->sv->log, "not-delivered", "account=%s@%s from=%s id=%s verdict=%u error=%s",
	    rcpt->localpart, rcpt->domain, envelope->sender, envelope->id, v, store_err_text(err));
	lda_abort(d);
	return v;
}

/* --- publishing --------------------------------------------------------------------------------- */

static void
delivery_free(struct lda_delivery *d)
{
	home_close(d->home);
	arena_free(&d->arena);
	free(d);
}

void
lda_abort(struct lda_delivery *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->copy_count; i++)
		maildir_delivery_abort(d->copies[i].file);
	delivery_free(d);
}

static enum store_err
finish_copy(struct lda_delivery *d, struct copy *copy, uint64_t *counted_bytes)
{
	const struct quota_rules *rules = &d->rcpt->quota;
	int64_t size = (int64_t)maildir_delivery_size(copy->file);
	char *name = NULL;
	enum store_err err =
	    maildir_delivery_finish(copy->file, MAILDIR_DATE_NOW, copy->flags, 0, &name);

	copy->file = NULL;
	if (err != STORE_OK)
		return err;
	quota_add(d->home, rules, copy->mailbox, size, 1);
	if (!quota_excludes(rules, copy->mailbox))
		*counted_bytes += (uint64_t)size;
	log_info(d->lda->sv->log, "delivered",
	    "account=%s@%s rcpt=%s from=%s mailbox=%s file=%s size=%lld id=%s", d->rcpt->localpart,
	    d->rcpt->domain, d->rcpt->address, d->envelope->sender, copy->mailbox, name,
	    (long long)size, d->envelope->id);
	free(name);
	return STORE_OK;
}

enum lda_verdict
lda_finish(struct lda_delivery *d)
{
	struct quota_usage after = d->before;
	enum store_err err = STORE_OK;

	for (size_t i = 0; err == STORE_OK && i < d->copy_count; i++)
		err = finish_copy(d, &d->copies[i], &after.bytes);
	if (err != STORE_OK) {
		log_error(d->lda->sv->log, "not-delivered", "account=%s@%s id=%s error=%s",
		    d->rcpt->localpart, d->rcpt->domain, d->envelope->id, store_err_text(err));
		lda_abort(d);
		return verdict_of(err);
	}
	if (d->copy_count == 0)
		log_info(d->lda->sv->log, "discarded", "account=%s@%s from=%s id=%s",
		    d->rcpt->localpart, d->rcpt->domain, d->envelope->sender, d->envelope->id);
	warning_check(d->lda, d->rcpt, &d->before, &after);
	delivery_free(d);
	return LDA_OK;
}

enum lda_verdict
lda_deliver_system(struct lda *l, const struct lda_rcpt *rcpt, struct str message)
{
	struct maildir_delivery *file;
	struct home *home;
	enum store_err err =
	    maildir_delivery_begin(l->root, rcpt->localpart, rcpt->domain, "INBOX", true, &file);
	int64_t size;

	if (err != STORE_OK)
		return verdict_of(err);
	err = maildir_delivery_write(file, message.p, message.len);
	if (err != STORE_OK) {
		maildir_delivery_abort(file);
		return verdict_of(err);
	}
	size = (int64_t)maildir_delivery_size(file);
	err = maildir_delivery_finish(file, MAILDIR_DATE_NOW, 0, 0, NULL);
	if (err == STORE_OK &&
	    home_open(l->root, rcpt->localpart, rcpt->domain, false, &home) == STORE_OK) {
		quota_add(home, &rcpt->quota, "INBOX", size, 1);
		home_close(home);
	}
	return verdict_of(err);
}
