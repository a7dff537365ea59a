#include "net/smtp_dots.h"

#include "base/text.h"

/* One byte of text (not of a dot that is in doubt), and the state it leads to. */
static void
take_text(struct smtp_dots *d, char c, struct buf *out)
{
	bool after_cr = d->state == SMTP_DOTS_CR;

	if (out != NULL)
		buf_addc(out, c);
	if (c == '\n' && after_cr) {
		d->state = SMTP_DOTS_LINE_START;
		return;
	}
	d->bare_newline = d->bare_newline || c == '\n' || after_cr;
	d->state = c == '\r' ? SMTP_DOTS_CR : SMTP_DOTS_TEXT;
}

static size_t
plain_run(const char *in, size_t len)
{
	size_t i = 0;

	while (i < len && in[i] != '\r' && in[i] != '\n')
		i++;
	return i;
}

size_t
smtp_dots_decode(struct smtp_dots *d, const char *in, size_t len, struct buf *out)
{
	size_t i = 0, run;

	while (i < len && d->state != SMTP_DOTS_END) {
		char c = in[i];

		if (d->state == SMTP_DOTS_LINE_START && c == '.') {
			d->state = SMTP_DOTS_DOT;
			i++;
		} else if (d->state == SMTP_DOTS_DOT && c == '\r') {
			d->state = SMTP_DOTS_DOT_CR;
			i++;
		} else if (d->state == SMTP_DOTS_DOT_CR && c == '\n') {
			d->state = SMTP_DOTS_END;
			i++;
		} else if (d->state == SMTP_DOTS_DOT_CR) { /* the CR was text after all */
			d->state = SMTP_DOTS_TEXT;
			take_text(d, '\r', out);
		} else if (d->state == SMTP_DOTS_TEXT && (run = plain_run(in + i, len - i)) > 0) {
			buf_add(out, in + i, run);
			i += run;
		} else {
			if (d->state == SMTP_DOTS_DOT)
				d->state = SMTP_DOTS_TEXT;
			take_text(d, c, out);
			i++;
		}
	}
	return i;
}

void
smtp_dots_check(struct smtp_dots *d, const char *in, size_t len)
{
	for (size_t i = 0; i < len; i++)
		take_text(d, in[i], NULL);
}

static void
end_line(struct smtp_stuff *st, struct buf *out)
{
	buf_add(out, "\r\n", 2);
	st->cr = false;
	st->in_line = false;
}

void
smtp_stuff_encode(struct smtp_stuff *st, bool stuff, const char *in, size_t len, struct buf *out)
{
	size_t i = 0, run;

	while (i < len) {
		if (in[i] == '\n') {
			end_line(st, out);
			i++;
			continue;
		}
		if (st->cr) /* it stood alone */
			end_line(st, out);
		if (in[i] == '\r') {
			st->cr = true;
			i++;
			continue;
		}
		if (stuff && !st->in_line && in[i] == '.')
			buf_addc(out, '.');
		run = plain_run(in + i, len - i);
		buf_add(out, in + i, run);
		st->in_line = true;
		i += run;
	}
}

void
smtp_stuff_end(struct smtp_stuff *st, bool stuff, struct buf *out)
{
	if (st->cr || st->in_line)
		end_line(st, out);
	if (stuff)
		buf_add(out, ".\r\n", 3);
}
