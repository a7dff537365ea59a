#include "imapd/list.h"
#include "imapd/names.h"
#include "imapd/parse.h"
#include "imapd/response.h"
#include "imapd/session.h"

/* The reference and the pattern behind it, as one pattern. */
static bool
parse(struct imap_session *s, struct imap_request *req, char **pattern_out)
{
	struct str reference, pattern;
	struct buf wire = { 0 };
	bool ok;

	if (!imap_arg_astring(req, &reference) || !imap_arg_sp(req) ||
	    !imap_parse_list_mailbox(&req->args, req->arena, &pattern) || !imap_arg_end(req))
		return false;
	buf_add(&wire, reference.p, reference.len);
	buf_add(&wire, pattern.p, pattern.len);
	ok = imap_mailbox_from_wire(req->arena, !imap_utf8_names(s),
	    (struct str){ buf_cstr(&wire), wire.len }, pattern_out);
	buf_free(&wire);
	return ok;
}

/* \Noselect here says: itself not subscribed, but something below it that the pattern hides. */
static void
answer(
    struct imap_session *s, struct arena *a, const struct mailbox_list *list, const char *pattern)
{
	struct list_query query = {
		.patterns = &pattern,
		.pattern_count = 1,
		.select = LIST_SUBSCRIBED | LIST_RECURSIVEMATCH,
	};
	struct list_item *items;
	size_t count;

	imap_list_select(list, &query, a, &items, &count);
	for (size_t i = 0; i < count; i++) {
		buf_printf(&s->out, "* LSUB (%s) \"%c\" ", items[i].selected ? "" : "\\Noselect",
		    IMAP_DELIMITER);
		imap_out_mailbox(s, items[i].name);
		buf_adds(&s->out, "\r\n");
	}
}

/* LSUB, for IMAP4rev1 clients.  RFC 3501 §6.3.9. */
static enum imap_result
lsub_run(struct imap_session *s, struct imap_request *req)
{
	struct mailbox_list list = { 0 };
	enum store_err err;
	char *pattern;

	if (!parse(s, req, &pattern))
		return imap_bad(req, "A reference and a pattern expected");
	err = account_list(s->acct, &list);
	if (err == STORE_OK)
		answer(s, req->arena, &list, pattern);
	mailbox_list_free(&list);
	return imap_finish(req, err);
}

const struct imap_command imap_cmd_lsub = {
	.name = "LSUB",
	.rfc = "RFC 3501 6.3.9",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = lsub_run,
};
