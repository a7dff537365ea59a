#include "admin/passwd_file.h"

#define QUOTA_MAX_BYTES (UINT64_C(1) << 60)
#define MESSAGES_MAX    (UINT64_C(1) << 40)

static struct str
take_until(struct cursor *c, char end)
{
	const char *p = memchr(c->p, end, cursor_left(c));
	struct str s = { c->p, p != NULL ? (size_t)(p - c->p) : cursor_left(c) };

	c->p += s.len + (p != NULL);
	return s;
}

bool
passwd_line_split(struct str line, struct passwd_line *out)
{
	struct str fields[7];
	struct cursor c;

	line = str_trim(line);
	*out = (struct passwd_line){ 0 };
	if (line.len == 0 || line.p[0] == '#')
		return false;
	c = cursor_from(line);
	for (size_t i = 0; i < 7; i++)
		fields[i] = take_until(&c, ':');
	*out = (struct passwd_line){ .user = fields[0],
		.password = fields[1],
		.gecos = fields[4],
		.extra = { c.p, cursor_left(&c) } };
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_not_blank(char c)
{
	return !is_blank(c);
}

bool
passwd_extra_next(struct cursor *extra, struct str *key_out, struct str *value_out)
{
	struct str word;
	const char *equals;

	cursor_take_while(extra, is_blank);
	if (cursor_at_end(extra))
		return false;
	word = cursor_take_while(extra, is_not_blank);
	equals = memchr(word.p, '=', word.len);
	*key_out = word;
	*value_out = (struct str){ NULL, 0 };
	if (equals != NULL) {
		key_out->len = (size_t)(equals - word.p);
		*value_out = (struct str){ equals + 1, word.len - key_out->len - 1 };
	}
	return true;
}

/* "5G", "5GB", "1048576": kilobytes without a unit. */
static bool
take_storage(struct str text, uint64_t *bytes_out)
{
	uint64_t kb;

	if (text_u64(text, QUOTA_MAX_BYTES / 1024, &kb)) {
		*bytes_out = kb * 1024;
		return true;
	}
	if (text.len > 1 && ascii_upper(text.p[text.len - 1]) == 'B')
		text.len--;
	return text_size(text, QUOTA_MAX_BYTES, bytes_out);
}

bool
passwd_quota_rule(struct str rule, uint64_t *bytes_out, uint64_t *messages_out)
{
	static const struct str STORAGE = STR("storage="), BYTES = STR("bytes="),
				MESSAGES = STR("messages=");
	struct cursor c = cursor_from(rule);
	struct str name = rule.len > 0 ? take_until(&c, ':') : rule;

	*bytes_out = *messages_out = 0;
	if (!str_eq(name, STR("*")) || cursor_at_end(&c))
		return false;
	while (!cursor_at_end(&c)) {
		struct str limit = take_until(&c, ':');
		struct str value;
		bool ok = false;

		if (str_has_prefix_nocase(limit, STORAGE)) {
			value = (struct str){ limit.p + STORAGE.len, limit.len - STORAGE.len };
			ok = take_storage(value, bytes_out);
		} else if (str_has_prefix_nocase(limit, BYTES)) {
			value = (struct str){ limit.p + BYTES.len, limit.len - BYTES.len };
			ok = text_size(value, QUOTA_MAX_BYTES, bytes_out);
		} else if (str_has_prefix_nocase(limit, MESSAGES)) {
			value = (struct str){ limit.p + MESSAGES.len, limit.len - MESSAGES.len };
			ok = text_u64(value, MESSAGES_MAX, messages_out);
		}
		if (!ok)
			return false;
	}
	return true;
}
