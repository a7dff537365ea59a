#include "store/preview.h"

#include "store/charset.h"
#include "store/html_text.h"
#include "store/mime_read.h"

#define READ_BYTES 4096
#define PLAIN_MAX_BYTES                                                                            \
	(64 * 1024) /* of a part that are looked at, mostly for what is not quoted */
#define HTML_MAX_BYTES (128 * 1024) /* much of a page may be its style */

/* Text as it is folded together: characters, a blank between words. */
struct fold {
	struct buf text;
	size_t chars;
	bool blank; /* due before the next character */
};

struct preview {
	struct fold plain, quoted;
	bool line_start, in_quote;
	bool encrypted;
	size_t lines;
};

/* --- which part -------------------------------------------------------------------------------- */

static bool
is_type(const struct mime_part *part, const char *type, const char *subtype)
{
	return str_eq_nocase(part->type, str_from(type)) &&
	       str_eq_nocase(part->subtype, str_from(subtype));
}

/* Depth is bounded by MIME_DEPTH_MAX. */
static const struct mime_part *
find_text(const struct mime_part *part)
{
	const struct mime_part *found = NULL;

	if ((part->flags & MIME_PART_TEXT) != 0)
		return part;
	if ((part->flags & MIME_PART_MULTIPART) == 0 ||
	    str_eq_nocase(part->subtype, STR("encrypted")))
		return NULL;
	if (str_eq_nocase(part->subtype, STR("alternative")))
		for (const struct mime_part *c = part->first_child; c != NULL; c = c->next)
			if (is_type(c, "text", "plain"))
				return c;
	for (const struct mime_part *c = part->first_child; c != NULL && found == NULL; c = c->next)
		found = find_text(c);
	return found;
}

/* --- folding ----------------------------------------------------------------------------------- */

/* Of no use in a line of text: control characters, and marks of byte order. */
static bool
is_dropped(uint32_t code)
{
	return code < ' ' || (code >= 0x7f && code < 0xa0) || code == 0xfeff;
}

static bool
is_full(const struct fold *f)
{
	return f->chars >= PREVIEW_MAX_CHARS;
}

static void
fold_char(struct fold *f, const char *bytes, size_t len, uint32_t code)
{
	if (is_full(f))
		return;
	if (code == ' ' || code == '\t' || code == '\n' || code == '\r') {
		f->blank = f->chars > 0;
		return;
	}
	if (is_dropped(code))
		return;
	if (f->blank) {
		f->blank = false;
		buf_addc(&f->text, ' ');
		if (++f->chars == PREVIEW_MAX_CHARS)
			return;
	}
	buf_add(&f->text, bytes, len);
	f->chars++;
}

/* An encrypted text is none, RFC 8970 §3.2. */
static bool
begins_pgp(struct str text)
{
	return str_has_prefix(text, STR("-----BEGIN PGP MESSAGE-----"));
}

static bool
is_done(const struct preview *pv)
{
	return is_full(&pv->plain) || pv->encrypted;
}

/* Takes the text from `at` on until nothing more is of interest, and returns where it stopped: before a character that is cut
 * off at the end. */
static size_t
fold_text(struct preview *pv, struct str text, size_t at)
{
	while (at < text.len && !is_done(pv)) {
		const char *p = text.p + at;
		uint32_t code = 0;
		int len = utf8_decode(p, text.len - at, &code);

		if (len < 0)
			break;
		if (len == 0) { /* decoding leaves none of these */
			at++;
			continue;
		}
		if (pv->line_start && code == '>') {
			pv->in_quote = true;
			at++;
			continue;
		}
		if (pv->line_start && pv->plain.chars == 0)
			pv->encrypted = begins_pgp((struct str){ p, text.len - at });
		pv->line_start = code == '\n' || (pv->in_quote && pv->line_start && code == ' ');
		fold_char(pv->in_quote ? &pv->quoted : &pv->plain, p, (size_t)len, code);
		if (code == '\n') {
			pv->in_quote = false;
			pv->plain.blank = pv->plain.chars > 0;
		}
		at += (size_t)len;
	}
	return at;
}

static void
finish(struct preview *pv, struct buf *out)
{
	if (!pv->encrypted && pv->plain.chars > 0) {
		buf_add(out, pv->plain.text.data, pv->plain.text.len);
	} else if (!pv->encrypted && pv->quoted.chars > 0) {
		buf_addc(out, '>');
		buf_add(out, pv->quoted.text.data, pv->quoted.text.len);
	}
	buf_free(&pv->plain.text);
	buf_free(&pv->quoted.text);
}

/* A page on one line: then a quoted block is one line too, with the ">" of html_text() in front. */
static void
html_lines(struct buf *out, struct str page)
{
	struct buf flat = { 0 };

	buf_add(&flat, page.p, page.len);
	for (size_t i = 0; i < flat.len; i++)
		if (flat.data[i] == '\n' || flat.data[i] == '\r')
			flat.data[i] = ' ';
	html_text(out, (struct str){ flat.data, flat.len });
	buf_free(&flat);
}

void
preview_of_text(struct buf *out, struct str text, bool html)
{
	struct preview pv = { .line_start = true };
	struct buf lines = { 0 };

	if (html)
		html_lines(&lines, text);
	fold_text(&pv, html ? (struct str){ lines.data, lines.len } : text, 0);
	finish(&pv, out);
	buf_free(&lines);
}

/* --- a message --------------------------------------------------------------------------------- */

static bool
is_html(const struct mime_part *part)
{
	return is_type(part, "text", "html") || is_type(part, "text", "xhtml");
}

/* Appends more of the part in UTF-8; false at its end. */
static bool
read_more(struct buf *text, struct mime_decoder *d)
{
	ssize_t n;

	buf_reserve(text, READ_BYTES);
	n = mime_decoder_read(d, text->data + text->len, READ_BYTES);
	if (n > 0)
		text->len += (size_t)n;
	return n > 0;
}

static void
preview_of_page(struct buf *out, struct mime_decoder *d)
{
	struct buf page = { 0 };

	while (page.len < HTML_MAX_BYTES && read_more(&page, d))
		continue;
	preview_of_text(out, (struct str){ page.data, page.len }, true);
	buf_free(&page);
}

/* Of plain text mostly the first bytes will do. */
static void
preview_of_plain(struct buf *out, struct mime_decoder *d)
{
	struct preview pv = { .line_start = true };
	struct buf text = { 0 };
	size_t at = 0;

	while (text.len < PLAIN_MAX_BYTES && !is_done(&pv) && read_more(&text, d))
		at = fold_text(&pv, (struct str){ text.data, text.len }, at);
	finish(&pv, out);
	buf_free(&text);
}

void
preview_make(struct buf *out, int fd, const struct mime_message *m)
{
	const struct mime_part *part = find_text(m->root);
	struct mime_decoder *d;

	if (part == NULL || part->body.size == 0)
		return;
	d = mime_decoder_open(fd, part, MIME_DECODE_UTF8);
	if (d != NULL && is_html(part))
		preview_of_page(out, d);
	else if (d != NULL)
		preview_of_plain(out, d);
	mime_decoder_close(d);
}
