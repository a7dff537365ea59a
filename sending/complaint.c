#include "sending/complaint.h"

#include "store/address.h"
#include "store/compose.h"

const char *
complaint_objection(const struct reply_facts *f)
{
	return reply_is_automatic(f->message) ? "auto-submitted" : NULL;
}

const char *
complaint_recipient(const struct filter_report *report, struct arena *arena)
{
	struct buf spec = { 0 };
	const char *to = NULL;

	if (address_first(str_from(report->to), &spec) &&
	    address_is_valid((struct str){ spec.data, spec.len }))
		to = arena_strndup(arena, spec.data, spec.len);
	buf_free(&spec);
	return to;
}

/* The second part, RFC 5965 §3. */
static void
add_feedback(struct buf *out, const struct reply_facts *f, const struct filter_report *report)
{
	buf_adds(out, "Content-Type: message/feedback-report\n\n");
	compose_field(out, "Feedback-Type", str_from(report->type), "\n");
	buf_adds(out, "User-Agent: Sanger/1\nVersion: 1\n");
	buf_printf(out, "Original-Mail-From: <%s>\nOriginal-Rcpt-To: <%s>\n", f->sender, f->rcpt);
	buf_printf(out, "Reporting-MTA: dns; %s\nArrival-Date: ", f->hostname);
	compose_date(out, f->now);
	buf_addc(out, '\n');
}

static void
add_message(struct buf *out, struct str all)
{
	buf_adds(out, "Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n");
	reply_add_lines(out, all);
}

void
complaint_compose(struct buf *out, const struct reply_facts *f, const struct filter_report *report)
{
	struct buf id = { 0 };
	struct str mark = reply_boundary(&id, f), all = f->message->all;

	compose_field(out, "From", str_from(f->account), "\n");
	compose_address_field(out, "To", str_from(report->to), "\n");
	reply_add_subject(out, "Report: ", f->message);
	reply_add_identity(out, f);
	buf_printf(out,
	    "Auto-Submitted: auto-generated (report)\nMIME-Version: 1.0\n"
	    "Content-Type: multipart/report; report-type=feedback-report;\n\tboundary=\"%.*s\"\n\n"
	    "--%.*s\n",
	    (int)mark.len, mark.p, (int)mark.len, mark.p);
	compose_text_part(out, str_from(report->message));
	buf_printf(out, "\n--%.*s\n", (int)mark.len, mark.p);
	add_feedback(out, f, report);
	buf_printf(out, "\n--%.*s\n", (int)mark.len, mark.p);
	if (report->headers_only || all.len > COMPLAINT_MESSAGE_BYTES)
		reply_add_header_of(out, f->message);
	else
		add_message(out, all);
	buf_printf(out, "\n--%.*s--\n", (int)mark.len, mark.p);
	buf_free(&id);
}
