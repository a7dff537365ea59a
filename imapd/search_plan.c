#include "imapd/search_plan.h"

#include "imapd/fetch_plan.h"

#include "store/charset.h"

#define DAY_S    86400
#define NO_LOWER INT64_MIN
#define NO_UPPER INT64_MAX

struct parser {
	struct cursor *c;
	struct arena *a;
	struct search_plan *plan;
	struct str charset;
	int64_t now_s;
	size_t key_count;
	bool beyond; /* of the depth or number of keys */
	int fuzzy;   /* FUZZY keys that the one in hand is in */
};

struct key_row;
typedef bool key_parser(
    struct parser *p, const struct key_row *row, struct search_node *node, int depth);

struct key_row {
	const char *name;
	key_parser *parse;
	enum search_op op;
	unsigned flags;
	const char *header;
};

static bool parse_key(struct parser *p, struct search_node *parent, int depth);

/* --- nodes ------------------------------------------------------------------------------------- */

/* In front: the order of keys means nothing. */
static void
add_child(struct search_node *parent, struct search_node *child)
{
	child->next = parent->children;
	parent->children = child;
}

static struct search_node *
new_node(struct parser *p, struct search_node *parent, enum search_op op)
{
	struct search_node *node = arena_zalloc(p->a, sizeof(*node));

	node->op = op;
	add_child(parent, node);
	return node;
}

static size_t
add_text(struct parser *p, struct search_key key)
{
	struct search_plan *plan = p->plan;

	if (plan->key_count == plan->key_cap) {
		size_t cap = plan->key_cap == 0 ? 8 : plan->key_cap * 2;
		struct search_key *keys = arena_alloc(p->a, cap * sizeof(*keys));

		if (plan->key_count > 0)
			memcpy(keys, plan->keys, plan->key_count * sizeof(*keys));
		plan->keys = keys;
		plan->key_cap = cap;
	}
	plan->keys[plan->key_count] = key;
	return plan->key_count++;
}

/* --- keys without arguments, numbers, dates ---------------------------------------------------- */

static bool
key_none(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	(void)p;
	(void)depth;
	node->op = row->op;
	node->flags = row->flags;
	return true;
}

/* NEW is RECENT UNSEEN, RFC 3501 §6.4.4. */
static bool
key_new(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	(void)row;
	(void)depth;
	node->op = SEARCH_AND;
	new_node(p, node, SEARCH_FLAGS_SET)->flags = MESSAGE_RECENT;
	new_node(p, node, SEARCH_FLAGS_CLEAR)->flags = MESSAGE_SEEN;
	return true;
}

static bool
key_number(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	(void)depth;
	node->op = row->op;
	return imap_parse_sp(p->c) && imap_parse_number64(p->c, &node->number);
}

/* flag-keyword = atom; a system flag written here is no keyword and found in no message. */
static bool
key_keyword(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	struct str name;

	(void)depth;
	if (!imap_parse_sp(p->c) || !imap_parse_atom(p->c, &name))
		return false;
	if (row->op == SEARCH_NOT) {
		node->op = SEARCH_NOT;
		node = new_node(p, node, SEARCH_KEYWORD);
	}
	node->op = SEARCH_KEYWORD;
	node->keyword.name = arena_strndup(p->a, name.p, name.len);
	return true;
}

/* Which days from `day` on (or up to it) a date key means. */
enum date_kind { DATE_BEFORE, DATE_ON, DATE_SINCE };

static bool
key_date(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	int64_t unit = row->op == SEARCH_SENT ? 1 : DAY_S;
	int32_t day;

	(void)depth;
	node->op = row->op;
	if (!imap_parse_sp(p->c) || !imap_parse_date(p->c, &day))
		return false;
	node->range.low = row->flags == DATE_BEFORE ? NO_LOWER : day * unit;
	node->range.high = row->flags == DATE_SINCE    ? NO_UPPER
			   : row->flags == DATE_BEFORE ? day * unit
						       : (day + (int64_t)1) * unit;
	p->plan->uses_sent |= row->op == SEARCH_SENT;
	return true;
}

static bool
is_objectid_char(char c)
{
	return ascii_is_alnum(c) || c == '_' || c == '-';
}

/* objectid = 1*255(ALPHA / DIGIT / "_" / "-"), case-sensitive, RFC 8474 §7 */
static bool
key_objectid(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	struct str id;

	(void)depth;
	node->op = row->op;
	if (!imap_parse_sp(p->c))
		return false;
	id = cursor_take_while(p->c, is_objectid_char);
	node->object.possible = message_id_parse((char)row->flags, id, node->object.id);
	p->plan->uses_ids |= node->object.possible;
	return id.len > 0 && id.len <= 255;
}

/* OLDER and YOUNGER: an interval in seconds, counted back from now, RFC 5032 §3; a message exactly
 * that old is both. */
static bool
key_age(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	uint32_t age_s;

	(void)depth;
	node->op = SEARCH_INTERNAL;
	if (!imap_parse_sp(p->c) || !imap_parse_nz_number(p->c, &age_s))
		return false;
	node->range.low = row->flags == DATE_SINCE ? p->now_s - age_s : NO_LOWER;
	node->range.high = row->flags == DATE_SINCE ? NO_UPPER : p->now_s - age_s + 1;
	return true;
}

/* "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer, RFC 7162 §7.  We keep one
 * mod-sequence per message: the entry is read and says nothing. */
static bool
key_modseq(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	struct str entry, type;

	(void)row;
	(void)depth;
	node->op = SEARCH_MODSEQ;
	p->plan->uses_modseq = true;
	if (!imap_parse_sp(p->c))
		return false;
	if (cursor_peek(p->c) == '"') {
		if (!imap_parse_quoted(p->c, p->a, &entry) || !imap_parse_sp(p->c) ||
		    !imap_parse_atom(p->c, &type) || !imap_parse_sp(p->c))
			return false;
		if (!str_eq_nocase(type, STR("priv")) && !str_eq_nocase(type, STR("shared")) &&
		    !str_eq_nocase(type, STR("all")))
			return false;
	}
	return imap_parse_number64(p->c, &node->number);
}

/* --- texts ------------------------------------------------------------------------------------- */

/* The client's charset to UTF-8.  Without CHARSET the text is read as UTF-8, of which US-ASCII is a
 * part, RFC 9051 §6.4.4. */
static struct str
to_utf8(struct parser *p, struct str text)
{
	struct buf b = { 0 };

	charset_to_utf8(&b, p->charset, text);
	text = (struct str){ arena_strndup(p->a, b.len > 0 ? b.data : "", b.len), b.len };
	buf_free(&b);
	return text;
}

static bool
key_text(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	struct search_key key = { .where = (enum search_where)row->flags, .fuzzy = p->fuzzy > 0 };
	struct str text;

	(void)depth;
	node->op = SEARCH_STRING;
	if (row->header != NULL)
		key.header = str_from(row->header);
	else if (key.where == SEARCH_HEADER &&
		 (!imap_parse_sp(p->c) || !imap_parse_astring(p->c, p->a, &key.header)))
		return false;
	if (!imap_parse_sp(p->c) || !imap_parse_astring(p->c, p->a, &text))
		return false;
	key.text = to_utf8(p, text);
	node->key = add_text(p, key);
	return true;
}

/* --- keys of keys ------------------------------------------------------------------------------ */

static bool
key_not(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	node->op = row->op;
	return imap_parse_sp(p->c) && parse_key(p, node, depth + 1);
}

static bool
key_or(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	node->op = row->op;
	return imap_parse_sp(p->c) && parse_key(p, node, depth + 1) && imap_parse_sp(p->c) &&
	       parse_key(p, node, depth + 1);
}

/* "FUZZY" SP search-key, RFC 6203 §7.  Texts match by their words; dates, sizes, flags and sets are matched exactly,
 * which §5 allows. */
static bool
key_fuzzy(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	bool ok;

	node->op = row->op;
	p->plan->uses_fuzzy = true;
	if (!imap_parse_sp(p->c))
		return false;
	p->fuzzy++;
	ok = parse_key(p, node, depth + 1);
	p->fuzzy--;
	return ok;
}

static bool
key_uid(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	(void)depth;
	node->op = row->op;
	node->set.uid = true;
	return imap_parse_sp(p->c) && imap_parse_sequence_set(p->c, p->a, &node->set.wire);
}

enum uids_than { UIDS_ABOVE, UIDS_BELOW };

/* UIDAFTER and UIDBEFORE: higher and lower than that, RFC 9738 §3.2; "UIDBEFORE 1" finds nothing. */
static bool
key_uid_than(struct parser *p, const struct key_row *row, struct search_node *node, int depth)
{
	struct imap_range *range = arena_alloc(p->a, sizeof(*range));
	uint32_t uid;

	(void)depth;
	node->op = row->op;
	node->set.uid = true;
	if (!imap_parse_sp(p->c) || !imap_parse_nz_number(p->c, &uid))
		return false;
	*range = row->flags == UIDS_BELOW ? (struct imap_range){ 1, uid - 1 }
		 : uid < UINT32_MAX       ? (struct imap_range){ uid + 1, UINT32_MAX - 1 }
					  : (struct imap_range){ UINT32_MAX, 0 };
	node->set.wire.ranges = range;
	node->set.wire.count = range->low <= range->high;
	return true;
}

/* "(" search-key *(SP search-key) ")" */
static bool
parse_list(struct parser *p, struct search_node *parent, int depth)
{
	struct search_node *list = new_node(p, parent, SEARCH_AND);

	do {
		if (!parse_key(p, list, depth + 1))
			return false;
	} while (cursor_take(p->c, ' '));
	return cursor_take(p->c, ')');
}

static bool
parse_set(struct parser *p, struct search_node *parent)
{
	struct search_node *node = new_node(p, parent, SEARCH_SET);

	if (!imap_parse_sequence_set(p->c, p->a, &node->set.wire))
		return false;
	p->plan->uses_numbers |= !node->set.wire.saved;
	return true;
}

static const struct key_row KEYS[] = {
	{ "ALL", key_none, SEARCH_AND, 0, NULL },
	{ "ANSWERED", key_none, SEARCH_FLAGS_SET, MESSAGE_ANSWERED, NULL },
	{ "BCC", key_text, SEARCH_STRING, SEARCH_ADDRESSES, "Bcc" },
	{ "BEFORE", key_date, SEARCH_INTERNAL, DATE_BEFORE, NULL },
	{ "BODY", key_text, SEARCH_STRING, SEARCH_BODY, NULL },
	{ "CC", key_text, SEARCH_STRING, SEARCH_ADDRESSES, "Cc" },
	{ "DELETED", key_none, SEARCH_FLAGS_SET, MESSAGE_DELETED, NULL },
	{ "DRAFT", key_none, SEARCH_FLAGS_SET, MESSAGE_DRAFT, NULL },
	{ "EMAILID", key_objectid, SEARCH_EMAILID, 'M', NULL },
	{ "FLAGGED", key_none, SEARCH_FLAGS_SET, MESSAGE_FLAGGED, NULL },
	{ "FROM", key_text, SEARCH_STRING, SEARCH_ADDRESSES, "From" },
	{ "FUZZY", key_fuzzy, SEARCH_AND, 0, NULL },
	{ "HEADER", key_text, SEARCH_STRING, SEARCH_HEADER, NULL },
	{ "KEYWORD", key_keyword, SEARCH_KEYWORD, 0, NULL },
	{ "LARGER", key_number, SEARCH_LARGER, 0, NULL },
	{ "MODSEQ", key_modseq, SEARCH_MODSEQ, 0, NULL },
	{ "NEW", key_new, SEARCH_AND, 0, NULL },
	{ "NOT", key_not, SEARCH_NOT, 0, NULL },
	{ "OLD", key_none, SEARCH_FLAGS_CLEAR, MESSAGE_RECENT, NULL },
	{ "OLDER", key_age, SEARCH_INTERNAL, DATE_BEFORE, NULL },
	{ "ON", key_date, SEARCH_INTERNAL, DATE_ON, NULL },
	{ "OR", key_or, SEARCH_OR, 0, NULL },
	{ "RECENT", key_none, SEARCH_FLAGS_SET, MESSAGE_RECENT, NULL },
	{ "SAVEDATESUPPORTED", key_none, SEARCH_AND, 0, NULL }, /* RFC 8514 §4.3: here by all */
	{ "SAVEDBEFORE", key_date, SEARCH_SAVED, DATE_BEFORE, NULL },
	{ "SAVEDON", key_date, SEARCH_SAVED, DATE_ON, NULL },
	{ "SAVEDSINCE", key_date, SEARCH_SAVED, DATE_SINCE, NULL },
	{ "SEEN", key_none, SEARCH_FLAGS_SET, MESSAGE_SEEN, NULL },
	{ "SENTBEFORE", key_date, SEARCH_SENT, DATE_BEFORE, NULL },
	{ "SENTON", key_date, SEARCH_SENT, DATE_ON, NULL },
	{ "SENTSINCE", key_date, SEARCH_SENT, DATE_SINCE, NULL },
	{ "SINCE", key_date, SEARCH_INTERNAL, DATE_SINCE, NULL },
	{ "SMALLER", key_number, SEARCH_SMALLER, 0, NULL },
	{ "SUBJECT", key_text, SEARCH_STRING, SEARCH_HEADER, "Subject" },
	{ "TEXT", key_text, SEARCH_STRING, SEARCH_TEXT, NULL },
	{ "THREADID", key_objectid, SEARCH_THREADID, 'T', NULL },
	{ "TO", key_text, SEARCH_STRING, SEARCH_ADDRESSES, "To" },
	{ "UID", key_uid, SEARCH_SET, 0, NULL },
	{ "UIDAFTER", key_uid_than, SEARCH_SET, UIDS_ABOVE, NULL },
	{ "UIDBEFORE", key_uid_than, SEARCH_SET, UIDS_BELOW, NULL },
	{ "UNANSWERED", key_none, SEARCH_FLAGS_CLEAR, MESSAGE_ANSWERED, NULL },
	{ "UNDELETED", key_none, SEARCH_FLAGS_CLEAR, MESSAGE_DELETED, NULL },
	{ "UNDRAFT", key_none, SEARCH_FLAGS_CLEAR, MESSAGE_DRAFT, NULL },
	{ "UNFLAGGED", key_none, SEARCH_FLAGS_CLEAR, MESSAGE_FLAGGED, NULL },
	{ "UNKEYWORD", key_keyword, SEARCH_NOT, 0, NULL },
	{ "UNSEEN", key_none, SEARCH_FLAGS_CLEAR, MESSAGE_SEEN, NULL },
	{ "YOUNGER", key_age, SEARCH_INTERNAL, DATE_SINCE, NULL },
};

/* search-key, RFC 9051 §9; depth is bounded, so the recursion is */
static bool
parse_key(struct parser *p, struct search_node *parent, int depth)
{
	int first = cursor_peek(p->c);
	struct str name;

	if (depth > SEARCH_DEPTH_MAX || ++p->key_count > SEARCH_KEYS_MAX) {
		p->beyond = true;
		return false;
	}
	if (cursor_take(p->c, '('))
		return parse_list(p, parent, depth);
	if (first == '*' || first == '$' || ascii_is_digit((char)first))
		return parse_set(p, parent);
	name = cursor_take_while(p->c, ascii_is_alpha);
	for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
		if (str_eq_nocase(name, str_from(KEYS[i].name)))
			return KEYS[i].parse(p, &KEYS[i], new_node(p, parent, KEYS[i].op), depth);
	return false;
}

/* --- the command ------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	unsigned bit;
} RETURNS[] = {
	{ "ALL", SEARCH_RETURN_ALL },
	{ "CONTEXT", SEARCH_RETURN_CONTEXT },
	{ "COUNT", SEARCH_RETURN_COUNT },
	{ "MAX", SEARCH_RETURN_MAX },
	{ "MIN", SEARCH_RETURN_MIN },
	{ "PARTIAL", SEARCH_RETURN_PARTIAL },
	{ "RELEVANCY", SEARCH_RETURN_RELEVANCY },
	{ "SAVE", SEARCH_RETURN_SAVE },
	{ "UPDATE", SEARCH_RETURN_UPDATE },
};

/* modifier-partial = "PARTIAL" SP partial-range: once, and not with ALL, RFC 9394 §3.1 */
static bool
parse_return_partial(struct cursor *c, struct search_plan *plan)
{
	return (plan->returns & (SEARCH_RETURN_PARTIAL | SEARCH_RETURN_ALL)) == 0 &&
	       imap_parse_sp(c) && imap_parse_partial(c, &plan->partial);
}

/* modifier-update = "UPDATE" ["(" fetch-att *(SP fetch-att) ")"], RFC 5465 §8; its example (§7) has a SP between them. */
static bool
parse_return_update(struct cursor *c, struct search_plan *plan)
{
	struct cursor at = *c;
	struct arena arena = { 0 };
	struct fetch_plan fetch = { 0 };
	bool ok;

	cursor_take(&at, ' ');
	if (!cursor_take(&at, '('))
		return true;
	*c = at;
	ok = fetch_plan_parse_atts(c, &arena, &fetch);
	arena_free(&arena);
	plan->update_atts = (struct str){ at.p, (size_t)(c->p - at.p) };
	return ok && cursor_take(c, ')');
}

static bool
parse_return_opt(struct cursor *c, struct search_plan *plan)
{
	struct str name = cursor_take_while(c, ascii_is_alpha);

	for (size_t i = 0; i < ARRAY_LEN(RETURNS); i++) {
		unsigned bit = RETURNS[i].bit;

		if (!str_eq_nocase(name, str_from(RETURNS[i].name)))
			continue;
		if (bit == SEARCH_RETURN_UPDATE && !parse_return_update(c, plan))
			return false;
		if (bit == SEARCH_RETURN_PARTIAL && !parse_return_partial(c, plan))
			return false;
		if (bit == SEARCH_RETURN_ALL && (plan->returns & SEARCH_RETURN_PARTIAL) != 0)
			return false;
		plan->returns |= bit;
		return true;
	}
	return false;
}

/* search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")",
 * RFC 9051 §9; "()" means ALL */
bool
search_parse_returns(struct cursor *c, struct search_plan *plan)
{
	struct cursor at = *c;

	if (!imap_parse_sp(&at) || !cursor_take_nocase(&at, STR("RETURN")) || !imap_parse_sp(&at))
		return true;
	*c = at;
	plan->has_return = true;
	if (!cursor_take(c, '('))
		return false;
	if (cursor_take(c, ')')) {
		plan->returns = SEARCH_RETURN_ALL;
		return true;
	}
	do {
		if (!parse_return_opt(c, plan))
			return false;
	} while (cursor_take(c, ' '));
	if (plan->returns == SEARCH_RETURN_CONTEXT) /* a hint, and nothing asked for: as "()" */
		plan->returns |= SEARCH_RETURN_ALL;
	return cursor_take(c, ')');
}

/* "CHARSET" SP charset SP; charset = atom / quoted, and a literal is taken too */
static bool
parse_charset(struct parser *p)
{
	struct cursor at = *p->c;

	p->charset = STR("UTF-8");
	if (!cursor_take_nocase(&at, STR("CHARSET")) || !imap_parse_sp(&at))
		return true;
	*p->c = at;
	p->plan->names_charset = true;
	return imap_parse_astring(p->c, p->a, &p->charset) && imap_parse_sp(p->c);
}

enum search_parsed
search_parse_program(struct cursor *c, struct arena *a, int64_t now_s, enum search_charset charset,
    struct search_plan *plan)
{
	struct parser p = { .c = c, .a = a, .plan = plan, .now_s = now_s };

	if (charset == SEARCH_CHARSET_OPTIONAL
		? !parse_charset(&p)
		: !imap_parse_astring(c, a, &p.charset) || !imap_parse_sp(c))
		return SEARCH_SYNTAX;
	if (!charset_known(p.charset))
		return SEARCH_CHARSET;
	do {
		if (!parse_key(&p, &plan->root, 0))
			return p.beyond ? SEARCH_BEYOND : SEARCH_SYNTAX;
	} while (cursor_take(c, ' '));
	if ((plan->returns & SEARCH_RETURN_RELEVANCY) != 0 && !plan->uses_fuzzy)
		return SEARCH_SYNTAX; /* RFC 6203 §4 */
	return cursor_at_end(c) ? SEARCH_PARSED : SEARCH_SYNTAX;
}

enum search_parsed
search_plan_parse(struct cursor *c, struct arena *a, int64_t now_s, struct search_plan *plan_out)
{
	*plan_out = (struct search_plan){ .root = { .op = SEARCH_AND } };
	if (!search_parse_returns(c, plan_out) || !imap_parse_sp(c))
		return SEARCH_SYNTAX;
	return search_parse_program(c, a, now_s, SEARCH_CHARSET_OPTIONAL, plan_out);
}
