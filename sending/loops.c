#include "sending/loops.h"

bool
loop_is_marked(const struct view *message, const char *account)
{
	for (size_t i = 0; i < message->field_count; i++) {
		const struct header_field *f = &message->fields[i];

		if (str_eq_nocase(f->name, STR(FILTER_REDIRECT_MARK)) &&
		    str_eq_nocase(str_trim(f->value), str_from(account)))
			return true;
	}
	return false;
}

unsigned
loop_hops(const struct view *message)
{
	unsigned hops = 0;

	for (size_t i = 0; i < message->field_count; i++)
		hops += str_eq_nocase(message->fields[i].name, STR("Received"));
	return hops;
}

/* "ann@example.org" or "<ann@example.org>". */
static bool
is_address(struct str value, const char *address)
{
	value = str_trim(value);
	if (value.len >= 2 && value.p[0] == '<' && value.p[value.len - 1] == '>')
		value = (struct str){ value.p + 1, value.len - 2 };
	return str_eq_nocase(value, str_from(address));
}

const char *
loop_find(const struct view *message, const char *rcpt, unsigned hops_max, bool delivered_to)
{
	unsigned hops = 0;

	for (size_t i = 0; i < message->field_count; i++) {
		const struct header_field *f = &message->fields[i];

		hops += str_eq_nocase(f->name, STR("Received"));
		if (delivered_to && hops > 0 && str_eq_nocase(f->name, STR("Delivered-To")) &&
		    is_address(f->value, rcpt))
			return "delivered-before";
	}
	return hops > hops_max ? "too-many-hops" : NULL;
}
