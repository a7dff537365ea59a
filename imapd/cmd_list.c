#include <string.h>

#include "imapd/acl.h"
#include "imapd/list.h"
#include "imapd/list_others.h"
#include "imapd/messages.h"
#include "imapd/metadata.h"
#include "imapd/names.h"
#include "imapd/parse.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "imapd/status.h"

/* One LIST: what was asked, and how far the answer has come. */
struct list_state {
	struct list_query query;
	const char *patterns[IMAP_LIST_PATTERNS_MAX * IMAP_PATTERN_FORMS];
	unsigned returns;           /* enum list_return */
	bool extended;              /* said in the syntax of RFC 5258 */
	bool delimiter_only;        /* the question with the empty name */
	bool wants[LIST_EXTRA_MAX]; /* of EXTRAS */
	void *extra_args[LIST_EXTRA_MAX];

	struct mailbox_list list;
	struct list_item *items;
	size_t count, at;
};

/* --- arguments --------------------------------------------------------------------------------- */

struct option {
	struct str name;
	unsigned bit;
};
static const struct option SELECT_OPTIONS[] = {
	{ STR("SUBSCRIBED"), LIST_SUBSCRIBED },
	{ STR("REMOTE"), LIST_REMOTE },
	{ STR("RECURSIVEMATCH"), LIST_RECURSIVEMATCH },
	{ STR("SPECIAL-USE"), LIST_SPECIAL_USE },
};
static const struct option RETURN_OPTIONS[] = {
	{ STR("SUBSCRIBED"), LIST_RETURN_SUBSCRIBED },
	{ STR("CHILDREN"), LIST_RETURN_CHILDREN },
	{ STR("SPECIAL-USE"), LIST_RETURN_SPECIAL_USE },
};

/* STATUS, RFC 5819 */
static bool
parse_status(struct imap_session *s, struct imap_request *req, void **arg_out)
{
	unsigned *items = arena_zalloc(req->arena, sizeof(*items));

	if (!imap_parse_sp(&req->args) || !imap_parse_status_items(&req->args, items))
		return false;
	if (imap_status_wants_modseq(*items))
		messages_enable_condstore(s);
	*arg_out = items;
	return true;
}

/* A mailbox that vanishes while we speak has no STATUS, and that is all, RFC 5819 §2. */
static void
send_status(
    struct imap_session *s, struct imap_request *req, const struct list_item *item, void *arg)
{
	const unsigned *items = arg;
	struct arena arena = { 0 }; /* there are many of them */
	struct imap_place place;

	(void)req;
	if (imap_place_of(s, &arena, item->name, &place) == STORE_OK && place.acct != NULL &&
	    (place.rights & ACL_READ) != 0)
		imap_send_status(s, &place, *items);
	arena_free(&arena);
}

struct list_metadata {
	struct imap_metadata_query query;
	struct state *own; /* stays open from one mailbox to the next */
};

/* METADATA, RFC 9590: "METADATA" SP "(" entry *(SP entry) ")" */
static bool
parse_metadata(struct imap_session *s, struct imap_request *req, void **arg_out)
{
	struct list_metadata *arg = arena_zalloc(req->arena, sizeof(*arg));
	struct imap_metadata_query *q = &arg->query;

	(void)s;
	q->entries = arena_zalloc(req->arena, IMAP_METADATA_ENTRIES_MAX * sizeof(*q->entries));
	*arg_out = arg;
	return imap_parse_sp(&req->args) && cursor_peek(&req->args) == '(' &&
	       imap_parse_metadata_entries(&req->args, req->arena, q->entries, &q->entry_count);
}

/* What may not be read or cannot be looked up has no METADATA, RFC 9590 §3. */
static void
send_metadata(
    struct imap_session *s, struct imap_request *req, const struct list_item *item, void *arg)
{
	struct imap_metadata_answer answer;
	struct list_metadata *mine = arg;
	struct arena arena = { 0 };
	struct imap_place place;
	enum imap_result result;
	struct imap_metadata m;
	size_t at = 0;

	if (imap_place_of(s, &arena, item->name, &place) == STORE_OK && place.acct != NULL &&
	    imap_metadata_may(req, &place, false, "", &result)) {
		if (imap_metadata_open(&m, s, &arena, &place) == STORE_OK) {
			m.own = mine->own;
			if (imap_metadata_get(&m, &mine->query, &answer) == STORE_OK)
				while (!imap_metadata_send(s, &place, &answer, &at))
					;
			mine->own = m.own;
			m.own = NULL;
			state_close(m.owner);
		}
	}
	req->code = req->text = NULL;
	arena_free(&arena);
}

static void
end_metadata(void *arg)
{
	struct list_metadata *mine = arg;

	state_close(mine->own);
}

/* MYRIGHTS, RFC 8440 */
static bool
parse_nothing(struct imap_session *s, struct imap_request *req, void **arg_out)
{
	(void)s;
	(void)req;
	*arg_out = NULL;
	return true;
}

static void
send_myrights(
    struct imap_session *s, struct imap_request *req, const struct list_item *item, void *arg)
{
	struct arena arena = { 0 };
	struct imap_place place;

	(void)req;
	(void)arg;
	if (imap_place_of(s, &arena, item->name, &place) == STORE_OK && imap_place_is_known(&place))
		imap_send_myrights(s, &place);
	arena_free(&arena);
}

/* In the order in which they follow the LIST line. */
static const struct list_extra EXTRAS[] = {
	{ STR("STATUS"), parse_status, send_status, NULL },
	{ STR("MYRIGHTS"), parse_nothing, send_myrights, NULL },
	{ STR("METADATA"), parse_metadata, send_metadata, end_metadata },
};
_Static_assert(ARRAY_LEN(EXTRAS) <= LIST_EXTRA_MAX, "room for what each wants");

static void
state_free(void *state)
{
	struct list_state *st = state;

	mailbox_list_free(&st->list);
	for (size_t i = 0; i < ARRAY_LEN(EXTRAS); i++)
		if (EXTRAS[i].end != NULL && st->extra_args[i] != NULL)
			EXTRAS[i].end(st->extra_args[i]);
}

static bool
find_option(struct str name, const struct option *options, size_t count, unsigned *bit_out)
{
	for (size_t i = 0; i < count; i++) {
		if (str_eq_nocase(name, options[i].name)) {
			*bit_out = options[i].bit;
			return true;
		}
	}
	return false;
}

/* list-select-opts = "(" [list-select-opt *(SP list-select-opt)] ")"; RECURSIVEMATCH needs another one
 * to match by, RFC 9051 §6.3.9.1 */
static bool
parse_select_options(struct cursor *c, struct list_state *st)
{
	unsigned bit, base = LIST_SUBSCRIBED | LIST_SPECIAL_USE;
	struct str name;

	if (!cursor_take(c, '('))
		return false;
	if (cursor_take(c, ')'))
		return true;
	do {
		if (!imap_parse_atom(c, &name) ||
		    !find_option(name, SELECT_OPTIONS, ARRAY_LEN(SELECT_OPTIONS), &bit))
			return false;
		st->query.select |= bit;
	} while (imap_parse_sp(c));
	if ((st->query.select & LIST_RECURSIVEMATCH) != 0 && (st->query.select & base) == 0)
		return false;
	return cursor_take(c, ')');
}

static bool
parse_extra(
    struct imap_session *s, struct imap_request *req, struct list_state *st, struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(EXTRAS); i++) {
		if (!str_eq_nocase(name, EXTRAS[i].name))
			continue;
		st->wants[i] = true;
		return EXTRAS[i].parse(s, req, &st->extra_args[i]);
	}
	return false;
}

/* list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")" */
static bool
parse_return_options(struct imap_session *s, struct imap_request *req, struct list_state *st)
{
	struct cursor *c = &req->args;
	struct str name;
	unsigned bit;

	if (!cursor_take_nocase(c, STR("RETURN (")))
		return false;
	if (cursor_take(c, ')'))
		return true;
	do {
		if (!imap_parse_atom(c, &name))
			return false;
		if (find_option(name, RETURN_OPTIONS, ARRAY_LEN(RETURN_OPTIONS), &bit))
			st->returns |= bit;
		else if (!parse_extra(s, req, st, name))
			return false;
	} while (imap_parse_sp(c));
	return cursor_take(c, ')');
}

/* The reference goes in front of each pattern as it is. */
static bool
add_pattern(
    struct imap_session *s, struct imap_request *req, struct list_state *st, struct str reference)
{
	struct list_query *q = &st->query;
	struct str pattern;

	if (q->pattern_count + IMAP_PATTERN_FORMS > ARRAY_LEN(st->patterns) ||
	    !imap_parse_list_mailbox(&req->args, req->arena, &pattern))
		return false;
	q->pattern_count += imap_patterns_from_wire(
	    req->arena, !imap_utf8_names(s), reference, pattern, st->patterns + q->pattern_count);
	st->delimiter_only = pattern.len == 0;
	return true;
}

/* mbox-or-pat = list-mailbox / "(" list-mailbox *(SP list-mailbox) ")" */
static bool
parse_patterns(
    struct imap_session *s, struct imap_request *req, struct list_state *st, struct str reference)
{
	st->query.patterns = st->patterns;
	if (!cursor_take(&req->args, '('))
		return add_pattern(s, req, st, reference);
	st->extended = true;
	do {
		if (!add_pattern(s, req, st, reference))
			return false;
	} while (imap_parse_sp(&req->args));
	return cursor_take(&req->args, ')');
}

/* list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts] */
static bool
parse(struct imap_session *s, struct imap_request *req, struct list_state *st)
{
	struct cursor *c = &req->args;
	struct str reference;

	if (!imap_parse_sp(c))
		return false;
	if (cursor_peek(c) == '(') {
		st->extended = true;
		if (!parse_select_options(c, st) || !imap_parse_sp(c))
			return false;
	}
	if (!imap_parse_astring(c, req->arena, &reference) || !imap_parse_sp(c) ||
	    !parse_patterns(s, req, st, reference))
		return false;
	if (cursor_peek(c) == ' ' && cursor_left(c) > 1) {
		st->extended = true;
		imap_parse_sp(c);
		if (!parse_return_options(s, req, st))
			return false;
	}
	return imap_arg_end(req);
}

/* --- answer ------------------------------------------------------------------------------------ */

static void
add_attribute(struct buf *out, bool *first, const char *name)
{
	if (!*first)
		buf_addc(out, ' ');
	*first = false;
	buf_adds(out, name);
}

/* mbx-list-flags.  A rev1 client that asked in the old syntax knows only \Noselect; \NonExistent
 * implies it, RFC 9051 §7.3.1.  Children are told to everybody (RFC 3348 wants them in plain LIST). */
static void
out_attributes(struct imap_session *s, const struct list_state *st, const struct list_item *item)
{
	bool first = true;
	unsigned select = st->query.select;

	buf_addc(&s->out, '(');
	if ((item->attributes & MAILBOX_NONEXISTENT) != 0)
		add_attribute(
		    &s->out, &first, st->extended || imap_rev2(s) ? "\\NonExistent" : "\\Noselect");
	if ((item->attributes & MAILBOX_NO_READING) != 0) /* RFC 5819 §2 */
		add_attribute(&s->out, &first, "\\Noselect");
	if ((item->attributes & MAILBOX_HAS_CHILDREN) != 0)
		add_attribute(&s->out, &first, "\\HasChildren");
	else if ((item->attributes & MAILBOX_NONEXISTENT) == 0)
		add_attribute(&s->out, &first, "\\HasNoChildren");
	if ((item->attributes & MAILBOX_SUBSCRIBED) != 0 &&
	    ((select & LIST_SUBSCRIBED) != 0 || (st->returns & LIST_RETURN_SUBSCRIBED) != 0))
		add_attribute(&s->out, &first, "\\Subscribed");
	if (item->use != SPECIAL_NONE)
		add_attribute(&s->out, &first, special_use_name(item->use));
	buf_addc(&s->out, ')');
}

/* mbox-list-extended: ("CHILDINFO" ("SUBSCRIBED")), RFC 9051 §7.3.1 */
static void
out_childinfo(struct imap_session *s, unsigned select)
{
	const char *blank = "";

	buf_adds(&s->out, " (\"CHILDINFO\" (");
	if ((select & LIST_SUBSCRIBED) != 0) {
		buf_adds(&s->out, "\"SUBSCRIBED\"");
		blank = " ";
	}
	if ((select & LIST_SPECIAL_USE) != 0)
		buf_printf(&s->out, "%s\"SPECIAL-USE\"", blank);
	buf_adds(&s->out, "))");
}

static void
out_item(struct imap_session *s, struct imap_request *req, const struct list_state *st,
    const struct list_item *item)
{
	buf_adds(&s->out, "* LIST ");
	out_attributes(s, st, item);
	buf_printf(&s->out, " \"%c\" ", IMAP_DELIMITER);
	imap_out_mailbox(s, item->name);
	if (item->childinfo)
		out_childinfo(s, st->query.select);
	buf_adds(&s->out, "\r\n");
	if (!item->selected || (item->attributes & MAILBOX_NONEXISTENT) != 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(EXTRAS); i++)
		if (st->wants[i])
			EXTRAS[i].send(s, req, item, st->extra_args[i]);
}

static enum imap_result
answer(struct imap_session *s, struct imap_request *req, struct list_state *st)
{
	while (st->at < st->count) {
		out_item(s, req, st, &st->items[st->at++]);
		if (imap_out_full(s))
			return IMAP_MORE;
	}
	return IMAP_OK;
}

/* LIST.  RFC 9051 §6.3.9, with LIST-EXTENDED (RFC 5258), SPECIAL-USE (RFC 6154) and LIST-STATUS
 * (RFC 5819). */
static enum imap_result
list_run(struct imap_session *s, struct imap_request *req)
{
	struct list_state *st = req->state;
	enum store_err err;

	if (st != NULL)
		return answer(s, req, st);
	st = arena_zalloc(req->arena, sizeof(*st));
	if (!parse(s, req, st))
		return imap_bad(req, "Not a LIST this server understands");
	if (st->delimiter_only && !st->extended) {
		imap_untagged(s, "LIST (\\Noselect) \"%c\" \"\"", IMAP_DELIMITER);
		return IMAP_OK;
	}
	req->state = st;
	req->state_free = state_free;
	err = imap_list_all(s, &st->query, &st->list);
	if (err != STORE_OK)
		return imap_finish(req, err);
	imap_list_select(&st->list, &st->query, req->arena, &st->items, &st->count);
	return answer(s, req, st);
}

const struct imap_command imap_cmd_list = {
	.name = "LIST",
	.rfc = "RFC 9051 6.3.9",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = list_run,
};
