#include <string.h>

#include "lda/filter_report.h"
#include "store/compose.h"

void
filter_report_compose(struct buf *out, const char *account, const char *hostname, int64_t now,
    const struct trouble *trouble)
{
	const char *at = strrchr(account, '@');
	struct buf id = { 0 }, text = { 0 };

	compose_message_id(&id, hostname);
	buf_printf(out,
	    "Return-Path: <>\nFrom: Mail server <postmaster@%s>\nTo: %s\n"
	    "Subject: Your mail filter has a mistake\nDate: ",
	    at != NULL ? at + 1 : hostname, account);
	compose_date(out, now);
	buf_printf(out, "\nMessage-ID: %s\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n",
	    buf_cstr(&id));
	buf_printf(&text,
	    "Your mail filter could not do all it was to do with a message for %s:\n\n    ",
	    account);
	if (trouble->line != 0)
		buf_printf(&text, "line %u: ", trouble->line);
	buf_printf(&text,
	    "%s\n\n"
	    "No mail is lost: the message is in your INBOX, or where the rest of the filter put "
	    "it.\n"
	    "Please mend the filter.  This notice comes at most once a day for one mistake.\n",
	    trouble->text);
	compose_text_part(out, (struct str){ text.data, text.len });
	buf_free(&id);
	buf_free(&text);
}
