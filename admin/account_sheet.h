/* Accounts to be added and changed together, as a file names them: CSV (cmd_account_import_csv.c) or a passwd-file
 * (cmd_account_import_passwd.c).
 *
 * Every mistake is said as "FILE:LINE: …" on stderr, those that only the account database knows of too, before
 * anything is hashed or changed; with one of them nothing is.  Then all of it is one transaction.  Mail trees of new accounts
 * are made after it: where that fails, or is stopped, they are made at the first login or delivery. */
#ifndef ADMIN_ACCOUNT_SHEET_H
#define ADMIN_ACCOUNT_SHEET_H

#include "admin/command.h"
#include "store/account_bulk.h"

#define SHEET_BYTES_MAX (64 * 1024 * 1024) /* of a file */
#define SHEET_ROWS_MAX  100000

struct progress;
struct sheet;

struct sheet_row {
	size_t line;
	bool bad;                     /* a mistake was made of it */
	struct str localpart, domain; /* of `address` */
	char *address;
	char *key;      /* the same for every spelling of the address */
	char *text;     /* the password, to be hashed; or NULL */
	char *stored;   /* {SCHEME}hash, given or made of `text`; or NULL: no password */
	bool generated; /* `text` is to be shown */
	bool has_scram;
	struct scram_keys scram;
	char *realname; /* NULL: as it is */
	bool has_quota, has_active, has_app_only;
	uint64_t quota_kb;
	bool active;
	int app_only; /* enum account_app_only */
	struct account_limits limits;
	unsigned limits_given; /* bits by ACCOUNT_LIMIT_COLUMNS */
	char *alias_text;
	struct account_bulk_alias *aliases; /* point into alias_text */
	size_t alias_count;
};

struct sheet *sheet_new(const char *file); /* its name, for mistakes; borrowed */
void sheet_free(struct sheet *sheet);      /* wipes passwords; NULL is fine */

/* While the file is read: taken away before a mistake is said.  Borrowed; NULL: none (any more). */
void sheet_progress(struct sheet *sheet, struct progress *progress);

/* NULL, and a mistake, where there are too many. */
struct sheet_row *sheet_add(struct sheet *sheet, size_t line);
void sheet_mistake(struct sheet *sheet, size_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Each says what is wrong with what the file holds.  An empty one leaves it as it is. */
/* `user` is an address, or with `domain` (len 0: none) its local part. */
void sheet_set_address(
    struct sheet *sheet, struct sheet_row *row, struct str user, struct str domain);
/* {SCHEME}hash and what crypt() makes ($6$…) are taken as they are.  Other text is the password itself, or with
 * `scheme` ("SHA512-CRYPT") a hash. */
void sheet_set_password(
    struct sheet *sheet, struct sheet_row *row, struct str text, const char *scheme);
void sheet_set_realname(struct sheet *sheet, struct sheet_row *row, struct str name);
void sheet_set_quota(struct sheet *sheet, struct sheet_row *row, struct str size);
void sheet_set_active(struct sheet *sheet, struct sheet_row *row, struct str yes_no);
void sheet_set_app_only(struct sheet *sheet, struct sheet_row *row, struct str word);
void sheet_set_aliases(struct sheet *sheet, struct sheet_row *row, struct str addresses);
void sheet_set_limit(struct sheet *sheet, struct sheet_row *row, size_t column, struct str text);

/* Options that the commands share, and what they say. */
#define SHEET_OPTIONS                                                                              \
	{ "--only", "add|change", "add what is not there, or change what is; default: both" },     \
	    { "--generate", NULL, "make passwords for new accounts without one and print them" },  \
	    { "--dry-run", NULL, "only look for mistakes and say what would be done" },            \
	{                                                                                          \
		"--json", NULL, "what was done as JSON"                                            \
	}
/* The rows, or what is wrong with --only.  The configuration is read by then. */
enum admin_status sheet_apply(struct admin *a, struct sheet *sheet);

#endif
