#include "filter/exim/headers.h"

#include "filter/exim/expand.h"
#include "filter/exim/words.h"

/* Several of these are one list. */
static bool
holds_addresses(struct str name)
{
	static const char *const NAMES[] = { "Bcc", "Cc", "From", "Reply-To", "Sender", "To" };

	if (str_has_prefix_nocase(name, STR("Resent-")))
		name = (struct str){ name.p + 7, name.len - 7 };
	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
		if (str_eq_nocase(name, str_from(NAMES[i])))
			return true;
	return false;
}

/* CRLF as LF; NUL, which no text of Exim's can hold, ends nothing here but is a question mark. */
static void
add_lines(struct exim_text *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\r' && i + 1 < s.len && s.p[i + 1] == '\n')
			continue;
		exim_text_char(out, (char)(s.p[i] != '\0' ? s.p[i] : '?'));
	}
}

static struct str
trim_right(struct str s)
{
	while (s.len > 0 && ascii_is_space(s.p[s.len - 1]))
		s.len--;
	return s;
}

static void
add_occurrence(struct exim_text *out, const struct header_field *f, enum exim_header_kind kind,
    const size_t *count)
{
	bool addresses = holds_addresses(f->name);
	struct str value = f->value;

	if (kind == EXIM_HEADER_RAW) {
		add_lines(out, value);
		exim_text_char(out, '\n');
		return;
	}
	if (kind == EXIM_HEADER_LIST) {
		struct exim_text flat = { .arena = out->arena };

		add_lines(&flat, value);
		if (*count > 0)
			exim_text_char(out, ':');
		for (size_t i = 0; i < flat.len; i++)
			exim_text_str(
			    out, flat.p[i] == ':' ? STR("::") : (struct str){ flat.p + i, 1 });
		return;
	}
	value = str_trim(value);
	if (value.len == 0)
		return;
	if (out->len > 0)
		exim_text_str(out, addresses ? STR(",\n") : STR("\n"));
	add_lines(out, value);
}

struct str
exim_header(struct exim_run *x, struct str name, enum exim_header_kind kind)
{
	struct exim_text text = { .arena = &x->scratch }, decoded = { .arena = &x->scratch };
	size_t count = 0;

	for (size_t i = 0; i < x->view.field_count; i++) {
		const struct header_field *f = &x->view.fields[i];

		if (f->value.p == NULL || !str_eq_nocase(f->name, name))
			continue;
		add_occurrence(&text, f, kind, &count);
		count++;
	}
	if (kind != EXIM_HEADER_DECODED && kind != EXIM_HEADER_BYTES)
		return exim_text_get(&text);
	exim_words_decode(
	    &decoded, exim_text_get(&text), kind == EXIM_HEADER_DECODED ? x->charset : NULL);
	return exim_text_get(&decoded);
}

struct str
exim_all_headers(struct exim_run *x, bool decoded)
{
	struct exim_text text = { .arena = &x->scratch }, out = { .arena = &x->scratch };

	if (!decoded) {
		add_lines(&text, x->view.header);
		return exim_text_get(&text);
	}
	for (size_t i = 0; i < x->view.field_count; i++) {
		if (i > 0)
			exim_text_char(&text, '\n');
		add_lines(&text, trim_right(x->view.fields[i].raw));
	}
	exim_words_decode(&out, exim_text_get(&text), NULL);
	return exim_text_get(&out);
}
