#include "imapd/commands.h"

#include <string.h>

#include "imapd/names.h"
#include "imapd/parse.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"

const struct imap_command *const IMAP_COMMANDS[] = {
	&imap_cmd_append,
	&imap_cmd_authenticate,
	&imap_cmd_cancelupdate,
	&imap_cmd_capability,
	&imap_cmd_check,
	&imap_cmd_close,
	&imap_cmd_compress,
	&imap_cmd_copy,
	&imap_cmd_create,
	&imap_cmd_delete,
	&imap_cmd_deleteacl,
	&imap_cmd_enable,
	&imap_cmd_esearch,
	&imap_cmd_examine,
	&imap_cmd_expunge,
	&imap_cmd_fetch,
	&imap_cmd_filter,
	&imap_cmd_getacl,
	&imap_cmd_getmetadata,
	&imap_cmd_getquota,
	&imap_cmd_getquotaroot,
	&imap_cmd_id,
	&imap_cmd_idle,
	&imap_cmd_list,
	&imap_cmd_listrights,
	&imap_cmd_login,
	&imap_cmd_logout,
	&imap_cmd_lsub,
	&imap_cmd_move,
	&imap_cmd_myrights,
	&imap_cmd_namespace,
	&imap_cmd_noop,
	&imap_cmd_notify,
	&imap_cmd_rename,
	&imap_cmd_replace,
	&imap_cmd_search,
	&imap_cmd_select,
	&imap_cmd_setacl,
	&imap_cmd_setmetadata,
	&imap_cmd_setquota,
	&imap_cmd_sort,
	&imap_cmd_starttls,
	&imap_cmd_status,
	&imap_cmd_store,
	&imap_cmd_subscribe,
	&imap_cmd_thread,
	&imap_cmd_uidbatches,
	&imap_cmd_unauthenticate,
	&imap_cmd_unselect,
	&imap_cmd_unsubscribe,
};
const size_t IMAP_COMMAND_COUNT = ARRAY_LEN(IMAP_COMMANDS);

/* As strcasecmp of the name and a row's. */
static int
compare_name(struct str name, const char *row)
{
	for (size_t i = 0; i < name.len; i++) {
		int diff = (unsigned char)ascii_upper(name.p[i]) - (unsigned char)row[i];

		if (diff != 0)
			return diff;
	}
	return row[name.len] == '\0' ? 0 : -1;
}

const struct imap_command *
imap_command_find(struct str name)
{
	size_t low = 0, high = IMAP_COMMAND_COUNT;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int diff = compare_name(name, IMAP_COMMANDS[middle]->name);

		if (diff == 0)
			return IMAP_COMMANDS[middle];
		if (diff < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static bool
wrong(struct imap_request *req, const char *text)
{
	req->text = text;
	return false;
}

bool
imap_arg_sp(struct imap_request *req)
{
	if (imap_parse_sp(&req->args))
		return true;
	return wrong(req, cursor_at_end(&req->args) ? "Argument missing" : "Space expected");
}

/* Trailing blanks are taken, for clients that send them. */
bool
imap_arg_end(struct imap_request *req)
{
	while (imap_parse_sp(&req->args))
		;
	return cursor_at_end(&req->args) || wrong(req, "Too many arguments");
}

bool
imap_arg_atom(struct imap_request *req, struct str *atom_out)
{
	return imap_arg_sp(req) &&
	       (imap_parse_atom(&req->args, atom_out) || wrong(req, "Atom expected"));
}

bool
imap_arg_astring(struct imap_request *req, struct str *text_out)
{
	return imap_arg_sp(req) && (imap_parse_astring(&req->args, req->arena, text_out) ||
				       wrong(req, "String expected"));
}

bool
imap_arg_cstring(struct imap_request *req, size_t max_bytes, char **text_out)
{
	struct str text;

	if (!imap_arg_astring(req, &text))
		return false;
	if (text.len > max_bytes)
		return wrong(req, "Argument too long");
	if (memchr(text.p, '\0', text.len) != NULL)
		return wrong(req, "NUL in argument");
	*text_out = arena_strndup(req->arena, text.p, text.len);
	return true;
}

/* Is there a mailbox, or a subscription, spelt exactly like this? */
static bool
name_is_there(struct account *acct, const char *name)
{
	struct mailbox_list list = { 0 };
	bool found = false;

	if (account_list(acct, &list) == STORE_OK)
		for (size_t i = 0; i < list.count && !found; i++)
			found = strcmp(list.boxes[i].name, name) == 0;
	mailbox_list_free(&list);
	return found;
}

/* Clients may send names that are not in normalisation form C (RFC 9051 §5.1 wants Net-Unicode): they
 * mean the one that is, unless a folder with exactly these bytes came from elsewhere. */
bool
imap_arg_mailbox(struct imap_session *s, struct imap_request *req, char **name_out)
{
	char *nfc;

	if (!imap_arg_sp(req))
		return false;
	if (!imap_parse_mailbox(&req->args, req->arena, !imap_utf8_names(s), name_out))
		return wrong(req, "Not a mailbox name");
	req->mailbox_written = *name_out;
	nfc = imap_mailbox_nfc(req->arena, *name_out);
	if (nfc != NULL && !imap_name_is_of_others(*name_out) &&
	    (s->acct == NULL || !name_is_there(s->acct, *name_out)))
		*name_out = nfc;
	return true;
}
