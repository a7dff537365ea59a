/* SETACL and DELETEACL. */
#include "base/config.h"
#include "imapd/acl.h"
#include "imapd/imapd.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "service/service.h"
#include "store/account.h"
#include "store/account_acl.h"
#include "store/account_tenure.h"

/* mod-rights = astring: "+" or "-" or neither, and letters, RFC 4314 §7 */
static bool
arg_rights(struct imap_request *req, enum acl_change *change_out, unsigned *rights_out)
{
	struct str text;

	if (!imap_arg_astring(req, &text))
		return false;
	*change_out = ACL_REPLACE;
	if (text.len > 0 && (text.p[0] == '+' || text.p[0] == '-')) {
		*change_out = text.p[0] == '+' ? ACL_ADD : ACL_REMOVE;
		text = (struct str){ text.p + 1, text.len - 1 };
	}
	if (acl_rights_parse(text, rights_out))
		return true;
	req->text = "Rights are letters of lrswipkxteacd";
	return false;
}

/* Whoever may change the list may; but whether users may share with everybody is the administrator's to say. */
static bool
may_name(const struct imap_session *s, const struct acl_id *id)
{
	bool everybody = id->kind == ACL_ANYONE || id->kind == ACL_AUTHENTICATED;

	return !everybody || id->negative || imap_may_share_with_anyone(s);
}

static void
log_change(struct imap_session *s, const struct imap_place *place, const char *op,
    const struct acl_id *id, unsigned rights)
{
	struct buf who = { 0 }, letters = { 0 };

	acl_id_format(&who, id, account_address(place->acct));
	acl_rights_format(&letters, rights, false);
	log_info(s->log, "acl", "user=%s op=%s account=%s mailbox=%s id=%s rights=%s", s->user, op,
	    account_address(place->acct), place->name, buf_cstr(&who), buf_cstr(&letters));
	buf_free(&who);
	buf_free(&letters);
}

/* SETACL.  RFC 4314 §3.1. */
static enum imap_result
setacl_run(struct imap_session *s, struct imap_request *req)
{
	struct acl_tenures tenures;
	struct imap_place place;
	enum imap_result result;
	enum acl_change change;
	struct str identifier;
	struct acl_id id;
	unsigned rights;
	enum store_err err;

	if (!imap_arg_place(s, req, &place) || !imap_arg_acl_id(req, &place, &identifier, &id) ||
	    !arg_rights(req, &change, &rights) || !imap_arg_end(req))
		return IMAP_BAD;
	if (!imap_place_may(req, &place, ACL_ADMIN, &result))
		return result;
	if (id.kind == ACL_GROUP || id.kind == ACL_GROUP_OVERRIDE)
		return imap_no(req, "CANNOT", "There are no groups here");
	if (change != ACL_REMOVE && !may_name(s, &id))
		return imap_no(req, "NOPERM", "Nothing can be shared with everybody here");
	tenures = account_tenures(s->imapd->service->accounts);
	err = account_acl_set(place.acct, place.name, &id, change, rights, &tenures);
	if (err == STORE_OK)
		log_change(s, &place,
		    change == ACL_REPLACE ? "set"
		    : change == ACL_ADD   ? "add"
					  : "remove",
		    &id, rights);
	return imap_finish(req, err);
}

/* DELETEACL.  RFC 4314 §3.2: of an identifier that is not there too. */
static enum imap_result
deleteacl_run(struct imap_session *s, struct imap_request *req)
{
	struct imap_place place;
	enum imap_result result;
	struct str identifier;
	struct acl_id id;
	enum store_err err;

	if (!imap_arg_place(s, req, &place) || !imap_arg_acl_id(req, &place, &identifier, &id) ||
	    !imap_arg_end(req))
		return IMAP_BAD;
	if (!imap_place_may(req, &place, ACL_ADMIN, &result))
		return result;
	err = account_acl_delete(place.acct, place.name, &id);
	if (err == STORE_OK)
		log_change(s, &place, "delete", &id, 0);
	return imap_finish(req, err);
}

const struct imap_command imap_cmd_setacl = {
	.name = "SETACL",
	.rfc = "RFC 4314 3.1",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = setacl_run,
};

const struct imap_command imap_cmd_deleteacl = {
	.name = "DELETEACL",
	.rfc = "RFC 4314 3.2",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = deleteacl_run,
};
