#include "lda/receipt.h"

#include "lda/rejection.h"
#include "store/compose.h"

void
receipt_compose(struct buf *out, const struct reply_facts *f, const char *envid)
{
	struct buf id = { 0 }, text = { 0 };
	struct str mark = reply_boundary(&id, f);

	buf_printf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\n", f->hostname);
	compose_field(out, "To", str_from(f->sender), "\n");
	buf_adds(out, "Subject: Your message was delivered\n");
	reply_add_identity(out, f);
	reply_add_threading(out, f->message);
	buf_printf(out,
	    "Auto-Submitted: auto-replied\nMIME-Version: 1.0\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"%.*s\"\n\n"
	    "--%.*s\n",
	    (int)mark.len, mark.p, (int)mark.len, mark.p);
	buf_printf(&text, "Your message has been delivered to the mailbox of <%s>.\n", f->rcpt);
	compose_text_part(out, (struct str){ text.data, text.len });
	buf_printf(out, "\n--%.*s\n", (int)mark.len, mark.p);
	reply_add_status(out, f, envid, "delivered", "2.1.5");
	buf_printf(out, "\n--%.*s\n", (int)mark.len, mark.p);
	reply_add_header_of(out, f->message);
	buf_printf(out, "\n--%.*s--\n", (int)mark.len, mark.p);
	buf_free(&id);
	buf_free(&text);
}
