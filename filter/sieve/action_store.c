/* keep, fileinto, discard: RFC 5228 §4.1, §4.3, §4.4; :copy RFC 3894, :flags RFC 5232, :create RFC 5490,
 * :specialuse RFC 8579, :mailboxid RFC 9042. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"
#include "store/mailbox.h"

#define MAILBOX_NAME_MAX_BYTES 1024
#define FLAGS_MAX              256 /* of one message; further ones are dropped */

bool
sieve_is_special_use(struct str use)
{
	if (use.len < 2 || use.p[0] != '\\')
		return false;
	for (size_t i = 1; i < use.len; i++)
		if (use.p[i] <= ' ' || use.p[i] >= 127 || strchr("(){%*\"\\]", use.p[i]) != NULL)
			return false;
	return true;
}

static bool
specialuse_check(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	const struct sieve_string *use = &arg->strings[0];

	(void)call;
	if (sieve_is_constant(use) && !sieve_is_special_use(use->text))
		return sieve_check_error(c, arg->line, "'%.*s' is no special use",
		    use->text.len > 60 ? 60 : (int)use->text.len, use->text.p);
	return true;
}

const struct sieve_tag_spec SIEVE_STORE_TAGS[] = {
	{ .name = "flags",
	    .id = SIEVE_TAG_FLAGS,
	    .cap = SIEVE_CAP_IMAP4FLAGS,
	    .value = SIEVE_STRINGS },
	{ .name = "create", .id = SIEVE_TAG_CREATE, .cap = SIEVE_CAP_MAILBOX },
	{ .name = "specialuse",
	    .id = SIEVE_TAG_SPECIALUSE,
	    .cap = SIEVE_CAP_SPECIAL_USE,
	    .value = SIEVE_STRING,
	    .group = SIEVE_GROUP_MAILBOX, /* one or the other: RFC 9042 */
	    .check = specialuse_check },
	{ .name = "mailboxid",
	    .id = SIEVE_TAG_MAILBOXID,
	    .cap = SIEVE_CAP_MAILBOXID,
	    .value = SIEVE_STRING,
	    .group = SIEVE_GROUP_MAILBOX },
	{ 0 },
};

/* --- flags --- */

static const struct {
	const char *name;
	unsigned flag;
} SYSTEM_FLAGS[] = {
	{ "\\Answered", MESSAGE_ANSWERED },
	{ "\\Flagged", MESSAGE_FLAGGED },
	{ "\\Deleted", MESSAGE_DELETED },
	{ "\\Seen", MESSAGE_SEEN },
	{ "\\Draft", MESSAGE_DRAFT },
};

static bool
is_not_blank(char c)
{
	return c != ' ' && c != '\t' && c != '\r' && c != '\n';
}

static void
add_keyword(struct sieve_run *r, struct filter_store *store, struct str name)
{
	for (size_t i = 0; i < store->keyword_count; i++)
		if (str_eq_nocase(str_from(store->keywords[i]), name))
			return;
	if (store->keyword_count < FLAGS_MAX)
		store->keywords[store->keyword_count++] = sieve_cstr(r, name);
}

void
sieve_store_flags(struct sieve_run *r, struct str flags, struct filter_store *store)
{
	struct cursor c = cursor_from(flags);
	size_t most = flags.len / 2 + 1;

	store->flags = 0;
	store->keyword_count = 0;
	if (flags.len == 0)
		return;
	store->keywords =
	    arena_alloc(r->arena, (most < FLAGS_MAX ? most : FLAGS_MAX) * sizeof(*store->keywords));
	while (!cursor_at_end(&c)) {
		struct str word = cursor_take_while(&c, is_not_blank);

		if (word.len > 0 && *word.p == '\\') {
			for (size_t i = 0; i < ARRAY_LEN(SYSTEM_FLAGS); i++)
				if (str_eq_nocase(word, str_from(SYSTEM_FLAGS[i].name)))
					store->flags |= SYSTEM_FLAGS[i].flag;
		} else if (word.len > 0) {
			add_keyword(r, store, word);
		}
		if (!cursor_at_end(&c))
			c.p++;
	}
}

/* --- where --- */

bool
sieve_mailbox_check(struct sieve_run *r, unsigned line, struct str name)
{
	if (name.len == 0 || name.len > MAILBOX_NAME_MAX_BYTES || !text_is_utf8(name))
		return sieve_run_error(r, line, "'%.*s' is no name of a mailbox",
		    name.len > 60 ? 60 : (int)name.len, name.p);
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.p[i] < ' ' || name.p[i] == 127)
			return sieve_run_error(
			    r, line, "the name of a mailbox has a control character");
	return true;
}

/* Asks the account for a mailbox by what it is for, or by its id; *store_out is unchanged if there is none. */
static bool
find_mailbox(struct sieve_run *r, const struct sieve_call *call,
    enum filter_answer (*find)(void *, struct arena *, const char *, const char **),
    const char *what, struct filter_store *store_out)
{
	const char *mailbox = NULL;

	if (find == NULL)
		return true;
	switch (find(r->around->arg, r->arena, what, &mailbox)) {
	case FILTER_FAILED:
		return sieve_run_tempfail(r, call->line, "mailboxes cannot be looked up");
	case FILTER_YES: store_out->mailbox = mailbox; return true;
	default: return true;
	}
}

bool
sieve_store_fill(struct sieve_run *r, const struct sieve_call *call, const char *mailbox,
    struct filter_store *store_out)
{
	const struct sieve_arg *flags = sieve_tag(call, SIEVE_TAG_FLAGS);
	const char *use = sieve_tag_cstr(r, call, SIEVE_TAG_SPECIALUSE);
	const char *id = sieve_tag_cstr(r, call, SIEVE_TAG_MAILBOXID);
	struct buf text = { 0 };

	*store_out = (struct filter_store){ .mailbox = mailbox };
	if (mailbox != NULL && !sieve_mailbox_check(r, call->line, str_from(mailbox)))
		return false;
	store_out->create = sieve_tag(call, SIEVE_TAG_CREATE) != NULL;
	if (use != NULL) {
		if (!sieve_is_special_use(str_from(use)))
			return sieve_run_error(r, call->line, "'%.60s' is no special use", use);
		store_out->special_use = use;
		if (!find_mailbox(r, call, r->around->mailbox_by_use, use, store_out))
			return false;
	}
	if (id != NULL && !find_mailbox(r, call, r->around->mailbox_by_id, id, store_out))
		return false;
	if (flags == NULL) {
		sieve_store_flags(r, r->flags, store_out);
		return true;
	}
	for (size_t i = 0; i < flags->count; i++) {
		struct str s = sieve_expand(r, &flags->strings[i]);

		buf_add(&text, s.p, s.len);
		buf_addc(&text, ' ');
	}
	sieve_store_flags(r, (struct str){ text.data, text.len }, store_out);
	buf_free(&text);
	return !sieve_run_failed(r);
}

/* --- actions --- */

static const char *
store_name(const struct filter_action *a)
{
	return a->store.mailbox == NULL || ascii_eq_nocase(a->store.mailbox, "INBOX")
		   ? "INBOX"
		   : a->store.mailbox;
}

/* A message is stored once in a mailbox: RFC 5228 §2.10.3.  Of two, the flags of the later one count. */
static void
merge(struct sieve_run *r, struct filter_action *last)
{
	for (struct filter_action *a = r->result->actions; a < last; a++) {
		if ((a->kind != FILTER_KEEP && a->kind != FILTER_FILEINTO) ||
		    strcmp(store_name(a), store_name(last)) != 0)
			continue;
		a->store.flags = last->store.flags;
		a->store.keywords = last->store.keywords;
		a->store.keyword_count = last->store.keyword_count;
		a->store.create |= last->store.create;
		sieve_action_drop(r);
		return;
	}
}

static bool
store_run(struct sieve_run *r, const struct sieve_call *call)
{
	bool keep = call->args[0] == NULL;
	const char *mailbox = keep ? NULL : sieve_expand_cstr(r, &call->args[0]->strings[0]);
	struct filter_action *a;

	if (sieve_run_failed(r))
		return false;
	a = sieve_action_add(r, call, keep ? FILTER_KEEP : FILTER_FILEINTO);
	if (a == NULL || !sieve_store_fill(r, call, mailbox, &a->store))
		return false;
	if (mailbox != NULL)
		sieve_trace(r, call->line, "  into \"%s\"", a->store.mailbox);
	merge(r, a);
	if (sieve_tag(call, SIEVE_TAG_COPY) == NULL)
		sieve_cancel_keep(r);
	return true;
}

static bool
fileinto_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_string *name = &call->args[0]->strings[0];

	if (sieve_is_constant(name) &&
	    (name->text.len == 0 || name->text.len > MAILBOX_NAME_MAX_BYTES))
		return sieve_check_error(c, call->line, "fileinto needs the name of a mailbox");
	return true;
}

static bool
discard_run(struct sieve_run *r, const struct sieve_call *call)
{
	for (size_t i = 0; i < r->result->action_count; i++)
		if (r->result->actions[i].kind == FILTER_DISCARD)
			return true;
	sieve_cancel_keep(r);
	return sieve_action_add(r, call, FILTER_DISCARD) != NULL;
}

static const struct sieve_tag_spec FILEINTO_TAGS[] = {
	{ .name = "copy", .id = SIEVE_TAG_COPY, .cap = SIEVE_CAP_COPY },
	{ 0 },
};

static const struct sieve_tag_spec KEEP_TAGS[] = {
	{ .name = "flags",
	    .id = SIEVE_TAG_FLAGS,
	    .cap = SIEVE_CAP_IMAP4FLAGS,
	    .value = SIEVE_STRINGS },
	{ 0 },
};

const struct sieve_spec SIEVE_STORE_SPECS[] = {
	{ .name = "keep", .kind = SIEVE_ACTION, .tags = { KEEP_TAGS }, .run = store_run },
	{ .name = "fileinto",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_FILEINTO,
	    .tags = { FILEINTO_TAGS, SIEVE_STORE_TAGS },
	    .args = { SIEVE_STRING },
	    .check = fileinto_check,
	    .run = store_run },
	{ .name = "discard", .kind = SIEVE_ACTION, .run = discard_run },
	{ 0 },
};
