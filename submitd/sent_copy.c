#include "submitd/sent_copy.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "service/account_quota.h"
#include "service/service.h"
#include "store/header.h"
#include "store/mailbox.h"

#define DEFAULT_NAME    "Sent"
#define LOOK_BACK_COUNT 200         /* messages that are compared at most */
#define HEADER_MAX      (64 * 1024) /* bytes in which another's Message-ID is looked for */

struct sent_copy {
	const struct log *log;
	struct account *acct;
	struct buf mailbox;
	struct append *append;
	enum store_err err; /* the first; nothing more is done then */
};

/* --- the mailbox -------------------------------------------------------------------------------- */

/* Where no mailbox has the use: "Sent", which gets it.  One of that name that is there for something else is taken
 * as it is. */
static enum store_err
make_mailbox(struct sent_copy *c)
{
	enum store_err err = account_create_mailbox(c->acct, DEFAULT_NAME, SPECIAL_SENT);

	if (err == STORE_INVALID) /* another one was made with the use just now */
		return account_find_special(c->acct, SPECIAL_SENT, &c->mailbox);
	buf_reset(&c->mailbox);
	buf_adds(&c->mailbox, DEFAULT_NAME);
	if (err == STORE_EXISTS)
		return STORE_OK;
	return err == STORE_OK ? account_subscribe(c->acct, DEFAULT_NAME) : err;
}

static enum store_err
open_mailbox(struct sent_copy *c)
{
	static const struct append_message_info INFO = { .flags = MESSAGE_SEEN,
		.internaldate_s = -1 };
	enum store_err err = account_find_special(c->acct, SPECIAL_SENT, &c->mailbox);

	if (err == STORE_OK && c->mailbox.len == 0)
		err = make_mailbox(c);
	if (err == STORE_OK)
		err = append_begin(c->acct, buf_cstr(&c->mailbox), &c->append);
	return err == STORE_OK ? append_message(c->append, &INFO) : err;
}

static enum store_err
open_account(struct sent_copy *c, struct service *sv, const struct account_row *row)
{
	struct quota_limits limits = account_quota_limits(sv->accounts, row, sv->config);
	enum store_err err =
	    account_open(sv->store, row->localpart, row->domain, ACCOUNT_CREATE, &c->acct);

	if (err == STORE_OK)
		account_set_quota_limits(c->acct, &limits);
	return err;
}

/* --- is it there already? ----------------------------------------------------------------------- */

static struct str
read_header(int fd, char *bytes)
{
	size_t len = 0;
	ssize_t n;

	while (len < HEADER_MAX && (n = read(fd, bytes + len, HEADER_MAX - len)) > 0)
		len += (size_t)n;
	return (struct str){ bytes, len };
}

struct look {
	struct mailbox *box;
	struct str message_id;
	char *bytes; /* HEADER_MAX */
	bool found;
};

static bool
has_message_id(struct look *look, uint32_t uid)
{
	struct buf id = { 0 };
	struct header_field field;
	bool same = false;
	int fd;

	if (mailbox_message_open(look->box, uid, &fd) != STORE_OK)
		return false;
	if (header_find(read_header(fd, look->bytes), "Message-ID", &field)) {
		header_unfold(&id, field.value);
		same = str_eq((struct str){ id.data, id.len }, look->message_id);
	}
	close(fd);
	buf_free(&id);
	return same;
}

/* The newest first: it is most likely the one. */
static void
look_through(struct look *look)
{
	struct mailbox_query recent = { .has_since = true,
		.since_s = time(NULL) - SENT_COPY_LOOK_BACK_S };
	struct uidset uids = { 0 };
	uint32_t count;

	if (mailbox_find(look->box, &recent, &uids, NULL) == STORE_OK) {
		count = uidset_count(&uids);
		for (uint32_t n = 0; n < LOOK_BACK_COUNT && n < count && !look->found; n++)
			look->found = has_message_id(look, uidset_nth(&uids, count - n));
	}
	uidset_free(&uids);
}

/* Where that cannot be told there are better two than none. */
static bool
is_there(struct sent_copy *c, struct str message_id)
{
	struct look look = { .message_id = message_id };

	if (message_id.len == 0 ||
	    mailbox_open(c->acct, buf_cstr(&c->mailbox), true, &look.box) != STORE_OK)
		return false;
	look.bytes = mem_alloc(HEADER_MAX);
	look_through(&look);
	free(look.bytes);
	mailbox_close(look.box);
	return look.found;
}

/* --- its life ----------------------------------------------------------------------------------- */

static void
copy_free(struct sent_copy *c)
{
	append_end(c->append);
	account_close(c->acct);
	buf_free(&c->mailbox);
	free(c);
}

struct sent_copy *
sent_copy_begin(struct service *sv, const struct log *log, const struct account_row *row)
{
	struct sent_copy *c = mem_zalloc(sizeof(*c));

	c->log = log;
	c->err = open_account(c, sv, row);
	if (c->err == STORE_OK)
		c->err = open_mailbox(c);
	return c;
}

void
sent_copy_write(struct sent_copy *c, const void *bytes, size_t len)
{
	if (c != NULL && c->err == STORE_OK)
		c->err = append_write(c->append, bytes, len);
}

void
sent_copy_finish(struct sent_copy *c, struct str message_id, const char *id, const char *account)
{
	uint32_t uidvalidity;

	if (c == NULL)
		return;
	if (c->err == STORE_OK && is_there(c, message_id)) {
		log_info(c->log, "sent-copy", "id=%s account=%s mailbox=%s result=there-already",
		    id, account, buf_cstr(&c->mailbox));
	} else {
		if (c->err == STORE_OK)
			c->err = append_commit(c->append, &uidvalidity, NULL);
		if (c->err == STORE_OK)
			log_info(c->log, "sent-copy", "id=%s account=%s mailbox=%s result=stored",
			    id, account, buf_cstr(&c->mailbox));
		else
			log_warn(c->log, "sent-copy-failed", "id=%s account=%s mailbox=%s error=%s",
			    id, account, buf_cstr(&c->mailbox), store_err_text(c->err));
	}
	copy_free(c);
}

void
sent_copy_abort(struct sent_copy *c)
{
	if (c != NULL)
		copy_free(c);
}
