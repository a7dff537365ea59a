/* extracttext, RFC 5703 §7: the text of a part into a variable.  HTML gives its text; what is no text is
 * empty. */
#include "base/mem.h"
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"
#include "store/charset.h"
#include "store/html_text.h"
#include "store/mime.h"

static bool
extracttext_check(struct sieve_check *c, struct sieve_call *call)
{
	unsigned *variable = arena_alloc(sieve_check_arena(c), sizeof(*variable));

	call->data = variable;
	if (!sieve_check_has(c, SIEVE_CAP_VARIABLES))
		return sieve_check_error(c, call->line, "extracttext needs require \"variables\"");
	if (sieve_check_inside(c, "foreverypart") == NULL)
		return sieve_check_error(
		    c, call->line, "extracttext is not inside of foreverypart");
	return sieve_check_variable_arg(c, call->args[0], variable);
}

/* The first `count` characters. */
static struct str
first_characters(struct str text, uint64_t count)
{
	size_t at = 0;
	uint32_t code;

	for (uint64_t n = 0; n < count && at < text.len; n++) {
		int len = utf8_decode(text.p + at, text.len - at, &code);

		at += len > 0 ? (size_t)len : 1;
	}
	return (struct str){ text.p, at < text.len ? at : text.len };
}

static struct str
text_of_html(struct sieve_run *r, struct str html)
{
	struct buf text = { 0 };
	struct str copy;

	html_text(&text, html);
	copy = sieve_copy(r, (struct str){ text.data, text.len });
	buf_free(&text);
	return copy;
}

static bool
extracttext_run(struct sieve_run *r, const struct sieve_call *call)
{
	const struct sieve_arg *first = sieve_tag(call, SIEVE_TAG_FIRST);
	const struct mime_part *part = r->part->mime;
	struct str text = { "", 0 };

	if ((part->flags & MIME_PART_TEXT) != 0) {
		text = sieve_part_content(r, r->part->bytes, part);
		if (str_eq_nocase(part->subtype, STR("html")))
			text = text_of_html(r, text);
	}
	if (first != NULL)
		text = first_characters(text, first->number);
	sieve_variable_set(r, *(const unsigned *)call->data, sieve_modify(r, call, text));
	return !sieve_run_failed(r);
}

static const struct sieve_tag_spec FIRST_TAGS[] = {
	{ .name = "first", .id = SIEVE_TAG_FIRST, .value = SIEVE_NUMBER },
	{ 0 },
};

const struct sieve_spec SIEVE_EXTRACTTEXT_SPECS[] = {
	{ .name = "extracttext",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_EXTRACTTEXT,
	    .tags = { FIRST_TAGS, SIEVE_MODIFIER_TAGS },
	    .args = { SIEVE_STRING },
	    .check = extracttext_check,
	    .run = extracttext_run },
	{ 0 },
};
