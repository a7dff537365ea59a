#include <string.h>

#include "imapd/append.h"
#include "imapd/imapd.h"
#include "imapd/imapsieve.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/mailbox.h"

struct append_state {
	struct append *ap;
	struct imap_place to;
	unsigned messages;
	bool binary; /* the literal at hand may hold NULs */
};

static void
state_free(void *state)
{
	struct append_state *st = state;

	append_end(st->ap);
}

uint64_t
imap_append_limit_bytes(const struct imap_session *s)
{
	uint64_t own = s->acct != NULL ? account_message_max_bytes(s->acct) : 0;

	return own != 0 ? own : s->imapd->message_max_bytes;
}

/* TRYCREATE tells the client that CREATE would help, RFC 9051 §6.3.12. */
static enum imap_result
refuse(struct imap_request *req, enum store_err err)
{
	if (err == STORE_NOT_FOUND)
		return imap_no(req, "TRYCREATE", "No such mailbox");
	return imap_finish(req, err);
}

static enum imap_result
begin(struct imap_session *s, struct imap_request *req)
{
	struct append_state *st = arena_zalloc(req->arena, sizeof(*st));
	enum imap_result result;
	enum store_err err;

	if (!imap_arg_place(s, req, &st->to))
		return IMAP_BAD;
	if (!imap_place_may(req, &st->to, ACL_INSERT, &result))
		return result;
	err = append_begin(st->to.acct, st->to.name, &st->ap);
	if (err != STORE_OK)
		return refuse(req, err);
	req->state = st;
	req->state_free = state_free;
	return IMAP_WAIT;
}

/* append-opts SP = [SP flag-list] [SP date-time] SP, before the literal */
static bool
parse_options(struct imap_request *req, struct append_message_info *info)
{
	struct cursor *c = &req->args;
	struct imap_flags flags = { 0 };

	if (!imap_parse_sp(c))
		return false;
	if (cursor_peek(c) == '(' &&
	    (!imap_parse_flag_list(c, req->arena, &flags) || !imap_parse_sp(c)))
		return false;
	info->internaldate_s = -1;
	if (cursor_peek(c) == '"' &&
	    (!imap_parse_date_time(c, &info->internaldate_s) || !imap_parse_sp(c)))
		return false;
	info->flags = flags.bits;
	info->keywords = flags.keywords;
	info->keyword_count = flags.keyword_count;
	return cursor_at_end(c);
}

static enum imap_result
next_message(struct imap_session *s, struct imap_request *req, const struct imap_literal *literal)
{
	struct append_state *st = req->state;
	struct append_message_info info = { 0 };
	enum store_err err;

	if (!parse_options(req, &info))
		return imap_bad(req, "Flags, date or a literal expected");
	if (literal->size_bytes == 0) /* RFC 3502 §6.3.11: the client gives up */
		return imap_no(req, NULL, "An empty message cancels APPEND");
	if (literal->size_bytes > imap_append_limit_bytes(s))
		return imap_no(req, "TOOBIG", "Larger than APPENDLIMIT");
	if (++st->messages > IMAP_APPEND_MESSAGES_MAX)
		return imap_no(req, "LIMIT", "Too many messages in one APPEND");
	info.announced_bytes = literal->size_bytes;
	st->binary = literal->binary;
	err = append_message(st->ap, &info);
	return err == STORE_OK ? IMAP_WAIT : refuse(req, err);
}

enum imap_result
imap_append_head(struct imap_session *s, struct imap_request *req, struct str text,
    const struct imap_literal *literal)
{
	req->args = cursor_from(text);
	if (req->state == NULL) {
		enum imap_result result = begin(s, req);

		if (result != IMAP_WAIT)
			return result;
	}
	return next_message(s, req, literal);
}

/* literal = … *CHAR8, which has no NUL; literal8 has, RFC 9051 §9. */
enum imap_result
imap_append_data(struct imap_session *s, struct imap_request *req, struct str bytes)
{
	struct append_state *st = req->state;
	enum store_err err;

	(void)s;
	if (!st->binary && memchr(bytes.p, '\0', bytes.len) != NULL)
		return imap_no(req, "CANNOT", "NUL in a message needs a literal8, ~{n}");
	err = append_write(st->ap, bytes.p, bytes.len);
	return err == STORE_OK ? IMAP_WAIT : refuse(req, err);
}

/* All data is there, on disk but not yet visible. */
static enum imap_result
commit(struct imap_session *s, struct imap_request *req)
{
	struct append_state *st = req->state;
	struct uidset uids = { 0 };
	struct buf set = { 0 };
	uint32_t uidvalidity;
	enum store_err err = append_commit(st->ap, &uidvalidity, &uids);

	if (err == STORE_OK) {
		uidset_format(&uids, &set);
		imap_okf(req, "APPEND done", "APPENDUID %u %s", uidvalidity, buf_cstr(&set));
		imap_sieve_event(s, &(struct imap_sieve_event){ .cause = IMAP_SIEVE_APPEND,
					.acct = st->to.acct,
					.mailbox = st->to.name,
					.uidvalidity = uidvalidity,
					.uids = &uids });
	}
	uidset_free(&uids);
	buf_free(&set);
	return err == STORE_OK ? IMAP_OK : refuse(req, err);
}

/* APPEND.  RFC 9051 §6.3.12; several messages at once by RFC 3502, all of them or none. */
static enum imap_result
append_run(struct imap_session *s, struct imap_request *req)
{
	if (req->state == NULL)
		return imap_bad(req, "A mailbox and a literal expected");
	if (!imap_arg_end(req))
		return IMAP_BAD;
	return commit(s, req);
}

const struct imap_command imap_cmd_append = {
	.name = "APPEND",
	.rfc = "RFC 9051 6.3.12",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = append_run,
};
