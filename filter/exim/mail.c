/* mail and vacation: what is to be sent, and the checks that keep senders from writing headers of it. */
#include "filter/exim/commands.h"
#include "filter/exim/expand.h"
#include "filter/exim/numbers.h"
#include "filter/exim/run.h"
#include "store/charset.h"

enum check { ANY, HEADER, HEADERS, PRINTABLE };

static const enum check CHECKS[EXIM_MAIL_ARGUMENTS] = {
	[EXIM_TO] = HEADER,
	[EXIM_CC] = HEADER,
	[EXIM_BCC] = HEADER,
	[EXIM_FROM] = HEADER,
	[EXIM_REPLY_TO] = HEADER,
	[EXIM_SUBJECT] = HEADER,
	[EXIM_EXTRA_HEADERS] = HEADERS,
	[EXIM_TEXT] = ANY,
	[EXIM_FILE] = PRINTABLE,
	[EXIM_LOG] = PRINTABLE,
	[EXIM_ONCE] = PRINTABLE,
	[EXIM_ONCE_REPEAT] = PRINTABLE,
};

/* The text as an error shows it. */
static const char *
shown(struct exim_run *x, struct str s)
{
	struct exim_text out = { .arena = &x->scratch };

	for (size_t i = 0; i < s.len && out.len < 100; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch == '\n')
			exim_text_str(&out, STR("\\n"));
		else if (ch < ' ' || ch >= 127)
			exim_text_printf(&out, "\\%03o", ch);
		else
			exim_text_char(&out, (char)ch);
	}
	return exim_text_get(&out).p;
}

/* field-name ":", RFC 5322 §2.2 */
static bool
starts_header(struct cursor c)
{
	const char *start = c.p;

	while (!cursor_at_end(&c) && *c.p > ' ' && *c.p < 127 && *c.p != ':')
		c.p++;
	while (cursor_peek(&c) == ' ' || cursor_peek(&c) == '\t')
		c.p++;
	return c.p > start && cursor_peek(&c) == ':';
}

static bool
check(struct exim_run *x, struct str s, enum check kind, const char *command)
{
	for (size_t i = 0; i < s.len; i++) {
		struct cursor behind = { s.p + i + 1, s.p + s.len };
		unsigned char ch = (unsigned char)s.p[i];

		if (kind == PRINTABLE && (ch < ' ' || ch >= 127))
			return exim_fail(x, FILTER_ERROR_EXPAND,
			    "non-printing character in \"%s\" in %s command", shown(x, s), command);
		if (kind == PRINTABLE || ch != '\n' || cursor_peek(&behind) == ' ' ||
		    cursor_peek(&behind) == '\t')
			continue;
		if (kind == HEADER)
			return exim_fail(x, FILTER_ERROR_EXPAND,
			    "\\n not followed by space in \"%s\" in %s command", shown(x, s),
			    command);
		if (kind == HEADERS && !cursor_at_end(&behind) && !starts_header(behind))
			return exim_fail(x, FILTER_ERROR_EXPAND,
			    "\\n not followed by space or valid header name in \"%s\" in %s "
			    "command",
			    shown(x, s), command);
	}
	return kind != HEADERS || s.len == 0 || starts_header(cursor_from(s)) ||
	       exim_fail(x, FILTER_ERROR_EXPAND,
		   "no valid header name at the start of \"%s\" in %s command", shown(x, s),
		   command);
}

/* In the run's arena, as UTF-8, with LF line ends and no other CR. */
static const char *
kept(struct exim_run *x, struct str s)
{
	struct buf repaired = { 0 };
	char *text;
	size_t at = 0;

	utf8_repair(&repaired, str_from(s.p));
	text = arena_alloc(x->arena, repaired.len + 1);
	for (size_t i = 0; i < repaired.len; i++)
		if (repaired.data[i] != '\r')
			text[at++] = repaired.data[i];
		else if (i + 1 == repaired.len || repaired.data[i + 1] != '\n')
			text[at++] = ' ';
	text[at] = '\0';
	buf_free(&repaired);
	return text;
}

static bool
expand_arguments(struct exim_run *x, const struct exim_command *command, const char **values)
{
	struct str value;

	for (size_t i = 0; i < EXIM_MAIL_ARGUMENTS; i++) {
		values[i] = NULL;
		if (command->mail[i].p == NULL)
			continue;
		if (!exim_value(x, command->mail[i],
			arena_printf(&x->scratch, "%s command", command->verb->name), &value) ||
		    !check(x, value, CHECKS[i], command->verb->name))
			return false;
		values[i] = kept(x, value);
	}
	return true;
}

/* To whom if nobody is named: where replies go, on one line. */
static const char *
default_recipient(struct exim_run *x)
{
	struct str address;
	char *to;

	exim_variable(x, STR("reply_address"), false, &address);
	to = arena_strndup(x->arena, address.p, address.len);
	for (char *p = to; *p != '\0'; p++)
		if (*p == '\n')
			*p = ' ';
	return to;
}

static const char *
not_empty(const char *s)
{
	return s != NULL && s[0] != '\0' ? s : NULL;
}

bool
exim_run_mail(struct exim_run *x, const struct exim_command *command)
{
	const char *v[EXIM_MAIL_ARGUMENTS];
	struct filter_action *action;
	struct filter_reply *reply;

	/* Checked even where nothing is sent, so that a mistake is found. */
	if (!expand_arguments(x, command, v))
		return false;
	if (x->message->sender == NULL || x->message->sender[0] == '\0') {
		exim_trace(x, "%s: not sent, the message is a bounce", command->verb->name);
		x->not_sent = true;
		return true;
	}
	action = exim_action(x, command, FILTER_MAIL);
	if (action == NULL)
		return false;
	reply = &action->reply;
	reply->to = v[EXIM_TO] != NULL ? v[EXIM_TO] : default_recipient(x);
	reply->cc = v[EXIM_CC];
	reply->bcc = v[EXIM_BCC];
	reply->from = v[EXIM_FROM];
	reply->reply_to = v[EXIM_REPLY_TO];
	reply->subject = v[EXIM_SUBJECT];
	reply->extra_headers = not_empty(v[EXIM_EXTRA_HEADERS]);
	reply->body = v[EXIM_TEXT];
	reply->file = not_empty(v[EXIM_FILE]);
	reply->file_expand = command->expand_file;
	reply->log = v[EXIM_LOG];
	reply->once = reply->key = not_empty(v[EXIM_ONCE]);
	reply->once_repeat = v[EXIM_ONCE_REPEAT];
	/* A time that cannot be read is no reason to write again. */
	if (reply->once_repeat != NULL &&
	    !exim_time_parse(str_from(reply->once_repeat), &reply->seconds))
		reply->seconds = 0;
	reply->return_message = command->return_message;
	reply->is_vacation = command->verb->parse == exim_parse_vacation;
	exim_trace(x, "%s to %.400s", command->verb->name, reply->to);
	return true;
}
