#include "lda/filter_report.h"

#include <string.h>

#include "service/service.h"
#include "store/compose.h"
#include "store/state.h"

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

static void
send(struct lda_delivery *d, const struct trouble *trouble)
{
	struct buf message = { 0 };
	enum lda_verdict v;

	filter_report_compose(&message, d->account, d->lda->hostname, d->now, trouble);
	v = lda_deliver_system(d->lda, d->rcpt, (struct str){ message.data, message.len });
	log_info(d->lda->sv->log, "filter-report", "account=%s line=%u result=%s", d->account,
	    trouble->line, v == LDA_OK ? "delivered" : "failed");
	buf_free(&message);
}

void
filter_report(struct lda_delivery *d)
{
	for (size_t i = 0; i < d->trouble_count; i++) {
		const struct trouble *t = &d->troubles[i];
		struct state *state = delivery_state(d);
		bool due = false;

		if (state != NULL &&
		    state_error_add(state, t->kind, t->line, t->text, d->now, &due) == STORE_OK &&
		    due)
			send(d, t);
	}
}
