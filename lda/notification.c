#include "lda/notification.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/address.h"
#include "store/compose.h"
#include "store/header.h"

/* --- mailto URIs, RFC 6068 ---------------------------------------------------------------------- */

/* %XX to bytes; control bytes but line ends become blanks. */
static void
percent_decode(struct buf *out, struct str in)
{
	for (size_t i = 0; i < in.len; i++) {
		unsigned char ch = (unsigned char)in.p[i];

		if (ch == '%' && i + 2 < in.len && hex_value(in.p[i + 1]) >= 0 &&
		    hex_value(in.p[i + 2]) >= 0) {
			ch = (unsigned char)(hex_value(in.p[i + 1]) * 16 + hex_value(in.p[i + 2]));
			i += 2;
		}
		if (ch == '\r')
			continue;
		buf_addc(out, ch < ' ' && ch != '\n' && ch != '\t' ? ' ' : (char)ch);
	}
}

/* The value of a header field of the URI ("subject", "body"), decoded and appended; false: not there. */
static bool
uri_field(struct str uri, const char *name, struct buf *out)
{
	const char *question = memchr(uri.p, '?', uri.len);
	struct cursor c;

	if (question == NULL)
		return false;
	c = cursor_from((struct str){ question + 1, (size_t)(uri.p + uri.len - question) - 1 });
	while (!cursor_at_end(&c)) {
		const char *start = c.p, *equals;
		struct str field;

		while (!cursor_at_end(&c) && cursor_peek(&c) != '&')
			c.p++;
		field = (struct str){ start, (size_t)(c.p - start) };
		cursor_take(&c, '&');
		equals = memchr(field.p, '=', field.len);
		if (equals == NULL ||
		    !str_eq_nocase(
			(struct str){ field.p, (size_t)(equals - field.p) }, str_from(name)))
			continue;
		percent_decode(
		    out, (struct str){ equals + 1, (size_t)(field.p + field.len - equals) - 1 });
		return true;
	}
	return false;
}

/* --- to whom ------------------------------------------------------------------------------------ */

const char *
notification_objection(const struct reply_facts *f, const struct filter_notify *notify)
{
	(void)notify;
	return reply_is_automatic(f->message) ? "auto-submitted" : NULL;
}

static size_t
add_one(struct str address, struct arena *arena, size_t count, const char *recipients[])
{
	if (count == NOTIFICATION_RECIPIENTS_MAX || !address_is_valid(address))
		return count;
	for (size_t i = 0; i < count; i++)
		if (str_eq_nocase(address, str_from(recipients[i])))
			return count;
	recipients[count] = arena_strndup(arena, address.p, address.len);
	return count + 1;
}

size_t
notification_recipients(const struct filter_notify *notify, struct arena *arena,
    const char *recipients_out[NOTIFICATION_RECIPIENTS_MAX])
{
	static const char *const FIELDS[] = { "to", "cc", "bcc" };
	struct buf list = { 0 }, spec = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < notify->to_count; i++)
		count = add_one(str_from(notify->to[i]), arena, count, recipients_out);
	for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
		buf_reset(&list);
		uri_field(str_from(notify->method), FIELDS[i], &list);
		for (const struct address *a =
			 address_parse(arena, (struct str){ list.data, list.len });
		     a != NULL; a = a->next) {
			if (a->broken || a->domain.p == NULL || a->mailbox.p == NULL)
				continue;
			buf_reset(&spec);
			address_spec(&spec, a);
			count = add_one(
			    (struct str){ spec.data, spec.len }, arena, count, recipients_out);
		}
	}
	buf_free(&list);
	buf_free(&spec);
	return count;
}

/* --- its text ----------------------------------------------------------------------------------- */

struct importance {
	const char *importance, *priority; /* RFC 5436 §2.3 */
};
static const struct importance IMPORTANCES[] = {
	[1] = { "high", "1 (High)" },
	[2] = { "normal", "3 (Normal)" },
	[3] = { "low", "5 (Low)" },
};

static void
add_addressees(struct buf *out, const struct reply_facts *f, const struct filter_notify *notify)
{
	struct buf to = { 0 }, cc = { 0 };

	if (notify->from == NULL ||
	    !compose_address_field(out, "From", str_from(notify->from), "\n"))
		compose_field(out, "From", str_from(f->account), "\n");
	for (size_t i = 0; i < notify->to_count; i++)
		buf_printf(&to, "%s%s", i > 0 ? ", " : "", notify->to[i]);
	compose_address_field(out, "To", (struct str){ to.data, to.len }, "\n");
	if (uri_field(str_from(notify->method), "cc", &cc))
		compose_address_field(out, "Cc", (struct str){ cc.data, cc.len }, "\n");
	buf_free(&to);
	buf_free(&cc);
}

/* RFC 5436 §2.7: the text of :message, else the URI's subject, else the message's own subject. */
static void
add_subject(struct buf *out, const struct reply_facts *f, const struct filter_notify *notify)
{
	struct buf subject = { 0 };

	if (notify->message != NULL)
		compose_text_field(out, "Subject", str_from(notify->message), "\n");
	else if (uri_field(str_from(notify->method), "subject", &subject))
		compose_text_field(out, "Subject", (struct str){ subject.data, subject.len }, "\n");
	else
		reply_add_subject(out, "[New mail] ", f->message);
	buf_free(&subject);
}

/* The URI's body; without one, what has come from whom. */
static void
make_text(struct buf *text, const struct reply_facts *f, const struct filter_notify *notify)
{
	static const char *const FIELDS[] = { "From", "To", "Subject", "Date" };

	if (uri_field(str_from(notify->method), "body", text))
		return;
	if (notify->message != NULL)
		buf_printf(text, "%s\n\n", notify->message);
	buf_printf(text, "A message has arrived for %s:\n\n", f->account);
	for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
		struct str value = reply_field(f->message, FIELDS[i]);

		if (value.p == NULL)
			continue;
		buf_printf(text, "%s: ", FIELDS[i]);
		header_decode(text, value);
		buf_addc(text, '\n');
	}
}

void
notification_compose(
    struct buf *out, const struct reply_facts *f, const struct filter_notify *notify)
{
	unsigned importance =
	    notify->importance >= 1 && notify->importance <= 3 ? notify->importance : 2;
	struct buf text = { 0 };

	add_addressees(out, f, notify);
	add_subject(out, f, notify);
	reply_add_identity(out, f);
	/* RFC 5436 §2.7.1: who is to be asked if these come in a flood */
	buf_printf(out, "Auto-Submitted: auto-notified; owner-email=\"%s\"\n", f->account);
	buf_printf(out, "Importance: %s\nX-Priority: %s\nMIME-Version: 1.0\n",
	    IMPORTANCES[importance].importance, IMPORTANCES[importance].priority);
	make_text(&text, f, notify);
	compose_text_part(out, (struct str){ text.data != NULL ? text.data : "", text.len });
	buf_free(&text);
}
