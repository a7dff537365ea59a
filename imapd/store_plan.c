#include "imapd/store_plan.h"

#include "imapd/parse.h"

static const struct {
	const char *name;
	enum flags_mode mode;
	bool silent;
} ITEMS[] = {
	{ "FLAGS", FLAGS_REPLACE, false },
	{ "FLAGS.SILENT", FLAGS_REPLACE, true },
	{ "+FLAGS", FLAGS_ADD, false },
	{ "+FLAGS.SILENT", FLAGS_ADD, true },
	{ "-FLAGS", FLAGS_REMOVE, false },
	{ "-FLAGS.SILENT", FLAGS_REMOVE, true },
};

static bool
is_item_char(char c)
{
	return ascii_is_alpha(c) || c == '.' || c == '+' || c == '-';
}

/* store-modifiers = SP "(" store-modifier *(SP store-modifier) ")", RFC 4466 §2.5; the only one is
 * "UNCHANGEDSINCE" SP mod-sequence-valzer, RFC 7162 §7 */
static bool
parse_modifiers(struct cursor *c, struct flags_change *change)
{
	if (!cursor_take(c, '('))
		return true;
	change->has_unchanged_since = true;
	return cursor_take_nocase(c, STR("UNCHANGEDSINCE")) && imap_parse_sp(c) &&
	       imap_parse_number64(c, &change->unchanged_since) && cursor_take(c, ')') &&
	       imap_parse_sp(c);
}

/* store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP …, RFC 9051 §9 */
static bool
parse_item(struct cursor *c, struct store_plan *plan)
{
	struct str name = cursor_take_while(c, is_item_char);

	for (size_t i = 0; i < ARRAY_LEN(ITEMS); i++) {
		if (!str_eq_nocase(name, str_from(ITEMS[i].name)))
			continue;
		plan->change.mode = ITEMS[i].mode;
		plan->silent = ITEMS[i].silent;
		return imap_parse_sp(c);
	}
	return false;
}

bool
store_plan_parse(struct cursor *c, struct arena *a, struct store_plan *plan_out)
{
	struct imap_flags flags;

	*plan_out = (struct store_plan){ 0 };
	if (!imap_parse_sp(c) || !parse_modifiers(c, &plan_out->change) ||
	    !parse_item(c, plan_out) || !imap_parse_store_flags(c, a, &flags))
		return false;
	plan_out->change.flags = flags.bits;
	plan_out->change.keywords = flags.keywords;
	plan_out->change.keyword_count = flags.keyword_count;
	plan_out->beyond = flags.beyond;
	return cursor_at_end(c);
}
