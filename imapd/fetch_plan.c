#include "imapd/fetch_plan.h"

#include <inttypes.h>

#include "imapd/parse.h"
#include "imapd/response.h"

/* Macros stand alone, without parentheses and other items, RFC 9051 §6.4.5. */
static const struct {
	const char *name;
	const char *items[6];
} MACROS[] = {
	{ "ALL", { "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE" } },
	{ "FAST", { "FLAGS", "INTERNALDATE", "RFC822.SIZE" } },
	{ "FULL", { "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY" } },
};

static const struct {
	const char *name;
	enum fetch_text text;
} SECTION_TEXTS[] = {
	{ "HEADER", FETCH_TEXT_HEADER },
	{ "HEADER.FIELDS", FETCH_TEXT_FIELDS },
	{ "HEADER.FIELDS.NOT", FETCH_TEXT_FIELDS_NOT },
	{ "TEXT", FETCH_TEXT_TEXT },
	{ "MIME", FETCH_TEXT_MIME },
};

/* --- items ------------------------------------------------------------------------------------- */

static bool
row_named(const struct fetch_row *row, struct str name, bool section)
{
	return str_eq_nocase(str_from(row->name), name) && (row->syntax != FETCH_PLAIN) == section;
}

static const struct fetch_row *
find_row(struct str name, bool section)
{
	for (size_t i = 0; i < FETCH_ROW_COUNT; i++)
		if (row_named(&FETCH_ROWS[i], name, section))
			return &FETCH_ROWS[i];
	return NULL;
}

static struct fetch_item *
add_item(struct fetch_plan *plan, struct arena *a, const struct fetch_row *row)
{
	struct fetch_item *item;

	if (plan->item_count == plan->item_cap) {
		size_t cap = plan->item_cap == 0 ? 8 : plan->item_cap * 2;
		struct fetch_item *items = arena_alloc(a, cap * sizeof(*items));

		if (plan->item_count > 0)
			memcpy(items, plan->items, plan->item_count * sizeof(*items));
		plan->items = items;
		plan->item_cap = cap;
	}
	item = &plan->items[plan->item_count++];
	*item = (struct fetch_item){ .row = row, .label = str_from(row->label) };
	item->section.text = row->text;
	plan->needs |= row->needs;
	return item;
}

static void
add_plain(struct fetch_plan *plan, struct arena *a, const struct fetch_row *row)
{
	for (size_t i = 0; i < plan->item_count; i++)
		if (plan->items[i].row == row)
			return;
	add_item(plan, a, row);
}

void
fetch_plan_add(struct fetch_plan *plan, struct arena *a, const char *name)
{
	add_plain(plan, a, find_row(str_from(name), false));
}

/* --- sections ---------------------------------------------------------------------------------- */

static bool
is_name_char(char c)
{
	return ascii_is_alnum(c) || c == '.';
}

/* header-list = "(" header-fld-name *(SP header-fld-name) ")", RFC 9051 §9 */
static bool
parse_header_list(struct cursor *c, struct arena *a, struct fetch_section *section)
{
	size_t cap = 0;

	if (!cursor_take(c, '('))
		return false;
	do {
		if (section->field_count == cap) {
			size_t more = cap == 0 ? 8 : cap * 2;
			struct str *fields = arena_alloc(a, more * sizeof(*fields));

			if (cap > 0)
				memcpy(fields, section->fields, cap * sizeof(*fields));
			section->fields = fields;
			cap = more;
		}
		if (!imap_parse_astring(c, a, &section->fields[section->field_count]))
			return false;
		section->field_count++;
	} while (cursor_take(c, ' '));
	return cursor_take(c, ')');
}

/* section-text = section-msgtext / "MIME", RFC 9051 §9; MIME only behind a part number */
static bool
parse_section_text(struct cursor *c, struct arena *a, struct fetch_section *section)
{
	struct str word = cursor_take_while(c, is_name_char);

	for (size_t i = 0; i < ARRAY_LEN(SECTION_TEXTS); i++) {
		if (!str_eq_nocase(word, str_from(SECTION_TEXTS[i].name)))
			continue;
		section->text = SECTION_TEXTS[i].text;
		if (section->text == FETCH_TEXT_MIME)
			return section->number_count > 0;
		if (section->text == FETCH_TEXT_FIELDS || section->text == FETCH_TEXT_FIELDS_NOT)
			return imap_parse_sp(c) && parse_header_list(c, a, section);
		return true;
	}
	return false;
}

/* section-part = nz-number *("." nz-number), and the dot before a section-text behind it */
static bool
parse_section_part(struct cursor *c, struct arena *a, struct fetch_section *section, bool *dot_out)
{
	uint32_t numbers[FETCH_SECTION_DEPTH_MAX];
	size_t n = 0;

	*dot_out = false;
	while (ascii_is_digit((char)cursor_peek(c))) {
		if (n == ARRAY_LEN(numbers) || !imap_parse_nz_number(c, &numbers[n]))
			return false;
		n++;
		*dot_out = cursor_take(c, '.');
		if (!*dot_out)
			break;
	}
	section->number_count = n;
	if (n > 0) {
		section->numbers = arena_alloc(a, n * sizeof(*numbers));
		memcpy(section->numbers, numbers, n * sizeof(*numbers));
	}
	return true;
}

/* section = "[" [section-spec] "]", section-binary = "[" [section-part] "]", RFC 9051 §9 */
static bool
parse_section(
    struct cursor *c, struct arena *a, enum fetch_syntax syntax, struct fetch_section *section)
{
	bool dot;

	if (!cursor_take(c, '[') || !parse_section_part(c, a, section, &dot))
		return false;
	if (cursor_take(c, ']'))
		return !dot;
	if (syntax != FETCH_SECTION || (section->number_count > 0 && !dot))
		return false;
	return parse_section_text(c, a, section) && cursor_take(c, ']');
}

bool
fetch_section_parse(const char *text, struct arena *a, struct fetch_section *section_out)
{
	struct cursor c = cursor_from(str_from(arena_printf(a, "[%s]", text)));

	*section_out = (struct fetch_section){ 0 };
	return parse_section(&c, a, FETCH_SECTION, section_out) && cursor_at_end(&c);
}

/* partial = "<" number64 "." nz-number64 ">", RFC 9051 §9 */
static bool
parse_partial(struct cursor *c, struct fetch_section *section)
{
	if (!cursor_take(c, '<'))
		return true;
	section->has_partial = true;
	return imap_parse_number64(c, &section->offset) && cursor_take(c, '.') &&
	       imap_parse_nz_number64(c, &section->count) && cursor_take(c, '>');
}

/* The name before the value, "BODY[1.HEADER.FIELDS (Date)]<0>": the section as it was understood. */
static struct str
section_label(struct arena *a, const char *name, const struct fetch_section *section)
{
	struct buf b = { 0 };
	struct str label;

	buf_printf(&b, "%s[", name);
	for (size_t i = 0; i < section->number_count; i++)
		buf_printf(&b, i == 0 ? "%" PRIu32 : ".%" PRIu32, section->numbers[i]);
	for (size_t i = 0; i < ARRAY_LEN(SECTION_TEXTS); i++) {
		if (SECTION_TEXTS[i].text == section->text) {
			buf_adds(&b, section->number_count > 0 ? "." : "");
			buf_adds(&b, SECTION_TEXTS[i].name);
		}
	}
	for (size_t i = 0; i < section->field_count; i++) {
		buf_adds(&b, i == 0 ? " (" : " ");
		imap_out_astring(&b, section->fields[i]);
	}
	buf_adds(&b, section->field_count > 0 ? ")]" : "]");
	if (section->has_partial)
		buf_printf(&b, "<%" PRIu64 ">", section->offset);
	label.len = b.len;
	label.p = arena_strndup(a, b.data, b.len);
	buf_free(&b);
	return label;
}

/* --- the list ---------------------------------------------------------------------------------- */

/* What the section of an item needs is less for the whole message: no table of parts. */
static unsigned
section_needs(const struct fetch_item *item)
{
	const struct fetch_section *s = &item->section;

	if (item->row->syntax == FETCH_SECTION &&
	    (s->number_count > 0 || s->text != FETCH_TEXT_ALL))
		return FETCH_NEEDS_PARTS;
	return 0;
}

/* [SP "(" preview-mod *(SP preview-mod) ")"], preview-mod = "LAZY", RFC 8970 §6; other parentheses are not ours. */
static bool
take_lazy(struct cursor *c)
{
	struct cursor at = *c;

	if (!imap_parse_sp(&at) || !cursor_take(&at, '('))
		return false;
	do {
		if (!cursor_take_nocase(&at, STR("LAZY")))
			return false;
	} while (cursor_take(&at, ' '));
	if (!cursor_take(&at, ')'))
		return false;
	*c = at;
	return true;
}

/* fetch-att, RFC 9051 §9 with RFC 3501 §9 and RFC 7162 §7 */
static bool
parse_att(struct cursor *c, struct arena *a, struct fetch_plan *plan)
{
	struct str name = cursor_take_while(c, is_name_char);
	const struct fetch_row *row = find_row(name, cursor_peek(c) == '[');
	struct fetch_item *item;

	if (row == NULL || plan->item_count >= FETCH_ITEMS_MAX)
		return false;
	if (row->syntax == FETCH_PLAIN) {
		if ((row->needs & FETCH_NEEDS_SUMMARY) != 0 &&
		    str_eq_nocase(name, STR("PREVIEW")) && take_lazy(c))
			row = find_row(STR(FETCH_PREVIEW_LAZY), false);
		add_plain(plan, a, row);
		return true;
	}
	item = add_item(plan, a, row);
	if (!parse_section(c, a, row->syntax, &item->section))
		return false;
	if (row->syntax != FETCH_SECTION_SIZE && !parse_partial(c, &item->section))
		return false;
	plan->needs |= section_needs(item);
	item->label = section_label(a, row->label, &item->section);
	return true;
}

static bool
parse_macro(struct cursor *c, struct arena *a, struct fetch_plan *plan)
{
	struct cursor at = *c;
	struct str name = cursor_take_while(&at, is_name_char);

	for (size_t i = 0; i < ARRAY_LEN(MACROS); i++) {
		if (!str_eq_nocase(name, str_from(MACROS[i].name)))
			continue;
		for (size_t k = 0; MACROS[i].items[k] != NULL; k++)
			fetch_plan_add(plan, a, MACROS[i].items[k]);
		*c = at;
		return true;
	}
	return false;
}

bool
fetch_plan_parse_atts(struct cursor *c, struct arena *a, struct fetch_plan *plan)
{
	do {
		if (!parse_att(c, a, plan))
			return false;
	} while (cursor_take(c, ' '));
	return true;
}

static bool
parse_items(struct cursor *c, struct arena *a, struct fetch_plan *plan)
{
	if (parse_macro(c, a, plan))
		return true;
	if (!cursor_take(c, '('))
		return parse_att(c, a, plan);
	return fetch_plan_parse_atts(c, a, plan) && cursor_take(c, ')');
}

/* modifier-partial = "PARTIAL" SP partial-range, RFC 9394 §4; once */
static bool
parse_modifier_partial(struct cursor *c, struct fetch_plan *plan)
{
	if (plan->has_partial)
		return false;
	plan->has_partial = true;
	return imap_parse_sp(c) && imap_parse_partial(c, &plan->partial);
}

/* chgsince-fetch-mod = "CHANGEDSINCE" SP mod-sequence-value; rexpunges-fetch-mod = "VANISHED", RFC 7162 §7.  A mod-sequence
 * of 0 is none, and taken all the same: Thunderbird says it of a mailbox that it does not know yet. */
static bool
parse_modifier(struct cursor *c, struct fetch_plan *plan)
{
	if (cursor_take_nocase(c, STR("VANISHED"))) {
		plan->vanished = true;
		return true;
	}
	if (cursor_take_nocase(c, STR("PARTIAL")))
		return parse_modifier_partial(c, plan);
	if (!cursor_take_nocase(c, STR("CHANGEDSINCE")) || !imap_parse_sp(c) ||
	    !imap_parse_number64(c, &plan->changed_since))
		return false;
	plan->has_changed_since = true;
	plan->needs |= FETCH_NEEDS_MODSEQ;
	return true;
}

/* fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")", RFC 4466 §2.4; VANISHED stands only with
 * CHANGEDSINCE. */
static bool
parse_modifiers(struct cursor *c, struct fetch_plan *plan)
{
	if (cursor_at_end(c))
		return true;
	if (!imap_parse_sp(c) || !cursor_take(c, '('))
		return false;
	do {
		if (!parse_modifier(c, plan))
			return false;
	} while (cursor_take(c, ' '));
	return cursor_take(c, ')') && cursor_at_end(c) &&
	       (!plan->vanished || plan->has_changed_since);
}

bool
fetch_plan_parse(struct cursor *c, struct arena *a, struct fetch_plan *plan_out)
{
	*plan_out = (struct fetch_plan){ 0 };
	if (!imap_parse_sp(c) || !parse_items(c, a, plan_out) || !parse_modifiers(c, plan_out))
		return false;
	if (plan_out->has_changed_since)
		fetch_plan_add(plan_out, a, "MODSEQ");
	return true;
}
