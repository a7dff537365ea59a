/* Spans of bytes, ASCII text and the cursor that parsers walk with.
 * Nothing here looks at the locale; letter case means ASCII letters only. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

/* A span somebody else owns; not NUL-terminated, may hold NULs. */
struct str {
	const char *p;
	size_t len;
};
#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })

static inline struct str
str_from(const char *s)
{
	return (struct str){ s, strlen(s) };
}

static inline struct str
buf_str(const struct buf *b) /* its bytes; valid until the next change */
{
	return (struct str){ b->data, b->len };
}
bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b);
bool str_has_prefix(struct str s, struct str prefix);
bool str_has_prefix_nocase(struct str s, struct str prefix);
/* The first place of needle in hay, or SIZE_MAX.  An empty needle is at 0. */
size_t str_find(struct str hay, struct str needle);
struct str str_trim(struct str s); /* without blanks, CR and LF at both ends */

char ascii_lower(char c);
char ascii_upper(char c);
bool ascii_is_alpha(char c);
bool ascii_is_digit(char c);
bool ascii_is_alnum(char c);
bool ascii_is_space(char c); /* space, TAB, CR, LF, VT, FF */
bool ascii_eq_nocase(const char *a, const char *b);
void ascii_lower_all(char *s, size_t len);
int hex_value(char c); /* 0..15, or -1 */

/* The whole of s as an unsigned decimal; false if empty, another byte, or larger than max. */
bool text_u64(struct str s, uint64_t max, uint64_t *value_out);
/* Bytes with an optional K, M, G or T (1024-based), as in "500M"; before one of these also with a point, "1.5G". */
bool text_size(struct str s, uint64_t max, uint64_t *bytes_out);
/* Well-formed UTF-8, RFC 3629; overlong forms and surrogates are not. */
bool text_is_utf8(struct str s);
/* The bytes of the character in front, if it may be shown to people as it is: 0 for a control character (C0, DEL, C1),
 * for one that breaks lines or turns the direction of what follows, for broken UTF-8, and at the end. */
size_t text_visible(const char *s);

/* Base64 of RFC 4648 §4.  Decoding is strict: padding needed, nothing but the alphabet;
 * the buffer keeps what was decoded before an error. */
void base64_encode(struct buf *out, const void *bytes, size_t len);
bool base64_decode(struct buf *out, struct str in);
void hex_encode(struct buf *out, const void *bytes, size_t len); /* lower case */
bool hex_decode(struct buf *out, struct str in);                 /* either case */

/* What a parser has not read yet. */
struct cursor {
	const char *p, *end;
};
static inline struct cursor
cursor_from(struct str s)
{
	return (struct cursor){ s.p, s.len > 0 ? s.p + s.len : s.p }; /* NULL + 0 is undefined */
}
static inline size_t
cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}
static inline bool
cursor_at_end(const struct cursor *c)
{
	return c->p == c->end;
}
/* The next byte as 0..255, or -1 at the end. */
static inline int
cursor_peek(const struct cursor *c)
{
	return c->p < c->end ? (unsigned char)*c->p : -1;
}
bool cursor_take(struct cursor *c, char ch);
bool cursor_take_nocase(struct cursor *c, struct str word);
/* The span of bytes for which `accept` holds; may be empty. */
struct str cursor_take_while(struct cursor *c, bool (*accept)(char c));
/* The next line without its LF; the last may lack one.  False at the end. */
bool cursor_take_line(struct cursor *c, struct str *line_out);
bool cursor_take_u32(struct cursor *c, uint32_t *value_out); /* digits; fails on overflow */
bool cursor_take_u64(struct cursor *c, uint64_t *value_out);

#endif
