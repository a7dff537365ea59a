#include "sending/autoreply.h"

#include <stdlib.h>
#include <string.h>

#include "store/address.h"
#include "store/charset.h"
#include "store/compose.h"
#include "store/header.h"

#define RETURNED_HEADER_BYTES (64 * 1024)
#define MESSAGE_ID_MAX_BYTES  500
#define THREAD_MAX_BYTES      8000
#define LINE_MAX_BYTES        998 /* RFC 5322 §2.1.1 */

/* --- the message that is answered --------------------------------------------------------------- */

struct str
reply_field(const struct view *message, const char *name)
{
	for (size_t i = 0; i < message->field_count; i++)
		if (str_eq_nocase(message->fields[i].name, str_from(name)))
			return message->fields[i].value;
	return (struct str){ NULL, 0 };
}

bool
reply_is_own(const struct reply_facts *f, struct str address)
{
	return str_eq_nocase(address, str_from(f->account)) ||
	       str_eq_nocase(address, str_from(f->rcpt)) ||
	       (f->is_own != NULL && f->is_own(f->is_own_arg, address));
}

/* auto-submitted-field, RFC 3834 §5: a keyword, then perhaps parameters; comments anywhere. */
bool
reply_is_automatic(const struct view *message)
{
	for (size_t i = 0; i < message->field_count; i++) {
		struct cursor c = cursor_from(message->fields[i].value);

		if (!str_eq_nocase(message->fields[i].name, STR("Auto-Submitted")))
			continue;
		header_skip_cfws(&c);
		if (!cursor_take_nocase(&c, STR("no")))
			return true;
		header_skip_cfws(&c);
		if (!cursor_at_end(&c) && cursor_peek(&c) != ';')
			return true;
	}
	return false;
}

/* --- may it be answered? ------------------------------------------------------------------------ */

/* Marks of mailing lists and of mail to many, RFC 2369, 2919, and what is older than those. */
static bool
is_bulk(const struct view *message)
{
	static const char *const WORDS[] = { "bulk", "list", "junk" };

	for (size_t i = 0; i < message->field_count; i++) {
		const struct header_field *field = &message->fields[i];
		struct str value = str_trim(field->value);

		if (str_has_prefix_nocase(field->name, STR("List-")))
			return true;
		if (!str_eq_nocase(field->name, STR("Precedence")))
			continue;
		for (size_t w = 0; w < ARRAY_LEN(WORDS); w++)
			if (str_eq_nocase(value, str_from(WORDS[w])))
				return true;
	}
	return false;
}

/* X-Auto-Response-Suppress of Exchange: a list of what the sender does not want to get. */
static bool
is_suppressed(const struct view *message)
{
	static const char *const WORDS[] = { "All", "OOF", "AutoReply" };
	struct cursor c = cursor_from(reply_field(message, "X-Auto-Response-Suppress"));

	while (!cursor_at_end(&c)) {
		const char *start = c.p;
		struct str word;

		while (!cursor_at_end(&c) && cursor_peek(&c) != ',')
			c.p++;
		word = str_trim((struct str){ start, (size_t)(c.p - start) });
		for (size_t w = 0; w < ARRAY_LEN(WORDS); w++)
			if (str_eq_nocase(word, str_from(WORDS[w])))
				return true;
		cursor_take(&c, ',');
	}
	return false;
}

/* Senders behind which nobody reads, RFC 5230 §4.6, RFC 3834 §2, and what lists and robots are called. */
static const struct system_name {
	const char *text;
	enum { WHOLE, BEGINS, ENDS, HOLDS } where;
} SYSTEM_NAMES[] = {
	{ "MAILER-DAEMON", WHOLE }, { "LISTSERV", WHOLE }, { "listserver", WHOLE },
	{ "listproc", WHOLE }, { "majordomo", WHOLE }, { "mailman", WHOLE }, { "noreply", WHOLE },
	{ "no-reply", WHOLE }, { "no_reply", WHOLE }, { "no.reply", WHOLE },
	{ "donotreply", WHOLE }, { "do-not-reply", WHOLE }, { "do_not_reply", WHOLE },
	{ "noreply+", BEGINS }, { "no-reply+", BEGINS }, { "bounce", WHOLE }, { "bounces", WHOLE },
	{ "bounce-", BEGINS }, { "bounce+", BEGINS }, { "bounces-", BEGINS },
	{ "bounces+", BEGINS }, { "owner-", BEGINS }, { "-owner", ENDS }, { "-request", ENDS },
	{ "-bounce", ENDS }, { "-bounces", ENDS }, { "-bounce+", HOLDS }, /* VERP */
	{ "-bounces+", HOLDS }, { "-return-", HOLDS },                    /* ezmlm */
};

static bool
has_system_name(struct str local, const struct system_name *name)
{
	struct str text = str_from(name->text);

	if (local.len < text.len)
		return false;
	switch (name->where) {
	case WHOLE: return str_eq_nocase(local, text);
	case BEGINS: return str_has_prefix_nocase(local, text);
	case ENDS:
		return str_eq_nocase(
		    (struct str){ local.p + local.len - text.len, text.len }, text);
	default: break;
	}
	for (size_t i = 0; i + text.len <= local.len; i++)
		if (str_has_prefix_nocase((struct str){ local.p + i, local.len - i }, text))
			return true;
	return false;
}

static bool
is_system_sender(struct str sender)
{
	const char *at = memrchr(sender.p, '@', sender.len);
	struct str local = { sender.p, at != NULL ? (size_t)(at - sender.p) : sender.len };

	if (local.len >= 2 && local.p[0] == '"' && local.p[local.len - 1] == '"')
		local = (struct str){ local.p + 1, local.len - 2 };
	for (size_t i = 0; i < ARRAY_LEN(SYSTEM_NAMES); i++)
		if (has_system_name(local, &SYSTEM_NAMES[i]))
			return true;
	return false;
}

/* One of the addresses as which the user wants to be answered for? */
static bool
is_mine(const struct reply_facts *f, const struct filter_reply *reply, struct str address)
{
	const char *orig = f->orig_rcpt != NULL ? strchr(f->orig_rcpt, ';') : NULL;

	if (reply_is_own(f, address) ||
	    (orig != NULL && str_eq_nocase(address, str_from(orig + 1))))
		return true;
	for (size_t i = 0; i < reply->own_address_count; i++)
		if (str_eq_nocase(address, str_from(reply->own_addresses[i])))
			return true;
	return false;
}

/* RFC 5230 §4.5: the user must be named as a recipient, so that lists without marks are not answered. */
static bool
is_addressed(const struct reply_facts *f, const struct filter_reply *reply)
{
	static const char *const NAMES[] = { "To", "Cc", "Bcc", "Resent-To", "Resent-Cc",
		"Resent-Bcc" };
	const struct view *m = f->message;
	struct arena arena = { 0 };
	struct buf spec = { 0 };
	bool found = false;

	for (size_t i = 0; i < m->field_count && !found; i++) {
		bool names = false;

		for (size_t n = 0; n < ARRAY_LEN(NAMES); n++)
			names = names || str_eq_nocase(m->fields[i].name, str_from(NAMES[n]));
		if (!names)
			continue;
		for (const struct address *a = address_parse(&arena, m->fields[i].value);
		     a != NULL && !found; a = a->next) {
			if (a->broken || a->domain.p == NULL || a->mailbox.p == NULL)
				continue;
			buf_reset(&spec);
			address_spec(&spec, a);
			found = is_mine(f, reply, (struct str){ spec.data, spec.len });
		}
	}
	buf_free(&spec);
	arena_free(&arena);
	return found;
}

/* Does anybody whom the message names as its author get it? */
static bool
goes_to_sender(const struct reply_facts *f, const char *const recipients[], size_t count)
{
	static const char *const NAMES[] = { "From", "Sender", "Reply-To" };
	struct arena arena = { 0 };
	struct buf spec = { 0 };
	bool found = false;

	for (size_t r = 0; r < count; r++)
		found = found || str_eq_nocase(str_from(f->sender), str_from(recipients[r]));
	for (size_t n = 0; n < ARRAY_LEN(NAMES) && !found; n++) {
		const struct address *a = address_parse(&arena, reply_field(f->message, NAMES[n]));

		for (; a != NULL && !found; a = a->next) {
			if (a->broken || a->domain.p == NULL || a->mailbox.p == NULL)
				continue;
			buf_reset(&spec);
			address_spec(&spec, a);
			for (size_t r = 0; r < count; r++)
				found = found || str_eq_nocase((struct str){ spec.data, spec.len },
						     str_from(recipients[r]));
		}
	}
	buf_free(&spec);
	arena_free(&arena);
	return found;
}

static const char *
machine_objection(const struct reply_facts *f)
{
	if (*f->sender == '\0')
		return "null-sender";
	return reply_is_automatic(f->message) ? "auto-submitted" : NULL;
}

const char *
reply_objection(const struct reply_facts *f)
{
	const char *why = machine_objection(f);

	if (why != NULL)
		return why;
	if (is_bulk(f->message))
		return "list-or-bulk";
	if (is_suppressed(f->message))
		return "suppressed-by-sender";
	if (is_system_sender(str_from(f->sender)))
		return "system-sender";
	return reply_is_own(f, str_from(f->sender)) ? "own-address" : NULL;
}

static const char *
mail_objection(const struct reply_facts *f, const struct filter_action *action)
{
	const char *recipients[AUTOREPLY_RECIPIENTS_MAX];
	const char *why = machine_objection(f);
	struct arena arena = { 0 };
	size_t count;

	if (why != NULL)
		return why;
	count = autoreply_recipients(f, action, &arena, recipients);
	if (action->reply.is_vacation || goes_to_sender(f, recipients, count))
		why = reply_objection(f);
	for (size_t i = 0; why == NULL && i < count; i++)
		if (is_system_sender(str_from(recipients[i])))
			why = "system-recipient";
	arena_free(&arena);
	return why;
}

const char *
autoreply_objection(const struct reply_facts *f, const struct filter_action *action)
{
	const char *why;

	if (action->kind != FILTER_VACATION)
		return mail_objection(f, action);
	why = reply_objection(f);
	if (why != NULL)
		return why;
	if (is_mine(f, &action->reply, str_from(f->sender)))
		return "own-address";
	return is_addressed(f, &action->reply) ? NULL : "not-addressed";
}

/* --- to whom ------------------------------------------------------------------------------------ */

/* Line ends to blanks: what stands in a field may be folded. */
static const char *
flat(struct arena *arena, struct str value)
{
	char *text = arena_strndup(arena, value.p, value.len);

	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)text[i] < ' ')
			text[i] = ' ';
	return text;
}

const char *
autoreply_to(const struct reply_facts *f, const struct filter_reply *reply, struct arena *arena)
{
	struct str to = reply->to != NULL ? str_from(reply->to) : (struct str){ NULL, 0 };

	if (str_trim(to).len == 0)
		to = reply_field(f->message, "Reply-To");
	if (to.p == NULL || str_trim(to).len == 0)
		to = reply_field(f->message, "From");
	return to.p != NULL ? flat(arena, str_trim(to)) : "";
}

static size_t
add_recipients(const struct reply_facts *f, const char *list, struct arena *arena, size_t count,
    const char *recipients[])
{
	struct buf spec = { 0 };

	if (list == NULL)
		return count;
	for (const struct address *a = address_parse(arena, str_from(list));
	     a != NULL && count < AUTOREPLY_RECIPIENTS_MAX; a = a->next) {
		bool known = a->broken || a->domain.p == NULL || a->mailbox.p == NULL;
		struct str address;

		if (known)
			continue;
		buf_reset(&spec);
		address_spec(&spec, a);
		address = (struct str){ spec.data, spec.len };
		known = !address_is_valid(address) || reply_is_own(f, address);
		for (size_t i = 0; i < count; i++)
			known = known || str_eq_nocase(address, str_from(recipients[i]));
		if (!known)
			recipients[count++] = arena_strndup(arena, address.p, address.len);
	}
	buf_free(&spec);
	return count;
}

size_t
autoreply_recipients(const struct reply_facts *f, const struct filter_action *action,
    struct arena *arena, const char *recipients_out[AUTOREPLY_RECIPIENTS_MAX])
{
	const struct filter_reply *reply = &action->reply;
	size_t count;

	if (action->kind == FILTER_VACATION) {
		recipients_out[0] = f->sender;
		return 1;
	}
	count = add_recipients(f, autoreply_to(f, reply, arena), arena, 0, recipients_out);
	count = add_recipients(f, reply->cc, arena, count, recipients_out);
	return add_recipients(f, reply->bcc, arena, count, recipients_out);
}

/* --- its text ----------------------------------------------------------------------------------- */

void
reply_add_identity(struct buf *out, const struct reply_facts *f)
{
	struct buf id = { 0 };

	buf_adds(out, "Date: ");
	compose_date(out, f->now);
	compose_message_id(&id, f->hostname);
	buf_printf(out, "\nMessage-ID: %s\n", buf_cstr(&id));
	buf_free(&id);
}

/* msg-id = "<" id-left "@" id-right ">", RFC 5322 §3.6.4, widely taken: printable ASCII between the brackets.  Rubbish
 * and what is longer than a line may be are passed over. */
static bool
next_id(struct cursor *c, struct str *id_out)
{
	while (!cursor_at_end(c)) {
		const char *start = c->p;

		if (!cursor_take(c, '<')) {
			c->p++;
			continue;
		}
		while (!cursor_at_end(c) && (unsigned char)cursor_peek(c) > ' ' &&
		       (unsigned char)cursor_peek(c) < 0x7f && cursor_peek(c) != '<' &&
		       cursor_peek(c) != '>')
			c->p++;
		*id_out = (struct str){ start, (size_t)(c->p - start) + 1 };
		if (cursor_take(c, '>') && id_out->len > 2 && id_out->len <= MESSAGE_ID_MAX_BYTES)
			return true;
	}
	return false;
}

/* Of a thread of several hundred messages the first and the last. */
static void
add_ids(struct buf *out, struct str ids)
{
	struct cursor c = cursor_from(ids);
	size_t total = 0;
	struct str id;

	while (next_id(&c, &id))
		total += id.len + 1;
	c = cursor_from(ids);
	for (bool first = true; next_id(&c, &id); first = false) {
		if (first || total <= THREAD_MAX_BYTES) {
			buf_add(out, id.p, id.len);
			buf_addc(out, ' ');
		}
		if (!first)
			total -= id.len + 1;
	}
}

struct str
reply_message_id(const struct view *message)
{
	struct str field = reply_field(message, "Message-ID"), id;
	struct cursor c = cursor_from(field);

	return field.p != NULL && next_id(&c, &id) ? id : (struct str){ NULL, 0 };
}

void
reply_add_threading(struct buf *out, const struct view *message)
{
	struct str id = reply_message_id(message), thread;
	struct buf all = { 0 };

	if (id.p == NULL)
		return;
	compose_field(out, "In-Reply-To", id, "\n");
	thread = reply_field(message, "References");
	if (thread.p == NULL)
		thread = reply_field(message, "In-Reply-To");
	if (thread.p != NULL)
		add_ids(&all, thread);
	buf_add(&all, id.p, id.len);
	compose_field(out, "References", (struct str){ all.data, all.len }, "\n");
	buf_free(&all);
}

void
reply_add_subject(struct buf *out, const char *prefix, const struct view *message)
{
	struct str subject = reply_field(message, "Subject");
	struct buf text = { 0 };

	buf_adds(&text, prefix);
	if (subject.p != NULL)
		header_decode(&text, subject);
	compose_text_field(out, "Subject", (struct str){ text.data, text.len }, "\n");
	buf_free(&text);
}

struct str
reply_boundary(struct buf *memory, const struct reply_facts *f)
{
	struct buf id = { 0 };

	compose_message_id(&id, f->hostname);
	buf_adds(memory, "=_");
	for (size_t i = 1; i < id.len && id.data[i] != '@'; i++)
		buf_addc(memory, id.data[i]);
	buf_free(&id);
	return (struct str){ memory->data, memory->len };
}

void
reply_add_status(struct buf *out, const struct reply_facts *f, const char *envid,
    const char *action, const char *status)
{
	buf_adds(out, "Content-Type: message/delivery-status\n\n");
	if (envid != NULL)
		compose_field(out, "Original-Envelope-Id", str_from(envid), "\n");
	buf_printf(out, "Reporting-MTA: dns; %s\nArrival-Date: ", f->hostname);
	compose_date(out, f->now);
	buf_adds(out, "\n\n");
	if (f->orig_rcpt != NULL)
		compose_field(out, "Original-Recipient", str_from(f->orig_rcpt), "\n");
	buf_printf(
	    out, "Final-Recipient: rfc822; %s\nAction: %s\nStatus: %s\n", f->rcpt, action, status);
}

void
reply_add_lines(struct buf *out, struct str text)
{
	size_t line = 0;

	for (size_t i = 0; i < text.len; i++) {
		char ch = text.p[i];

		if (ch == '\r')
			continue;
		if (ch != '\n' && line == LINE_MAX_BYTES) {
			buf_adds(out, "\n\t");
			line = 1;
		}
		buf_addc(out, ch != '\0' ? ch : ' ');
		line = ch == '\n' ? 0 : line + 1;
	}
	if (out->data[out->len - 1] != '\n')
		buf_addc(out, '\n');
}

void
reply_add_header_of(struct buf *out, const struct view *message)
{
	struct str header = message->header;

	if (header.len > RETURNED_HEADER_BYTES)
		header.len = RETURNED_HEADER_BYTES;
	buf_adds(out, "Content-Type: text/rfc822-headers\nContent-Transfer-Encoding: 8bit\n\n");
	reply_add_lines(out, header);
}

static void
add_addressees(struct buf *out, const struct reply_facts *f, const struct filter_action *action)
{
	const struct filter_reply *r = &action->reply;
	struct arena arena = { 0 };

	if (r->from == NULL || !compose_address_field(out, "From", str_from(r->from), "\n"))
		compose_field(out, "From", str_from(f->account), "\n");
	if (r->reply_to != NULL)
		compose_address_field(out, "Reply-To", str_from(r->reply_to), "\n");
	if (action->kind == FILTER_VACATION)
		compose_field(out, "To", str_from(f->sender), "\n");
	else
		compose_address_field(out, "To", str_from(autoreply_to(f, r, &arena)), "\n");
	if (r->cc != NULL)
		compose_address_field(out, "Cc", str_from(r->cc), "\n");
	arena_free(&arena);
}

static void
add_subject(struct buf *out, const struct reply_facts *f, const struct filter_action *action)
{
	const char *subject = action->reply.subject;
	struct str theirs = reply_field(f->message, "Subject");

	if (subject != NULL)
		compose_text_field(out, "Subject", str_from(subject), "\n");
	else if (action->kind != FILTER_VACATION)
		return;
	else if (theirs.p != NULL && str_trim(theirs).len > 0)
		reply_add_subject(out, "Auto: ", f->message); /* RFC 5230 §4.3 */
	else
		buf_adds(out, "Subject: Automated reply\n");
}

/* Exim's extra_headers: whole fields.  Those that are ours alone are passed over. */
static bool
is_ours(struct str name)
{
	static const char *const NAMES[] = { "From", "To", "Cc", "Bcc", "Subject", "Date",
		"Message-ID", "In-Reply-To", "References", "Auto-Submitted", "Return-Path",
		"Received" };

	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
		if (str_eq_nocase(name, str_from(NAMES[i])))
			return true;
	return false;
}

/* True if they say what kind of text follows. */
static bool
add_extra_headers(struct buf *out, const char *extra)
{
	struct cursor c = cursor_from(str_from(extra));
	struct header_field field;
	bool typed = false;

	while (header_next(&c, &field)) {
		char *name;

		if (!compose_header_name_is_valid(field.name) || is_ours(field.name) ||
		    field.raw.len <= field.name.len)
			continue;
		typed = typed || str_eq_nocase(field.name, STR("Content-Type"));
		name = mem_strndup(field.name.p, field.name.len);
		if (text_is_utf8(field.value))
			compose_text_field(out, name, field.value, "\n");
		else
			compose_field(out, name, field.value, "\n");
		free(name);
	}
	return typed;
}

/* A MIME entity of the user's: its own fields and no others (RFC 5230 §4.4), then its content. */
static void
add_entity(struct buf *out, struct str entity)
{
	struct cursor c = cursor_from(entity);
	struct header_field field;
	bool typed = false;

	while (header_next(&c, &field)) {
		if (!str_has_prefix_nocase(field.name, STR("Content-")))
			continue;
		typed = typed || str_eq_nocase(field.name, STR("Content-Type"));
		for (size_t i = 0; i < field.raw.len; i++)
			if (field.raw.p[i] != '\r')
				buf_addc(out, field.raw.p[i]);
		if (out->data[out->len - 1] != '\n')
			buf_addc(out, '\n');
	}
	if (!typed)
		buf_adds(out, "Content-Type: text/plain; charset=utf-8\n");
	buf_addc(out, '\n');
	if (cursor_left(&c) > 0 && cursor_peek(&c) == '\r')
		c.p++;
	cursor_take(&c, '\n');
	for (; !cursor_at_end(&c); c.p++)
		if (*c.p != '\r')
			buf_addc(out, *c.p);
	if (out->data[out->len - 1] != '\n')
		buf_addc(out, '\n');
}

/* The user's text, and the message it answers where that was asked for. */
static void
make_text(struct buf *text, const struct reply_facts *f, const struct filter_reply *reply)
{
	struct str all = f->message->all;

	if (reply->body != NULL)
		buf_adds(text, reply->body);
	if (text->len == 0 && reply->file != NULL)
		buf_adds(text, "This is an automatic reply to your message.\n");
	if (text->len > 0 && text->data[text->len - 1] != '\n')
		buf_addc(text, '\n');
	if (!reply->return_message)
		return;
	if (all.len > AUTOREPLY_RETURN_BYTES)
		all.len = AUTOREPLY_RETURN_BYTES;
	buf_adds(
	    text, "\n------ This is a copy of the message, including all the headers. ------\n");
	if (all.len < f->message->all.len)
		buf_adds(text, "------ It is long; only its beginning is shown. ------\n");
	buf_addc(text, '\n');
	utf8_repair(text, all);
}

void
autoreply_compose(struct buf *out, const struct reply_facts *f, const struct filter_action *action)
{
	const struct filter_reply *reply = &action->reply;
	struct buf text = { 0 };
	bool typed = false;

	add_addressees(out, f, action);
	add_subject(out, f, action);
	reply_add_identity(out, f);
	reply_add_threading(out, f->message);
	buf_printf(out, "Auto-Submitted: auto-replied%s\nX-Auto-Response-Suppress: All\n",
	    action->kind == FILTER_VACATION ? " (vacation)" : "");
	if (action->kind == FILTER_VACATION)
		buf_adds(
		    out, "Precedence: bulk\n"); /* for responders that know no Auto-Submitted */
	if (reply->extra_headers != NULL)
		typed = add_extra_headers(out, reply->extra_headers);
	buf_adds(out, typed ? "" : "MIME-Version: 1.0\n");
	make_text(&text, f, reply);
	if (reply->mime) {
		add_entity(out, str_from(reply->body != NULL ? reply->body : ""));
	} else if (typed) {
		buf_addc(out, '\n');
		buf_add(out, text.data, text.len);
	} else {
		compose_text_part(
		    out, (struct str){ text.data != NULL ? text.data : "", text.len });
	}
	buf_free(&text);
}
