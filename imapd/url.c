#include "imapd/url.h"

#include "imapd/names.h"
#include "imapd/parse.h"

/* bchar = achar / ":" / "@" / "/", RFC 5092 §11: what stands for itself, and "%" before two digits. */
static bool
is_bchar(char c)
{
	return ascii_is_alnum(c) || (c != '\0' && strchr("-._~!$'()*+,&=:@/%", c) != NULL);
}

/* Takes the percent-encoding away; false if it is broken or hides a NUL. */
static bool
decode(struct arena *a, struct str text, char **out)
{
	char *to = arena_alloc(a, text.len + 1);
	size_t len = 0;

	*out = to;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (c == '%') {
			bool whole = text.len - i > 2;
			int high = whole ? hex_value(text.p[i + 1]) : -1;
			int low = whole ? hex_value(text.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (c == '\0')
			return false;
		to[len++] = c;
	}
	to[len] = '\0';
	return true;
}

/* The path up to the next ";", without the "/" that parts it from a parameter. */
static struct str
take_path(struct cursor *c, bool *slash_out)
{
	struct str path = cursor_take_while(c, is_bchar);

	*slash_out = path.len > 0 && path.p[path.len - 1] == '/';
	if (*slash_out && cursor_peek(c) == ';')
		path.len--;
	return path;
}

/* iserver = [iuserinfo "@"] host [":" port], iuserinfo = enc-user [iauth] / iauth, RFC 5092 §11 */
static bool
parse_server(struct str server, struct arena *a, struct imap_url *url)
{
	const char *at = server.len > 0 ? memrchr(server.p, '@', server.len) : NULL;
	struct str host = server;
	size_t len = 0;

	if (at != NULL) {
		struct str user = { server.p, (size_t)(at - server.p) };

		while (len < user.len && user.p[len] != ';')
			len++;
		if (len > 0 && !decode(a, (struct str){ user.p, len }, &url->user))
			return false;
		host = (struct str){ at + 1, server.len - user.len - 1 };
	}
	for (len = 0; len < host.len && host.p[len] != ':' && host.p[0] != '[';)
		len++;
	if (host.len > 0 && host.p[0] == '[')
		len = host.len;
	url->host = arena_strndup(a, host.p, len);
	return len > 0;
}

/* The mailbox that a path means: with a "/" in front it stands alone; without it takes the place of the last level of the
 * base, RFC 3986 §5.2.3. */
static bool
parse_mailbox(
    struct str path, bool absolute, const char *base, struct arena *a, struct imap_url *url)
{
	const char *slash = !absolute && base != NULL ? strrchr(base, IMAP_DELIMITER) : NULL;
	char *name;

	if (!decode(a, path, &name))
		return false;
	if (slash != NULL)
		name = arena_printf(a, "%.*s/%s", (int)(slash - base), base, name);
	return imap_mailbox_from_wire(a, false, str_from(name), &url->mailbox);
}

/* ipartial-only = ";PARTIAL=" number ["." nz-number] */
static bool
parse_partial(struct cursor *c, struct imap_url *url)
{
	url->has_partial = true;
	if (!imap_parse_number64(c, &url->offset))
		return false;
	return !cursor_take(c, '.') || imap_parse_nz_number64(c, &url->count);
}

/* Behind the mailbox: [uidvalidity] iuid [isection] [ipartial] */
static bool
parse_parameters(struct cursor *c, struct arena *a, struct imap_url *url)
{
	bool slash;

	if (cursor_take_nocase(c, STR(";UIDVALIDITY="))) {
		if (!imap_parse_nz_number(c, &url->uidvalidity) || !cursor_take(c, '/'))
			return false;
	}
	if (!cursor_take_nocase(c, STR(";UID=")) || !imap_parse_nz_number(c, &url->uid))
		return false;
	url->section = arena_strdup(a, "");
	if (cursor_at_end(c))
		return true;
	if (!cursor_take(c, '/'))
		return false;
	if (cursor_take_nocase(c, STR(";SECTION="))) {
		if (!decode(a, take_path(c, &slash), &url->section))
			return false;
		if (cursor_at_end(c))
			return true;
		if (!slash)
			return false;
	}
	return cursor_take_nocase(c, STR(";PARTIAL=")) && parse_partial(c, url) && cursor_at_end(c);
}

/* A colon in the first segment of a relative path is another scheme's, RFC 3986 §4.2. */
static bool
has_scheme(struct str path)
{
	size_t colon = str_find(path, STR(":"));

	return colon != SIZE_MAX && colon < str_find(path, STR("/"));
}

/* imapurl, or imapurl-rel with a path, RFC 5092 §11 */
bool
imap_url_parse(struct str text, const char *base, struct arena *a, struct imap_url *url_out)
{
	struct cursor c = cursor_from(text);
	bool absolute, slash, validity;
	struct str path;

	*url_out = (struct imap_url){ 0 };
	if (text.len > IMAP_URL_MAX_BYTES)
		return false;
	if (cursor_take_nocase(&c, STR("imap://")) || cursor_take_nocase(&c, STR("//"))) {
		const char *start = c.p;

		while (c.p < c.end && *c.p != '/' && *c.p > ' ' && *c.p != 0x7f)
			c.p++;
		if (!parse_server((struct str){ start, (size_t)(c.p - start) }, a, url_out) ||
		    cursor_peek(&c) != '/')
			return false;
	}
	absolute = cursor_take(&c, '/');
	path = take_path(&c, &slash);
	if (!absolute && has_scheme(path))
		return false;
	/* UIDVALIDITY stands right behind the mailbox, UID behind a "/". */
	validity =
	    str_has_prefix_nocase((struct str){ c.p, cursor_left(&c) }, STR(";UIDVALIDITY="));
	if (path.len > 0 ? slash == validity : validity)
		return false;
	if (path.len > 0 && !parse_mailbox(path, absolute, base, a, url_out))
		return false;
	if (url_out->mailbox == NULL && (absolute || base == NULL))
		return false;
	return parse_parameters(&c, a, url_out);
}
