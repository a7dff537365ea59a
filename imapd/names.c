#include "imapd/names.h"

#include <stdlib.h>
#include <string.h>
#include <uninorm.h>

#include "imapd/parse.h"
#include "store/mailbox_name.h"
#include "store/mutf7.h"

static bool
is_text(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return text_is_utf8(s);
}

static bool
is_ascii(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] >= 0x80)
			return false;
	return true;
}

bool
imap_mailbox_from_wire(struct arena *a, bool utf7, struct str wire, char **name_out)
{
	struct buf utf8 = { 0 }, name = { 0 };
	bool ok = true;

	if (utf7)
		ok = mutf7_decode(&utf8, wire);
	else
		buf_add(&utf8, wire.p, wire.len);
	ok = ok && is_text((struct str){ utf8.data, utf8.len });
	if (ok) {
		mailbox_name_canonical(&name, (struct str){ utf8.data, utf8.len });
		*name_out = arena_strndup(a, name.len > 0 ? name.data : "", name.len);
	}
	buf_free(&utf8);
	buf_free(&name);
	return ok;
}

bool
imap_parse_mailbox(struct cursor *c, struct arena *a, bool utf7, char **name_out)
{
	struct str wire;

	if (!imap_parse_astring(c, a, &wire))
		return false;
	if (!imap_mailbox_from_wire(a, utf7, wire, name_out))
		*name_out = arena_strdup(a, IMAP_NAME_IMPOSSIBLE);
	return true;
}

void
imap_mailbox_to_wire(struct buf *out, bool utf7, const char *name)
{
	if (!utf7 || !mutf7_encode(out, str_from(name)))
		buf_adds(out, name);
}

char *
imap_mailbox_nfc(struct arena *a, const char *name)
{
	size_t len = strlen(name), nfc_len = 0;
	uint8_t *nfc;
	char *copy;

	if (is_ascii(name, len))
		return NULL;
	nfc = u8_normalize(UNINORM_NFC, (const uint8_t *)name, len, NULL, &nfc_len);
	if (nfc == NULL || (nfc_len == len && memcmp(nfc, name, len) == 0)) {
		free(nfc);
		return NULL;
	}
	copy = arena_strndup(a, (const char *)nfc, nfc_len);
	free(nfc);
	return copy;
}

size_t
imap_patterns_from_wire(struct arena *a, bool utf7, struct str reference, struct str pattern,
    const char *forms_out[IMAP_PATTERN_FORMS])
{
	struct buf wire = { 0 };
	char *form;
	bool ok;

	buf_add(&wire, reference.p, reference.len);
	buf_add(&wire, pattern.p, pattern.len);
	ok = imap_mailbox_from_wire(a, utf7, (struct str){ buf_cstr(&wire), wire.len }, &form);
	buf_free(&wire);
	if (!ok)
		return 0;
	forms_out[0] = form;
	forms_out[1] = imap_mailbox_nfc(a, form);
	return forms_out[1] != NULL ? 2 : 1;
}

/* The matcher walks the pattern once and keeps, for each place in the name, whether the pattern so
 * far can end there: `here` is a row of strlen(name) + 1 flags.  "*" lets a true run to the end,
 * "%" to the next delimiter; any other byte moves each true one place on if the name has it.
 * Wildcards side by side count once, and where nothing is true any more it is over: however long the pattern is, it takes
 * no more steps than the name has bytes, squared.
 * `nocase` places at the name's start are INBOX, the same in any letter case. */
static bool
match_byte(bool *here, const char *name, size_t len, size_t nocase, char byte)
{
	bool any = false;

	for (size_t i = len; i > 0; i--) {
		here[i] = here[i - 1] && (name[i - 1] == byte ||
					     (i <= nocase && name[i - 1] == ascii_upper(byte)));
		any |= here[i];
	}
	here[0] = false;
	return any;
}

static void
match_wildcard(bool *here, const char *name, size_t len, char wildcard)
{
	for (size_t i = 1; i <= len; i++)
		here[i] =
		    here[i] || (here[i - 1] && (wildcard == '*' || name[i - 1] != IMAP_DELIMITER));
}

static bool *
match_row(const char *pattern, const char *name, size_t len)
{
	bool *here = mem_zalloc(len + 1);
	size_t nocase = 0;
	bool any = true;
	char before = '\0'; /* the wildcard in front of this place */

	if (strncmp(name, "INBOX", 5) == 0 && (name[5] == '\0' || name[5] == IMAP_DELIMITER))
		nocase = 5;
	here[0] = true;
	for (const char *p = pattern; *p != '\0' && any; p++) {
		if (*p != '*' && *p != '%') {
			any = match_byte(here, name, len, nocase, *p);
			before = '\0';
		} else if (before != '*' && before != *p) {
			match_wildcard(here, name, len, *p);
			before = *p;
		}
	}
	return here;
}

bool
imap_pattern_matches(const char *pattern, const char *name)
{
	size_t len = strlen(name);
	bool *here = match_row(pattern, name, len);
	bool matches = here[len];

	free(here);
	return matches;
}
