#include "admin/complete.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/commands.h"
#include "base/buf.h"
#include "base/mem.h"
#include "store/account_aliases.h"
#include "store/account_apps.h"
#include "store/account_lists.h"
#include "store/account_scripts.h"
#include "store/spool.h"

#define WORDS_MAX (ADMIN_ARGS_MAX + 2 * ADMIN_OPTIONS_MAX + 8)

/* Words in lower case ("yes|no", "domain|account") stand for themselves. */
const struct complete_word COMPLETE_WORDS[] = {
	{ "ACCOUNT", COMPLETE_ADDRESSES },
	{ "ADDRESS", COMPLETE_ADDRESSES },
	{ "ALIAS", COMPLETE_ALIASES },
	{ "COLUMNS", COMPLETE_FREE },
	{ "COUNT", COMPLETE_FREE },
	{ "CSV", COMPLETE_FILES },
	{ "DATE", COMPLETE_FREE },
	{ "DIR", COMPLETE_DIRECTORIES },
	{ "DOMAIN", COMPLETE_DOMAINS },
	{ "ENTRY", COMPLETE_FREE },
	{ "FILE", COMPLETE_FILES },
	{ "FILTER", COMPLETE_FILES },
	{ "FINGERPRINT", COMPLETE_FREE },
	{ "FOLDER", COMPLETE_MAILBOXES },
	{ "FORMAT", COMPLETE_FREE },
	{ "GLOB", COMPLETE_FREE },
	{ "HOST", COMPLETE_FREE },
	{ "HOST:PORT", COMPLETE_FREE },
	{ "ID", COMPLETE_QUEUE },
	{ "IDENTIFIER", COMPLETE_ADDRESSES },
	{ "LABEL", COMPLETE_LABELS },
	{ "LIST", COMPLETE_LISTS },
	{ "LOG", COMPLETE_FILES },
	{ "MAILBOX", COMPLETE_MAILBOXES },
	{ "MAILDIR", COMPLETE_DIRECTORIES },
	{ "MBOX", COMPLETE_FILES },
	{ "MEMBER", COMPLETE_FREE },
	{ "MESSAGE", COMPLETE_FILES },
	{ "MESSAGE-ID", COMPLETE_FREE },
	{ "N", COMPLETE_FREE },
	{ "NAME", COMPLETE_FREE },
	{ "NAME:TEXT", COMPLETE_FREE },
	{ "NEW-ADDRESS", COMPLETE_FREE },
	{ "PATTERN", COMPLETE_FREE },
	{ "PORT", COMPLETE_FREE },
	{ "PROTOCOLS", COMPLETE_FREE },
	{ "RELAY", COMPLETE_FREE },
	{ "RIGHTS", COMPLETE_FREE },
	{ "SCHEME", COMPLETE_FREE },
	{ "SCRIPT", COMPLETE_SCRIPTS },
	{ "SEARCH", COMPLETE_FREE },
	{ "SIZE", COMPLETE_FREE },
	{ "SNAPSHOT", COMPLETE_FREE },
	{ "SUBJECT", COMPLETE_FREE },
	{ "TARGET", COMPLETE_FREE },
	{ "TEMPLATE", COMPLETE_FREE },
	{ "TEXT", COMPLETE_FREE },
	{ "TIME", COMPLETE_FREE },
	{ "UID", COMPLETE_FREE },
	{ "UIDS", COMPLETE_FREE },
	{ "VALUE", COMPLETE_FREE },
	{ "URL", COMPLETE_FREE },
	{ "USE", COMPLETE_USES },
	{ "USER", COMPLETE_FREE },
	{ "VERSION", COMPLETE_FREE },
};
const size_t COMPLETE_WORDS_COUNT = ARRAY_LEN(COMPLETE_WORDS);

struct completion {
	struct admin *a;
	char *words
	    [WORDS_MAX]; /* behind the program's name; the last one is unfinished, maybe empty */
	size_t count;
	const char *last;
	const char *prefix; /* what is to stand before each candidate: "--quota=" */
	size_t printed;
	bool started; /* the configuration is read, or cannot be */
};

/* --- the line ----------------------------------------------------------------------------------- */

/* One word as a POSIX shell reads it, without expansions; quotes may still be open. */
static const char *
take_word(const char *p, struct buf *word)
{
	char quote = 0;

	for (; *p != '\0'; p++) {
		if (quote == 0 && (*p == ' ' || *p == '\t' || *p == '\n'))
			break;
		if (quote == 0 && (*p == '\'' || *p == '"'))
			quote = *p;
		else if (quote != 0 && *p == quote)
			quote = 0;
		else if (*p == '\\' && quote != '\'' && p[1] != '\0' &&
			 (quote == 0 || strchr("\\\"$`", p[1]) != NULL))
			buf_addc(word, *++p);
		else
			buf_addc(word, *p);
	}
	return p;
}

static void
split_line(struct completion *c, const char *line)
{
	struct buf word = { 0 };
	bool program = true, more = true;

	while (more && c->count < WORDS_MAX) {
		line += strspn(line, " \t\n");
		line = take_word(line, &word);
		more = *line != '\0';
		if (!program)
			c->words[c->count++] = mem_strdup(buf_cstr(&word));
		program = false;
		buf_reset(&word);
	}
	buf_free(&word);
	if (c->count == 0)
		c->words[c->count++] = mem_strdup("");
	c->last = c->words[c->count - 1];
}

/* --- candidates --------------------------------------------------------------------------------- */

/* A line break in a name would make two of it. */
static void
offer(struct completion *c, const char *text)
{
	if (c->printed >= COMPLETE_MAX || strncmp(text, c->last, strlen(c->last)) != 0 ||
	    strchr(text, '\n') != NULL)
		return;
	printf("%s%s\n", c->prefix, text);
	c->printed++;
}

/* Letter case does not matter in addresses; what was typed stays as it is. */
static void
offer_nocase(struct completion *c, const char *text)
{
	size_t len = strlen(c->last);
	char *like;

	if (!str_has_prefix_nocase(str_from(text), str_from(c->last)))
		return;
	like = mem_printf("%s%s", c->last, text + len);
	offer(c, like);
	free(like);
}

/* The account database as it is; false if there is none, or not for us. */
static bool
open_accounts(struct completion *c)
{
	struct admin *a = c->a;

	if (!c->started && !admin_start(a))
		a->config = NULL;
	c->started = true;
	if (a->config != NULL && a->accounts == NULL &&
	    account_db_open(config_string(a->config, "store.account_db"), ACCOUNT_DB_READ, a->log,
		&a->accounts) != STORE_OK)
		a->accounts = NULL;
	return a->accounts != NULL;
}

static void
offer_addresses(struct completion *c, const char *account)
{
	struct account_row *rows;
	size_t count;

	(void)account;
	if (!open_accounts(c) || account_db_list(c->a->accounts, NULL, &rows, &count) != STORE_OK)
		return;
	for (size_t i = 0; i < count; i++) {
		char *address = account_row_address(&rows[i]);

		offer_nocase(c, address);
		free(address);
	}
	account_rows_free(rows, count);
}

/* They come ordered by domain. */
static void
offer_domains(struct completion *c, const char *account)
{
	struct account_row *rows;
	size_t count;

	(void)account;
	if (!open_accounts(c) || account_db_list(c->a->accounts, NULL, &rows, &count) != STORE_OK)
		return;
	for (size_t i = 0; i < count; i++)
		if (i == 0 || !ascii_eq_nocase(rows[i].domain, rows[i - 1].domain))
			offer_nocase(c, rows[i].domain);
	account_rows_free(rows, count);
}

static void
offer_aliases(struct completion *c, const char *account)
{
	struct account_alias *aliases;
	size_t count;

	(void)account;
	if (!open_accounts(c) ||
	    account_alias_list(c->a->accounts, 0, NULL, &aliases, &count) != STORE_OK)
		return;
	for (size_t i = 0; i < count; i++) {
		char *address = mem_printf("%s%s@%s", *aliases[i].localpart == '\0' ? "*" : "",
		    aliases[i].localpart, aliases[i].domain);

		offer_nocase(c, address);
		free(address);
	}
	account_aliases_free(aliases, count);
}

static bool
find_account(struct completion *c, const char *account, struct account_row *row_out)
{
	*row_out = (struct account_row){ 0 };
	return account != NULL && open_accounts(c) &&
	       account_db_find_address(c->a->accounts, str_from(account), row_out) == STORE_OK;
}

static void
offer_mailboxes(struct completion *c, const char *account)
{
	struct mailbox_list boxes = { 0 };
	struct account *mail = NULL;
	struct account_row row;

	if (find_account(c, account, &row) && admin_open_store(c->a) &&
	    account_open(c->a->store, row.localpart, row.domain, 0, &mail) == STORE_OK &&
	    account_list(mail, &boxes) == STORE_OK)
		for (size_t i = 0; i < boxes.count; i++)
			offer(c, boxes.boxes[i].name);
	mailbox_list_free(&boxes);
	account_close(mail);
	account_row_free(&row);
}

static void
offer_scripts(struct completion *c, const char *account)
{
	struct account_script *scripts;
	struct account_row row;
	size_t count;

	if (find_account(c, account, &row) &&
	    account_scripts_list(c->a->accounts, row.id, &scripts, &count) == STORE_OK) {
		for (size_t i = 0; i < count; i++)
			offer(c, scripts[i].name);
		account_scripts_free(scripts, count);
	}
	account_row_free(&row);
}

static void
offer_lists(struct completion *c, const char *account)
{
	struct account_row row;
	size_t count;
	char **names;

	if (find_account(c, account, &row) &&
	    account_lists(c->a->accounts, row.id, &names, &count) == STORE_OK) {
		for (size_t i = 0; i < count; i++)
			offer(c, names[i]);
		account_texts_free(names, count);
	}
	account_row_free(&row);
}

static void
offer_labels(struct completion *c, const char *account)
{
	struct account_row row;
	struct account_app *apps;
	size_t count;

	if (find_account(c, account, &row) &&
	    account_app_list(c->a->accounts, row.id, &apps, &count) == STORE_OK) {
		for (size_t i = 0; i < count; i++)
			offer(c, apps[i].label);
		account_apps_free(apps, count);
	}
	account_row_free(&row);
}

static void
offer_queue(struct completion *c, const char *account)
{
	struct spool_message **messages;
	size_t count;

	(void)account;
	if (!open_accounts(c) || !admin_open_spool(c->a) ||
	    spool_list(c->a->spool, NULL, COMPLETE_MAX, &messages, &count) != STORE_OK)
		return;
	for (size_t i = 0; i < count; i++)
		offer(c, messages[i]->id);
	spool_messages_free(messages, count);
}

static void
offer_uses(struct completion *c, const char *account)
{
	(void)account;
	for (int use = SPECIAL_NONE + 1; use < SPECIAL_COUNT; use++)
		offer(c, special_use_name((enum special_use)use) + 1);
}

static void
offer_files(struct completion *c, const char *account)
{
	(void)account;
	(void)c;
	puts(":files");
}

static void
offer_directories(struct completion *c, const char *account)
{
	(void)account;
	(void)c;
	puts(":directories");
}

static void (*const OFFER[])(struct completion *c, const char *account) = {
	[COMPLETE_FREE] = NULL,
	[COMPLETE_ADDRESSES] = offer_addresses,
	[COMPLETE_ALIASES] = offer_aliases,
	[COMPLETE_DOMAINS] = offer_domains,
	[COMPLETE_MAILBOXES] = offer_mailboxes,
	[COMPLETE_SCRIPTS] = offer_scripts,
	[COMPLETE_LISTS] = offer_lists,
	[COMPLETE_LABELS] = offer_labels,
	[COMPLETE_QUEUE] = offer_queue,
	[COMPLETE_USES] = offer_uses,
	[COMPLETE_FILES] = offer_files,
	[COMPLETE_DIRECTORIES] = offer_directories,
};

/* One alternative of "FILE|ADDRESS" or "yes|no". */
static void
offer_word(struct completion *c, struct str word, const char *account)
{
	if (word.len > 0 && (ascii_lower(*word.p) == *word.p || ascii_is_digit(*word.p))) {
		char *text = mem_strndup(word.p, word.len);

		offer(c, text);
		free(text);
		return;
	}
	for (size_t i = 0; i < COMPLETE_WORDS_COUNT; i++)
		if (str_eq(word, str_from(COMPLETE_WORDS[i].word)) &&
		    OFFER[COMPLETE_WORDS[i].source] != NULL)
			OFFER[COMPLETE_WORDS[i].source](c, account);
}

static void
offer_words(struct completion *c, struct str words, const char *account)
{
	while (words.len > 0) {
		size_t len = 0;

		while (len < words.len && words.p[len] != '|')
			len++;
		offer_word(c, (struct str){ words.p, len }, account);
		words.p += len + (len < words.len);
		words.len -= len + (len < words.len);
	}
}

/* --- where in the line we are ------------------------------------------------------------------- */

/* The `n`th word of `args`, without brackets and dots; the last one where it may be repeated. */
static bool
args_word(const char *args, size_t n, struct str *word_out, bool *optional_out)
{
	for (;; n--) {
		size_t len = strcspn(args, " ");
		size_t inner = len;
		bool repeats = len >= 3 && memcmp(args + len - 3, "...", 3) == 0;

		if (len == 0)
			return false;
		if (repeats)
			inner -= 3;
		*optional_out = *args == '[' || repeats;
		*word_out = (struct str){ args, inner };
		if (*args == '[') {
			size_t close = strcspn(args, "]");

			*word_out = (struct str){ args + 1, (close < inner ? close : inner) - 1 };
		}
		if (n == 0 || repeats)
			return true;
		args += len;
		args += strspn(args, " ");
	}
}

/* Where an argument may be left out, the next one may stand there. */
static void
offer_argument(
    struct completion *c, const struct admin_command *command, size_t n, const char *account)
{
	struct str word, before = { 0 };
	bool optional = true;

	for (; optional && args_word(command->args, n, &word, &optional); n++) {
		if (word.p == before.p)
			break;
		offer_words(c, word, account);
		before = word;
	}
}

static const struct admin_option *
find_option(const struct admin_command *command, const char *name)
{
	size_t len = strcspn(name, "=");

	for (size_t i = 0; i < ADMIN_OPTIONS_MAX && command->options[i].name != NULL; i++)
		if (str_eq(str_from(command->options[i].name), (struct str){ name, len }))
			return &command->options[i];
	return NULL;
}

static void
offer_options(struct completion *c, const struct admin_command *command, size_t first)
{
	for (size_t i = 0; i < ADMIN_OPTIONS_MAX && command->options[i].name != NULL; i++) {
		bool given = false;

		for (size_t k = first; k + 1 < c->count; k++)
			given = given || find_option(command, c->words[k]) == &command->options[i];
		if (!given || admin_option_is_many(&command->options[i]))
			offer(c, command->options[i].name);
	}
	offer(c, "--help");
}

/* The rest of a line whose command is known; `first` is the first word behind it. */
static void
complete_command(struct completion *c, const struct admin_command *command, size_t first)
{
	const char *account = NULL;
	size_t args = 0;

	for (size_t i = first; i + 1 < c->count; i++) {
		const char *word = c->words[i];
		const struct admin_option *o = *word == '-' ? find_option(command, word) : NULL;

		if (o != NULL && o->value != NULL && strchr(word, '=') == NULL) {
			if (i + 2 == c->count) {
				offer_words(c, str_from(o->value), account);
				return;
			}
			i++;
		} else if (o == NULL) {
			account = account == NULL && strchr(word, '@') != NULL ? word : account;
			args++;
		}
	}
	if (*c->last == '-' && strchr(c->last, '=') != NULL) {
		const struct admin_option *o = find_option(command, c->last);
		size_t len = strcspn(c->last, "=") + 1;

		if (o != NULL && o->value != NULL) {
			char *prefix = mem_strndup(c->last, len);

			c->prefix = prefix;
			c->last += len;
			offer_words(c, str_from(o->value), account);
			c->prefix = "";
			free(prefix);
		}
	} else if (*c->last == '-') {
		offer_options(c, command, first);
	} else if (args < command->args_most) {
		offer_argument(c, command, args, account);
	} else if (*c->last == '\0') {
		offer_options(c, command, first);
	}
}

static void
offer_groups(struct completion *c)
{
	for (size_t i = 0; i < ADMIN_COMMANDS_COUNT; i++)
		if (i == 0 || strcmp(ADMIN_COMMANDS[i]->group, ADMIN_COMMANDS[i - 1]->group) != 0)
			offer(c, ADMIN_COMMANDS[i]->group);
	offer(c, "help");
	if (*c->last == '-') {
		offer(c, "-c");
		offer(c, "--help");
	}
}

/* -c FILE in front is where the addresses come from; returns the first word behind, or c->count. */
static size_t
skip_config(struct completion *c)
{
	size_t at = 0;

	while (at < c->count && strncmp(c->words[at], "-c", 2) == 0) {
		bool apart = c->words[at][2] == '\0';

		if (at + 1 == c->count) {
			offer(c, "-c");
			return c->count;
		}
		if (apart && at + 2 == c->count) {
			puts(":files");
			return c->count;
		}
		c->a->config_path = apart ? c->words[at + 1] : c->words[at] + 2;
		at += 1 + apart;
	}
	return at;
}

static void
complete_words(struct completion *c)
{
	size_t at = skip_config(c);

	if (at >= c->count)
		return;
	if (at + 1 == c->count) {
		offer_groups(c);
		return;
	}
	for (size_t i = 0; i < ADMIN_COMMANDS_COUNT; i++) {
		const struct admin_command *row = ADMIN_COMMANDS[i];

		if (strcmp(row->group, c->words[at]) != 0)
			continue;
		if (row->name == NULL)
			complete_command(c, row, at + 1);
		else if (at + 2 == c->count)
			offer(c, row->name);
		else if (strcmp(row->name, c->words[at + 1]) == 0)
			complete_command(c, row, at + 2);
		else
			continue;
		if (row->name == NULL || at + 2 < c->count)
			return;
	}
}

enum admin_status
complete_run(struct admin *a, const char *line)
{
	struct completion c = { .a = a, .prefix = "" };

	split_line(&c, line);
	printf("%s\n", c.last);
	complete_words(&c);
	a->config_path = NULL; /* it may point into the words */
	for (size_t i = 0; i < c.count; i++)
		free(c.words[i]);
	return fflush(stdout) == 0 ? ADMIN_DONE : ADMIN_REFUSED;
}
