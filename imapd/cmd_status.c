#include "imapd/append.h"
#include "imapd/imapd.h"
#include "imapd/messages.h"
#include "imapd/parse.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "imapd/status.h"

struct looked_at {
	const struct imap_session *s;
	const struct account *acct;
	const struct mailbox_status *st;
};

static uint64_t
get_messages(const struct looked_at *at)
{
	return at->st->messages;
}

static uint64_t
get_recent(const struct looked_at *at)
{
	return at->st->recent;
}

static uint64_t
get_uidnext(const struct looked_at *at)
{
	return at->st->uidnext;
}

static uint64_t
get_uidvalidity(const struct looked_at *at)
{
	return at->st->uidvalidity;
}

static uint64_t
get_unseen(const struct looked_at *at)
{
	return at->st->unseen;
}

static uint64_t
get_deleted(const struct looked_at *at)
{
	return at->st->deleted;
}

static uint64_t
get_size(const struct looked_at *at)
{
	return at->st->size_bytes;
}

static uint64_t
get_highestmodseq(const struct looked_at *at)
{
	return at->st->highestmodseq;
}

/* In units of 1024, as all of QUOTA's storage. */
static uint64_t
get_deleted_storage(const struct looked_at *at)
{
	return (at->st->deleted_disk_bytes + 1023) / 1024;
}

static uint64_t
get_appendlimit(const struct looked_at *at)
{
	return imap_append_limit_bytes(at->s, at->acct);
}

/* status-att, RFC 9051 §9 and the RFCs named.  A name that begins like another comes first. */
static const struct {
	struct str name;
	uint64_t (*get)(const struct looked_at *at);
} ITEMS[] = {
	{ STR("MESSAGES"), get_messages }, { STR("RECENT"), get_recent }, /* RFC 3501 */
	{ STR("UIDNEXT"), get_uidnext }, { STR("UIDVALIDITY"), get_uidvalidity },
	{ STR("UNSEEN"), get_unseen },
	{ STR("DELETED-STORAGE"), get_deleted_storage }, /* RFC 9208 §4.1.4 */
	{ STR("DELETED"), get_deleted }, { STR("SIZE"), get_size },
	{ STR("HIGHESTMODSEQ"), get_highestmodseq }, /* RFC 7162 §3.1.7 */
	{ STR("APPENDLIMIT"), get_appendlimit },     /* RFC 7889 §3.2 */
	{ STR("MAILBOXID"), NULL },                  /* RFC 8474 §4.3: no number */
};

static bool
parse_item(struct cursor *c, unsigned *items)
{
	struct str name;

	if (!imap_parse_atom(c, &name))
		return false;
	for (unsigned i = 0; i < ARRAY_LEN(ITEMS); i++) {
		if (str_eq_nocase(name, ITEMS[i].name)) {
			*items |= 1U << i;
			return true;
		}
	}
	return false;
}

bool
imap_parse_status_items(struct cursor *c, unsigned *items_out)
{
	*items_out = 0;
	if (!cursor_take(c, '('))
		return false;
	do {
		if (!parse_item(c, items_out))
			return false;
	} while (imap_parse_sp(c));
	return cursor_take(c, ')');
}

bool
imap_status_wants_modseq(unsigned items)
{
	for (unsigned i = 0; i < ARRAY_LEN(ITEMS); i++)
		if ((items & 1U << i) != 0 && ITEMS[i].get == get_highestmodseq)
			return true;
	return false;
}

unsigned
imap_status_item(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(ITEMS); i++)
		if (str_eq(ITEMS[i].name, str_from(name)))
			return 1U << i;
	return 0;
}

void
imap_out_status(struct imap_session *s, const struct account *acct, const char *shown,
    unsigned items, const struct mailbox_status *st)
{
	const struct looked_at at = { s, acct, st };
	const char *blank = "";

	buf_adds(&s->out, "* STATUS ");
	imap_out_mailbox(s, shown);
	buf_adds(&s->out, " (");
	for (unsigned i = 0; i < ARRAY_LEN(ITEMS); i++) {
		if ((items & 1U << i) == 0)
			continue;
		buf_adds(&s->out, blank);
		if (ITEMS[i].get == NULL)
			imap_out_mailbox_id(&s->out, st->id);
		else
			buf_printf(&s->out, "%s %llu", ITEMS[i].name.p,
			    (unsigned long long)ITEMS[i].get(&at));
		blank = " ";
	}
	buf_adds(&s->out, ")\r\n");
}

enum store_err
imap_send_status(struct imap_session *s, const struct imap_place *place, unsigned items)
{
	struct mailbox_status st = { 0 };
	enum store_err err = account_status(place->acct, place->name, &st);

	if (err == STORE_OK)
		imap_out_status(s, place->acct, place->shown, items, &st);
	return err;
}

/* STATUS.  RFC 9051 §6.3.11. */
static enum imap_result
status_run(struct imap_session *s, struct imap_request *req)
{
	struct imap_place place;
	enum imap_result result;
	unsigned items;

	if (!imap_arg_place(s, req, &place) || !imap_arg_sp(req))
		return IMAP_BAD;
	if (!imap_parse_status_items(&req->args, &items) || !imap_arg_end(req))
		return imap_bad(req, "Not a list of status items");
	if (imap_status_wants_modseq(items))
		messages_enable_condstore(s);
	if (!imap_place_may(req, &place, ACL_READ, &result))
		return result;
	return imap_finish(req, imap_send_status(s, &place, items));
}

const struct imap_command imap_cmd_status = {
	.name = "STATUS",
	.rfc = "RFC 9051 6.3.11",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = status_run,
};
