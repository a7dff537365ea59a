#include "admin/account_sheet.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/account_limits.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "base/mem.h"
#include "service/fresh_password.h"
#include "store/account_aliases.h"
#include "store/account_apps.h"

#define MISTAKES_SAID_MAX   100
#define HASHING_THREADS_MAX 15
#define QUOTA_MAX_BYTES     (UINT64_C(1) << 60) /* fits the column, in kilobytes and in bytes */

struct sheet {
	const char *file;
	struct sheet_row *rows;
	size_t count, room;
	size_t mistakes;
	struct progress *progress; /* while the file is read */
};

/* --- rows --------------------------------------------------------------------------------------- */

struct sheet *
sheet_new(const char *file)
{
	struct sheet *sheet = mem_zalloc(sizeof(*sheet));

	sheet->file = strcmp(file, "-") == 0 ? "standard input" : file;
	return sheet;
}

void
sheet_progress(struct sheet *sheet, struct progress *progress)
{
	sheet->progress = progress;
}

static void
free_secret(char *s)
{
	if (s != NULL)
		mem_wipe(s, strlen(s));
	free(s);
}

static void
free_row(struct sheet_row *row)
{
	free(row->address);
	free(row->key);
	free_secret(row->text);
	free_secret(row->stored);
	mem_wipe(&row->scram, sizeof(row->scram));
	free(row->realname);
	free(row->alias_text);
	free(row->aliases);
}

void
sheet_free(struct sheet *sheet)
{
	if (sheet == NULL)
		return;
	for (size_t i = 0; i < sheet->count; i++)
		free_row(&sheet->rows[i]);
	free(sheet->rows);
	free(sheet);
}

void
sheet_mistake(struct sheet *sheet, size_t line, const char *fmt, ...)
{
	struct buf text = { 0 };
	char what[512];
	va_list args;

	if (sheet->count > 0 && sheet->rows[sheet->count - 1].line == line)
		sheet->rows[sheet->count - 1].bad = true;
	if (sheet->mistakes++ >= MISTAKES_SAID_MAX)
		return;
	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	progress_hide(sheet->progress);
	output_add_lines(&text, what, strlen(what));
	fprintf(stderr, "%s:%zu: %s\n", sheet->file, line, buf_cstr(&text));
	buf_free(&text);
}

struct sheet_row *
sheet_add(struct sheet *sheet, size_t line)
{
	if (sheet->count == SHEET_ROWS_MAX) {
		sheet_mistake(sheet, line, "more than %d accounts at once", SHEET_ROWS_MAX);
		return NULL;
	}
	if (sheet->count == sheet->room) {
		sheet->room = sheet->room == 0 ? 64 : sheet->room * 2;
		sheet->rows = mem_realloc_array(sheet->rows, sheet->room, sizeof(*sheet->rows));
	}
	sheet->rows[sheet->count] =
	    (struct sheet_row){ .line = line, .limits = ACCOUNT_LIMITS_DEFAULT };
	return &sheet->rows[sheet->count++];
}

/* --- what a file says --------------------------------------------------------------------------- */

void
sheet_set_address(struct sheet *sheet, struct sheet_row *row, struct str user, struct str domain)
{
	bool whole = user.len > 0 && memchr(user.p, '@', user.len) != NULL;

	if (user.len == 0) {
		sheet_mistake(sheet, row->line, "there is no address");
		return;
	}
	if (!whole && domain.len == 0) {
		sheet_mistake(sheet, row->line, "%.*s: without a domain; --domain gives one",
		    (int)user.len, user.p);
		return;
	}
	row->address =
	    whole ? mem_strndup(user.p, user.len)
		  : mem_printf("%.*s@%.*s", (int)user.len, user.p, (int)domain.len, domain.p);
	if (!account_address_parse(str_from(row->address), &row->localpart, &row->domain))
		sheet_mistake(sheet, row->line, "%s cannot be an account's address", row->address);
}

/* Hashed already?  What is left is what people type. */
static bool
is_stored(struct str text)
{
	const char *why;
	char *copy;
	bool ok;

	if (text.p[0] == '{')
		return memchr(text.p, '}', text.len) != NULL;
	if (text.p[0] != '$')
		return false;
	copy = mem_strndup(text.p, text.len);
	ok = password_stored_ok(copy, &why);
	free_secret(copy);
	return ok;
}

static void
check_stored(struct sheet *sheet, struct sheet_row *row)
{
	const char *why = "", *end = strchr(row->stored, '}');
	int scheme_len = *row->stored == '{' && end != NULL ? (int)(end - row->stored) + 1 : 0;

	if (strlen(row->stored) > PASSWORD_STORED_MAX)
		sheet_mistake(sheet, row->line, "the password's hash is too long");
	else if (!password_stored_ok(row->stored, &why))
		sheet_mistake(sheet, row->line, "password %.*s: %s", scheme_len, row->stored, why);
}

void
sheet_set_password(struct sheet *sheet, struct sheet_row *row, struct str text, const char *scheme)
{
	if (text.len == 0)
		return;
	if (text.len > PASSWORD_STORED_MAX) {
		sheet_mistake(sheet, row->line, "the password is too long");
	} else if (is_stored(text)) {
		row->stored = mem_strndup(text.p, text.len);
		check_stored(sheet, row);
	} else if (scheme != NULL) {
		row->stored = mem_printf("{%s}%.*s", scheme, (int)text.len, text.p);
		check_stored(sheet, row);
	} else if (text.len > PASSWORD_MAX_BYTES || !fresh_password_possible(text)) {
		sheet_mistake(sheet, row->line,
		    "the password is longer than %d bytes, or holds what no mail client can send",
		    PASSWORD_MAX_BYTES);
	} else {
		row->text = mem_strndup(text.p, text.len);
	}
}

void
sheet_set_realname(struct sheet *sheet, struct sheet_row *row, struct str name)
{
	bool control = false;

	for (size_t i = 0; i < name.len; i++)
		control = control || (unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f;
	if (control || !text_is_utf8(name) || name.len > ACCOUNT_REALNAME_MAX)
		sheet_mistake(sheet, row->line,
		    "the name has more than %d bytes, control characters, or is not UTF-8",
		    ACCOUNT_REALNAME_MAX);
	else if (name.len > 0)
		row->realname = mem_strndup(name.p, name.len);
}

void
sheet_set_quota(struct sheet *sheet, struct sheet_row *row, struct str size)
{
	uint64_t bytes = 0;

	if (size.len == 0)
		return;
	if (!str_eq_nocase(size, STR("none")) && !text_size(size, QUOTA_MAX_BYTES, &bytes)) {
		sheet_mistake(sheet, row->line,
		    "quota %.*s: a size like 500M, 2G or 1.5G is needed, or none", (int)size.len,
		    size.p);
		return;
	}
	row->has_quota = true;
	row->quota_kb = (bytes + 1023) / 1024;
}

void
sheet_set_active(struct sheet *sheet, struct sheet_row *row, struct str yes_no)
{
	static const struct {
		const char *word;
		bool active;
	} WORDS[] = { { "yes", true }, { "1", true }, { "true", true }, { "no", false },
		{ "0", false }, { "false", false } };

	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
		if (!str_eq_nocase(yes_no, str_from(WORDS[i].word)))
			continue;
		row->has_active = true;
		row->active = WORDS[i].active;
	}
	if (yes_no.len > 0 && !row->has_active)
		sheet_mistake(sheet, row->line, "active %.*s: yes or no is needed", (int)yes_no.len,
		    yes_no.p);
}

void
sheet_set_app_only(struct sheet *sheet, struct sheet_row *row, struct str word)
{
	static const char *const WORDS[] = {
		[ACCOUNT_APP_ONLY_DEFAULT] = "default",
		[ACCOUNT_APP_ONLY_NO] = "no",
		[ACCOUNT_APP_ONLY_YES] = "yes",
	};

	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
		if (!str_eq_nocase(word, str_from(WORDS[i])))
			continue;
		row->has_app_only = true;
		row->app_only = (int)i;
	}
	if (word.len > 0 && !row->has_app_only)
		sheet_mistake(sheet, row->line, "app_only %.*s: yes, no or default is needed",
		    (int)word.len, word.p);
}

static bool
is_alias_char(char c)
{
	return c != ' ' && c != ',' && c != ';';
}

static bool
is_divider(char c)
{
	return !is_alias_char(c);
}

void
sheet_set_aliases(struct sheet *sheet, struct sheet_row *row, struct str addresses)
{
	struct cursor c;

	if (addresses.len == 0)
		return;
	row->alias_text = mem_strndup(addresses.p, addresses.len);
	c = cursor_from(str_from(row->alias_text));
	cursor_take_while(&c, is_divider);
	while (!cursor_at_end(&c)) {
		struct str address = cursor_take_while(&c, is_alias_char);
		struct account_bulk_alias alias;

		cursor_take_while(&c, is_divider);
		if (!account_alias_parse(address, &alias.localpart, &alias.domain)) {
			sheet_mistake(sheet, row->line, "%.*s cannot be an alias", (int)address.len,
			    address.p);
			continue;
		}
		row->aliases =
		    mem_realloc_array(row->aliases, row->alias_count + 1, sizeof(*row->aliases));
		row->aliases[row->alias_count++] = alias;
	}
}

void
sheet_set_limit(struct sheet *sheet, struct sheet_row *row, size_t column, struct str text)
{
	char word[32];

	if (text.len == 0)
		return;
	snprintf(word, sizeof(word), "%.*s", (int)(text.len < 31 ? text.len : 31), text.p);
	if (text.len < sizeof(word) &&
	    account_limit_parse(column, word, account_limit_at(&row->limits, column)))
		row->limits_given |= 1u << column;
	else
		sheet_mistake(sheet, row->line, "%s %.*s: %s", ACCOUNT_LIMIT_COLUMNS[column].name,
		    (int)text.len, text.p, account_limit_wanted(column));
}

/* --- looking for mistakes ----------------------------------------------------------------------- */

/* Nothing will be done, but the others may have mistakes that only the database shows. */
static void
drop_bad(struct sheet *sheet)
{
	size_t kept = 0;

	for (size_t i = 0; i < sheet->count; i++) {
		if (sheet->rows[i].bad)
			free_row(&sheet->rows[i]);
		else
			sheet->rows[kept++] = sheet->rows[i];
	}
	sheet->count = kept;
}

static int
compare_addresses(const void *a, const void *b)
{
	const struct sheet_row *x = *(struct sheet_row *const *)a,
			       *y = *(struct sheet_row *const *)b;
	int order = strcmp(x->key, y->key);

	return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

/* As they are stored, so that one account is not named twice in two ways. */
static void
refuse_twins(struct sheet *sheet)
{
	struct sheet_row **order = mem_realloc_array(NULL, sheet->count + 1, sizeof(*order));

	for (size_t i = 0; i < sheet->count; i++) {
		struct sheet_row *row = &sheet->rows[i];

		row->key = account_db_fold(str_from(row->address));
		ascii_lower_all(row->key, strlen(row->key));
		order[i] = row;
	}
	qsort(order, sheet->count, sizeof(struct sheet_row *), compare_addresses);
	for (size_t i = 1; i < sheet->count; i++)
		if (strcmp(order[i - 1]->key, order[i]->key) == 0)
			sheet_mistake(sheet, order[i]->line, "%s stands in line %zu already",
			    order[i]->address, order[i - 1]->line);
	free(order);
}

/* The rows as the store wants them.  With `looking` a password that is not hashed yet counts as one. */
static struct account_bulk *
make_items(const struct sheet *sheet, bool looking)
{
	struct account_bulk *items =
	    mem_realloc_array(NULL, sheet->count + 1, sizeof(struct account_bulk));

	for (size_t i = 0; i < sheet->count; i++) {
		const struct sheet_row *row = &sheet->rows[i];

		items[i] = (struct account_bulk){ .localpart = row->localpart,
			.domain = row->domain,
			.password = row->stored,
			.scram = row->has_scram ? &row->scram : NULL,
			.realname = row->realname,
			.quota_kb = row->has_quota ? &row->quota_kb : NULL,
			.active = row->has_active ? &row->active : NULL,
			.app_only = row->has_app_only ? &row->app_only : NULL,
			.limits = &row->limits,
			.limits_given = row->limits_given,
			.aliases = row->aliases,
			.alias_count = row->alias_count };
		if (looking && row->text != NULL)
			items[i].password = "{looked at}";
	}
	return items;
}

static void
explain(struct sheet *sheet, const struct sheet_row *row, const struct account_bulk *item)
{
	static const char *const TEXTS[] = {
		[ACCOUNT_BULK_EXISTS] = "exists already, and --only add is given",
		[ACCOUNT_BULK_MISSING] = "is no account, and --only change is given",
		[ACCOUNT_BULK_NO_PASSWORD] = "is new and has no password; --generate makes one",
		[ACCOUNT_BULK_IS_ALIAS] = "is an alias: mailadmin alias delete takes it away",
		[ACCOUNT_BULK_ALIASES_MAX] = "would have too many aliases",
		[ACCOUNT_BULK_INVALID] = "cannot be",
	};
	const struct account_bulk_alias *alias;

	if (item->result == ACCOUNT_BULK_ALIAS_TAKEN) {
		alias = &item->aliases[item->bad_alias];
		sheet_mistake(sheet, row->line, "%.*s@%.*s is an account, or another's alias",
		    (int)alias->localpart.len, alias->localpart.p, (int)alias->domain.len,
		    alias->domain.p);
	} else if (item->result > ACCOUNT_BULK_CHANGED) {
		sheet_mistake(sheet, row->line, "%s %s", row->address, TEXTS[item->result]);
	}
}

static void
explain_all(struct sheet *sheet, const struct account_bulk *items)
{
	for (size_t i = 0; i < sheet->count; i++)
		explain(sheet, &sheet->rows[i], &items[i]);
}

/* Mail of another account, whose renaming was stopped, may lie where a new one is to be. */
static void
refuse_half_renamed(struct admin *a, struct sheet *sheet, const struct account_bulk *items)
{
	struct buf note = { 0 };

	for (size_t i = 0; i < sheet->count; i++) {
		const struct sheet_row *row = &sheet->rows[i];
		char *localpart, *domain;

		if (items[i].result != ACCOUNT_BULK_ADDED)
			continue;
		localpart = mem_strndup(row->localpart.p, row->localpart.len);
		domain = mem_strndup(row->domain.p, row->domain.len);
		buf_reset(&note);
		if (admin_rename_note(a, localpart, domain, &note))
			sheet_mistake(sheet, row->line,
			    "%s: the mail there belongs to another account, whose renaming was "
			    "stopped: finish it by mailadmin account rename %s",
			    row->address, buf_cstr(&note));
		free(localpart);
		free(domain);
	}
	buf_free(&note);
}

/* The status of a sheet with mistakes. */
static enum admin_status
refuse_mistakes(const struct sheet *sheet)
{
	if (sheet->mistakes == 0)
		return ADMIN_DONE;
	if (sheet->mistakes > MISTAKES_SAID_MAX)
		fprintf(stderr, "… and %zu more\n", sheet->mistakes - MISTAKES_SAID_MAX);
	return admin_refuse(
	    "%zu mistake%s; nothing was changed", sheet->mistakes, sheet->mistakes == 1 ? "" : "s");
}

static enum admin_status
look(struct admin *a, struct sheet *sheet, unsigned flags, struct account_bulk *items)
{
	enum store_err err =
	    account_db_bulk(a->accounts, items, sheet->count, flags | ACCOUNT_BULK_DRY, NULL, NULL);

	if (err != STORE_OK && err != STORE_INVALID)
		return admin_result(err, "account database");
	explain_all(sheet, items);
	refuse_half_renamed(a, sheet, items);
	return refuse_mistakes(sheet);
}

/* --- doing it ----------------------------------------------------------------------------------- */

/* Passwords for those that have none and may be new. */
static void
generate(struct sheet *sheet)
{
	for (size_t i = 0; i < sheet->count; i++) {
		struct sheet_row *row = &sheet->rows[i];

		if (row->text != NULL || row->stored != NULL)
			continue;
		row->text = password_generate();
		row->generated = true;
	}
}

/* Generated ones that turn out not to be needed, for the account has one. */
static void
forget_needless(struct sheet *sheet, const struct account_bulk *items)
{
	for (size_t i = 0; i < sheet->count; i++) {
		struct sheet_row *row = &sheet->rows[i];

		if (!row->generated || items[i].result == ACCOUNT_BULK_ADDED)
			continue;
		free_secret(row->text);
		row->text = NULL;
		row->generated = false;
	}
}

struct hashing {
	struct sheet *sheet;
	struct progress *progress;
	atomic_size_t next, done;
};

static void
hash_row(struct sheet_row *row)
{
	struct fresh_password fresh;

	if (row->text == NULL || !fresh_password_make(str_from(row->text), &fresh))
		return;
	row->stored = mem_strdup(fresh.stored);
	row->scram = fresh.scram;
	row->has_scram = true;
	fresh_password_free(&fresh);
}

static void *
hash_some(void *arg)
{
	struct hashing *h = arg;
	size_t i;

	while ((i = atomic_fetch_add(&h->next, 1)) < h->sheet->count) {
		hash_row(&h->sheet->rows[i]);
		progress_step(h->progress, atomic_fetch_add(&h->done, 1) + 1);
	}
	return NULL;
}

/* A hash costs a few hundredths of a second by purpose: all processors share them. */
static void
hash_all(struct sheet *sheet)
{
	struct hashing h = { .sheet = sheet,
		.progress = progress_begin("Hashing passwords", sheet->count) };
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[HASHING_THREADS_MAX];
	int count = 0;

	while (count + 1 < processors && count < HASHING_THREADS_MAX &&
	       pthread_create(&threads[count], NULL, hash_some, &h) == 0)
		count++;
	hash_some(&h);
	while (count > 0)
		pthread_join(threads[--count], NULL);
	progress_end(h.progress);
}

/* Not fatal: whoever logs in first or gets mail has it made. */
static enum admin_status
make_trees(struct admin *a, const struct sheet *sheet, const struct account_bulk *items)
{
	struct progress *progress = progress_begin("Making mailboxes", sheet->count);
	enum admin_status status = ADMIN_DONE;

	for (size_t i = 0; i < sheet->count; i++) {
		struct account_row row = { 0 };
		struct account *mail;

		if (items[i].result == ACCOUNT_BULK_ADDED &&
		    account_db_find(a->accounts, items[i].localpart, items[i].domain, &row) ==
			STORE_OK) {
			if (admin_open_mail(a, &row, &mail))
				account_close(mail);
			else
				status = ADMIN_REFUSED;
		}
		account_row_free(&row);
		progress_step(progress, i + 1);
	}
	progress_end(progress);
	return status;
}

static json_t *
report_json(const struct sheet *sheet, const struct account_bulk *items, bool dry)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < sheet->count; i++) {
		const struct sheet_row *row = &sheet->rows[i];
		json_t *object = json_object();

		json_object_set_new(object, "line", json_integer((json_int_t)row->line));
		json_object_set_new(object, "address", output_string(row->address));
		json_object_set_new(object, "result",
		    json_string(items[i].result == ACCOUNT_BULK_ADDED ? "added" : "changed"));
		json_object_set_new(
		    object, "password", output_string(row->generated && !dry ? row->text : NULL));
		json_array_append_new(rows, object);
	}
	return rows;
}

static void
print_passwords(const struct sheet *sheet)
{
	bool any = false;

	for (size_t i = 0; i < sheet->count; i++) {
		const struct sheet_row *row = &sheet->rows[i];

		if (row->generated && !any)
			puts("address,password");
		any = any || row->generated;
		if (row->generated)
			printf("%s,%s\n", row->address, row->text);
	}
}

/* Passwords go to stdout alone, so that they can be put into a file. */
static enum admin_status
report(struct admin *a, const struct sheet *sheet, const struct account_bulk *items, bool dry)
{
	size_t added = 0, changed = 0;

	if (a->json)
		return output_list(report_json(sheet, items, dry), NULL, 0, true) ? ADMIN_DONE
										  : ADMIN_REFUSED;
	for (size_t i = 0; i < sheet->count; i++) {
		added += items[i].result == ACCOUNT_BULK_ADDED;
		changed += items[i].result == ACCOUNT_BULK_CHANGED;
	}
	if (!dry)
		print_passwords(sheet);
	fprintf(stderr, dry ? "%zu would be added, %zu changed.\n" : "%zu added, %zu changed.\n",
	    added, changed);
	return ADMIN_DONE;
}

static enum admin_status
write_all(struct admin *a, struct sheet *sheet, unsigned flags)
{
	struct account_bulk *items;
	enum admin_status status, trees;
	enum store_err err;

	hash_all(sheet);
	items = make_items(sheet, false);
	err = account_db_bulk(a->accounts, items, sheet->count, flags, NULL, NULL);
	explain_all(sheet, items); /* what somebody else has just changed */
	status =
	    err == STORE_INVALID ? refuse_mistakes(sheet) : admin_result(err, "account database");
	if (status == ADMIN_DONE) {
		trees = make_trees(a, sheet, items);
		status = report(a, sheet, items, false);
		if (trees != ADMIN_DONE)
			status = admin_refuse("the accounts are there; mailboxes that could not be "
					      "made are made at the first login or delivery");
	}
	free(items);
	return status;
}

static bool
read_only_option(const struct admin *a, unsigned *flags_out)
{
	const char *only = admin_option(a, "--only");

	*flags_out = ACCOUNT_BULK_ADD | ACCOUNT_BULK_CHANGE;
	if (only == NULL)
		return true;
	*flags_out = strcmp(only, "add") == 0 ? ACCOUNT_BULK_ADD : ACCOUNT_BULK_CHANGE;
	return *flags_out == ACCOUNT_BULK_ADD || strcmp(only, "change") == 0;
}

enum admin_status
sheet_apply(struct admin *a, struct sheet *sheet)
{
	bool dry = admin_option(a, "--dry-run") != NULL;
	struct account_bulk *items;
	enum admin_status status;
	unsigned flags;

	if (!read_only_option(a, &flags))
		return admin_bad_usage(a, "--only takes add or change");
	drop_bad(sheet);
	refuse_twins(sheet);
	if (admin_option(a, "--generate") != NULL)
		generate(sheet);
	if (!admin_open_accounts(a))
		return ADMIN_REFUSED;
	items = make_items(sheet, true);
	status = look(a, sheet, flags, items);
	forget_needless(sheet, items);
	if (status == ADMIN_DONE)
		status = dry ? report(a, sheet, items, true) : write_all(a, sheet, flags);
	free(items);
	return status;
}
