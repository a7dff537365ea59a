/* The list of actions: conflicts, limits, duplicates, the implicit keep.  RFC 5228 §2.10. */
#include "filter/sieve/edit_part.h"
#include "filter/sieve/run_internal.h"
#include "filter/sieve/sieve.h"

#define DELIVERS 1u /* puts or sends the message somewhere */
#define REFUSES  2u
#define ANSWERS  4u

/* What an action is, for what it excludes: a refused message must not be delivered too (RFC 5429 §2.4), and
 * its sender gets one answer, not two (RFC 5230 §4.7). */
static const struct {
	unsigned is, excludes;
	bool once;
	const char *name;
} KINDS[] = {
	[FILTER_KEEP] = { DELIVERS, REFUSES, false, "keep" },
	[FILTER_FILEINTO] = { DELIVERS, REFUSES, false, "fileinto" },
	[FILTER_REDIRECT] = { DELIVERS, REFUSES, false, "redirect" },
	[FILTER_DISCARD] = { 0, 0, false, "discard" },
	[FILTER_REJECT] = { REFUSES, DELIVERS | ANSWERS, true, "reject" },
	[FILTER_VACATION] = { ANSWERS, REFUSES, true, "vacation" },
	[FILTER_NOTIFY] = { 0, 0, false, "notify" },
	[FILTER_REPORT] = { 0, 0, false, "report" },
};

static bool
check_conflicts(struct sieve_run *r, unsigned line, enum filter_action_kind kind)
{
	size_t redirects = 0;

	for (size_t i = 0; i < r->result->action_count; i++) {
		const struct filter_action *other = &r->result->actions[i];

		redirects += other->kind == FILTER_REDIRECT;
		if (KINDS[kind].once && other->kind == kind)
			return sieve_run_error(r, line, "there is a %s already in line %u",
			    KINDS[kind].name, other->line);
		if ((KINDS[kind].excludes & KINDS[other->kind].is) != 0)
			return sieve_run_error(r, line,
			    "%s cannot be together with the %s of line %u", KINDS[kind].name,
			    KINDS[other->kind].name, other->line);
	}
	if (kind == FILTER_REDIRECT && redirects >= FILTER_REDIRECTS_MAX)
		return sieve_run_error(
		    r, line, "there are more than %d redirects", FILTER_REDIRECTS_MAX);
	if (r->result->action_count >= FILTER_ACTIONS_MAX)
		return sieve_run_error(
		    r, line, "there are more than %d actions", FILTER_ACTIONS_MAX);
	return true;
}

static struct filter_action *
action_add(struct sieve_run *r, unsigned line, enum filter_action_kind kind)
{
	struct filter_action *a;

	if (!check_conflicts(r, line, kind))
		return NULL;
	a = &r->result->actions[r->result->action_count++];
	*a = (struct filter_action){ .kind = kind, .line = line, .edit = sieve_message_edit(r) };
	if (kind == FILTER_REDIRECT)
		a->edit = sieve_edit_unenclosed(r);
	return a;
}

struct filter_action *
sieve_action_add(struct sieve_run *r, const struct sieve_call *call, enum filter_action_kind kind)
{
	return action_add(r, call->line, kind);
}

void
sieve_action_drop(struct sieve_run *r)
{
	r->result->action_count--;
}

void
sieve_cancel_keep(struct sieve_run *r)
{
	r->private->keep_cancelled = true;
}

bool
sieve_remember(struct sieve_run *r, unsigned line, const char *key, uint64_t seconds)
{
	if (r->result->memory_count >= FILTER_MEMORIES_MAX)
		return sieve_run_error(
		    r, line, "there is more than %d things to remember", FILTER_MEMORIES_MAX);
	r->result->memories[r->result->memory_count++] = (struct filter_memory){ key, seconds };
	return true;
}

/* Into where the keep would leave it: INBOX, or the mailbox that it lies in. */
static bool
keeps(const struct sieve_run *r, const struct filter_action *a)
{
	const char *home = r->message->mailbox;

	if (a->kind != FILTER_FILEINTO)
		return a->kind == FILTER_KEEP;
	if (home == NULL || ascii_eq_nocase(home, "INBOX"))
		return ascii_eq_nocase(a->store.mailbox, "INBOX");
	return strcmp(a->store.mailbox, home) == 0;
}

bool
sieve_actions_end(struct sieve_run *r)
{
	struct filter_action *a;

	r->result->seen = r->private->keep_cancelled;
	r->result->edit = sieve_message_edit(r);
	if (r->private->keep_cancelled)
		return true;
	for (size_t i = 0; i < r->result->action_count; i++)
		if (keeps(r, &r->result->actions[i]))
			return true; /* with :copy: it is there already */
	a = action_add(r, 0, FILTER_KEEP);
	if (a == NULL)
		return false;
	a->implicit = true;
	sieve_store_flags(r, r->flags, &a->store);
	return true;
}
