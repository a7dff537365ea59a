#include "store/compose.h"

#include <sys/random.h>
#include <time.h>

#include "base/mem.h"
#include "store/address.h"
#include "store/charset.h"
#include "store/date.h"
#include "store/header.h"

#define LINE_MAX_BYTES  78 /* RFC 5322 §2.1.1 */
#define WORD_TEXT_BYTES 39 /* a word has 64 bytes with its frame; "Subject: " fits in front */

void
compose_message_id(struct buf *out, const char *host)
{
	unsigned char noise[12] = { 0 };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (getrandom(noise, sizeof(noise), 0) != (ssize_t)sizeof(noise))
		memcpy(noise, &now, sizeof(noise)); /* never: the pool is ready long before us */
	buf_addc(out, '<');
	hex_encode(out, noise, sizeof(noise));
	buf_printf(out, ".%llx@%s>", (unsigned long long)now.tv_sec, host);
}

void
compose_date(struct buf *out, int64_t time)
{
	date_print_rfc5322(out, time, date_local_zone_min(time));
}

bool
compose_header_is_safe(struct str value)
{
	for (size_t i = 0; i < value.len; i++)
		if (((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') || value.p[i] == 0x7f)
			return false;
	return true;
}

bool
compose_header_name_is_valid(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.p[i] <= ' ' || (unsigned char)name.p[i] >= 0x7f ||
		    name.p[i] == ':')
			return false;
	return name.len > 0 && name.len <= 900;
}

static bool
needs_encoding(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char ch = (unsigned char)text.p[i];

		if (ch >= 0x7f || (ch < ' ' && ch != '\t'))
			return true;
	}
	return str_find(text, STR("=?")) != SIZE_MAX ||
	       text.len > 900; /* longer than a line may be */
}

/* Control bytes to blanks, broken UTF-8 to U+FFFD, blanks at the ends away. */
static void
clean(struct buf *out, struct str text)
{
	text = str_trim(text);
	utf8_repair(out, text);
	for (size_t i = 0; i < out->len; i++)
		if ((unsigned char)out->data[i] < ' ' || out->data[i] == 0x7f)
			out->data[i] = ' ';
}

static void
encode_words(struct buf *out, struct str text)
{
	while (text.len > 0) {
		size_t n = text.len < WORD_TEXT_BYTES ? text.len : WORD_TEXT_BYTES;

		while (n < text.len && n > 0 && ((unsigned char)text.p[n] & 0xC0) == 0x80)
			n--; /* RFC 2047 §5: no character is cut */
		buf_adds(out, "=?utf-8?B?");
		base64_encode(out, text.p, n);
		buf_adds(out, "?=");
		text.p += n;
		text.len -= n;
		if (text.len > 0)
			buf_addc(out, ' ');
	}
}

/* The next word from `at`; at behind the blanks in front of it. */
static struct str
next_word(struct str text, size_t at)
{
	size_t end;

	while (at < text.len && text.p[at] == ' ')
		at++;
	for (end = at; end < text.len && text.p[end] != ' ';)
		end++;
	return (struct str){ text.p + at, end - at };
}

void
compose_encode_text(struct buf *out, struct str text)
{
	struct buf safe = { 0 };
	const char *first = NULL, *last = NULL, *end;
	struct str all, w;

	clean(&safe, text);
	all = (struct str){ safe.data != NULL ? safe.data : "", safe.len };
	end = all.p + all.len;
	for (w = next_word(all, 0); w.len > 0; w = next_word(all, (size_t)(w.p + w.len - all.p))) {
		if (!needs_encoding(w))
			continue;
		if (first == NULL)
			first = w.p;
		last = w.p + w.len;
	}
	if (first == NULL) {
		buf_add(out, all.p, all.len);
	} else {
		buf_add(out, all.p, (size_t)(first - all.p));
		encode_words(out, (struct str){ first, (size_t)(last - first) });
		buf_add(out, last, (size_t)(end - last));
	}
	buf_free(&safe);
}

void
compose_encode_phrase(struct buf *out, struct str text)
{
	struct buf safe = { 0 };
	struct str all;
	bool atoms = true;

	clean(&safe, text);
	all = (struct str){ safe.data != NULL ? safe.data : "", safe.len };
	for (size_t i = 0; i < all.len; i++)
		atoms = atoms && (ascii_is_alnum(all.p[i]) ||
				     strchr(" !#$%&'*+-/=?^_`{|}~", all.p[i]) != NULL);
	if (needs_encoding(all)) {
		encode_words(out, all);
	} else if (atoms && all.len > 0) {
		buf_add(out, all.p, all.len);
	} else {
		buf_addc(out, '"');
		for (size_t i = 0; i < all.len; i++) {
			if (all.p[i] == '"' || all.p[i] == '\\')
				buf_addc(out, '\\');
			buf_addc(out, all.p[i]);
		}
		buf_addc(out, '"');
	}
	buf_free(&safe);
}

void
compose_field(struct buf *out, const char *name, struct str value, const char *eol)
{
	size_t column = strlen(name) + 1, at = 0;

	buf_printf(out, "%s:", name);
	value = str_trim(value);
	if (value.len == 0)
		buf_addc(out, ' ');
	while (at < value.len) {
		size_t end = at;

		while (end < value.len && ascii_is_space(value.p[end]))
			end++;
		while (end < value.len && !ascii_is_space(value.p[end]))
			end++;
		if (at == 0)
			buf_addc(out, ' ');
		column += at == 0;
		if (at > 0 && column + (end - at) > LINE_MAX_BYTES) {
			buf_adds(out, eol);
			column = 0;
		}
		for (size_t i = at; i < end; i++) {
			char ch = value.p[i];

			/* whatever stands in value, it stays within this field */
			buf_addc(
			    out, ((unsigned char)ch < ' ' && ch != '\t') || ch == 0x7f ? ' ' : ch);
		}
		column += end - at;
		at = end;
	}
	buf_adds(out, eol);
}

void
compose_text_field(struct buf *out, const char *name, struct str text, const char *eol)
{
	struct buf encoded = { 0 };

	compose_encode_text(&encoded, text);
	compose_field(
	    out, name, (struct str){ encoded.data != NULL ? encoded.data : "", encoded.len }, eol);
	buf_free(&encoded);
}

static void
add_address(struct buf *out, const struct address *a)
{
	struct buf name = { 0 };

	header_decode(&name, a->name);
	if (name.len > 0) {
		compose_encode_phrase(out, (struct str){ name.data, name.len });
		buf_adds(out, " <");
		address_spec(out, a);
		buf_addc(out, '>');
	} else {
		address_spec(out, a);
	}
	buf_free(&name);
}

bool
compose_address_field(struct buf *out, const char *name, struct str addresses, const char *eol)
{
	struct arena arena = { 0 };
	struct buf list = { 0 };
	bool any;

	for (const struct address *a = address_parse(&arena, addresses); a != NULL; a = a->next) {
		if (a->broken || a->domain.p == NULL || a->mailbox.p == NULL)
			continue;
		if (list.len > 0)
			buf_adds(&list, ", ");
		add_address(&list, a);
	}
	any = list.len > 0;
	if (any)
		compose_field(out, name, (struct str){ list.data, list.len }, eol);
	arena_free(&arena);
	buf_free(&list);
	return any;
}

#define QP_LINE_BYTES 76 /* RFC 2045 §6.7 (5) */

static bool
is_plain_text(struct str text)
{
	size_t line = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char ch = (unsigned char)text.p[i];

		if (ch >= 0x7f || (ch < ' ' && ch != '\n' && ch != '\t'))
			return false;
		line = ch == '\n' ? 0 : line + 1;
		if (line > LINE_MAX_BYTES)
			return false;
	}
	return true;
}

static void
add_quoted_printable(struct buf *out, struct str text)
{
	static const char HEX[] = "0123456789ABCDEF";
	size_t column = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char ch = (unsigned char)text.p[i];
		bool line_end = i + 1 == text.len || text.p[i + 1] == '\n';
		bool plain = (ch > ' ' && ch < 0x7f && ch != '=') ||
			     ((ch == ' ' || ch == '\t') && !line_end);

		if (ch == '\n') {
			buf_addc(out, '\n');
			column = 0;
			continue;
		}
		if (column + (plain ? 1 : 3) > QP_LINE_BYTES - 1) {
			buf_adds(out, "=\n");
			column = 0;
		}
		if (plain) {
			buf_addc(out, (char)ch);
		} else {
			buf_addc(out, '=');
			buf_addc(out, HEX[ch >> 4]);
			buf_addc(out, HEX[ch & 15]);
		}
		column += plain ? 1 : 3;
	}
}

void
compose_text_part(struct buf *out, struct str text)
{
	struct buf lines = { 0 };
	struct str all;

	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] != '\r')
			buf_addc(&lines, text.p[i]);
	if (lines.len == 0 || lines.data[lines.len - 1] != '\n')
		buf_addc(&lines, '\n');
	all = (struct str){ lines.data, lines.len };
	if (is_plain_text(all)) {
		buf_adds(out, "Content-Type: text/plain; charset=us-ascii\n"
			      "Content-Transfer-Encoding: 7bit\n\n");
		buf_add(out, all.p, all.len);
	} else {
		buf_adds(out, "Content-Type: text/plain; charset=utf-8\n"
			      "Content-Transfer-Encoding: quoted-printable\n\n");
		add_quoted_printable(out, all);
	}
	buf_free(&lines);
}
