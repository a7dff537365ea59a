/* The arguments of NOTIFY SET, and the sources of ESEARCH, whatever the bytes. */
#include <stddef.h>
#include <stdint.h>

#include "imapd/notify_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const NAMES[] = { "INBOX", "a/b", "Other Users/bob/x" };
	struct str text = { (const char *)data, size };
	struct cursor c = cursor_from(text);
	struct arena a = { 0 };
	struct notify_plan plan;
	struct mailbox_filter filter;

	if (notify_plan_parse(&c, &a, size % 2 == 0, &plan) == NOTIFY_PARSED) {
		for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
			notify_plan_events(
			    &plan, &(struct mailbox_candidate){ NAMES[i], i < 2, i == 1 });
		notify_plan_selected(&plan);
		notify_plan_all_events(&plan);
		notify_plan_has_others(&plan);
	}
	c = cursor_from(text);
	if (imap_parse_mailbox_filter(&c, &a, true, MAILBOX_FILTERS_ESEARCH, &filter))
		mailbox_filter_covers(&filter, &(struct mailbox_candidate){ "a/b", true, false });
	arena_free(&a);
	return 0;
}
