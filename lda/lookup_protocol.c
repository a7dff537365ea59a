#include "lda/lookup_protocol.h"

#include <stdio.h>
#include <string.h>

#define LENGTH_DIGITS_MAX 4 /* of a netstring; LOOKUP_REQUEST_MAX_BYTES has so many */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A key with a NUL or another control byte is nobody's name. */
static bool
copy_text(char *to, size_t max, struct str from)
{
	if (from.len == 0 || from.len > max)
		return false;
	for (size_t i = 0; i < from.len; i++)
		if ((unsigned char)from.p[i] < 0x20 || from.p[i] == 0x7f)
			return false;
	memcpy(to, from.p, from.len);
	to[from.len] = '\0';
	return true;
}

/* --- socketmap ---------------------------------------------------------------------------------- */

/* "MAP KEY"; the key may hold further spaces. */
static enum lookup_read
read_map_and_key(struct str text, struct lookup_request *r)
{
	const char *space = memchr(text.p, ' ', text.len);
	struct str map = { text.p, space != NULL ? (size_t)(space - text.p) : 0 }, key;

	if (space == NULL)
		return LOOKUP_READ_BAD;
	key = (struct str){ space + 1, text.len - map.len - 1 };
	return copy_text(r->map, sizeof(r->map) - 1, map) &&
		       copy_text(r->key, sizeof(r->key) - 1, key)
		   ? LOOKUP_READ_YES
		   : LOOKUP_READ_BAD;
}

static enum lookup_read
read_netstring(struct str bytes, struct lookup_request *r, size_t *used_out)
{
	size_t digits = 0, len = 0;

	while (digits < bytes.len && digits <= LENGTH_DIGITS_MAX && is_digit(bytes.p[digits]))
		len = len * 10 + (size_t)(bytes.p[digits++] - '0');
	if (digits > LENGTH_DIGITS_MAX || len > LOOKUP_REQUEST_MAX_BYTES)
		return LOOKUP_READ_END;
	if (digits == bytes.len)
		return LOOKUP_READ_MORE;
	if (bytes.p[digits] != ':' || (digits > 1 && bytes.p[0] == '0'))
		return LOOKUP_READ_END;
	if (bytes.len < digits + 1 + len + 1)
		return LOOKUP_READ_MORE;
	if (bytes.p[digits + 1 + len] != ',')
		return LOOKUP_READ_END;
	*used_out = digits + 1 + len + 1;
	r->protocol = LOOKUP_SOCKETMAP;
	return read_map_and_key((struct str){ bytes.p + digits + 1, len }, r);
}

/* --- tcp_table ---------------------------------------------------------------------------------- */

static bool
decode_key(struct str text, struct lookup_request *r)
{
	char key[LOOKUP_KEY_MAX_BYTES];
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int high, low;

		if (len == sizeof(key))
			return false;
		if (text.p[i] != '%') {
			key[len++] = text.p[i];
			continue;
		}
		high = i + 1 < text.len ? hex_value(text.p[i + 1]) : -1;
		low = i + 2 < text.len ? hex_value(text.p[i + 2]) : -1;
		if (high < 0 || low < 0)
			return false;
		key[len++] = (char)(high * 16 + low);
		i += 2;
	}
	return copy_text(r->key, sizeof(r->key) - 1, (struct str){ key, len });
}

static enum lookup_read
read_line(struct str bytes, struct lookup_request *r, size_t *used_out)
{
	const char *lf = memchr(bytes.p, '\n', bytes.len);
	struct str line = { bytes.p, lf != NULL ? (size_t)(lf - bytes.p) : 0 };

	if (lf == NULL)
		return bytes.len > LOOKUP_REQUEST_MAX_BYTES ? LOOKUP_READ_END : LOOKUP_READ_MORE;
	if (line.len > LOOKUP_REQUEST_MAX_BYTES)
		return LOOKUP_READ_END;
	*used_out = line.len + 1;
	r->protocol = LOOKUP_TCP_TABLE;
	if (line.len < 4 || memcmp(line.p, "get ", 4) != 0)
		return LOOKUP_READ_BAD; /* "put": the table is read only */
	return decode_key((struct str){ line.p + 4, line.len - 4 }, r) ? LOOKUP_READ_YES
								       : LOOKUP_READ_BAD;
}

enum lookup_read
lookup_request_read(struct str bytes, struct lookup_request *request_out, size_t *used_out)
{
	*request_out = (struct lookup_request){ 0 };
	*used_out = 0;
	if (bytes.len == 0)
		return LOOKUP_READ_MORE;
	if (is_digit(bytes.p[0]))
		return read_netstring(bytes, request_out, used_out);
	if (bytes.p[0] == 'g' || bytes.p[0] == 'p')
		return read_line(bytes, request_out, used_out);
	return LOOKUP_READ_END;
}

/* --- answers ------------------------------------------------------------------------------------ */

static void
write_netstring(struct buf *out, enum lookup_result result, const char *text)
{
	static const char *const STATUS[] = { [LOOKUP_FOUND] = "OK",
		[LOOKUP_NOT_FOUND] = "NOTFOUND",
		[LOOKUP_TEMPORARY] = "TEMP",
		[LOOKUP_REFUSED] = "PERM" };
	const char *value = result == LOOKUP_NOT_FOUND ? "" : text;

	buf_printf(
	    out, "%zu:%s %s,", strlen(STATUS[result]) + 1 + strlen(value), STATUS[result], value);
}

/* The protocol wants what is not printable, '%' and spaces of a value as %XX. */
static void
write_line(struct buf *out, enum lookup_result result, const char *text)
{
	static const int CODE[] = { [LOOKUP_FOUND] = 200,
		[LOOKUP_NOT_FOUND] = 500,
		[LOOKUP_TEMPORARY] = 400,
		[LOOKUP_REFUSED] = 500 };

	buf_printf(out, "%d ", CODE[result]);
	for (const char *p = text; *p != '\0'; p++) {
		if (*p > 0x20 && *p < 0x7f && *p != '%')
			buf_addc(out, *p);
		else
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)*p);
	}
	buf_addc(out, '\n');
}

void
lookup_answer_write(
    struct buf *out, enum lookup_protocol protocol, enum lookup_result result, const char *text)
{
	if (protocol == LOOKUP_SOCKETMAP)
		write_netstring(out, result, text);
	else
		write_line(out, result, text);
}
