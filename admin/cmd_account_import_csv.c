/* account import-csv: many accounts added and changed by one table. */
#include <stdlib.h>
#include <string.h>

#include "admin/account_sheet.h"
#include "admin/commands.h"
#include "admin/filter_tools.h"
#include "admin/progress.h"
#include "base/csv.h"
#include "base/mem.h"

struct import {
	struct admin *a;
	struct sheet *sheet;
	const char *scheme, *skip;
	struct str domain; /* --domain */
	struct csv csv;
	int kinds[CSV_COLUMNS_MAX];
};

enum kind {
	KIND_SKIPPED,
	KIND_USER,
	KIND_DOMAIN,
	KIND_PASSWORD,
	KIND_REALNAME,
	KIND_QUOTA,
	KIND_ACTIVE,
	KIND_ALIASES,
	KIND_APP_ONLY,
	KIND_LIMIT /* and on: ACCOUNT_LIMIT_COLUMNS */
};

/* By what the dumps of others call them. */
static const struct {
	const char *name;
	enum kind kind;
} COLUMNS[] = {
	{ "address", KIND_USER },
	{ "email", KIND_USER },
	{ "user", KIND_USER },
	{ "username", KIND_USER },
	{ "localpart", KIND_USER },
	{ "domain", KIND_DOMAIN },
	{ "password", KIND_PASSWORD },
	{ "realname", KIND_REALNAME },
	{ "name", KIND_REALNAME },
	{ "quota", KIND_QUOTA },
	{ "active", KIND_ACTIVE },
	{ "aliases", KIND_ALIASES },
	{ "app_only", KIND_APP_ONLY },
};

/* --- the header --------------------------------------------------------------------------------- */

static bool
is_skipped(const struct import *im, struct str name)
{
	struct cursor c = cursor_from(str_from(im->skip != NULL ? im->skip : ""));

	while (!cursor_at_end(&c)) {
		const char *comma = memchr(c.p, ',', cursor_left(&c));
		size_t len = comma != NULL ? (size_t)(comma - c.p) : cursor_left(&c);

		if (str_eq_nocase(str_trim((struct str){ c.p, len }), name))
			return true;
		c.p += len + (comma != NULL);
	}
	return false;
}

static bool
kind_of(const struct import *im, struct str name, int *kind_out)
{
	*kind_out = KIND_SKIPPED;
	if (is_skipped(im, name))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(COLUMNS); i++)
		if (str_eq_nocase(name, str_from(COLUMNS[i].name)))
			*kind_out = (int)COLUMNS[i].kind;
	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++)
		if (str_eq_nocase(name, str_from(ACCOUNT_LIMIT_COLUMNS[i].name)))
			*kind_out = KIND_LIMIT + (int)i;
	return *kind_out != KIND_SKIPPED;
}

static void
read_header(struct import *im)
{
	const struct csv *csv = &im->csv;
	bool has_user = false;

	for (size_t i = 0; i < csv->count; i++) {
		struct str name = str_trim(csv->fields[i]);

		if (!kind_of(im, name, &im->kinds[i]))
			sheet_mistake(im->sheet, csv->line,
			    "there is no column %.*s; --skip %.*s passes it over", (int)name.len,
			    name.p, (int)name.len, name.p);
		for (size_t k = 0; k < i; k++)
			if (im->kinds[i] != KIND_SKIPPED && im->kinds[k] == im->kinds[i])
				sheet_mistake(im->sheet, csv->line,
				    "column %.*s says what another one does; --skip passes one "
				    "over",
				    (int)name.len, name.p);
		has_user = has_user || im->kinds[i] == KIND_USER;
	}
	if (!has_user)
		sheet_mistake(im->sheet, csv->line,
		    "the first line names the columns, and one of them must be address");
}

/* --- rows --------------------------------------------------------------------------------------- */

static struct str
field_of(const struct import *im, int kind)
{
	for (size_t i = 0; i < im->csv.count; i++)
		if (im->kinds[i] == kind)
			return kind == KIND_PASSWORD ? im->csv.fields[i]
						     : str_trim(im->csv.fields[i]);
	return STR("");
}

static void
read_row(struct import *im)
{
	struct sheet *sheet = im->sheet;
	struct sheet_row *row = sheet_add(sheet, im->csv.line);
	struct str domain = field_of(im, KIND_DOMAIN);

	if (row == NULL)
		return;
	sheet_set_address(
	    sheet, row, field_of(im, KIND_USER), domain.len > 0 ? domain : im->domain);
	sheet_set_password(sheet, row, field_of(im, KIND_PASSWORD), im->scheme);
	sheet_set_realname(sheet, row, field_of(im, KIND_REALNAME));
	sheet_set_quota(sheet, row, field_of(im, KIND_QUOTA));
	sheet_set_active(sheet, row, field_of(im, KIND_ACTIVE));
	sheet_set_aliases(sheet, row, field_of(im, KIND_ALIASES));
	sheet_set_app_only(sheet, row, field_of(im, KIND_APP_ONLY));
	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++)
		sheet_set_limit(sheet, row, i, field_of(im, KIND_LIMIT + (int)i));
}

static void
read_all(struct import *im, struct str text)
{
	struct progress *progress = progress_begin("Reading", text.len); /* checking hashes lasts */
	enum csv_result result;

	sheet_progress(im->sheet, progress);
	csv_begin(&im->csv, text);
	result = csv_next(&im->csv);
	if (result == CSV_RECORD)
		read_header(im);
	else if (result == CSV_END)
		sheet_mistake(im->sheet, 1, "there is nothing in it");
	while (result == CSV_RECORD && (result = csv_next(&im->csv)) == CSV_RECORD) {
		read_row(im);
		progress_step(progress, text.len - cursor_left(&im->csv.rest));
	}
	sheet_progress(im->sheet, NULL);
	progress_end(progress);
	if (result == CSV_BAD)
		sheet_mistake(im->sheet, im->csv.line, "%s", im->csv.why);
	csv_end(&im->csv);
}

/* --- the command -------------------------------------------------------------------------------- */

static enum admin_status
import_run(struct admin *a)
{
	const char *domain = admin_option(a, "--domain");
	struct import im = { .a = a,
		.scheme = admin_option(a, "--scheme"),
		.skip = admin_option(a, "--skip"),
		.domain = domain != NULL ? str_from(domain) : STR("") };
	struct buf text = { 0 };
	enum admin_status status = ADMIN_REFUSED;

	if (filter_input(a->args[0], SHEET_BYTES_MAX, &text) && admin_start(a)) {
		im.sheet = sheet_new(a->args[0]);
		read_all(&im, (struct str){ text.data, text.len });
		status = sheet_apply(a, im.sheet);
		sheet_free(im.sheet);
	}
	if (text.data != NULL)
		mem_wipe(text.data, text.cap);
	buf_free(&text);
	return status;
}

const struct admin_command admin_cmd_account_import_csv = {
	.group = "account",
	.name = "import-csv",
	.args = "CSV",
	.args_least = 1,
	.args_most = 1,
	.options = { SHEET_OPTIONS, { "--domain", "DOMAIN", "of addresses without one" },
	    { "--scheme", "SCHEME", "passwords without {SCHEME} are hashes of this one" },
	    { "--skip", "COLUMNS", "columns to be passed over, divided by commas" } },
	.summary = "Adds and changes many accounts by a table.",
	.help =
	    "CSV is a file, or - for standard input.  Its first line names the columns: address\n"
	    "(or user and domain), realname, password, quota, active, aliases (divided by\n"
	    "blanks), app_only, and the limits as account list --csv writes them.  An empty field\n"
	    "leaves things as they are, aliases are only added.  Passwords are plain, or\n"
	    "{SCHEME}hash, which is taken as it is.  All mistakes are named; with one of them "
	    "nothing\nis changed.",
	.example = "mailadmin account import-csv people.csv --dry-run",
	.before_config = true,
	.run = import_run,
};
