#include "filter/exim/parse.h"

#include <stdio.h>

#include "filter/exim/exim.h"

enum block_end { AT_END, AT_ELIF, AT_ELSE, AT_ENDIF };

static bool parse_block(
    struct exim_parser *p, struct exim_command **commands_out, enum block_end *end_out);

/* "# Exim filter" at the very top; what else is on that line does not matter. */
bool
exim_claims(struct str text)
{
	struct cursor c = cursor_from(text);

	cursor_take_while(&c, ascii_is_space);
	if (!cursor_take(&c, '#'))
		return false;
	while (cursor_take(&c, ' ') || cursor_take(&c, '\t'))
		;
	if (!cursor_take_nocase(&c, STR("exim")))
		return false;
	if (cursor_peek(&c) != ' ' && cursor_peek(&c) != '\t')
		return false;
	while (cursor_take(&c, ' ') || cursor_take(&c, '\t'))
		;
	return cursor_take_nocase(&c, STR("filter"));
}

static bool
missing_argument(struct exim_parser *p, const struct exim_command *command)
{
	return exim_syntax_error(&p->lex, "\"%s\" requires an argument near line %u of filter file",
	    command->verb->name, p->lex.line);
}

bool
exim_parse_argument(struct exim_parser *p, struct exim_command *command)
{
	if (!exim_lex_item(&p->lex, false, &command->a))
		return false;
	return command->a.len > 0 || missing_argument(p, command);
}

/* save FILE [MODE], logfile FILE [MODE].  The mode is read, as Exim does, and means nothing here. */
bool
exim_parse_save(struct exim_parser *p, struct exim_command *command)
{
	struct str mode;

	if (!exim_parse_argument(p, command))
		return false;
	if (!ascii_is_digit((char)cursor_peek(&p->lex.at)))
		return true;
	return exim_lex_word(&p->lex, false, &mode);
}

/* The keyword if it comes next, and only then. */
static bool
take_keyword(struct exim_parser *p, const char *keyword)
{
	struct exim_lex saved = p->lex;
	struct str word;

	if (exim_lex_word(&p->lex, false, &word) && str_eq(word, str_from(keyword)))
		return true;
	p->lex = saved;
	return false;
}

/* deliver ADDRESS [errors_to ADDRESS] */
bool
exim_parse_deliver(struct exim_parser *p, struct exim_command *command)
{
	if (!exim_parse_argument(p, command))
		return false;
	if (!take_keyword(p, "errors_to"))
		return true;
	command->has_b = true;
	if (!exim_lex_item(&p->lex, false, &command->b))
		return false;
	return command->b.len > 0 || missing_argument(p, command);
}

bool
exim_parse_finish(struct exim_parser *p, struct exim_command *command)
{
	(void)p, (void)command;
	return true;
}

/* add NUMBER to VARIABLE */
bool
exim_parse_add(struct exim_parser *p, struct exim_command *command)
{
	if (!exim_parse_argument(p, command))
		return false;
	if (!take_keyword(p, "to"))
		return exim_syntax_error(&p->lex,
		    "\"to\" expected in \"add\" command near line %u of filter file", p->lex.line);
	if (!exim_lex_item(&p->lex, false, &command->b))
		return false;
	return command->b.len > 0 || missing_argument(p, command);
}

/* headers charset X; `headers add` and `headers remove` are for the filters of administrators. */
bool
exim_parse_headers(struct exim_parser *p, struct exim_command *command)
{
	if (!take_keyword(p, "charset"))
		return exim_syntax_error(&p->lex,
		    "header addition and removal is available only in system filters: near line "
		    "%u of filter file",
		    p->lex.line);
	if (!exim_lex_item(&p->lex, false, &command->a))
		return false;
	return command->a.len > 0 || exim_syntax_error(&p->lex,
					 "value missing after \"add\", \"remove\", or \"charset\" "
					 "near line %u of filter file",
					 p->lex.line);
}

/* fail, freeze and defer: even in a branch that is never taken. */
bool
exim_parse_disabled(struct exim_parser *p, struct exim_command *command)
{
	exim_syntax_error_set(&p->lex,
	    "filtering command \"%s\" is disabled: near line %u of filter file",
	    command->verb->name, command->line);
	p->lex.error->kind = FILTER_ERROR_FORBIDDEN;
	p->lex.error->line = command->line;
	return false;
}

/* if CONDITION then … [elif CONDITION then …]… [else …] endif */
bool
exim_parse_if(struct exim_parser *p, struct exim_command *command)
{
	struct exim_branch **tail = &command->branches;
	enum block_end end = AT_ELIF;

	if (++p->depth > EXIM_NESTING_MAX)
		return exim_syntax_error(&p->lex, "\"if\" is nested too deeply");
	while (end == AT_ELIF || end == AT_ELSE) {
		bool otherwise = end == AT_ELSE;
		struct exim_branch *branch = arena_zalloc(p->arena, sizeof(*branch));

		*tail = branch;
		tail = &branch->next;
		if (!otherwise && !exim_parse_condition(p, false, &branch->condition))
			return false;
		if (!parse_block(p, &branch->commands, &end))
			return false;
		if (end == AT_END)
			return exim_syntax_error(
			    &p->lex, "\"endif\" missing at end of filter file");
		if (otherwise && end != AT_ENDIF)
			return exim_syntax_error(
			    &p->lex, "\"endif\" missing near line %u of filter file", p->lex.line);
	}
	p->depth--;
	return true;
}

static const struct {
	const char *name;
	enum exim_mail_argument argument;
} MAIL_ARGUMENTS[] = {
	{ "to", EXIM_TO },
	{ "cc", EXIM_CC },
	{ "bcc", EXIM_BCC },
	{ "from", EXIM_FROM },
	{ "reply_to", EXIM_REPLY_TO },
	{ "subject", EXIM_SUBJECT },
	{ "extra_headers", EXIM_EXTRA_HEADERS },
	{ "text", EXIM_TEXT },
	{ "file", EXIM_FILE },
	{ "log", EXIM_LOG },
	{ "once", EXIM_ONCE },
	{ "once_repeat", EXIM_ONCE_REPEAT },
};

/* expand file X, return message: two words each */
static bool
parse_two_words(struct exim_parser *p, const char *first, const char *second)
{
	if (take_keyword(p, second))
		return true;
	return exim_syntax_error(&p->lex,
	    "\"%s\" not followed by \"%s\"  near line %u of filter file", first, second,
	    p->lex.line);
}

static bool
parse_mail_argument(struct exim_parser *p, struct exim_command *command, bool *more_out)
{
	*more_out = true;
	if (take_keyword(p, "expand")) {
		if (!parse_two_words(p, "expand", "file"))
			return false;
		command->expand_file = true;
		return exim_lex_item(&p->lex, false, &command->mail[EXIM_FILE]);
	}
	if (take_keyword(p, "return")) {
		command->return_message = true;
		return parse_two_words(p, "return", "message");
	}
	for (size_t i = 0; i < ARRAY_LEN(MAIL_ARGUMENTS); i++)
		if (take_keyword(p, MAIL_ARGUMENTS[i].name)) {
			if (MAIL_ARGUMENTS[i].argument == EXIM_FILE)
				command->expand_file = false;
			return exim_lex_item(
			    &p->lex, false, &command->mail[MAIL_ARGUMENTS[i].argument]);
		}
	*more_out = false;
	return true;
}

/* mail with its arguments in any order, the last of each kind counts. */
bool
exim_parse_mail(struct exim_parser *p, struct exim_command *command)
{
	bool more = true;

	command->mail = arena_zalloc(p->arena, EXIM_MAIL_ARGUMENTS * sizeof(*command->mail));
	while (more && !cursor_at_end(&p->lex.at))
		if (!parse_mail_argument(p, command, &more))
			return false;
	return true;
}

/* The same with answers to what was not said. */
bool
exim_parse_vacation(struct exim_parser *p, struct exim_command *command)
{
	if (!exim_parse_mail(p, command))
		return false;
	if (command->mail[EXIM_FILE].p == NULL) {
		command->mail[EXIM_FILE] = STR(".vacation.msg");
		command->expand_file = true;
	}
	if (command->mail[EXIM_LOG].p == NULL)
		command->mail[EXIM_LOG] = STR(".vacation.log");
	if (command->mail[EXIM_ONCE].p == NULL)
		command->mail[EXIM_ONCE] = STR(".vacation");
	if (command->mail[EXIM_ONCE_REPEAT].p == NULL)
		command->mail[EXIM_ONCE_REPEAT] = STR("7d");
	if (command->mail[EXIM_SUBJECT].p == NULL)
		command->mail[EXIM_SUBJECT] = STR("On vacation");
	return true;
}

/* --- the sequence of commands --- */

struct prefixes {
	bool given, seen, seen_given, noerror;
	unsigned line;
};

/* seen, unseen or noerror; false: another word. */
static bool
take_prefix(struct exim_parser *p, struct str word, struct prefixes *prefixes, bool *ok_out)
{
	*ok_out = true;
	if (str_eq(word, STR("noerror"))) {
		prefixes->noerror = true;
	} else if (str_eq(word, STR("seen")) || str_eq(word, STR("unseen"))) {
		if (prefixes->seen_given)
			*ok_out = exim_syntax_error(
			    &p->lex, "\"seen\" or \"unseen\" repeated near line %u", p->lex.line);
		prefixes->seen_given = true;
		prefixes->seen = word.p[0] == 's';
	} else {
		return false;
	}
	prefixes->given = true;
	prefixes->line = p->lex.line;
	return true;
}

static const struct {
	const char *word;
	enum block_end end;
} BLOCK_ENDS[] = { { "elif", AT_ELIF }, { "else", AT_ELSE }, { "endif", AT_ENDIF } };

/* A command's word; `if(` and `elif(` need no space before the bracket. */
static bool
command_word(struct exim_parser *p, struct str *word_out)
{
	struct exim_lex saved = p->lex;

	if (!exim_lex_word(&p->lex, false, word_out))
		return false;
	if (str_has_prefix(*word_out, STR("if(")) || str_has_prefix(*word_out, STR("elif("))) {
		p->lex = saved;
		return exim_lex_word(&p->lex, true, word_out);
	}
	return true;
}

static bool
prefix_before(struct exim_parser *p, const char *word)
{
	return exim_syntax_error(&p->lex,
	    "\"seen\", \"unseen\", or \"noerror\" found before an \"%s\" command near line %u",
	    word, p->lex.line);
}

/* elif, else or endif; true if the word is one, with *ok_out false if it may not stand here. */
static bool
take_block_end(struct exim_parser *p, struct str word, const struct prefixes *prefixes,
    enum block_end *end_out, bool *ok_out)
{
	for (size_t i = 0; i < ARRAY_LEN(BLOCK_ENDS); i++) {
		if (!str_eq(word, str_from(BLOCK_ENDS[i].word)))
			continue;
		*end_out = BLOCK_ENDS[i].end;
		*ok_out = true;
		if (prefixes->given)
			*ok_out = prefix_before(p, BLOCK_ENDS[i].word);
		else if (p->depth == 0)
			*ok_out = exim_syntax_error(&p->lex,
			    "unexpected \"%s\" command near line %u of filter file",
			    BLOCK_ENDS[i].word, p->lex.line);
		return true;
	}
	return false;
}

static bool
parse_command(struct exim_parser *p, struct str word, unsigned line,
    const struct prefixes *prefixes, struct exim_command **command_out)
{
	struct exim_command *command = arena_zalloc(p->arena, sizeof(*command));

	command->line = line;
	command->verb = exim_verb_find(word);
	if (command->verb == NULL) {
		p->lex.line = line; /* not that of the word behind it */
		return exim_syntax_error(&p->lex,
		    "unknown filtering command \"%.*s\" near line %u of filter file",
		    (int)(word.len < 200 ? word.len : 200), word.p, line);
	}
	if (prefixes->given && command->verb->no_prefix)
		return prefix_before(p, command->verb->name);
	command->seen = prefixes->seen_given ? prefixes->seen : command->verb->significant;
	command->noerror = prefixes->noerror;
	*command_out = command;
	return command->verb->parse(p, command);
}

static bool
parse_block(struct exim_parser *p, struct exim_command **commands_out, enum block_end *end_out)
{
	struct exim_command **tail = commands_out;
	struct prefixes prefixes = { 0 };
	struct str word;
	bool ok;

	*commands_out = NULL;
	for (;;) {
		unsigned line = p->lex.line;

		if (cursor_at_end(&p->lex.at))
			break;
		if (!command_word(p, &word))
			return false;
		if (take_prefix(p, word, &prefixes, &ok)) {
			if (!ok)
				return false;
			continue;
		}
		if (take_block_end(p, word, &prefixes, end_out, &ok))
			return ok;
		if (!parse_command(p, word, line, &prefixes, tail))
			return false;
		tail = &(*tail)->next;
		prefixes = (struct prefixes){ 0 };
	}
	if (prefixes.given)
		return exim_syntax_error(&p->lex,
		    "\"seen\" or \"unseen\" near line %u is not followed by a command",
		    prefixes.line);
	*end_out = AT_END;
	return true;
}

bool
exim_parse(struct str text, struct arena *arena, struct exim_command **commands_out,
    struct filter_error *error_out)
{
	struct exim_parser p = { .arena = arena };
	enum block_end end;

	*error_out = (struct filter_error){ 0 };
	p.lex = (struct exim_lex){ cursor_from(text), 1, arena, error_out };
	if (!exim_claims(text))
		return exim_syntax_error(&p.lex, "the first line is not \"# Exim filter\"");
	exim_lex_skip(&p.lex); /* the first line is a comment too */
	return parse_block(&p, commands_out, &end);
}
