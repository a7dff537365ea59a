#include "filter/exim/convert.h"

#include <stdarg.h>
#include <stdio.h>

#include "filter/exim/addresses.h"
#include "filter/exim/commands.h"
#include "filter/exim/convert_internal.h"
#include "filter/exim/exim.h"
#include "filter/exim/folder.h"
#include "filter/exim/lex.h"
#include "filter/exim/numbers.h"
#include "filter/exim/parse.h"

static void convert_commands(
    struct conversion *c, struct buf *out, const struct exim_command *commands, unsigned depth);

bool
convert_problem(struct conversion *c, unsigned line, const char *fmt, ...)
{
	va_list args;

	buf_printf(c->problems, "line %u: ", line);
	va_start(args, fmt);
	buf_vprintf(c->problems, fmt, args);
	va_end(args);
	buf_addc(c->problems, '\n');
	return false;
}

bool
convert_literal(struct conversion *c, struct str value, struct str *out)
{
	struct cursor at = cursor_from(value);
	struct exim_text text = { .arena = &c->arena };
	bool verbatim = false;

	while (!cursor_at_end(&at)) {
		char ch = *at.p++;

		if (ch == '\\' && cursor_peek(&at) == 'N') {
			at.p++;
			verbatim = !verbatim;
		} else if (verbatim) {
			exim_text_char(&text, ch);
		} else if (ch == '$' || (ch == '\\' && cursor_at_end(&at))) {
			return false;
		} else {
			exim_text_char(&text, ch == '\\' ? exim_escape(&at) : ch);
		}
	}
	*out = exim_text_get(&text);
	/* "${" would be a variable of Sieve's where the script needs those. */
	return memchr(out->p, '\0', out->len) == NULL && str_find(*out, STR("${")) == SIZE_MAX;
}

/* quoted-string, RFC 5228 §2.4.2 */
void
convert_string(struct buf *out, struct str s)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, s.p[i]);
	}
	buf_addc(out, '"');
}

static void
indent(struct buf *out, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		buf_addc(out, '\t');
}

static bool
convert_save(struct conversion *c, struct buf *out, const struct exim_command *command)
{
	struct str path = command->a;
	const char *folder;

	if (str_has_prefix(path, STR("$home/")))
		path = (struct str){ path.p + 6, path.len - 6 };
	if (!convert_literal(c, path, &path))
		return convert_problem(c, command->line, "save: the folder depends on the message");
	folder = exim_folder(&c->arena, path, NULL);
	if (folder == NULL)
		return convert_problem(
		    c, command->line, "save: \"%.200s\" is no folder of the account's", path.p);
	if (strcmp(folder, "INBOX") == 0) {
		buf_adds(out, "keep;");
		return true;
	}
	c->needs |= NEEDS_FILEINTO | NEEDS_MAILBOX;
	buf_adds(out, "fileinto :create ");
	if (!command->seen) {
		c->needs |= NEEDS_COPY;
		buf_adds(out, ":copy ");
	}
	convert_string(out, str_from(folder));
	buf_addc(out, ';');
	return true;
}

static bool
convert_deliver(struct conversion *c, struct buf *out, const struct exim_command *command)
{
	struct str value, address, local, domain;
	const char *why;

	if (!convert_literal(c, command->a, &value))
		return convert_problem(
		    c, command->line, "deliver: the address depends on the message");
	if (!exim_address(&c->arena, value, &address, &why))
		return convert_problem(
		    c, command->line, "deliver: \"%.100s\" is no address: %.100s", value.p, why);
	exim_address_split(address, &local, &domain);
	if (domain.len == 0)
		return convert_problem(c, command->line,
		    "deliver: \"%.100s\" has no domain, and Sieve adds none", address.p);
	buf_adds(out, "redirect ");
	if (!command->seen) {
		c->needs |= NEEDS_COPY;
		buf_adds(out, ":copy ");
	}
	convert_string(out, address);
	buf_addc(out, ';');
	return true;
}

static bool
convert_finish(struct conversion *c, struct buf *out, const struct exim_command *command)
{
	(void)c;
	buf_adds(out, command->seen ? "discard;\n" : "");
	return true;
}

/* What vacation of RFC 5230 has no word for. */
static const struct {
	enum exim_mail_argument argument;
	const char *name;
} NO_VACATION[] = {
	{ EXIM_TO, "to" },
	{ EXIM_CC, "cc" },
	{ EXIM_BCC, "bcc" },
	{ EXIM_REPLY_TO, "reply_to" },
	{ EXIM_EXTRA_HEADERS, "extra_headers" },
};

static bool
vacation_literals(struct conversion *c, const struct exim_command *command,
    struct str values[EXIM_MAIL_ARGUMENTS])
{
	static const enum exim_mail_argument USED[] = { EXIM_FROM, EXIM_SUBJECT, EXIM_TEXT,
		EXIM_ONCE, EXIM_ONCE_REPEAT };

	for (size_t i = 0; i < ARRAY_LEN(NO_VACATION); i++)
		if (command->mail[NO_VACATION[i].argument].p != NULL)
			return convert_problem(c, command->line,
			    "vacation: Sieve's vacation has no \"%s\"", NO_VACATION[i].name);
	if (command->return_message)
		return convert_problem(
		    c, command->line, "vacation: Sieve's vacation returns no message");
	if (command->mail[EXIM_TEXT].p == NULL)
		return convert_problem(c, command->line,
		    "vacation: the text is in a file; write it into the filter as `text`");
	for (size_t i = 0; i < ARRAY_LEN(USED); i++) {
		values[USED[i]] = command->mail[USED[i]];
		if (values[USED[i]].p != NULL &&
		    !convert_literal(c, values[USED[i]], &values[USED[i]]))
			return convert_problem(
			    c, command->line, "vacation: an argument depends on the message");
	}
	return true;
}

static bool
convert_vacation(struct conversion *c, struct buf *out, const struct exim_command *command)
{
	struct str v[EXIM_MAIL_ARGUMENTS] = { { NULL, 0 } };
	uint64_t seconds;

	if (command->verb->parse != exim_parse_vacation)
		return convert_problem(
		    c, command->line, "mail: Sieve sends no mail but replies of vacation");
	if (!vacation_literals(c, command, v))
		return false;
	if (!exim_time_parse(v[EXIM_ONCE_REPEAT], &seconds))
		return convert_problem(c, command->line, "vacation: once_repeat is no time");
	c->needs |= NEEDS_VACATION;
	if (seconds % 86400 == 0) {
		buf_printf(out, "vacation :days %llu", (unsigned long long)seconds / 86400);
	} else {
		c->needs |= NEEDS_VACATION_SECONDS;
		buf_printf(out, "vacation :seconds %llu", (unsigned long long)seconds);
	}
	buf_adds(out, " :subject ");
	convert_string(out, v[EXIM_SUBJECT]);
	if (v[EXIM_FROM].p != NULL) {
		buf_adds(out, " :from ");
		convert_string(out, v[EXIM_FROM]);
	}
	buf_adds(out, " :handle ");
	convert_string(out, v[EXIM_ONCE]);
	buf_addc(out, ' ');
	convert_string(out, v[EXIM_TEXT]);
	buf_adds(out, ";");
	if (command->seen)
		buf_adds(out, " discard;");
	return true;
}

/* headers charset means nothing to Sieve, which knows UTF-8 alone. */
static bool
convert_headers(struct conversion *c, struct buf *out, const struct exim_command *command)
{
	(void)out;
	if (str_eq_nocase(command->a, STR("utf-8")))
		return true;
	return convert_problem(c, command->line, "headers charset: Sieve knows UTF-8 alone");
}

static bool
convert_nothing(struct conversion *c, struct buf *out, const struct exim_command *command)
{
	(void)c, (void)out, (void)command;
	return true;
}

static bool
convert_none(struct conversion *c, struct buf *out, const struct exim_command *command)
{
	(void)out;
	return convert_problem(
	    c, command->line, "%s: there is nothing like it in Sieve", command->verb->name);
}

static const struct {
	const char *verb;
	bool (*convert)(struct conversion *c, struct buf *out, const struct exim_command *command);
} CONVERSIONS[] = {
	{ "save", convert_save },
	{ "deliver", convert_deliver },
	{ "finish", convert_finish },
	{ "vacation", convert_vacation },
	{ "mail", convert_vacation },
	{ "headers", convert_headers },
	{ "testprint", convert_nothing },
	{ "logfile", convert_nothing },
};

/* if … elsif … else; a condition without equivalent takes the whole of it out. */
static bool
convert_if(
    struct conversion *c, struct buf *out, const struct exim_command *command, unsigned depth)
{
	struct buf test = { 0 };
	bool ok = true;

	for (const struct exim_branch *b = command->branches; b != NULL && ok; b = b->next) {
		buf_reset(&test);
		if (b->condition != NULL)
			ok = convert_condition(c, &test, b->condition);
		if (!ok)
			break;
		if (b == command->branches)
			buf_printf(out, "if %s {\n", buf_cstr(&test));
		else if (b->condition != NULL)
			buf_printf(out, " elsif %s {\n", buf_cstr(&test));
		else
			buf_adds(out, " else {\n");
		convert_commands(c, out, b->commands, depth + 1);
		indent(out, depth);
		buf_addc(out, '}');
	}
	buf_free(&test);
	return ok;
}

static bool
convert_command(
    struct conversion *c, struct buf *out, const struct exim_command *command, unsigned depth)
{
	if (command->branches != NULL)
		return convert_if(c, out, command, depth);
	for (size_t i = 0; i < ARRAY_LEN(CONVERSIONS); i++)
		if (strcmp(command->verb->name, CONVERSIONS[i].verb) == 0)
			return CONVERSIONS[i].convert(c, out, command);
	return convert_none(c, out, command);
}

static void
convert_commands(
    struct conversion *c, struct buf *out, const struct exim_command *commands, unsigned depth)
{
	for (const struct exim_command *command = commands; command != NULL;
	     command = command->next) {
		struct buf text = { 0 };
		bool finish = strcmp(command->verb->name, "finish") == 0;

		if (!convert_command(c, &text, command, depth)) {
			indent(out, depth);
			buf_printf(out, "# line %u (%s) is not converted\n", command->line,
			    command->verb->name);
		} else if (text.len > 0 || finish) {
			indent(out, depth);
			buf_add(out, text.data != NULL ? text.data : "", text.len);
			if (finish) {
				if (text.len > 0)
					indent(out, depth);
				buf_adds(out, "stop;");
			}
			buf_addc(out, '\n');
		}
		buf_free(&text);
	}
}

static const struct {
	unsigned need;
	const char *capability;
} CAPABILITIES[] = {
	{ NEEDS_FILEINTO, "fileinto" },
	{ NEEDS_COPY, "copy" },
	{ NEEDS_MAILBOX, "mailbox" },
	{ NEEDS_ENVELOPE, "envelope" },
	{ NEEDS_REGEX, "regex" },
	{ NEEDS_VACATION, "vacation" },
	{ NEEDS_VACATION_SECONDS, "vacation-seconds" },
	{ NEEDS_VARIABLES, "variables" },
	{ NEEDS_SUBADDRESS, "subaddress" },
};

static void
add_requires(struct buf *out, unsigned needs)
{
	const char *before = "require [";

	for (size_t i = 0; i < ARRAY_LEN(CAPABILITIES); i++) {
		if ((needs & CAPABILITIES[i].need) == 0)
			continue;
		buf_printf(out, "%s\"%s\"", before, CAPABILITIES[i].capability);
		before = ", ";
	}
	if (needs != 0)
		buf_adds(out, "];\n\n");
}

/* Whose script it is, for `personal`: the address as it came, with and without its detail. */
static const char WHOSE[] =
    "if envelope :matches \"to\" \"*\" {\n\tset \"me\" \"${1}\";\n}\n"
    "if envelope :user :matches \"to\" \"*\" {\n\tset \"user\" \"${1}\";\n}\n"
    "if envelope :domain :matches \"to\" \"*\" {\n\tset \"domain\" \"${1}\";\n}\n\n";

bool
exim_convert(struct str text, struct buf *sieve_out, struct buf *problems_out,
    struct filter_error *error_out)
{
	struct conversion c = { .problems = problems_out };
	struct exim_command *commands = NULL;
	struct buf script = { 0 };
	bool ok = exim_parse(text, &c.arena, &commands, error_out);

	if (ok) {
		convert_commands(&c, &script, commands, 0);
		add_requires(sieve_out, c.needs);
		if (c.personal)
			buf_adds(sieve_out, WHOSE);
		buf_add(sieve_out, script.data != NULL ? script.data : "", script.len);
	}
	buf_free(&script);
	arena_free(&c.arena);
	return ok;
}
