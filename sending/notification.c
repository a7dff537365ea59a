#include "sending/notification.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "filter/sieve/mailto.h"
#include "store/address.h"
#include "store/compose.h"
#include "store/header.h"

/* The URI's header field of that name; p NULL: there is none. */
static struct str
uri_field(const struct mailto *uri, const char *name)
{
	for (const struct mailto_field *f = uri->fields; f != NULL; f = f->next)
		if (str_eq_nocase(f->name, str_from(name)))
			return f->value;
	return (struct str){ NULL, 0 };
}

/* The filter has checked the URI; one that is wrong all the same says nothing. */
static void
parse_uri(struct arena *arena, const struct filter_notify *notify, struct mailto *uri_out)
{
	const char *why;

	if (!mailto_parse(arena, str_from(notify->method), uri_out, &why))
		*uri_out = (struct mailto){ 0 };
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
	static const char *const FIELDS[] = { "cc", "bcc" };
	struct buf spec = { 0 };
	struct mailto uri;
	size_t count = 0;

	parse_uri(arena, notify, &uri);
	for (size_t i = 0; i < notify->to_count; i++)
		count = add_one(str_from(notify->to[i]), arena, count, recipients_out);
	for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
		const struct address *a = address_parse(arena, uri_field(&uri, FIELDS[i]));

		for (; a != NULL; a = a->next) {
			if (a->broken || a->domain.p == NULL || a->mailbox.p == NULL)
				continue;
			buf_reset(&spec);
			address_spec(&spec, a);
			count = add_one(
			    (struct str){ spec.data, spec.len }, arena, count, recipients_out);
		}
	}
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
add_addressees(struct buf *out, const struct reply_facts *f, const struct filter_notify *notify,
    const struct mailto *uri)
{
	struct buf to = { 0 };
	struct str cc = uri_field(uri, "cc");

	if (notify->from == NULL ||
	    !compose_address_field(out, "From", str_from(notify->from), "\n"))
		compose_field(out, "From", str_from(f->account), "\n");
	for (size_t i = 0; i < notify->to_count; i++)
		buf_printf(&to, "%s%s", i > 0 ? ", " : "", notify->to[i]);
	compose_address_field(out, "To", (struct str){ to.data, to.len }, "\n");
	if (cc.p != NULL)
		compose_address_field(out, "Cc", cc, "\n");
	buf_free(&to);
}

/* RFC 5436 §2.7: the text of :message, else the URI's subject, else the message's own subject. */
static void
add_subject(struct buf *out, const struct reply_facts *f, const struct filter_notify *notify,
    const struct mailto *uri)
{
	struct str subject = uri_field(uri, "subject");

	if (notify->message != NULL)
		compose_text_field(out, "Subject", str_from(notify->message), "\n");
	else if (subject.p != NULL)
		compose_text_field(out, "Subject", subject, "\n");
	else
		reply_add_subject(out, "[New mail] ", f->message);
}

/* Other fields of the URI, RFC 5436 §2.7: those that cannot mislead anybody, RFC 6068 §4. */
static void
add_harmless(struct buf *out, const struct mailto *uri)
{
	static const char *const NAMES[] = { "Comments", "Keywords", "In-Reply-To", "References" };

	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
		struct str value = uri_field(uri, NAMES[i]);

		if (value.p != NULL)
			compose_text_field(out, NAMES[i], value, "\n");
	}
}

/* The URI's body; without one, what has come from whom. */
static void
make_text(struct buf *text, const struct reply_facts *f, const struct filter_notify *notify,
    const struct mailto *uri)
{
	static const char *const FIELDS[] = { "From", "To", "Subject", "Date" };
	struct str body = uri_field(uri, "body");

	buf_add(text, body.p, body.len);
	if (body.p != NULL)
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
	struct arena arena = { 0 };
	struct buf text = { 0 };
	struct mailto uri;

	parse_uri(&arena, notify, &uri);
	add_addressees(out, f, notify, &uri);
	add_subject(out, f, notify, &uri);
	reply_add_identity(out, f);
	add_harmless(out, &uri);
	/* RFC 5436 §2.7.1: who is to be asked if these come in a flood */
	buf_adds(out, "Auto-Submitted: auto-notified; owner-email=\"");
	for (const char *p = f->account; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\') /* of a quoted local part */
			buf_addc(out, '\\');
		buf_addc(out, *p);
	}
	buf_adds(out, "\"\n");
	buf_printf(out, "Importance: %s\nX-Priority: %s\nMIME-Version: 1.0\n",
	    IMPORTANCES[importance].importance, IMPORTANCES[importance].priority);
	make_text(&text, f, notify, &uri);
	compose_text_part(out, (struct str){ text.data != NULL ? text.data : "", text.len });
	buf_free(&text);
	arena_free(&arena);
}
