/* The arguments of FETCH, STORE, SEARCH and SORT, whatever the bytes. */
#include <stddef.h>
#include <stdint.h>

#include "imapd/fetch_plan.h"
#include "imapd/search_plan.h"
#include "imapd/sort.h"
#include "imapd/store_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* SORT's: return options, criteria, the charset first. */
static void
sort_arguments(struct str text, struct arena *a)
{
	struct search_plan plan = { 0 };
	struct cursor c = cursor_from(text);
	struct sort_plan sort;

	if (search_parse_returns(&c, &plan) && imap_parse_sp(&c) && sort_plan_parse(&c, &sort) &&
	    imap_parse_sp(&c))
		search_parse_program(&c, a, 1000000000, SEARCH_CHARSET_FIRST, &plan);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct message ROW = { .seq = 1, .uid = 1 };
	struct str text = { (const char *)data, size };
	struct search_facts facts = { .row = &ROW };
	struct mailbox_query query = { 0 };
	struct cursor c = cursor_from(text);
	struct uidset within = { 0 };
	struct arena a = { 0 };
	struct fetch_plan fetch;
	struct store_plan store;
	struct search_plan search;

	fetch_plan_parse(&c, &a, &fetch);
	c = cursor_from(text);
	store_plan_parse(&c, &a, &store);
	c = cursor_from(text);
	if (search_plan_parse(&c, &a, 1000000000, &search) == SEARCH_PARSED) {
		search_eval(&search.root, &facts);
		search_push_down(&search, &query, &within);
		search_unbind(&search);
	}
	sort_arguments(text, &a);
	uidset_free(&within);
	arena_free(&a);
	return 0;
}
