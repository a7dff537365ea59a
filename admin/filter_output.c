/* What a filter would do, in JSON and in words. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/filter_tools.h"
#include "admin/output.h"
#include "store/address.h"
#include "store/mailbox.h"

#define HANDLE "handle:" /* in front of a key that the script chose itself, RFC 5230 §4.2 */

static const char *const IMPORTANCE[] = { "", "high", "normal", "low" };

const char *
filter_error_kind_name(enum filter_error_kind kind)
{
	static const char *const NAMES[] = {
		[FILTER_ERROR_COMPILE] = "compile",
		[FILTER_ERROR_RUNTIME] = "runtime",
		[FILTER_ERROR_SYNTAX] = "syntax",
		[FILTER_ERROR_EXPAND] = "expand",
		[FILTER_ERROR_FORBIDDEN] = "forbidden",
	};

	return NAMES[kind];
}

bool
filter_action_is_hidden(const char *language, const struct filter_action *action)
{
	return action->implicit && strcmp(language, "exim") == 0;
}

/* --- JSON --------------------------------------------------------------------------------------- */

/* Members that say something: no NULL, no false, no 0. */
static void
add_text(json_t *o, const char *key, const char *text)
{
	if (text != NULL)
		json_object_set_new(o, key, output_string(text));
}

static void
add_true(json_t *o, const char *key, bool value)
{
	if (value)
		json_object_set_new(o, key, json_true());
}

/* Text of several lines: Sieve has CRLF between them, the world of files LF. */
static json_t *
json_lines(const char *text)
{
	struct buf lines = { 0 };
	json_t *value;

	if (text == NULL)
		return json_null();
	for (; *text != '\0'; text++)
		if (text[0] != '\r' || text[1] != '\n')
			buf_addc(&lines, *text);
	value = output_string(buf_cstr(&lines));
	buf_free(&lines);
	return value;
}

static json_t *
json_bytes(struct str s)
{
	char *text = mem_strndup(s.len > 0 ? s.p : "", s.len);
	json_t *value = json_lines(text);

	free(text);
	return value;
}

static json_t *
json_texts(const char *const *texts, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, output_string(texts[i]));
	return list;
}

static json_t *
json_flags(const struct filter_store *s)
{
	json_t *list = json_texts(s->keywords, s->keyword_count);
	size_t at = 0;

	for (size_t i = 0; i < MESSAGE_FLAG_COUNT; i++)
		if ((s->flags & MESSAGE_FLAG_NAMES[i].flag) != 0)
			json_array_insert_new(list, at++, json_string(MESSAGE_FLAG_NAMES[i].name));
	return list;
}

/* An address list as a person wrote it, one by one. */
static json_t *
json_addresses(const char *written)
{
	struct arena arena = { 0 };
	json_t *list = json_array();

	if (written == NULL)
		return list;
	for (const struct address *a = address_parse(&arena, str_from(written)); a != NULL;
	     a = a->next) {
		struct buf spec = { 0 };

		if (a->broken || a->domain.p == NULL)
			continue;
		address_spec(&spec, a);
		json_array_append_new(list, output_string(buf_cstr(&spec)));
		buf_free(&spec);
	}
	if (json_array_size(list) == 0 && *written != '\0')
		json_array_append_new(list, output_string(written));
	arena_free(&arena);
	return list;
}

static void
store_json(json_t *o, const struct filter_store *s)
{
	json_object_set_new(o, "flags", json_flags(s));
	add_text(o, "special_use", s->special_use);
}

static void
fcc_json(json_t *o, const struct filter_store *s)
{
	json_t *fcc;

	if (s == NULL)
		return;
	fcc = json_object();
	json_object_set_new(fcc, "mailbox", output_string(s->mailbox));
	json_object_set_new(fcc, "create", json_boolean(s->create));
	store_json(fcc, s);
	json_object_set_new(o, "fcc", fcc);
}

static void
keep_json(json_t *o, const struct filter_action *a)
{
	store_json(o, &a->store);
}

static void
fileinto_json(json_t *o, const struct filter_action *a)
{
	json_object_set_new(
	    o, "mailbox", output_string(a->store.mailbox != NULL ? a->store.mailbox : "INBOX"));
	store_json(o, &a->store);
	json_object_set_new(o, "create", json_boolean(a->store.create));
}

static void
save_json(json_t *o, const struct filter_action *a)
{
	json_object_set_new(o, "path", output_string(a->path));
	json_object_set_new(o, "unseen", json_boolean(a->unseen));
}

static void
redirect_json(json_t *o, const struct filter_action *a)
{
	const struct filter_redirect *r = &a->redirect;

	json_object_set_new(o, "to", output_string(r->to));
	if (a->kind == FILTER_DELIVER)
		json_object_set_new(o, "unseen", json_boolean(a->unseen));
	add_text(o, "notify", r->notify);
	add_text(o, "ret", r->ret);
	if (r->by_given)
		json_object_set_new(o, "deliver_by",
		    json_pack("{sI ss# sb}", "seconds", (json_int_t)r->by_seconds, "mode",
			&r->by_mode, 1, "trace", r->by_trace));
	add_true(o, "listed", r->listed);
}

static void
discard_json(json_t *o, const struct filter_action *a)
{
	(void)o, (void)a;
}

static void
reject_json(json_t *o, const struct filter_action *a)
{
	json_object_set_new(o, "reason", json_lines(a->reject.reason));
	add_true(o, "ereject", a->reject.ereject);
}

static void
vacation_json(json_t *o, const struct filter_action *a)
{
	const struct filter_reply *r = &a->reply;

	json_object_set_new(o, "seconds", json_integer((json_int_t)r->seconds));
	json_object_set_new(o, "subject", output_string(r->subject));
	json_object_set_new(o, "from", output_string(r->from));
	json_object_set_new(o, "body", json_lines(r->body));
	add_text(o, "to", r->to);
	if (r->key != NULL && str_has_prefix(str_from(r->key), STR(HANDLE)))
		add_text(o, "handle", r->key + strlen(HANDLE));
	add_true(o, "mime", r->mime);
	if (r->own_address_count > 0)
		json_object_set_new(
		    o, "addresses", json_texts(r->own_addresses, r->own_address_count));
	fcc_json(o, r->fcc);
}

static void
mail_json(json_t *o, const struct filter_action *a)
{
	const struct filter_reply *r = &a->reply;

	json_object_set_new(o, "to", json_addresses(r->to));
	json_object_set_new(o, "subject", output_string(r->subject));
	json_object_set_new(o, "text", json_lines(r->body));
	json_object_set_new(o, "from", output_string(r->from));
	add_text(o, "reply_to", r->reply_to);
	if (r->cc != NULL)
		json_object_set_new(o, "cc", json_addresses(r->cc));
	if (r->bcc != NULL)
		json_object_set_new(o, "bcc", json_addresses(r->bcc));
	add_text(o, "extra_headers", r->extra_headers);
	add_text(o, "file", r->file);
	add_true(o, "expand", r->file_expand);
	add_true(o, "return_message", r->return_message);
	add_text(o, "log", r->log);
	add_text(o, "once", r->once);
	add_text(o, "once_repeat", r->once_repeat);
	if (r->key != NULL)
		json_object_set_new(o, "seconds", json_integer((json_int_t)r->seconds));
	json_object_set_new(o, "vacation", json_boolean(r->is_vacation));
}

static void
notify_json(json_t *o, const struct filter_action *a)
{
	const struct filter_notify *n = &a->notify;
	size_t scheme = n->method != NULL ? strcspn(n->method, ":") : 0;

	json_object_set_new(o, "method", json_bytes((struct str){ n->method, scheme }));
	json_object_set_new(o, "uri", output_string(n->method));
	json_object_set_new(o, "to", json_texts(n->to, n->to_count));
	json_object_set_new(o, "importance", json_integer(n->importance));
	json_object_set_new(o, "message", json_lines(n->message));
	json_object_set_new(o, "from", output_string(n->from));
	json_object_set_new(o, "options", json_texts(n->options, n->option_count));
	fcc_json(o, n->fcc);
}

static void
report_json(json_t *o, const struct filter_action *a)
{
	const struct filter_report *r = &a->report;

	json_object_set_new(o, "type", output_string(r->type));
	json_object_set_new(o, "to", output_string(r->to));
	json_object_set_new(o, "message", json_lines(r->message));
	add_true(o, "headers_only", r->headers_only);
}

static const struct {
	const char *name;
	void (*json)(json_t *o, const struct filter_action *a);
} KINDS[] = {
	[FILTER_KEEP] = { "keep", keep_json },
	[FILTER_FILEINTO] = { "fileinto", fileinto_json },
	[FILTER_SAVE] = { "save", save_json },
	[FILTER_REDIRECT] = { "redirect", redirect_json },
	[FILTER_DELIVER] = { "deliver", redirect_json },
	[FILTER_DISCARD] = { "discard", discard_json },
	[FILTER_REJECT] = { "reject", reject_json },
	[FILTER_VACATION] = { "vacation", vacation_json },
	[FILTER_MAIL] = { "mail", mail_json },
	[FILTER_NOTIFY] = { "notify", notify_json },
	[FILTER_REPORT] = { "report", report_json },
};

json_t *
filter_action_json(const struct filter_action *action)
{
	json_t *o = json_object();

	json_object_set_new(o, "action", json_string(KINDS[action->kind].name));
	KINDS[action->kind].json(o, action);
	return o;
}

static void
edit_json(json_t *o, const struct filter_edit *edit)
{
	json_object_set_new(o, "headers", edit != NULL ? json_bytes(edit->header) : json_null());
	if (edit != NULL && edit->body.p != NULL)
		json_object_set_new(o, "body", json_bytes(edit->body));
}

static json_t *
error_json(const struct filter_error *error)
{
	if (error == NULL)
		return json_null();
	return json_pack("{ss sI so}", "kind", filter_error_kind_name(error->kind), "line",
	    (json_int_t)error->line, "message", output_string(error->text));
}

json_t *
filter_json(
    const char *language, const struct filter_result *result, const struct filter_error *error)
{
	json_t *actions = json_array(), *o;

	for (size_t i = 0; i < result->action_count; i++) {
		const struct filter_action *a = &result->actions[i];
		json_t *one;

		if (filter_action_is_hidden(language, a))
			continue;
		one = filter_action_json(a);
		if (a->edit != result->edit)
			edit_json(one, a->edit); /* the message was edited again behind it */
		json_array_append_new(actions, one);
	}
	o = json_pack("{ss so sb}", "language", language, "actions", actions, "seen", result->seen);
	edit_json(o, result->edit);
	json_object_set_new(o, "error", error_json(error));
	if (result->memory_count > 0) {
		json_t *keys = json_array();

		for (size_t i = 0; i < result->memory_count; i++)
			json_array_append_new(keys,
			    json_pack("{so sI}", "key", output_string(result->memories[i].key),
				"seconds", (json_int_t)result->memories[i].seconds));
		json_object_set_new(o, "remember", keys);
	}
	if (result->log.len > 0)
		json_object_set_new(o, "log", json_bytes(result->log));
	return o;
}

/* --- words -------------------------------------------------------------------------------------- */

static void
store_text(struct buf *out, const struct filter_store *s)
{
	for (size_t i = 0; i < MESSAGE_FLAG_COUNT; i++)
		if ((s->flags & MESSAGE_FLAG_NAMES[i].flag) != 0)
			buf_printf(out, " %s", MESSAGE_FLAG_NAMES[i].name);
	for (size_t i = 0; i < s->keyword_count; i++)
		buf_printf(out, " %s", s->keywords[i]);
	if (s->create)
		buf_adds(out, " (made if it is not there)");
}

static void
reply_text(struct buf *out, const struct filter_action *a)
{
	const struct filter_reply *r = &a->reply;

	buf_printf(out, " to %s", r->to != NULL ? r->to : "the sender");
	if (r->subject != NULL)
		buf_printf(out, ", subject \"%s\"", r->subject);
	if (r->key != NULL && r->seconds > 0)
		buf_printf(out, ", once in %" PRIu64 " seconds", r->seconds);
	else if (r->key != NULL)
		buf_adds(out, ", once");
	if (r->fcc != NULL)
		buf_printf(
		    out, ", copy into %s", r->fcc->mailbox != NULL ? r->fcc->mailbox : "INBOX");
}

void
filter_action_text(const struct filter_action *a, struct buf *out)
{
	buf_adds(out, KINDS[a->kind].name);
	switch (a->kind) {
	case FILTER_FILEINTO:
		buf_printf(out, " \"%s\"", a->store.mailbox != NULL ? a->store.mailbox : "INBOX");
		store_text(out, &a->store);
		break;
	case FILTER_KEEP:
		store_text(out, &a->store);
		buf_adds(out, a->implicit ? " (implicit)" : "");
		break;
	case FILTER_SAVE:
		buf_printf(out, " %s", a->path);
		if (a->store.mailbox != NULL)
			buf_printf(out, " (mailbox \"%s\")", a->store.mailbox);
		else
			buf_adds(out, " (no folder of the account: INBOX)");
		break;
	case FILTER_REDIRECT:
	case FILTER_DELIVER: buf_printf(out, " to %s", a->redirect.to); break;
	case FILTER_REJECT: buf_printf(out, ": %s", a->reject.reason); break;
	case FILTER_VACATION:
	case FILTER_MAIL: reply_text(out, a); break;
	case FILTER_NOTIFY:
		buf_printf(out, " %s", a->notify.method);
		if (a->notify.importance >= 1 && a->notify.importance <= 3)
			buf_printf(out, " (%s)", IMPORTANCE[a->notify.importance]);
		break;
	case FILTER_REPORT: buf_printf(out, " %s to %s", a->report.type, a->report.to); break;
	case FILTER_DISCARD: break;
	}
	if (a->unseen)
		buf_adds(out, " (unseen)");
}
