/* COPY and MOVE, alike but for what becomes of the source. */
#include <inttypes.h>

#include "imapd/imapsieve.h"
#include "imapd/junk_training.h"
#include "imapd/messages.h"
#include "imapd/place.h"
#include "imapd/response.h"

/* resp-code-copy = "COPYUID" SP nz-number SP uid-set SP uid-set, RFC 9051 §9 */
static const char *
copyuid_code(struct imap_request *req, const struct copy_result *copied)
{
	struct buf code = { 0 };
	const char *text;

	buf_printf(&code, "COPYUID %" PRIu32 " ", copied->uidvalidity);
	uidset_format(&copied->from, &code);
	buf_addc(&code, ' ');
	uidset_format(&copied->to, &code);
	text = arena_strdup(req->arena, buf_cstr(&code));
	buf_free(&code);
	return text;
}

/* A mailbox that is not there but could be made is TRYCREATE, RFC 9051 §6.4.7. */
static enum imap_result
copy_error(struct imap_request *req, const char *to, enum store_err err)
{
	if (err == STORE_NOT_FOUND && mailbox_name_is_valid(to))
		return imap_no(req, "TRYCREATE", "No such mailbox");
	return imap_finish(req, err);
}

/* Who may not read the mailbox hears nothing of its UIDs, RFC 9051 §11.4. */
static enum imap_result
copy_reply(struct imap_request *req, const struct imap_place *to, const struct copy_result *copied)
{
	bool tell = (to->rights & ACL_READ) != 0;

	if (uidset_is_empty(&copied->from))
		return imap_ok(req, NULL, "No messages found");
	return imap_ok(req, tell ? copyuid_code(req, copied) : NULL, "Copied");
}

/* The untagged OK stands before the EXPUNGEs, which the session sends next, RFC 6851 §3.3. */
static enum imap_result
move_reply(struct imap_session *s, struct imap_request *req, const struct imap_place *to,
    const struct copy_result *copied)
{
	if (uidset_is_empty(&copied->from))
		return imap_ok(req, NULL, "No messages found");
	if ((to->rights & ACL_READ) != 0)
		imap_untagged(s, "OK [%s] Moved", copyuid_code(req, copied));
	req->expunged = true;
	return IMAP_OK;
}

/* A move reads, marks \Deleted and expunges, RFC 6851 §4. */
#define MOVE_RIGHTS (ACL_READ | ACL_DELETE_MESSAGES | ACL_EXPUNGE)

static enum imap_result
copy_set(struct imap_session *s, struct imap_request *req, const struct uidset *uids, bool move)
{
	struct copy_result copied = { 0 };
	enum imap_result result;
	enum store_err err;
	struct copy_target target;
	struct imap_place to;

	if (!imap_arg_place(s, req, &to) || !imap_arg_end(req))
		return IMAP_BAD;
	if (move && s->read_only)
		return imap_no(req, NULL, "The mailbox is selected read-only");
	if (!imap_selected_may(s, req, move ? MOVE_RIGHTS : ACL_READ, &result) ||
	    !imap_place_may(req, &to, ACL_INSERT, &result))
		return result;
	junk_training_learn(s, uids, &to);
	target = (struct copy_target){ .acct = to.acct,
		.name = to.name,
		.flags = imap_flags_allowed(to.rights),
		.keywords = (to.rights & ACL_WRITE) != 0 };
	err = mailbox_transfer(s->box, uids, &target, move, &copied);
	if (err == STORE_OK) /* MOVE is a COPY for scripts too: RFC 6785 knows no other cause */
		imap_sieve_event(s, &(struct imap_sieve_event){ .cause = IMAP_SIEVE_COPY,
					.acct = to.acct,
					.mailbox = to.name,
					.uidvalidity = copied.uidvalidity,
					.uids = &copied.to });
	if (err != STORE_OK)
		result = copy_error(req, to.name, err);
	else
		result = move ? move_reply(s, req, &to, &copied) : copy_reply(req, &to, &copied);
	uidset_free(&copied.from);
	uidset_free(&copied.to);
	return result;
}

/* COPY is all or nothing, so too many are refused; MOVE takes the last of them, RFC 9738 §3.1. */
static enum imap_result
copy_limited(struct imap_session *s, struct imap_request *req, struct uidset *uids, bool move)
{
	uint32_t limit = messages_save_limit(s), count = uidset_count(uids);

	if (move)
		messages_keep_limit(s, req, uids);
	else if (limit != 0 && count > limit)
		return messages_refuse_limit(req, limit, uidset_nth(uids, count - limit + 1));
	return copy_set(s, req, uids, move);
}

static enum imap_result
run(struct imap_session *s, struct imap_request *req, bool move)
{
	struct uidset uids = { 0 };
	enum imap_result result;

	result = messages_arg_set(s, req, &uids) ? copy_limited(s, req, &uids, move) : IMAP_BAD;
	uidset_free(&uids);
	return result;
}

/* COPY puts copies into another mailbox, all or none.  RFC 9051 §6.4.7, RFC 4315 §3. */
static enum imap_result
copy_command(struct imap_session *s, struct imap_request *req)
{
	return run(s, req, false);
}

/* MOVE takes them out of this one too.  RFC 9051 §6.4.8, RFC 6851. */
static enum imap_result
move_command(struct imap_session *s, struct imap_request *req)
{
	return run(s, req, true);
}

const struct imap_command imap_cmd_copy = {
	.name = "COPY",
	.rfc = "RFC 9051 6.4.7",
	.states = IMAP_SELECTED,
	.flags = IMAP_CMD_UID,
	.run = copy_command,
};

const struct imap_command imap_cmd_move = {
	.name = "MOVE",
	.rfc = "RFC 9051 6.4.8",
	.states = IMAP_SELECTED,
	.flags = IMAP_CMD_UID,
	.run = move_command,
};
