#include "imapd/list.h"
#include "imapd/names.h"
#include "imapd/parse.h"
#include "imapd/response.h"
#include "imapd/session.h"

/* \Noselect here says: itself not subscribed, but something below it that the pattern hides. */
static void
answer(struct imap_session *s, struct arena *a, const struct mailbox_list *list,
    const struct list_query *query)
{
	struct list_item *items;
	size_t count;

	imap_list_select(list, query, a, &items, &count);
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
	const char *patterns[IMAP_PATTERN_FORMS];
	struct list_query query = { .patterns = patterns,
		.select = LIST_SUBSCRIBED | LIST_RECURSIVEMATCH };
	struct mailbox_list list = { 0 };
	struct str reference, pattern;
	enum store_err err;

	if (!imap_arg_astring(req, &reference) || !imap_arg_sp(req) ||
	    !imap_parse_list_mailbox(&req->args, req->arena, &pattern) || !imap_arg_end(req))
		return imap_bad(req, "A reference and a pattern expected");
	query.pattern_count =
	    imap_patterns_from_wire(req->arena, !imap_utf8_names(s), reference, pattern, patterns);
	err = account_list(s->acct, &list);
	if (err == STORE_OK)
		answer(s, req->arena, &list, &query);
	mailbox_list_free(&list);
	return imap_finish(req, err);
}

const struct imap_command imap_cmd_lsub = {
	.name = "LSUB",
	.rfc = "RFC 3501 6.3.9",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = lsub_run,
};
