/* GETACL, LISTRIGHTS and MYRIGHTS. */
#include <string.h>

#include "base/config.h"
#include "imapd/acl.h"
#include "imapd/imapd.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "net/sasl_prep.h"
#include "service/service.h"
#include "store/account.h"
#include "store/account_acl.h"
#include "store/account_tenure.h"

bool
imap_arg_acl_id(struct imap_request *req, const struct imap_place *place,
    struct str *identifier_out, struct acl_id *id_out)
{
	const char *owner = place->acct != NULL ? account_address(place->acct) : "";
	struct buf prepared = { 0 };
	struct str text;
	bool ok;

	if (!imap_arg_astring(req, &text))
		return false;
	*identifier_out = text;
	ok = text.len <= ACL_IDENTIFIER_MAX_BYTES && sasl_prep(text, &prepared) &&
	     acl_id_parse(
		 req->arena, (struct str){ buf_cstr(&prepared), prepared.len }, owner, id_out);
	buf_free(&prepared);
	if (!ok)
		req->text = "Not an identifier";
	return ok;
}

bool
imap_may_share_with_anyone(const struct imap_session *s)
{
	return config_bool(s->imapd->config, "imapd.share_with_anyone");
}

static void
out_rights(struct imap_session *s, unsigned rights)
{
	struct buf letters = { 0 };

	acl_rights_format(&letters, rights, true);
	buf_addc(&s->out, ' ');
	imap_out_astring(&s->out, (struct str){ buf_cstr(&letters), letters.len });
	buf_free(&letters);
}

/* --- GETACL ------------------------------------------------------------------------------------ */

static void
out_entry(struct imap_session *s, const struct acl_id *id, const char *owner, unsigned rights)
{
	struct buf who = { 0 };

	acl_id_format(&who, id, owner);
	buf_addc(&s->out, ' ');
	imap_out_astring(&s->out, (struct str){ buf_cstr(&who), who.len });
	out_rights(s, rights);
	buf_free(&who);
}

/* The owner's entry is shown though the file has none: he has all rights then. */
static void
send_acl(struct imap_session *s, const struct imap_place *place, const struct acl *acl)
{
	const char *owner = account_address(place->acct);
	const struct acl_id OWNER = { .kind = ACL_OWNER };

	buf_adds(&s->out, "* ACL ");
	imap_out_mailbox(s, place->shown);
	if (!acl_names_owner(acl, owner))
		out_entry(s, &OWNER, owner, ACL_ALL);
	for (size_t i = 0; i < acl->count; i++) {
		const struct acl_entry *e = &acl->entries[i];
		bool of_owner = e->id.kind == ACL_OWNER && !e->id.negative;

		out_entry(s, &e->id, owner, of_owner ? e->rights | ACL_OWNER_ALWAYS : e->rights);
	}
	buf_adds(&s->out, "\r\n");
}

/* GETACL.  RFC 4314 §3.3. */
static enum imap_result
getacl_run(struct imap_session *s, struct imap_request *req)
{
	struct acl_tenures tenures;
	struct imap_place place;
	enum imap_result result;
	enum store_err err;
	struct acl acl;

	if (!imap_arg_place(s, req, &place) || !imap_arg_end(req))
		return IMAP_BAD;
	if (!imap_place_may(req, &place, ACL_ADMIN, &result))
		return result;
	tenures = account_tenures(s->imapd->service->accounts);
	err = account_acl_current(place.acct, place.name, &tenures, &acl);
	if (err == STORE_OK)
		send_acl(s, &place, &acl);
	acl_free(&acl);
	return imap_finish(req, err);
}

/* --- LISTRIGHTS -------------------------------------------------------------------------------- */

/* Rights that are always granted, then the others, none tied to another: "c" and "d" stand alone, RFC 4314 §2.1.1. */
static const char *
grantable(const struct imap_session *s, const struct acl_id *id)
{
	if (id->kind == ACL_OWNER && !id->negative)
		return "la r s w i p k x t e c d";
	if (id->kind == ACL_GROUP || id->kind == ACL_GROUP_OVERRIDE ||
	    ((id->kind == ACL_ANYONE || id->kind == ACL_AUTHENTICATED) && !id->negative &&
		!imap_may_share_with_anyone(s)))
		return "\"\"";
	return "\"\" l r s w i p k x t e a c d";
}

static bool
mailbox_is_there(struct account *acct, const char *name)
{
	struct acl acl;
	enum store_err err = account_acl_read(acct, name, &acl);

	acl_free(&acl);
	return err != STORE_NOT_FOUND && err != STORE_INVALID;
}

/* LISTRIGHTS.  RFC 4314 §3.4: the identifier comes back as it was said. */
static enum imap_result
listrights_run(struct imap_session *s, struct imap_request *req)
{
	struct imap_place place;
	enum imap_result result;
	struct str identifier;
	struct acl_id id;

	if (!imap_arg_place(s, req, &place) || !imap_arg_acl_id(req, &place, &identifier, &id) ||
	    !imap_arg_end(req))
		return IMAP_BAD;
	if (!imap_place_may(req, &place, ACL_ADMIN, &result))
		return result;
	if (!mailbox_is_there(place.acct, place.name))
		return imap_finish(req, STORE_NOT_FOUND);
	buf_adds(&s->out, "* LISTRIGHTS ");
	imap_out_mailbox(s, place.shown);
	buf_addc(&s->out, ' ');
	imap_out_astring(&s->out, identifier);
	buf_printf(&s->out, " %s\r\n", grantable(s, &id));
	return IMAP_OK;
}

/* --- MYRIGHTS ---------------------------------------------------------------------------------- */

void
imap_send_myrights(struct imap_session *s, const struct imap_place *place)
{
	buf_adds(&s->out, "* MYRIGHTS ");
	imap_out_mailbox(s, place->shown);
	out_rights(s, place->rights);
	buf_adds(&s->out, "\r\n");
}

/* MYRIGHTS.  RFC 4314 §3.5. */
static enum imap_result
myrights_run(struct imap_session *s, struct imap_request *req)
{
	struct imap_place place;

	if (!imap_arg_place(s, req, &place) || !imap_arg_end(req))
		return IMAP_BAD;
	if (place.err != STORE_OK)
		return imap_finish(req, place.err);
	if (!imap_place_is_known(&place) || !mailbox_is_there(place.acct, place.name))
		return imap_finish(req, STORE_NOT_FOUND);
	imap_send_myrights(s, &place);
	return IMAP_OK;
}

const struct imap_command imap_cmd_getacl = {
	.name = "GETACL",
	.rfc = "RFC 4314 3.3",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = getacl_run,
};

const struct imap_command imap_cmd_listrights = {
	.name = "LISTRIGHTS",
	.rfc = "RFC 4314 3.4",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = listrights_run,
};

const struct imap_command imap_cmd_myrights = {
	.name = "MYRIGHTS",
	.rfc = "RFC 4314 3.5",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = myrights_run,
};
