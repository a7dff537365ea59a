#include "statusd/password_policy.h"

#include <stdint.h>

#include "base/mem.h"
#include "service/fresh_password.h"
#include "store/password.h"

/* The next character of well-formed UTF-8. */
static uint32_t
next_character(struct str *s)
{
	unsigned char c = (unsigned char)*s->p;
	size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	uint32_t character = 0;

	for (size_t i = 0; i < len; i++)
		character = character << 8 | (unsigned char)s->p[i];
	s->p += len;
	s->len -= len;
	return character;
}

/* Counts characters, and different ones as far as anybody wants to know. */
static void
count(struct str text, size_t *count_out, size_t *distinct_out)
{
	uint32_t seen[PASSWORD_DISTINCT_MIN];

	for (*count_out = *distinct_out = 0; text.len > 0; ++*count_out) {
		uint32_t c = next_character(&text);
		size_t i = 0;

		while (i < *distinct_out && seen[i] != c)
			i++;
		if (i == *distinct_out && i < PASSWORD_DISTINCT_MIN)
			seen[(*distinct_out)++] = c;
	}
}

static bool
is_of_address(struct str fresh, struct str address)
{
	size_t at = str_find(address, STR("@"));

	if (address.len == 0)
		return false;
	if (str_eq_nocase(fresh, address))
		return true;
	return at != SIZE_MAX &&
	       (str_eq_nocase(fresh, (struct str){ address.p, at }) ||
		   str_eq_nocase(fresh, (struct str){ address.p + at + 1, address.len - at - 1 }));
}

enum password_policy
password_policy_check(struct str fresh, struct str current, struct str address, unsigned length_min)
{
	size_t characters, distinct;

	if (fresh.len > PASSWORD_MAX_BYTES)
		return PASSWORD_POLICY_LONG;
	if (fresh.len == 0)
		return PASSWORD_POLICY_SHORT;
	if (!text_is_utf8(fresh) || !fresh_password_possible(fresh))
		return PASSWORD_POLICY_CHARACTERS;
	count(fresh, &characters, &distinct);
	if (characters < length_min)
		return PASSWORD_POLICY_SHORT;
	if (str_eq(fresh, current))
		return PASSWORD_POLICY_SAME;
	if (is_of_address(fresh, address))
		return PASSWORD_POLICY_ADDRESS;
	return distinct < PASSWORD_DISTINCT_MIN ? PASSWORD_POLICY_MONOTONE : PASSWORD_POLICY_OK;
}

void
password_policy_explain(enum password_policy verdict, unsigned length_min, struct buf *out)
{
	static const char *const TEXTS[PASSWORD_POLICY_COUNT] = {
		[PASSWORD_POLICY_OK] = "",
		[PASSWORD_POLICY_LONG] = "The new password is too long.",
		[PASSWORD_POLICY_CHARACTERS] =
		    "The new password holds characters that mail programs cannot send.",
		[PASSWORD_POLICY_SAME] = "The new password is the one you have.",
		[PASSWORD_POLICY_ADDRESS] =
		    "The new password may not be your address or a part of it.",
		[PASSWORD_POLICY_MONOTONE] =
		    "The new password repeats too few different characters.",
	};

	if (verdict == PASSWORD_POLICY_SHORT)
		buf_printf(out, "The new password needs %u characters or more.", length_min);
	else
		buf_adds(out, TEXTS[verdict]);
}
