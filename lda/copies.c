#include "lda/copies.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lda/delivery_record.h"
#include "sending/trace.h"
#include "service/service.h"
#include "store/account.h"
#include "store/deliver.h"
#include "store/keywords.h"
#include "store/mailbox.h"
#include "store/maildir_name.h"

/* --- which -------------------------------------------------------------------------------------- */

static bool
same_content(const struct filter_edit *a, const struct filter_edit *b)
{
	if (a == b)
		return true;
	return a != NULL && b != NULL && str_eq(a->header, b->header) &&
	       (a->body.p == NULL) == (b->body.p == NULL) && str_eq(a->body, b->body);
}

static bool
same_mailbox(const char *a, const char *b)
{
	return strcmp(a, b) == 0 || (mailbox_name_is_inbox(a) && mailbox_name_is_inbox(b));
}

static void
add_keywords(struct lda_delivery *d, struct copy *copy, const struct filter_store *store)
{
	const char **all;

	if (store->keyword_count == 0)
		return;
	all = arena_alloc(
	    &d->arena, (copy->keyword_count + store->keyword_count) * sizeof(const char *));
	for (size_t i = 0; i < copy->keyword_count; i++)
		all[i] = copy->keywords[i];
	for (size_t i = 0; i < store->keyword_count; i++)
		all[copy->keyword_count++] = store->keywords[i];
	copy->keywords = all;
}

void
copies_add(struct lda_delivery *d, const struct filter_store *store, const struct filter_edit *edit,
    struct decision by)
{
	const char *mailbox = store->mailbox != NULL ? store->mailbox : "INBOX";
	struct copy *copy = NULL;

	for (size_t i = 0; i < d->copy_count && copy == NULL; i++)
		if (same_mailbox(d->copies[i].mailbox, mailbox) &&
		    same_content(d->copies[i].edit, edit))
			copy = &d->copies[i];
	if (copy == NULL && d->copy_count == ARRAY_LEN(d->copies))
		return; /* never: there are no more actions than copies */
	if (copy == NULL) {
		copy = &d->copies[d->copy_count++];
		*copy = (struct copy){ .mailbox = mailbox, .edit = edit, .by = by };
	}
	copy->flags |= store->flags;
	if (copy->special_use == NULL)
		copy->special_use = store->special_use;
	add_keywords(d, copy, store);
}

void
copies_add_inbox(struct lda_delivery *d, struct decision by)
{
	static const struct filter_store INBOX = { 0 };

	copies_add(d, &INBOX, NULL, by);
}

/* --- mailboxes ---------------------------------------------------------------------------------- */

enum store_err
copies_make_mailbox(struct lda_delivery *d, const char *mailbox, const char *special_use)
{
	enum special_use use = SPECIAL_NONE;
	struct account *acct;
	enum store_err err = account_open(
	    d->lda->sv->store, d->rcpt->localpart, d->rcpt->domain, ACCOUNT_CREATE, &acct);

	if (err != STORE_OK)
		return err;
	if (!mailbox_name_is_inbox(mailbox)) {
		if (special_use != NULL)
			special_use_parse(special_use, &use);
		err = account_create_mailbox(acct, mailbox, use);
		if (err == STORE_INVALID && use != SPECIAL_NONE) /* another mailbox has it */
			err = account_create_mailbox(acct, mailbox, SPECIAL_NONE);
		if (err == STORE_EXISTS)
			err = STORE_OK;
		if (err == STORE_OK)
			err = account_subscribe(acct, mailbox);
	}
	account_close(acct);
	return err;
}

/* --- writing ------------------------------------------------------------------------------------ */

/* With keywords: by way of APPEND, which knows the mailbox's list of names. */
static enum store_err
begin_append(struct lda_delivery *d, struct copy *copy)
{
	struct append_message_info info = {
		.flags = copy->flags,
		.keywords = copy->keywords,
		.keyword_count = copy->keyword_count,
		.internaldate_s = -1,
	};
	enum store_err err =
	    account_open(d->lda->sv->store, d->rcpt->localpart, d->rcpt->domain, 0, &copy->acct);

	if (err == STORE_OK)
		err = append_begin(copy->acct, copy->mailbox, &copy->append);
	if (err == STORE_OK)
		err = append_message(copy->append, &info);
	return err;
}

static void
end_copy(struct copy *copy)
{
	maildir_delivery_abort(copy->file);
	append_end(copy->append);
	account_close(copy->acct);
	copy->file = NULL;
	copy->append = NULL;
	copy->acct = NULL;
}

static enum store_err
begin_once(struct lda_delivery *d, struct copy *copy, bool create_home)
{
	if (copy->keyword_count > 0)
		return begin_append(d, copy);
	return maildir_delivery_begin(d->lda->root, d->rcpt->localpart, d->rcpt->domain,
	    copy->mailbox, create_home, &copy->file);
}

static enum store_err
begin_copy(struct lda_delivery *d, struct copy *copy)
{
	enum store_err err = begin_once(d, copy, false);

	if (err != STORE_NOT_FOUND)
		return err;
	end_copy(copy);
	err = copies_make_mailbox(d, copy->mailbox, copy->special_use);
	return err == STORE_OK ? begin_once(d, copy, true) : err;
}

static enum store_err
write_copy(void *arg, const void *bytes, size_t len)
{
	struct copy *copy = arg;

	copy->size_bytes += len;
	return copy->append != NULL ? append_write(copy->append, bytes, len)
				    : maildir_delivery_write(copy->file, bytes, len);
}

/* The trace headers stay on top of whatever a filter has put there. */
static enum store_err
pour(struct lda_delivery *d, struct copy *copy)
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
		.now = d->now,
		.delivered_to = d->lda->delivered_to,
	};
	struct pour_sink sink = { write_copy, copy };
	struct buf top = { 0 };
	enum store_err err;

	trace_headers(&top, &trace);
	err = pour_message(d->content, copy->edit, (struct str){ top.data, top.len }, &sink);
	buf_free(&top);
	return err;
}

/* A keyword that cannot be is left out: the message counts for more. */
static void
drop_bad_keywords(struct lda_delivery *d, struct copy *copy)
{
	size_t kept = 0;

	for (size_t i = 0; i < copy->keyword_count; i++) {
		struct str name = str_from(copy->keywords[i]);

		if (keyword_is_valid(name) && name.len <= MAILBOX_KEYWORD_MAX_BYTES)
			copy->keywords[kept++] = copy->keywords[i];
		else
			delivery_trouble(d, copy->by, "\"%.100s\" cannot be a flag of a message",
			    copy->keywords[i]);
	}
	copy->keyword_count = kept;
}

/* A target of the filter's that cannot be is not the sender's problem: INBOX then.  `*redundant_out`: such a copy is
 * there already. */
static enum store_err
prepare_copy(struct lda_delivery *d, struct copy *copy, bool *redundant_out)
{
	enum store_err err;

	*redundant_out = false;
	drop_bad_keywords(d, copy);
	err = begin_copy(d, copy);
	if ((err == STORE_INVALID || err == STORE_LIMIT) && d->envelope->mailbox == NULL &&
	    !mailbox_name_is_inbox(copy->mailbox)) {
		end_copy(copy);
		log_warn(d->lda->sv->log, "filter-target",
		    "account=%s mailbox=%s error=%s kept=INBOX filter=%s script=%s line=%u",
		    d->account, copy->mailbox, store_err_text(err), copy->by.language,
		    copy->by.script, copy->by.line);
		delivery_trouble(d, copy->by, "mail cannot be put into a mailbox named \"%.200s\"",
		    copy->mailbox);
		delivery_record_note(d, "no-such-mailbox", copy->by, copy->mailbox);
		copy->mailbox = "INBOX";
		for (const struct copy *c = d->copies; c < d->copies + d->copy_count; c++)
			if (c != copy && mailbox_name_is_inbox(c->mailbox) &&
			    same_content(c->edit, copy->edit))
				*redundant_out = true;
		if (*redundant_out)
			return STORE_OK;
		err = begin_copy(d, copy);
	}
	return err == STORE_OK ? pour(d, copy) : err;
}

enum lda_verdict
copies_prepare(struct lda_delivery *d)
{
	enum store_err err = STORE_OK;
	bool redundant;

	for (size_t i = 0; i < d->copy_count && err == STORE_OK;) {
		err = prepare_copy(d, &d->copies[i], &redundant);
		if (redundant)
			memmove(&d->copies[i], &d->copies[i + 1],
			    (--d->copy_count - i) * sizeof(d->copies[0]));
		else
			i++;
	}
	return err == STORE_INVALID || err == STORE_LIMIT ? LDA_NO_MAILBOX : delivery_verdict(err);
}

/* --- publishing --------------------------------------------------------------------------------- */

/* The letters of file names. */
static uint32_t
letters_of(unsigned flags)
{
	static const struct {
		unsigned message;
		uint32_t maildir;
	} PAIRS[] = {
		{ MESSAGE_ANSWERED, MAILDIR_REPLIED },
		{ MESSAGE_FLAGGED, MAILDIR_FLAGGED },
		{ MESSAGE_DELETED, MAILDIR_TRASHED },
		{ MESSAGE_SEEN, MAILDIR_SEEN },
		{ MESSAGE_DRAFT, MAILDIR_DRAFT },
	};
	uint32_t letters = 0;

	for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++)
		if ((flags & PAIRS[i].message) != 0)
			letters |= PAIRS[i].maildir;
	return letters;
}

static enum store_err
finish_file(struct lda_delivery *d, struct copy *copy, char **name_out)
{
	struct stat st;
	enum store_err err;

	copy->size_bytes = maildir_delivery_size(copy->file);
	if (fstat(maildir_delivery_fd(copy->file), &st) == 0)
		copy->inode = st.st_ino;
	err = maildir_delivery_finish(
	    copy->file, MAILDIR_DATE_NOW, letters_of(copy->flags), 0, name_out);
	copy->file = NULL;
	if (err == STORE_OK)
		quota_add(d->home, &d->rcpt->quota, copy->mailbox, (int64_t)copy->size_bytes, 1);
	return err;
}

/* APPEND counts towards quota by itself. */
static enum store_err
finish_append(struct copy *copy, char **name_out)
{
	struct uidset uids = { 0 };
	uint32_t uidvalidity;
	enum store_err err = append_commit(copy->append, &uidvalidity, &uids);

	if (err == STORE_OK) {
		*name_out = mem_strdup("(appended)");
		copy->uid = uids.run_count > 0 ? uids.runs[0].first : 0;
	}
	uidset_free(&uids);
	end_copy(copy);
	return err;
}

static void
record_copy(struct lda_delivery *d, const struct copy *copy, const char *name)
{
	struct record *r = delivery_record_did(d, "copy", copy->by);

	record_text(r, "mailbox", copy->mailbox);
	if (copy->uid > 0)
		record_number(r, "uid", copy->uid);
	else
		record_text(r, "file", name);
	if (copy->inode > 0) /* a MOVE gives the file another name */
		record_number(r, "inode", (int64_t)copy->inode);
	record_number(r, "size", (int64_t)copy->size_bytes);
	record_flag(r, "seen", (copy->flags & MESSAGE_SEEN) != 0);
	record_flag(r, "edited", copy->edit != NULL);
	record_end(r);
}

static enum store_err
finish_copy(struct lda_delivery *d, struct copy *copy)
{
	char *name = NULL;
	enum store_err err =
	    copy->append != NULL ? finish_append(copy, &name) : finish_file(d, copy, &name);

	if (err != STORE_OK)
		return err;
	if (!quota_excludes(&d->rcpt->quota, copy->mailbox))
		d->stored_bytes += copy->size_bytes;
	log_info(d->lda->sv->log, "delivered",
	    "account=%s rcpt=%s from=%s mailbox=%s file=%s size=%llu id=%s filter=%s script=%s "
	    "line=%u",
	    d->account, d->rcpt->address, d->envelope->sender, copy->mailbox, name,
	    (unsigned long long)copy->size_bytes, d->envelope->id, copy->by.language,
	    copy->by.script, copy->by.line);
	record_copy(d, copy, name);
	free(name);
	return STORE_OK;
}

enum store_err
copies_finish(struct lda_delivery *d)
{
	enum store_err err = STORE_OK;

	for (size_t i = 0; err == STORE_OK && i < d->copy_count; i++)
		err = finish_copy(d, &d->copies[i]);
	return err;
}

void
copies_abort(struct lda_delivery *d)
{
	for (size_t i = 0; i < d->copy_count; i++)
		end_copy(&d->copies[i]);
}

enum store_err
copies_store_made(struct lda_delivery *d, const struct filter_store *store, struct str message)
{
	struct copy copy = { .mailbox = store->mailbox != NULL ? store->mailbox : "INBOX",
		.special_use = store->special_use,
		.flags = store->flags };
	char *name = NULL;
	enum store_err err;

	add_keywords(d, &copy, store);
	drop_bad_keywords(d, &copy);
	err = begin_copy(d, &copy);
	if (err == STORE_OK)
		err = write_copy(&copy, message.p, message.len);
	if (err == STORE_OK)
		err = copy.append != NULL ? finish_append(&copy, &name)
					  : finish_file(d, &copy, &name);
	end_copy(&copy);
	free(name);
	return err;
}
