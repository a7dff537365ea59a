#include "imapd/append.h"
#include "imapd/response.h"

static enum imap_result
append_commit_all(struct imap_session *s, struct imap_request *req,
    const struct imap_append_target *target, struct append *ap)
{
	struct buf code = { 0 };
	enum store_err err = imap_append_commit(s, target, ap, &code);

	if (err == STORE_OK) {
		imap_send_normalized(s, "", target->to.shown, target->to.written);
		imap_ok(req, code.len > 0 ? buf_cstr(&code) : NULL, "APPEND done");
	}
	buf_free(&code);
	return err == STORE_OK ? IMAP_OK : imap_append_refuse(req, err);
}

static enum imap_result
begin(struct imap_session *s, struct imap_request *req)
{
	struct imap_append_target target = { .messages_max = IMAP_APPEND_MESSAGES_MAX,
		.commit = append_commit_all };

	if (!imap_arg_place(s, req, &target.to))
		return IMAP_BAD;
	return imap_append_into(s, req, &target);
}

/* APPEND.  RFC 9051 §6.3.12; several messages at once by RFC 3502, all of them or none; CATENATE by RFC 4469. */
const struct imap_command imap_cmd_append = {
	.name = "APPEND",
	.rfc = "RFC 9051 6.3.12",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = imap_append_run,
	.begin = begin,
};
