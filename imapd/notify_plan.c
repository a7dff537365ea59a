#include "imapd/notify_plan.h"

#include "imapd/parse.h"

#define GROUP_MIN_BYTES 14 /* " (inboxes (X))" */
#define SELECTED_KINDS  (MAILBOX_FILTER_SELECTED | MAILBOX_FILTER_SELECTED_DELAYED)

/* AnnotationChange (RFC 5257) is not among them: no message has annotations. */
static const struct {
	struct str name;
	enum notify_event event;
} EVENTS[] = {
	{ STR("MessageNew"), NOTIFY_MESSAGE_NEW },
	{ STR("MessageExpunge"), NOTIFY_MESSAGE_EXPUNGE },
	{ STR("FlagChange"), NOTIFY_FLAG_CHANGE },
	{ STR("MailboxName"), NOTIFY_MAILBOX_NAME },
	{ STR("SubscriptionChange"), NOTIFY_SUBSCRIPTION },
	{ STR("MailboxMetadataChange"), NOTIFY_MAILBOX_METADATA },
	{ STR("ServerMetadataChange"), NOTIFY_SERVER_METADATA },
};

/* One decides about its kinds of event: see notify_plan_events(). */
static const unsigned EVENT_KINDS[] = {
	NOTIFY_MESSAGES,
	NOTIFY_MAILBOX_NAME,
	NOTIFY_SUBSCRIPTION,
	NOTIFY_MAILBOX_METADATA,
	NOTIFY_SERVER_METADATA,
};

void
notify_out_events(struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(EVENTS); i++)
		buf_printf(out, "%s%s", i > 0 ? " " : "", EVENTS[i].name.p);
}

/* --- grammar ----------------------------------------------------------------------------------- */

/* [SP "(" fetch-att *(SP fetch-att) ")"], only for the selected mailbox */
static bool
parse_fetch(struct cursor *c, struct arena *a, struct notify_group *group)
{
	struct cursor at = *c;
	struct fetch_plan *plan;

	if (!imap_parse_sp(&at) || !cursor_take(&at, '('))
		return true;
	if ((group->filter.kind & SELECTED_KINDS) == 0)
		return false;
	*c = at;
	plan = arena_zalloc(a, sizeof(*plan));
	group->fetch = plan;
	return fetch_plan_parse_atts(c, a, plan) && cursor_take(c, ')');
}

/* event = message-event / mailbox-event / user-event / event-ext; event-ext = atom */
static bool
parse_event(struct cursor *c, struct arena *a, struct notify_group *group, bool *unknown)
{
	unsigned event = 0;
	struct str name;

	if (!imap_parse_atom(c, &name))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(EVENTS); i++)
		if (str_eq_nocase(name, EVENTS[i].name))
			event = EVENTS[i].event;
	group->events |= event;
	if (event == 0)
		*unknown = true;
	return event != NOTIFY_MESSAGE_NEW || parse_fetch(c, a, group);
}

/* What must come together, and what a selected mailbox has, RFC 5465 §5 and §6.1. */
static bool
events_fit(const struct notify_group *group)
{
	unsigned both = NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE;

	if ((group->events & NOTIFY_MESSAGES) != 0 && (group->events & both) != both)
		return false;
	return (group->filter.kind & SELECTED_KINDS) == 0 ||
	       (group->events & ~(unsigned)NOTIFY_MESSAGES) == 0;
}

/* events = ( "(" event *(SP event) ")" ) / "NONE" */
static bool
parse_events(struct cursor *c, struct arena *a, struct notify_group *group, bool *unknown)
{
	if (cursor_take_nocase(c, STR("NONE")))
		return true;
	if (!cursor_take(c, '('))
		return false;
	do {
		if (!parse_event(c, a, group, unknown))
			return false;
	} while (imap_parse_sp(c));
	return cursor_take(c, ')') && (*unknown || events_fit(group));
}

/* event-group = "(" filter-mailboxes SP events ")" */
static bool
parse_group(struct cursor *c, struct arena *a, bool utf7, struct notify_group *group, bool *unknown)
{
	return cursor_take(c, '(') &&
	       imap_parse_mailbox_filter(c, a, utf7, MAILBOX_FILTERS_NOTIFY, &group->filter) &&
	       imap_parse_sp(c) && parse_events(c, a, group, unknown) && cursor_take(c, ')');
}

static bool
is_second_selected(const struct notify_plan *plan, const struct notify_group *group)
{
	return (group->filter.kind & SELECTED_KINDS) != 0 && notify_plan_selected(plan) != NULL;
}

/* notify-set = "SET" [SP "STATUS"] SP event-group *(SP event-group) */
enum notify_parsed
notify_plan_parse(struct cursor *c, struct arena *a, bool utf7, struct notify_plan *plan_out)
{
	size_t room = cursor_left(c) / GROUP_MIN_BYTES + 1;
	size_t max = room < NOTIFY_GROUPS_MAX ? room : NOTIFY_GROUPS_MAX;
	struct notify_group group;
	bool unknown = false;

	*plan_out = (struct notify_plan){ 0 };
	plan_out->groups = arena_alloc(a, max * sizeof(*plan_out->groups));
	plan_out->status = cursor_take_nocase(c, STR(" STATUS"));
	do {
		group = (struct notify_group){ 0 };
		if (plan_out->group_count == max || !imap_parse_sp(c) ||
		    !parse_group(c, a, utf7, &group, &unknown) ||
		    is_second_selected(plan_out, &group))
			return NOTIFY_SYNTAX;
		plan_out->groups[plan_out->group_count++] = group;
	} while (!cursor_at_end(c));
	return unknown ? NOTIFY_BAD_EVENT : NOTIFY_PARSED;
}

/* --- what it wants ----------------------------------------------------------------------------- */

const struct notify_group *
notify_plan_selected(const struct notify_plan *plan)
{
	for (size_t i = 0; i < plan->group_count; i++)
		if ((plan->groups[i].filter.kind & SELECTED_KINDS) != 0)
			return &plan->groups[i];
	return NULL;
}

unsigned
notify_plan_events(const struct notify_plan *plan, const struct mailbox_candidate *candidate)
{
	unsigned events = 0, open = 0;

	for (size_t k = 0; k < ARRAY_LEN(EVENT_KINDS); k++)
		open |= EVENT_KINDS[k];
	for (size_t i = 0; i < plan->group_count && open != 0; i++) {
		const struct notify_group *group = &plan->groups[i];

		if (!mailbox_filter_covers(&group->filter, candidate))
			continue;
		events |= group->events & open;
		for (size_t k = 0; k < ARRAY_LEN(EVENT_KINDS); k++)
			if (group->events == 0 || (group->events & EVENT_KINDS[k]) != 0)
				open &= ~EVENT_KINDS[k];
	}
	return events;
}

unsigned
notify_plan_all_events(const struct notify_plan *plan)
{
	unsigned events = 0;

	for (size_t i = 0; i < plan->group_count; i++)
		if ((plan->groups[i].filter.kind & SELECTED_KINDS) == 0)
			events |= plan->groups[i].events;
	return events;
}

bool
notify_plan_has_others(const struct notify_plan *plan)
{
	for (size_t i = 0; i < plan->group_count; i++)
		if (mailbox_filter_reaches_others(&plan->groups[i].filter))
			return true;
	return false;
}
