#include <string.h>

#include "lda/filter_report.h"
#include "store/compose.h"
#include "store/header.h"

#define QUOTE_MAX_BYTES 200 /* of the filter's line, of a header field */

/* Ends at a character; control bytes become blanks. */
static void
add_clean(struct buf *out, struct str text)
{
	size_t len = text.len;

	if (len > QUOTE_MAX_BYTES)
		for (len = QUOTE_MAX_BYTES; len > 0 && ((unsigned char)text.p[len] & 0xc0) == 0x80;)
			len--;
	for (size_t i = 0; i < len; i++)
		buf_addc(
		    out, (unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f ? ' ' : text.p[i]);
	if (len < text.len)
		buf_adds(out, "...");
}

/* The words of the line.  An included script's lines are not in this text; where it is the included one that failed, or
 * may be the one that asked, nothing is quoted. */
static void
add_quote(struct buf *out, struct str filter, const struct trouble *trouble)
{
	struct cursor lines = cursor_from(filter);
	struct str line = { NULL, 0 };
	unsigned n = 0;

	if (filter.p == NULL || trouble->line == 0 ||
	    (trouble->whole ? strncmp(trouble->text, "included script", 15) == 0
			    : str_find(filter, STR("include")) < filter.len))
		return;
	while (n < trouble->line && cursor_take_line(&lines, &line))
		n++;
	line = str_trim(line);
	if (n < trouble->line || line.len == 0)
		return;
	buf_adds(out, "\n    >  ");
	add_clean(out, line);
}

static void
add_field(struct buf *out, const char *name, struct str value)
{
	struct buf text = { 0 };

	if (value.p == NULL)
		return;
	header_decode(&text, value);
	buf_printf(out, "    %s: ", name);
	add_clean(out, (struct str){ buf_cstr(&text), text.len });
	buf_addc(out, '\n');
	buf_free(&text);
}

static void
add_words(struct buf *out, const struct filter_report_facts *facts, const struct trouble *trouble)
{
	buf_printf(out,
	    trouble->whole
		? "There is a mistake in the mail filter of %s:\n\n    "
		: "The mail filter of %s asks for something that cannot be done:\n\n    ",
	    facts->account);
	if (trouble->line != 0)
		buf_printf(out, "line %u: ", trouble->line);
	buf_adds(out, trouble->text);
	add_quote(out, facts->filter, trouble);
	buf_adds(out, "\n\nIt was noticed with this message:\n\n");
	add_field(out, "From", facts->from);
	add_field(out, "Subject", facts->subject);
	add_field(out, "Date", facts->date);
	buf_adds(
	    out, trouble->whole
		     ? "\nNo mail is lost: the filter was not applied, and the message is in your\n"
		       "INBOX.  So will be all that meet the mistake, until the filter is mended.\n"
		     : "\nNo mail is lost: all else that the filter asks for was done, and what\n"
		       "could not be put or sent elsewhere is in your INBOX.\n");
	buf_adds(out,
	    "\nYou can change your filter in the filter settings of your mail program or\n"
	    "webmail.  If you did not write it, or need help, forward this notice to\n"
	    "those who run your mail server.\n\n"
	    "You get this notice at most once a day for one mistake.\n");
}

void
filter_report_compose(
    struct buf *out, const struct filter_report_facts *facts, const struct trouble *trouble)
{
	const char *at = strrchr(facts->account, '@');
	struct buf id = { 0 }, text = { 0 };

	compose_message_id(&id, facts->hostname);
	buf_printf(out,
	    "Return-Path: <>\nFrom: Mail server <postmaster@%s>\nTo: %s\n"
	    "Subject: Your mail filter has a mistake",
	    at != NULL ? at + 1 : facts->hostname, facts->account);
	if (trouble->line != 0)
		buf_printf(out, " in line %u", trouble->line);
	buf_adds(out, "\nDate: ");
	compose_date(out, facts->now);
	buf_printf(out, "\nMessage-ID: %s\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n",
	    buf_cstr(&id));
	add_words(&text, facts, trouble);
	compose_text_part(out, (struct str){ text.data, text.len });
	buf_free(&id);
	buf_free(&text);
}
