#include "lda/rejection.h"

#include <string.h>

#include "store/compose.h"

static const char GENERAL_REASON[] = "The recipient does not want this message";

bool
rejection_reply(const struct filter_reject *reject, char text_out[REJECTION_TEXT_BYTES])
{
	struct str reason = str_trim(str_from(reject->reason));
	bool ascii = reason.len > 0;
	size_t len = 0;

	for (size_t i = 0; i < reason.len; i++)
		ascii =
		    ascii && (unsigned char)reason.p[i] < 0x7f &&
		    ((unsigned char)reason.p[i] >= ' ' || strchr("\r\n\t", reason.p[i]) != NULL);
	if (!reject->ereject && (!ascii || reason.len >= REJECTION_TEXT_BYTES))
		return false;
	if (!ascii)
		reason = STR(GENERAL_REASON);
	for (size_t i = 0; i < reason.len && len + 1 < REJECTION_TEXT_BYTES; i++)
		if (reason.p[i] != '\r')
			text_out[len++] = reason.p[i] == '\t' ? ' ' : reason.p[i];
	text_out[len] = '\0';
	return true;
}

/* disposition-notification-content, RFC 8098 §3.1 */
static void
add_disposition(struct buf *out, const struct reply_facts *f)
{
	struct str id = reply_message_id(f->message);

	buf_printf(out,
	    "Content-Type: message/disposition-notification\n\n"
	    "Reporting-UA: %s; Sanger\n",
	    f->hostname);
	if (f->orig_rcpt != NULL)
		compose_field(out, "Original-Recipient", str_from(f->orig_rcpt), "\n");
	buf_printf(out, "Final-Recipient: rfc822; %s\n", f->rcpt);
	if (id.p != NULL)
		compose_field(out, "Original-Message-ID", id, "\n");
	buf_adds(out, "Disposition: automatic-action/MDN-sent-automatically; deleted\n");
}

void
rejection_compose(struct buf *out, const struct reply_facts *f, const struct filter_reject *reject)
{
	struct buf id = { 0 }, text = { 0 };
	struct str mark = reply_boundary(&id, f);

	buf_printf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\n", f->hostname);
	compose_field(out, "To", str_from(f->sender), "\n");
	reply_add_subject(out, "Rejected: ", f->message);
	reply_add_identity(out, f);
	reply_add_threading(out, f->message);
	buf_printf(out,
	    "Auto-Submitted: auto-replied (rejected)\nMIME-Version: 1.0\n"
	    "Content-Type: multipart/report; report-type=%s;\n\tboundary=\"%.*s\"\n\n--%.*s\n",
	    reject->ereject ? "delivery-status" : "disposition-notification", (int)mark.len, mark.p,
	    (int)mark.len, mark.p);
	buf_printf(&text,
	    "Your message to <%s> was refused by its recipient's mail filter.  The reason "
	    "given:\n\n%s\n",
	    f->rcpt, reject->reason);
	compose_text_part(out, (struct str){ text.data, text.len });
	buf_printf(out, "\n--%.*s\n", (int)mark.len, mark.p);
	if (reject->ereject)
		reply_add_status(out, f, NULL, "failed", "5.7.1");
	else
		add_disposition(out, f);
	buf_printf(out, "\n--%.*s\n", (int)mark.len, mark.p);
	reply_add_header_of(out, f->message);
	buf_printf(out, "\n--%.*s--\n", (int)mark.len, mark.p);
	buf_free(&id);
	buf_free(&text);
}
