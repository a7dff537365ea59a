#include "clients/markup.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

static const char *
reference(char c)
{
	switch (c) {
	case '&': return "&amp;";
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '"': return "&quot;";
	case '\'': return "&#39;";
	default: return NULL;
	}
}

/* U+FFFE and U+FFFF are no characters of XML. */
static bool
is_no_character(const char *text)
{
	return memcmp(text, "\xef\xbf\xbe", 3) == 0 || memcmp(text, "\xef\xbf\xbf", 3) == 0;
}

void
markup_text(struct buf *out, const char *text)
{
	while (*text != '\0') {
		const char *ref = reference(*text);
		size_t len = text_visible(text);

		if (len == 3 && is_no_character(text))
			len = 0;
		if (ref != NULL) {
			buf_adds(out, ref);
			text++;
		} else if (len > 0 || *text == '\n' || *text == '\t') {
			len = len > 0 ? len : 1;
			buf_add(out, text, len);
			text += len;
		} else {
			buf_adds(out, "\xef\xbf\xbd");
			text++;
		}
	}
}

void
markup_element(struct buf *out, unsigned indent, const char *name, const char *text)
{
	for (unsigned i = 0; i < indent; i++)
		buf_addc(out, '\t');
	buf_printf(out, "<%s>", name);
	markup_text(out, text);
	buf_printf(out, "</%s>\n", name);
}

void
markup_printf(struct buf *out, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	for (; *fmt != '\0'; fmt++) {
		if (*fmt != '%') {
			buf_addc(out, *fmt);
			continue;
		}
		switch (*++fmt) {
		case 's': markup_text(out, va_arg(args, const char *)); break;
		case 'S': buf_adds(out, va_arg(args, const char *)); break;
		case 'u': buf_printf(out, "%u", va_arg(args, unsigned)); break;
		case '%': buf_addc(out, '%'); break;
		default: abort(); /* a mistake in the program */
		}
	}
	va_end(args);
}
