/* save and deliver. */
#include "filter/exim/addresses.h"
#include "filter/exim/commands.h"
#include "filter/exim/expand.h"
#include "filter/exim/folder.h"
#include "filter/exim/run.h"
#include "filter/surroundings.h"

/* Has the filter asked for this already?  One target gets the message once. */
static bool
saved_before(const struct exim_run *x, struct str path)
{
	for (size_t i = 0; i < x->result->action_count; i++) {
		const struct filter_action *a = &x->result->actions[i];

		if (a->kind == FILTER_SAVE && str_eq(str_from(a->path), path))
			return true;
	}
	return false;
}

bool
exim_run_save(struct exim_run *x, const struct exim_command *command)
{
	const char *home = x->options->around != NULL ? x->options->around->home : NULL;
	struct filter_action *action;
	struct str path;

	if (!exim_value(x, command->a, "save command", &path))
		return false;
	exim_trace(x, "%ssave to %.400s", command->seen ? "" : "unseen ", path.p);
	path = str_from(path.p); /* up to a NUL, as a path goes */
	if (saved_before(x, path))
		return true;
	action = exim_action(x, command, FILTER_SAVE);
	if (action == NULL)
		return false;
	action->path = arena_strndup(x->arena, path.p, path.len);
	action->store.create = true;
	action->store.mailbox = exim_folder(x->arena, path, home);
	return true;
}

static bool
same_address(struct str a, struct str b)
{
	struct str local[2], domain[2];

	exim_address_split(a, &local[0], &domain[0]);
	exim_address_split(b, &local[1], &domain[1]);
	return str_eq(local[0], local[1]) && str_eq_nocase(domain[0], domain[1]);
}

static bool
delivered_before(const struct exim_run *x, struct str address)
{
	for (size_t i = 0; i < x->result->action_count; i++) {
		const struct filter_action *a = &x->result->actions[i];

		if (a->kind == FILTER_DELIVER && same_address(str_from(a->redirect.to), address))
			return true;
		if (a->kind == FILTER_KEEP && address.len == 0)
			return true;
	}
	return false;
}

/* To itself, an account's mail goes into its INBOX. */
static bool
is_account(struct exim_run *x, struct str address)
{
	const struct filter_surroundings *around = x->options->around;
	enum filter_answer answer;

	if (str_eq_nocase(
		address, str_from(x->message->account != NULL ? x->message->account : "")))
		return true;
	if (x->suffix.len > 0 &&
	    str_eq_nocase(address, str_from(arena_printf(&x->scratch, "%s%s@%s", x->local_part.p,
				       x->suffix.p, x->domain.p))))
		return true;
	if (around == NULL || around->is_own_address == NULL)
		return false;
	answer = around->is_own_address(around->arg, address);
	x->tempfail |= answer == FILTER_FAILED;
	return answer == FILTER_YES;
}

static bool
errors_to_self(struct exim_run *x, const struct exim_command *command)
{
	struct str value, address;
	const char *why;

	if (!exim_value(x, command->b, "deliver command", &value))
		return false;
	if (exim_address(&x->scratch, value, &address, &why) &&
	    str_eq_nocase(address,
		str_from(arena_printf(&x->scratch, "%s@%s", x->local_part.p, x->domain.p))))
		return true;
	return exim_fail(x, FILTER_ERROR_EXPAND, "errors_to must point to the caller's address");
}

/* A second copy to the account, or one more address. */
static bool
add_delivery(struct exim_run *x, const struct exim_command *command, struct str address)
{
	bool self = is_account(x, address);
	struct filter_action *action;
	size_t count = 0;

	if (x->tempfail)
		return false;
	if (delivered_before(x, self ? (struct str){ "", 0 } : address))
		return true;
	for (size_t i = 0; i < x->result->action_count; i++)
		count += x->result->actions[i].kind == FILTER_DELIVER;
	if (!self && count == FILTER_REDIRECTS_MAX)
		return exim_fail(x, FILTER_ERROR_RUNTIME,
		    "the filter delivers to more than %d addresses", FILTER_REDIRECTS_MAX);
	action = exim_action(x, command, self ? FILTER_KEEP : FILTER_DELIVER);
	if (action != NULL && !self)
		action->redirect.to = arena_strndup(x->arena, address.p, address.len);
	return action != NULL;
}

bool
exim_run_deliver(struct exim_run *x, const struct exim_command *command)
{
	struct str value, address, local, domain;
	const char *why;

	if (!exim_value(x, command->a, "deliver command", &value))
		return false;
	if (!exim_address(&x->scratch, value, &address, &why))
		return exim_fail(x, FILTER_ERROR_EXPAND,
		    "malformed address \"%.150s\" in filter file: %.200s", value.p, why);
	if (command->has_b && !errors_to_self(x, command))
		return false;
	exim_address_split(address, &local, &domain);
	if (domain.len == 0 && exim_variable(x, STR("qualify_domain"), false, &domain))
		address = str_from(arena_printf(&x->scratch, "%s@%s", address.p, domain.p));
	exim_trace(x, "%sdeliver to %.400s", command->seen ? "" : "unseen ", address.p);
	return add_delivery(x, command, address);
}
