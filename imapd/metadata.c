#include "imapd/metadata.h"

#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "imapd/imapd.h"
#include "imapd/parse.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/account.h"
#include "store/state.h"
#include "store/state_metadata.h"

#define SHARED        "/shared"
#define PRIVATE       "/private"
#define SCRIPT_PREFIX "/shared/imapsieve/"

/* --- arguments ---------------------------------------------------------------------------------- */

bool
imap_parse_metadata_entry(
    struct cursor *c, struct arena *a, const char **entry_out, const char **why_out)
{
	struct str text;

	*why_out = "Entry expected";
	if (!imap_parse_astring(c, a, &text))
		return false;
	*why_out = "Not a possible entry name";
	/* the two roots are names to look below */
	if (!str_eq_nocase(text, STR(PRIVATE)) && !str_eq_nocase(text, STR(SHARED)) &&
	    !state_metadata_entry_is_valid(text) &&
	    !state_metadata_entry_is_valid(
		(struct str){ arena_printf(a, "%.*s/x/x", (int)text.len, text.p), text.len + 4 }))
		return false;
	*entry_out = arena_strndup(a, text.p, text.len);
	return true;
}

bool
imap_parse_metadata_entries(
    struct cursor *c, struct arena *a, const char **entries, size_t *count_out)
{
	bool list = cursor_take(c, '(');
	const char *why;

	*count_out = 0;
	do {
		if (*count_out == IMAP_METADATA_ENTRIES_MAX ||
		    !imap_parse_metadata_entry(c, a, &entries[*count_out], &why))
			return false;
		++*count_out;
	} while (list && imap_parse_sp(c));
	return !list || cursor_take(c, ')');
}

/* The empty name stands for the server. */
bool
imap_arg_metadata_place(struct imap_session *s, struct imap_request *req, struct imap_place *place,
    const struct imap_place **place_out)
{
	struct cursor ahead = req->args;
	struct str text;

	if (imap_parse_sp(&ahead) && imap_parse_astring(&ahead, req->arena, &text) &&
	    text.len == 0) {
		req->args = ahead;
		*place_out = NULL;
		return true;
	}
	*place_out = place;
	return imap_arg_place(s, req, place);
}

/* --- opening ------------------------------------------------------------------------------------ */

bool
imap_metadata_is_shared(const char *entry)
{
	return str_eq_nocase(str_from(entry), STR(SHARED)) ||
	       str_has_prefix_nocase(str_from(entry), STR(SHARED "/"));
}

enum store_err
imap_metadata_open(struct imap_metadata *m, struct imap_session *s, struct arena *arena,
    const struct imap_place *place)
{
	char id[STORE_MAILBOX_ID_MAX];
	enum store_err err = STORE_OK;

	*m = (struct imap_metadata){ .s = s, .arena = arena, .place = place };
	if (place == NULL)
		return STORE_OK;
	err = account_mailbox_id(place->acct, place->name, id);
	if (err == STORE_OK)
		m->mailbox_id = arena_strdup(arena, id);
	return err;
}

void
imap_metadata_close(struct imap_metadata *m)
{
	if (m->owner != m->own)
		state_close(m->owner);
	state_close(m->own);
	m->own = m->owner = NULL;
}

/* NULL with STORE_NOT_FOUND: the account has none yet. */
enum store_err
imap_metadata_state(struct imap_metadata *m, bool shared, bool create, struct state **st_out)
{
	bool of_owner = shared && m->place != NULL && !m->place->own;
	struct account *acct = of_owner ? m->place->acct : m->s->acct;
	struct state **st = of_owner ? &m->owner : &m->own;
	enum store_err err = STORE_OK;

	if (*st == NULL)
		err = state_open(account_dir_fd(acct), create, account_log(acct), st);
	*st_out = *st;
	return err;
}

bool
imap_metadata_may(struct imap_request *req, const struct imap_place *place, bool sets,
    const char *entry, enum imap_result *result_out)
{
	unsigned any = ACL_SEEN | ACL_WRITE | ACL_INSERT | ACL_POST;

	if (place == NULL)
		return true;
	if (!imap_place_may(req, place, ACL_LOOKUP, result_out))
		return false;
	if (!sets || !imap_metadata_is_shared(entry))
		any |= ACL_READ;
	else if (str_has_prefix_nocase(str_from(entry), STR(SCRIPT_PREFIX)))
		any = ACL_ADMIN;
	if ((place->rights & any) != 0)
		return true;
	*result_out = imap_no(req, "NOPERM", "Your rights on the mailbox do not allow that");
	return false;
}

/* --- getting ------------------------------------------------------------------------------------ */

static void
add_value(struct imap_metadata *m, const struct imap_metadata_query *q,
    struct imap_metadata_answer *answer, const char *entry, struct str value)
{
	struct imap_metadata_value *v;

	if (value.p != NULL && q->has_max && value.len > q->max_bytes) {
		if (value.len > answer->longest_bytes)
			answer->longest_bytes = value.len;
		return;
	}
	for (size_t i = 0; i < answer->count; i++)
		if (ascii_eq_nocase(answer->values[i].entry, entry))
			return;
	if (answer->count == answer->cap) {
		struct imap_metadata_value *bigger;

		answer->cap = answer->cap > 0 ? 2 * answer->cap : 16;
		bigger = arena_alloc(m->arena, answer->cap * sizeof(*bigger));
		if (answer->count > 0)
			memcpy(bigger, answer->values, answer->count * sizeof(*bigger));
		answer->values = bigger;
	}
	v = &answer->values[answer->count++];
	v->entry = arena_strdup(m->arena, entry);
	v->value = value;
	if (value.p != NULL)
		v->value.p = arena_strndup(m->arena, value.p, value.len);
}

/* What the administrator says of the server, §6.2; read-only. */
static const struct {
	const char *entry, *setting;
} COMPUTED[] = {
	{ "/shared/admin", "imapd.server_admin" },
	{ "/shared/comment", "imapd.server_comment" },
};

bool
imap_metadata_is_computed(const struct imap_metadata *m, const char *entry, struct str *value_out)
{
	for (size_t i = 0; m->place == NULL && i < ARRAY_LEN(COMPUTED); i++) {
		const char *text;

		if (!ascii_eq_nocase(entry, COMPUTED[i].entry))
			continue;
		text = config_string(m->s->imapd->config, COMPUTED[i].setting);
		*value_out =
		    text != NULL && *text != '\0' ? str_from(text) : (struct str){ NULL, 0 };
		return true;
	}
	return false;
}

static enum store_err
get_one(struct imap_metadata *m, const struct imap_metadata_query *q, const char *entry,
    struct imap_metadata_answer *answer)
{
	struct str value = { NULL, 0 };
	struct state *st;
	enum store_err err = STORE_OK;

	if (!imap_metadata_is_computed(m, entry, &value)) {
		err = imap_metadata_state(m, imap_metadata_is_shared(entry), false, &st);
		if (err == STORE_OK)
			err = state_metadata_get(st, m->arena, m->mailbox_id, entry, &value);
		if (err != STORE_OK)
			value = (struct str){ NULL, 0 };
	}
	if (err == STORE_NOT_FOUND)
		err = STORE_OK;
	/* Only what was asked for by name is said to have no value. */
	if (err == STORE_OK && (value.p != NULL || q->depth == 0))
		add_value(m, q, answer, entry, value);
	return err;
}

struct below {
	struct imap_metadata *m;
	const struct imap_metadata_query *query;
	struct imap_metadata_answer *answer;
	struct str root;
};

/* Is `entry` below root, and no deeper than asked for? */
static bool
is_below(const struct below *b, const char *entry)
{
	struct str s = str_from(entry);
	uint32_t levels = 0;

	if (s.len <= b->root.len || !str_has_prefix_nocase(s, b->root) || s.p[b->root.len] != '/')
		return false;
	for (size_t i = b->root.len; i < s.len; i++)
		levels += s.p[i] == '/';
	return levels <= b->query->depth;
}

static bool
on_entry(void *arg, const char *entry, struct str value)
{
	struct below *b = arg;
	struct str computed;

	if (is_below(b, entry) && !imap_metadata_is_computed(b->m, entry, &computed))
		add_value(b->m, b->query, b->answer, entry, value);
	return true;
}

static enum store_err
get_below(struct imap_metadata *m, const struct imap_metadata_query *q, const char *root,
    struct imap_metadata_answer *answer)
{
	struct below b = { m, q, answer, str_from(root) };
	struct state *st;
	enum store_err err;

	for (size_t i = 0; i < ARRAY_LEN(COMPUTED); i++) {
		struct str value;

		if (is_below(&b, COMPUTED[i].entry) &&
		    imap_metadata_is_computed(m, COMPUTED[i].entry, &value) && value.p != NULL)
			add_value(m, q, answer, COMPUTED[i].entry, value);
	}
	err = imap_metadata_state(m, imap_metadata_is_shared(root), false, &st);
	if (err == STORE_OK)
		err = state_metadata_list(st, m->mailbox_id, on_entry, &b);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
imap_metadata_get(struct imap_metadata *m, const struct imap_metadata_query *query,
    struct imap_metadata_answer *answer_out)
{
	enum store_err err = STORE_OK;

	*answer_out = (struct imap_metadata_answer){ 0 };
	for (size_t i = 0; err == STORE_OK && i < query->entry_count; i++) {
		err = get_one(m, query, query->entries[i], answer_out);
		if (err == STORE_OK && query->depth > 0)
			err = get_below(m, query, query->entries[i], answer_out);
	}
	return err;
}

/* metadata-resp = "METADATA" SP mailbox SP entry-values */
bool
imap_metadata_send(struct imap_session *s, const struct imap_place *place,
    const struct imap_metadata_answer *answer, size_t *at)
{
	bool first = true;

	if (*at == answer->count)
		return true;
	buf_adds(&s->out, "* METADATA ");
	imap_out_mailbox(s, place != NULL ? place->shown : "");
	buf_adds(&s->out, " (");
	while (*at < answer->count && (first || !imap_out_full(s))) {
		const struct imap_metadata_value *v = &answer->values[(*at)++];

		if (!first)
			buf_addc(&s->out, ' ');
		first = false;
		imap_out_astring(&s->out, str_from(v->entry));
		buf_addc(&s->out, ' ');
		imap_out_nstring(&s->out, v->value);
	}
	buf_adds(&s->out, ")\r\n");
	return *at == answer->count;
}

enum store_err
imap_metadata_shared(struct account *acct, const char *mailbox, const char *entry, struct arena *a,
    struct str *value_out)
{
	char id[STORE_MAILBOX_ID_MAX];
	struct state *st;
	enum store_err err = state_open(account_dir_fd(acct), false, account_log(acct), &st);

	if (err != STORE_OK)
		return err;
	if (mailbox != NULL)
		err = account_mailbox_id(acct, mailbox, id);
	if (err == STORE_OK)
		err = state_metadata_get(st, a, mailbox != NULL ? id : NULL, entry, value_out);
	state_close(st);
	return err;
}

/* --- mailboxes come and go ---------------------------------------------------------------------- */

/* Who annotated somebody else's mailbox in private keeps a few rows that nobody asks for: ids are never given again. */
void
imap_metadata_deleted(struct imap_session *s, const struct imap_place *place, const char *id)
{
	if (*id == '\0')
		return;
	if (state_metadata_forget(account_dir_fd(place->acct), id, account_log(place->acct)) !=
	    STORE_OK)
		log_warn(s->log, "metadata", "account=%s mailbox=%s left=annotations",
		    account_address(place->acct), place->name);
	if (!place->own)
		state_metadata_forget(account_dir_fd(s->acct), id, account_log(s->acct));
}

/* INBOX keeps its own. */
void
imap_metadata_inbox_renamed(struct imap_session *s, struct account *acct, const char *to)
{
	char from_id[STORE_MAILBOX_ID_MAX], to_id[STORE_MAILBOX_ID_MAX];
	struct state *st;
	enum store_err err = state_open(account_dir_fd(acct), false, account_log(acct), &st);

	if (err != STORE_OK)
		return;
	err = account_mailbox_id(acct, "INBOX", from_id);
	if (err == STORE_OK)
		err = account_mailbox_id(acct, to, to_id);
	if (err == STORE_OK)
		err = state_metadata_copy(st, from_id, to_id);
	if (err != STORE_OK)
		log_warn(s->log, "metadata", "account=%s mailbox=%s error=%s",
		    account_address(acct), to, store_err_text(err));
	state_close(st);
}
