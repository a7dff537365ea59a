#include "filter/sieve/reply.h"

#include "store/address.h"

bool
sieve_reply_is_mailbox(struct str text)
{
	struct arena arena = { 0 };
	const struct address *a = address_parse(&arena, text);
	bool is =
	    a != NULL && a->next == NULL && !a->broken && a->mailbox.len > 0 && a->domain.len > 0;

	arena_free(&arena);
	return is;
}

bool
sieve_reply_check_from(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	const struct sieve_string *from = &arg->strings[0];

	if (!sieve_is_constant(from) || sieve_reply_is_mailbox(from->text))
		return true;
	return sieve_check_error(c, arg->line, "%s: '%.*s' of :from is no mail address",
	    call->spec->name, from->text.len > 100 ? 100 : (int)from->text.len, from->text.p);
}

/* --- :fcc, RFC 8580 ----------------------------------------------------------------------------- */

const struct sieve_tag_spec SIEVE_FCC_TAGS[] = {
	{ .name = "fcc", .id = SIEVE_TAG_FCC, .cap = SIEVE_CAP_FCC, .value = SIEVE_STRING },
	{ 0 },
};

bool
sieve_fcc_check(struct sieve_check *c, const struct sieve_call *call)
{
	if (sieve_tag(call, SIEVE_TAG_FCC) != NULL)
		return true;
	for (const struct sieve_tag_spec *t = SIEVE_STORE_TAGS; t->name != NULL; t++)
		if (sieve_tag(call, t->id) != NULL)
			return sieve_check_error(c, call->line, "%s: :%s is of use only with :fcc",
			    call->spec->name, t->name);
	return true;
}

bool
sieve_fcc(struct sieve_run *r, const struct sieve_call *call, struct filter_store **fcc_out)
{
	const struct sieve_arg *arg = sieve_tag(call, SIEVE_TAG_FCC);
	struct filter_store *store;
	struct str name;

	*fcc_out = NULL;
	if (arg == NULL)
		return true;
	name = sieve_expand(r, &arg->strings[0]);
	if (sieve_run_failed(r) || !sieve_mailbox_check(r, call->line, name))
		return false;
	store = arena_zalloc(r->arena, sizeof(*store));
	if (!sieve_store_fill(r, call, sieve_cstr(r, name), store))
		return false;
	*fcc_out = store;
	return true;
}
