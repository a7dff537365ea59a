/* The first byte chooses the rule; the rest is its input. */
#include "imapd/names.h"
#include "imapd/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
parse_text(struct cursor c, unsigned rule, struct arena *a)
{
	struct imap_sequence_set set;
	struct imap_flags flags;
	struct imap_literal lit;
	struct str text;
	size_t start;
	int32_t days;
	int64_t t;
	char *name;

	switch (rule) {
	case 0: imap_parse_astring(&c, a, &text); break;
	case 1: imap_parse_nstring(&c, a, &text); break;
	case 2: imap_parse_list_mailbox(&c, a, &text); break;
	case 3: imap_parse_sequence_set(&c, a, &set); break;
	case 4: imap_parse_flag_list(&c, a, &flags); break;
	case 5: imap_parse_store_flags(&c, a, &flags); break;
	case 6: imap_parse_date(&c, &days); break;
	case 7: imap_parse_date_time(&c, &t); break;
	case 8:
		imap_line_ends_in_literal((struct str){ c.p, cursor_left(&c) }, &lit, &start);
		break;
	case 9: imap_parse_literal(&c, true, &text); break;
	case 10: imap_parse_mailbox(&c, a, true, &name); break;
	default: imap_parse_mailbox(&c, a, false, &name); break;
	}
	if (c.p > c.end)
		__builtin_trap();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	struct str text;

	if (size == 0)
		return 0;
	text = (struct str){ (const char *)data + 1, size - 1 };
	parse_text(cursor_from(text), data[0] % 12, &a);
	arena_free(&a);
	return 0;
}
