#include <string.h>

#include "imapd/commands.h"
#include "imapd/names.h"
#include "imapd/notify.h"
#include "imapd/parse.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/account.h"
#include "store/mailbox_name.h"

/* use-attr = "\All" / …: those this server keeps; one for each mailbox. */
static bool
parse_use(struct imap_request *req, enum special_use *use_out, bool *known_out)
{
	struct cursor *c = &req->args;
	const char *start = c->p;
	struct str name;

	if (!cursor_take(c, '\\') || !imap_parse_atom(c, &name))
		return false;
	*known_out =
	    special_use_parse(arena_strndup(req->arena, start, (size_t)(c->p - start)), use_out);
	return true;
}

/* create-params = SP "(" create-param *(SP create-param) ")", of which only
 * "USE" SP "(" [use-attr *(SP use-attr)] ")" is known; RFC 6154 §6. */
static bool
parse_params(struct imap_request *req, enum special_use *use_out, bool *known_out)
{
	struct cursor *c = &req->args;

	*use_out = SPECIAL_NONE;
	*known_out = true;
	if (!cursor_take(c, ' ') || cursor_at_end(c))
		return true;
	if (!cursor_take_nocase(c, STR("(USE (")))
		return false;
	if (!cursor_take(c, ')')) {
		if (!parse_use(req, use_out, known_out))
			return false;
		if (cursor_peek(c) == ' ') {
			*known_out = false; /* two uses for one mailbox: refused, §3 */
			while (cursor_take(c, ' '))
				if (!parse_use(req, use_out, &(bool){ true }))
					return false;
		}
		if (!cursor_take(c, ')'))
			return false;
	}
	return cursor_take(c, ')');
}

/* The reply carries the id, RFC 8474 §4.1.  Who deletes the mailbox at once must not make that an error. */
static enum imap_result
created(struct imap_request *req, const struct imap_place *place)
{
	struct mailbox_status status;
	struct buf code = { 0 };

	if (account_status(place->acct, place->name, &status) == STORE_OK)
		imap_out_mailbox_id(&code, status.id);
	imap_ok(req, code.len > 0 ? buf_cstr(&code) : NULL, "Mailbox created");
	buf_free(&code);
	return IMAP_OK;
}

/* CREATE.  RFC 9051 §6.3.4; a delimiter at the end says that more will be created below, which any
 * mailbox here allows. */
static enum imap_result
create_run(struct imap_session *s, struct imap_request *req)
{
	struct imap_place place;
	enum imap_result result;
	enum special_use use;
	enum store_err err;
	const char *problem;
	bool known;
	char *name, *nfc;
	size_t len;

	if (!imap_arg_mailbox(s, req, &name))
		return IMAP_BAD;
	if (!parse_params(req, &use, &known) || !imap_arg_end(req))
		return imap_bad(req, "Not a parameter of CREATE");
	len = strlen(name);
	if (len > 1 && name[len - 1] == IMAP_DELIMITER)
		name[len - 1] = '\0';
	nfc = imap_mailbox_nfc(req->arena, name);
	name = nfc != NULL ? nfc : name;
	imap_place_of(s, req->arena, name, &place);
	problem = mailbox_name_problem(str_from(place.name));
	if (problem != NULL)
		return imap_no(req, "CANNOT", problem);
	if (!imap_place_may_create(s, req, &place, &result))
		return result;
	if (!known || (use != SPECIAL_NONE && !place.own))
		return imap_no(req, "USEATTR", "Not a special use this server keeps");
	err = account_create_mailbox(place.acct, place.name, use);
	if (err == STORE_INVALID && use != SPECIAL_NONE)
		return imap_no(req, "USEATTR", "Another mailbox has that special use");
	if (err != STORE_OK)
		return imap_finish(req, err);
	imap_notify_own_name(s, place.shown);
	imap_send_normalized(s, "", place.shown, req->mailbox_written);
	return created(req, &place);
}

const struct imap_command imap_cmd_create = {
	.name = "CREATE",
	.rfc = "RFC 9051 6.3.4",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = create_run,
};
