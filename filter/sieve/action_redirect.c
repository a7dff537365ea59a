/* redirect, RFC 5228 §4.2; :copy RFC 3894, :list RFC 6134 §2.6, :notify and its like RFC 6009. */
#include "filter/sieve/ext_dsn.h"
#include "filter/sieve/specs.h"
#include "store/address.h"

static const struct sieve_tag_spec REDIRECT_TAGS[] = {
	{ .name = "copy", .id = SIEVE_TAG_COPY, .cap = SIEVE_CAP_COPY },
	{ .name = "list", .id = SIEVE_TAG_LIST, .cap = SIEVE_CAP_EXTLISTS },
	{ 0 },
};

/* Reading addresses is tolerant of what comes behind them; a redirect must not guess.  True if `text` is
 * "name <spec>", or `spec` but for blanks in it. */
static bool
is_nothing_but(struct str text, struct str spec)
{
	size_t angle = str_find(text, STR("<")), at = 0;

	if (angle != SIZE_MAX)
		return text.p[text.len - 1] == '>';
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == ' ' || text.p[i] == '\t')
			continue;
		if (at >= spec.len || text.p[i] != spec.p[at++])
			return false;
	}
	return at == spec.len;
}

/* A mailbox of RFC 5322 §3.4, with or without a name: its addr-spec.  False: it is none. */
static bool
take_address(struct str text, struct buf *out)
{
	struct arena arena = { 0 };
	const struct address *a;
	bool ok = address_is_valid(text);
	struct str spec;

	buf_reset(out);
	if (ok) {
		buf_add(out, text.p, text.len);
		return true;
	}
	a = address_parse(&arena, text);
	if (a != NULL && a->next == NULL && a->domain.p != NULL && !a->broken) {
		address_spec(out, a);
		spec = (struct str){ out->data, out->len };
		ok = spec.len > 0 && address_is_valid(spec) && is_nothing_but(text, spec);
	}
	arena_free(&arena);
	return ok;
}

static bool
redirect_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_string *to = &call->args[0]->strings[0];
	struct buf address = { 0 };
	bool ok;

	if (!sieve_is_constant(to) || sieve_tag(call, SIEVE_TAG_LIST) != NULL)
		return true;
	ok = take_address(str_trim(to->text), &address);
	buf_free(&address);
	if (!ok)
		return sieve_check_error(c, call->line, "'%.*s' is no mail address",
		    to->text.len > 80 ? 80 : (int)to->text.len, to->text.p);
	return true;
}

/* Letter case counts in local parts only, RFC 5321 §2.4. */
static bool
is_same_address(const char *a, const char *b)
{
	const char *a_at = strrchr(a, '@'), *b_at = strrchr(b, '@');

	return a_at != NULL && b_at != NULL && a_at - a == b_at - b &&
	       memcmp(a, b, (size_t)(a_at - a)) == 0 && ascii_eq_nocase(a_at, b_at);
}

/* The same address gets the message once, RFC 5228 §2.10.3. */
static bool
has_been(const struct sieve_run *r, const char *to)
{
	for (size_t i = 0; i < r->result->action_count; i++)
		if (r->result->actions[i].kind == FILTER_REDIRECT &&
		    is_same_address(r->result->actions[i].redirect.to, to))
			return true;
	return false;
}

static bool
redirect_to(struct sieve_run *r, const struct sieve_call *call, struct str text, bool listed)
{
	struct buf address = { 0 };
	struct filter_action *a;
	const char *to;

	if (!take_address(str_trim(text), &address)) {
		buf_free(&address);
		return sieve_run_error(r, call->line, "'%.*s' is no mail address",
		    text.len > 80 ? 80 : (int)text.len, text.p);
	}
	to = sieve_cstr(r, (struct str){ address.data, address.len });
	buf_free(&address);
	sieve_trace(r, call->line, "  to <%s>", to);
	if (has_been(r, to))
		return true;
	a = sieve_action_add(r, call, FILTER_REDIRECT);
	if (a == NULL)
		return false;
	a->redirect.to = to;
	a->redirect.listed = listed;
	return sieve_dsn_redirect(r, call, &a->redirect);
}

static bool
redirect_to_list(struct sieve_run *r, const struct sieve_call *call, const char *list)
{
	const struct filter_surroundings *around = r->around;
	enum filter_answer answer = FILTER_NO;
	const char **members = NULL;
	size_t count = 0;

	if (around->list_members != NULL)
		answer = around->list_members(around->arg, r->arena, list, &members, &count);
	if (answer == FILTER_FAILED)
		return sieve_run_tempfail(r, call->line, "list \"%s\" cannot be read", list);
	if (answer == FILTER_NO)
		return sieve_run_error(r, call->line, "there is no list \"%s\"", list);
	for (size_t i = 0; i < count; i++)
		if (!redirect_to(r, call, str_from(members[i]), true))
			return false;
	return true;
}

static bool
redirect_run(struct sieve_run *r, const struct sieve_call *call)
{
	struct str to = sieve_expand(r, &call->args[0]->strings[0]);

	if (sieve_run_failed(r))
		return false;
	if (sieve_tag(call, SIEVE_TAG_COPY) == NULL)
		sieve_cancel_keep(r);
	if (sieve_tag(call, SIEVE_TAG_LIST) != NULL)
		return redirect_to_list(r, call, sieve_cstr(r, to));
	return redirect_to(r, call, to, false);
}

const struct sieve_spec SIEVE_REDIRECT_SPECS[] = {
	{ .name = "redirect",
	    .kind = SIEVE_ACTION,
	    .tags = { REDIRECT_TAGS, SIEVE_DSN_REDIRECT_TAGS },
	    .args = { SIEVE_STRING },
	    .check = redirect_check,
	    .run = redirect_run },
	{ 0 },
};
