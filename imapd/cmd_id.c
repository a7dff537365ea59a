#include <stdlib.h>

#include "imapd/commands.h"
#include "imapd/imapd.h"
#include "imapd/parse.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "service/login.h"

#define ID_PAIRS_MAX       30 /* RFC 2971 §3.3 */
#define ID_FIELD_MAX_BYTES 30
#define ID_VALUE_MAX_BYTES 1024

static bool
parse_pair(struct imap_request *req, struct str *field_out, struct str *value_out)
{
	return imap_parse_string(&req->args, req->arena, field_out) && imap_parse_sp(&req->args) &&
	       imap_parse_nstring(&req->args, req->arena, value_out) &&
	       field_out->len <= ID_FIELD_MAX_BYTES && value_out->len <= ID_VALUE_MAX_BYTES;
}

/* id-params-list = "(" [string SP nstring *(SP string SP nstring)] ")" / nil; name and version of the
 * client are noted for the log. */
static bool
parse_params(struct imap_request *req, struct str *name_out, struct str *version_out)
{
	struct cursor *c = &req->args;
	struct str field, value;

	if (cursor_take_nocase(c, STR("NIL")))
		return true;
	if (!cursor_take(c, '('))
		return false;
	if (cursor_take(c, ')'))
		return true;
	for (unsigned i = 0; i < ID_PAIRS_MAX; i++) {
		if (!parse_pair(req, &field, &value))
			return false;
		if (str_eq_nocase(field, STR("name")))
			*name_out = value;
		if (str_eq_nocase(field, STR("version")))
			*version_out = value;
		if (!imap_parse_sp(c))
			break;
	}
	return cursor_take(c, ')');
}

/* For the login history: of the login there was, or of the one to come.  What comes first counts. */
static void
note_client(struct imap_session *s, const char *name, const char *version)
{
	char *client;

	if (*name == '\0' || (s->user != NULL && s->event == NULL) || s->client != NULL)
		return;
	client = mem_printf("%s%s%s", name, *version != '\0' ? " " : "", version);
	if (s->user == NULL) {
		s->client = client;
		return;
	}
	login_client(s->imapd->service, s->event, client);
	login_event_free(s->event);
	s->event = NULL;
	free(client);
}

/* ID.  RFC 2971: names, for the log; nothing depends on them. */
static enum imap_result
id_run(struct imap_session *s, struct imap_request *req)
{
	struct str name = STR(""), version = STR("");
	const char *name_text, *version_text;

	if (!imap_arg_sp(req))
		return IMAP_BAD;
	if (!parse_params(req, &name, &version) || !imap_arg_end(req))
		return imap_bad(req, "Not a list of fields and values");
	name_text = arena_strndup(req->arena, name.len > 0 ? name.p : "", name.len);
	version_text = arena_strndup(req->arena, version.len > 0 ? version.p : "", version.len);
	log_info(s->log, "client", "name=%s version=%s", name_text, version_text);
	note_client(s, name_text, version_text);
	imap_untagged(s, "ID (\"name\" \"Sanger\")");
	return IMAP_OK;
}

const struct imap_command imap_cmd_id = {
	.name = "ID",
	.rfc = "RFC 2971",
	.states = IMAP_ANY_STATE,
	.run = id_run,
};
