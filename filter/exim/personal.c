/* `personal`: is this message to its owner, from a person, and not from a list or a machine? */
#include "filter/exim/addresses.h"
#include "filter/exim/expand.h"
#include "filter/exim/regex.h"
#include "filter/exim/run.h"
#include "filter/surroundings.h"

static bool
is_list_header(struct str name)
{
	static const char *const NAMES[] = { "List-Id", "List-Help", "List-Subscribe",
		"List-Unsubscribe", "List-Post", "List-Owner", "List-Archive" };

	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
		if (str_eq_nocase(name, str_from(NAMES[i])))
			return true;
	return false;
}

static bool
holds_nocase(struct str text, const char *word)
{
	struct str needle = str_from(word);

	for (size_t i = 0; i + needle.len <= text.len; i++)
		if (str_has_prefix_nocase((struct str){ text.p + i, text.len - i }, needle))
			return true;
	return false;
}

/* A header that only lists, robots or bulk senders write. */
static bool
from_machine(struct exim_run *x)
{
	for (size_t i = 0; i < x->view.field_count; i++) {
		const struct header_field *f = &x->view.fields[i];

		if (is_list_header(f->name))
			return true;
		if (str_eq_nocase(f->name, STR("Auto-Submitted")) &&
		    !str_eq_nocase(str_trim(f->value), STR("no")))
			return true;
		if (str_eq_nocase(f->name, STR("Precedence")) &&
		    (holds_nocase(f->value, "bulk") || holds_nocase(f->value, "list") ||
			holds_nocase(f->value, "junk")))
			return true;
	}
	return x->message->sender == NULL || x->message->sender[0] == '\0';
}

/* The account's address, also with its detail, the given aliases, and what the account has besides. */
static bool
is_own(struct exim_run *x, const struct exim_condition *c, struct str address)
{
	const struct filter_surroundings *around = x->options->around;
	struct str own = str_from(x->message->account != NULL ? x->message->account : "");
	struct str with_suffix = str_from(
	    arena_printf(&x->scratch, "%s%s@%s", x->local_part.p, x->suffix.p, x->domain.p));

	if (str_eq_nocase(address, own) || str_eq_nocase(address, with_suffix))
		return true;
	for (size_t i = 0; i < c->alias_count; i++)
		if (str_eq_nocase(address, c->aliases[i]))
			return true;
	if (around == NULL || around->is_own_address == NULL)
		return false;
	switch (around->is_own_address(around->arg, address)) {
	case FILTER_YES: return true;
	case FILTER_NO: return false;
	default: x->tempfail = true; return false;
	}
}

static bool
is_machine_address(struct str address)
{
	static const char *const STARTS[] = { "server@", "daemon@", "root@", "listserv@",
		"majordomo@" };
	struct str local, domain;

	for (size_t i = 0; i < ARRAY_LEN(STARTS); i++)
		if (str_has_prefix_nocase(address, str_from(STARTS[i])))
			return true;
	exim_address_split(address, &local, &domain);
	if (holds_nocase(address, "-request@"))
		return true;
	return local.len > 6 && domain.len > 0 && str_has_prefix_nocase(local, STR("owner-"));
}

/* Does one of the addresses in the headers of that name pass? */
static bool
any_address(struct exim_run *x, const struct exim_condition *c, struct str name, bool from)
{
	for (size_t i = 0; i < x->view.field_count; i++) {
		const struct header_field *f = &x->view.fields[i];
		struct cursor at = cursor_from(f->value);
		struct str member, address;
		const char *why;

		if (!str_eq_nocase(f->name, name))
			continue;
		while (exim_address_next(&at, &member)) {
			if (!exim_step(x))
				return false;
			if (!exim_address(&x->scratch, member, &address, &why))
				break; /* Exim reads no further in this header */
			if (is_own(x, c, address) || (from && is_machine_address(address)))
				return true;
		}
	}
	return false;
}

bool
exim_personal(struct exim_run *x, const struct exim_condition *c, bool *out)
{
	*out = !from_machine(x) && any_address(x, c, STR("To"), false) &&
	       !any_address(x, c, STR("From"), true);
	exim_trace(x, "personal: %s", *out != c->negated ? "true" : "false");
	return !x->over_limit && !x->tempfail;
}
