#include "store/html_text.h"

#include "base/mem.h"
#include "store/charset.h"

#define ENTITY_MAX_BYTES 32 /* between & and ; */

/* U+00A0 to U+00FF, in their order: HTML's Latin-1 entities. */
static const char *const LATIN_1[] = { "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar",
	"sect", "uml", "copy", "ordf", "laquo", "not", "shy", "reg", "macr", "deg", "plusmn",
	"sup2", "sup3", "acute", "micro", "para", "middot", "cedil", "sup1", "ordm", "raquo",
	"frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc", "Atilde", "Auml",
	"Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute",
	"Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times",
	"Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN", "szlig", "agrave",
	"aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil", "egrave", "eacute",
	"ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde", "ograve", "oacute",
	"ocirc", "otilde", "ouml", "divide", "oslash", "ugrave", "uacute", "ucirc", "uuml",
	"yacute", "thorn", "yuml" };

static const struct {
	const char *name;
	uint32_t code;
} ENTITIES[] = {
	{ "amp", '&' },
	{ "lt", '<' },
	{ "gt", '>' },
	{ "quot", '"' },
	{ "apos", '\'' },
	{ "euro", 0x20ac },
	{ "hellip", 0x2026 },
	{ "ndash", 0x2013 },
	{ "mdash", 0x2014 },
	{ "lsquo", 0x2018 },
	{ "rsquo", 0x2019 },
	{ "ldquo", 0x201c },
	{ "rdquo", 0x201d },
	{ "bdquo", 0x201e },
	{ "sbquo", 0x201a },
	{ "bull", 0x2022 },
	{ "trade", 0x2122 },
	{ "OElig", 0x0152 },
	{ "oelig", 0x0153 },
	{ "Scaron", 0x0160 },
	{ "scaron", 0x0161 },
};

static uint32_t
number_code(struct str digits, unsigned base)
{
	uint32_t code = 0;

	if (digits.len == 0)
		return 0;
	for (size_t i = 0; i < digits.len; i++) {
		int value = hex_value(digits.p[i]);

		if (value < 0 || (unsigned)value >= base || code > 0x110000)
			return 0;
		code = code * base + (uint32_t)value;
	}
	return code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0xfffd : code;
}

/* 0: no entity of that name. */
static uint32_t
entity_code(struct str name)
{
	if (name.len > 1 && name.p[0] == '#') {
		bool hex = ascii_lower(name.p[1]) == 'x';
		size_t skip = hex ? 2 : 1;

		return number_code((struct str){ name.p + skip, name.len - skip }, hex ? 16 : 10);
	}
	for (size_t i = 0; i < ARRAY_LEN(ENTITIES); i++)
		if (str_eq(name, str_from(ENTITIES[i].name)))
			return ENTITIES[i].code;
	for (uint32_t i = 0; i < ARRAY_LEN(LATIN_1); i++)
		if (str_eq(name, str_from(LATIN_1[i])))
			return 0xa0 + i;
	return 0;
}

/* At '&'; passes over the entity, or over the '&' alone. */
static void
take_entity(struct buf *out, struct cursor *c)
{
	size_t left = cursor_left(c) - 1;
	const char *name = c->p + 1;
	const char *end = memchr(name, ';', left < ENTITY_MAX_BYTES ? left : ENTITY_MAX_BYTES);
	uint32_t code = 0;

	if (end != NULL)
		code = entity_code((struct str){ name, (size_t)(end - name) });
	if (code == 0) {
		buf_addc(out, *c->p++);
		return;
	}
	utf8_encode(out, code);
	c->p = end + 1;
}

static struct str
rest(const struct cursor *c)
{
	return (struct str){ c->p, cursor_left(c) };
}

/* Behind the next `end`, or at the end of all. */
static void
skip_behind(struct cursor *c, struct str end)
{
	size_t at = str_find(rest(c), end);

	c->p = at == SIZE_MAX ? c->end : c->p + at + end.len;
}

/* Behind the tag that ends the element: nothing in it is text. */
static void
skip_element(struct cursor *c, const char *name)
{
	struct str end = str_from(name);

	while (!cursor_at_end(c)) {
		skip_behind(c, STR("</"));
		if (str_has_prefix_nocase(rest(c), end))
			break;
	}
	skip_behind(c, STR(">"));
}

/* Behind '<': passes over the tag; a '>' within quotes does not end it. */
static void
skip_tag(struct cursor *c)
{
	char quote = '\0';

	for (; c->p < c->end; c->p++) {
		if (quote != '\0')
			quote = *c->p == quote ? '\0' : quote;
		else if (*c->p == '"' || *c->p == '\'')
			quote = *c->p;
		else if (*c->p == '>')
			break;
	}
	if (c->p < c->end)
		c->p++;
}

static void
divide_words(struct buf *out)
{
	if (out->len > 0 && !ascii_is_space(out->data[out->len - 1]))
		buf_addc(out, ' ');
}

static void
take_tag(struct buf *out, struct cursor *c)
{
	static const struct str QUOTE = { "blockquote", 10 };
	struct str name;
	bool closes;

	divide_words(out);
	if (str_has_prefix(rest(c), STR("<!--"))) {
		skip_behind(c, STR("-->"));
		return;
	}
	c->p++;
	closes = cursor_take(c, '/');
	name = cursor_take_while(c, ascii_is_alnum);
	skip_tag(c);
	if (!closes && str_eq_nocase(name, STR("script")))
		skip_element(c, "script");
	else if (!closes && str_eq_nocase(name, STR("style")))
		skip_element(c, "style");
	else if (str_eq_nocase(name, QUOTE))
		buf_adds(out, closes ? "\n" : "\n> ");
}

void
html_text(struct buf *out, struct str html)
{
	struct cursor c = cursor_from(html);

	while (!cursor_at_end(&c)) {
		if (*c.p == '<')
			take_tag(out, &c);
		else if (*c.p == '&')
			take_entity(out, &c);
		else
			buf_addc(out, *c.p++);
	}
}
