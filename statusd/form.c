#include "statusd/form.h"

#include <stdint.h>

#include "base/mem.h"

/* "+" is a blank and %XX a byte; no NULs. */
static bool
decode(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		int high, low;

		if (s.p[i] == '+') {
			buf_addc(out, ' ');
		} else if (s.p[i] != '%') {
			if (s.p[i] == '\0')
				return false;
			buf_addc(out, s.p[i]);
		} else {
			if (s.len - i < 3)
				return false;
			high = hex_value(s.p[i + 1]);
			low = hex_value(s.p[i + 2]);
			if (high < 0 || low < 0 || high + low == 0)
				return false;
			buf_addc(out, (char)(high << 4 | low));
			i += 2;
		}
	}
	return true;
}

static bool
not_ampersand(char c)
{
	return c != '&';
}

bool
form_field(struct str body, const char *name, struct buf *out)
{
	struct cursor c = cursor_from(body);

	while (!cursor_at_end(&c)) {
		struct str pair = cursor_take_while(&c, not_ampersand), key = pair;
		size_t equals = str_find(pair, STR("="));
		struct buf decoded = { 0 };
		bool found;

		cursor_take(&c, '&');
		if (equals == SIZE_MAX)
			continue;
		key.len = equals;
		found = decode(key, &decoded) && decoded.len > 0 &&
			str_eq((struct str){ decoded.data, decoded.len }, str_from(name));
		buf_free(&decoded);
		if (found)
			return decode(
			    (struct str){ pair.p + equals + 1, pair.len - equals - 1 }, out);
	}
	return false;
}

bool
form_basic(struct str header, struct buf *user_out, struct buf *password_out)
{
	struct buf decoded = { 0 };
	struct str both, credentials;
	size_t colon;
	bool ok = false;

	if (!str_has_prefix_nocase(header, STR("Basic ")))
		return false;
	credentials = str_trim((struct str){ header.p + 6, header.len - 6 });
	if (base64_decode(&decoded, credentials) && decoded.len > 0) {
		both = (struct str){ decoded.data, decoded.len };
		colon = str_find(both, STR(":"));
		ok = colon != SIZE_MAX && str_find(both, (struct str){ "", 1 }) == SIZE_MAX;
		if (ok) {
			buf_add(user_out, both.p, colon);
			buf_add(password_out, both.p + colon + 1, both.len - colon - 1);
		}
	}
	if (decoded.len > 0)
		mem_wipe(decoded.data, decoded.len);
	buf_free(&decoded);
	return ok;
}
