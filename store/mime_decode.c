/* A part's content without its transfer encoding: bytes of the file (or of mime_reader, where line ends
 * must be CRLF) → decoder of the encoding → charset.  Each step is fed whatever the one before gives. */
#include <errno.h>
#include <stdlib.h>

#include "store/charset.h"
#include "store/mime_read.h"

#define SOFT_BLANKS_MAX 1024 /* blanks at a line's end that are held back until its end is known */

struct mime_decoder {
	struct mime_reader in;
	enum mime_cte cte;
	struct charset *charset; /* NULL: none to convert */
	bool ended;
	uint32_t bits; /* base64 */
	unsigned have_bits;
	bool in_uu;
	struct buf line;         /* what is not yet a whole line (QP, uuencode) */
	struct buf decoded, out; /* between the steps; given out from out_at */
	size_t out_at;
	char raw[MIME_READ_BUFFER_BYTES];
};

struct mime_decoder *
mime_decoder_open(int fd, const struct mime_part *part, enum mime_decode how)
{
	struct mime_decoder *d;

	if (part->cte == MIME_CTE_UNKNOWN)
		return NULL;
	d = mem_zalloc(sizeof(*d));
	mime_reader_open(&d->in, fd, &part->body);
	d->cte = part->cte;
	if ((part->flags & (MIME_PART_MULTIPART | MIME_PART_MESSAGE)) != 0)
		d->cte = MIME_CTE_IDENTITY;
	if (d->cte == MIME_CTE_BASE64)
		d->in.convert = false;
	if (how == MIME_DECODE_UTF8 && (part->flags & MIME_PART_TEXT) != 0) {
		d->charset = charset_open(part->charset);
		if (d->charset == NULL)
			d->charset = charset_open(STR("us-ascii"));
	}
	return d;
}

struct mime_decoder *
mime_decoder_open_bytes(struct str message, const struct mime_part *part, enum mime_decode how)
{
	struct mime_decoder *d = mime_decoder_open(-1, part, how);

	if (d != NULL)
		d->in.memory = message.p;
	return d;
}

void
mime_decoder_close(struct mime_decoder *d)
{
	if (d == NULL)
		return;
	charset_close(d->charset);
	buf_free(&d->line);
	buf_free(&d->decoded);
	buf_free(&d->out);
	free(d);
}

/* The value of a base64 digit; 64: "="; 65: anything else, which is passed over (RFC 2045 §6.8). */
static unsigned
base64_value(unsigned ch)
{
	if (ch - 'A' < 26u)
		return ch - 'A';
	if (ch - 'a' < 26u)
		return ch - 'a' + 26u;
	if (ch - '0' < 10u)
		return ch - '0' + 52u;
	return ch == '+' ? 62 : ch == '/' ? 63 : ch == '=' ? 64 : 65;
}

static void
decode_base64(struct mime_decoder *d, const char *s, size_t len)
{
	char *to;

	buf_reserve(&d->decoded, len + 4);
	to = d->decoded.data + d->decoded.len;
	for (size_t i = 0; i < len; i++) {
		unsigned v = base64_value((unsigned char)s[i]);

		if (v > 63) {
			if (v == 64) /* one encoded text ended; some senders append another */
				d->have_bits = 0;
			continue;
		}
		d->bits = d->bits << 6 | v;
		d->have_bits += 6;
		if (d->have_bits >= 8) {
			d->have_bits -= 8;
			*to++ = (char)(d->bits >> d->have_bits & 0xff);
		}
	}
	d->decoded.len = (size_t)(to - d->decoded.data);
}

/* One line (or its start, if it is very long) without its line end, RFC 2045 §6.7. */
static void
decode_qp_line(struct mime_decoder *d, const char *s, size_t len, bool eol)
{
	struct buf *out = &d->decoded;

	if (eol)
		while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
			len--;
	for (size_t i = 0; i < len; i++) {
		const char *eq = memchr(s + i, '=', len - i);
		size_t run = eq != NULL ? (size_t)(eq - s) - i : len - i;

		buf_add(out, s + i, run);
		i += run;
		if (i == len)
			break;
		if (i + 2 < len && hex_value(s[i + 1]) >= 0 && hex_value(s[i + 2]) >= 0) {
			buf_addc(out, (char)(hex_value(s[i + 1]) * 16 + hex_value(s[i + 2])));
			i += 2;
		} else if (eol && i + 1 == len) {
			return; /* a soft line break */
		} else {
			buf_addc(out, '=');
		}
	}
	if (eol)
		buf_adds(out, "\r\n");
}

/* "begin" line, lines of length and data, "end"; what stands around it is not content. */
static void
decode_uu_line(struct mime_decoder *d, const char *s, size_t len)
{
	unsigned n, bits = 0, have = 0;

	if (!d->in_uu) {
		d->in_uu = len > 6 && memcmp(s, "begin ", 6) == 0;
		return;
	}
	if (len == 0 || (len == 3 && memcmp(s, "end", 3) == 0)) {
		d->in_uu = len == 0;
		return;
	}
	n = ((unsigned char)s[0] - 32u) & 63u;
	for (size_t i = 1; n > 0 && i < len + 4; i++) { /* blanks at the end may have been lost */
		bits = bits << 6 | (i < len ? ((unsigned char)s[i] - 32u) & 63u : 0);
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_addc(&d->decoded, (char)(bits >> have & 0xff));
			n--;
		}
	}
}

static void
decode_line(struct mime_decoder *d, const char *s, size_t len, bool eol)
{
	if (eol && len > 0 && s[len - 1] == '\r')
		len--;
	if (d->cte == MIME_CTE_QP)
		decode_qp_line(d, s, len, eol);
	else
		decode_uu_line(d, s, len);
}

/* Encodings of lines.  A line without end within the buffer's size is cut where no escape is. */
static void
decode_lines(struct mime_decoder *d, const char *s, size_t len)
{
	const char *end = s + len, *lf;

	while (s < end && (lf = memchr(s, '\n', (size_t)(end - s))) != NULL) {
		if (d->line.len > 0) {
			buf_add(&d->line, s, (size_t)(lf - s));
			decode_line(d, d->line.data, d->line.len, true);
			buf_reset(&d->line);
		} else {
			decode_line(d, s, (size_t)(lf - s), true);
		}
		s = lf + 1;
	}
	buf_add(&d->line, s, (size_t)(end - s));
	if (d->line.len > 2 * MIME_READ_BUFFER_BYTES && d->cte == MIME_CTE_QP) {
		size_t cut = d->line.len, least = d->line.len - SOFT_BLANKS_MAX;

		while (
		    cut > least && (d->line.data[cut - 1] == ' ' || d->line.data[cut - 1] == '\t' ||
				       d->line.data[cut - 1] == '\r'))
			cut--;
		for (size_t k = 0; k < 2 && cut > least; k++)
			cut -= d->line.data[cut - 1] == '=' ||
				       (cut > 1 && d->line.data[cut - 2] == '=')
				   ? 1
				   : 0;
		decode_line(d, d->line.data, cut, false);
		buf_consume(&d->line, cut);
	} else if (d->line.len > 2 * MIME_READ_BUFFER_BYTES) {
		buf_reset(&d->line);
	}
}

static void
decode(struct mime_decoder *d, const char *s, size_t len)
{
	if (d->cte == MIME_CTE_BASE64)
		decode_base64(d, s, len);
	else if (d->cte == MIME_CTE_IDENTITY)
		buf_add(&d->decoded, s, len);
	else
		decode_lines(d, s, len);
}

/* The last line has no line end: blanks and "=" at its end are no text all the same. */
static void
decode_end(struct mime_decoder *d)
{
	size_t len = d->line.len;

	if (d->cte == MIME_CTE_QP) {
		while (len > 0 && (d->line.data[len - 1] == ' ' || d->line.data[len - 1] == '\t'))
			len--;
		if (len > 0 && d->line.data[len - 1] == '=')
			len--;
	}
	if (len > 0)
		decode_line(d, d->line.data, len, d->cte != MIME_CTE_QP);
	buf_reset(&d->line);
}

/* Reads some and passes it through the steps; false on a read error. */
static bool
fill(struct mime_decoder *d)
{
	ssize_t n = mime_reader_read(&d->in, d->raw, sizeof(d->raw));

	buf_reset(&d->out);
	buf_reset(&d->decoded);
	d->out_at = 0;
	if (n < 0)
		return false;
	if (n > 0)
		decode(d, d->raw, (size_t)n);
	else
		decode_end(d);
	d->ended = n == 0;
	if (d->charset != NULL) {
		charset_feed(d->charset, &d->out, d->decoded.data, d->decoded.len);
		if (d->ended)
			charset_finish(d->charset, &d->out);
	} else {
		struct buf swap = d->out;

		d->out = d->decoded;
		d->decoded = swap;
	}
	return true;
}

ssize_t
mime_decoder_read(struct mime_decoder *d, void *bytes, size_t len)
{
	size_t n;

	while (d->out_at == d->out.len && !d->ended)
		if (!fill(d))
			return -1;
	n = d->out.len - d->out_at;
	if (n > len)
		n = len;
	if (n > 0)
		memcpy(bytes, d->out.data + d->out_at, n);
	d->out_at += n;
	return (ssize_t)n;
}

bool
mime_decoded_size(int fd, const struct mime_part *part, uint64_t *size_out)
{
	struct mime_decoder *d = mime_decoder_open(fd, part, MIME_DECODE_CTE);
	bool good = true;

	if (d == NULL) {
		errno = EILSEQ;
		return false;
	}
	*size_out = 0;
	while (good && !d->ended) {
		good = fill(d);
		*size_out += d->out.len;
	}
	mime_decoder_close(d);
	return good;
}
