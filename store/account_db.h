/* The account database: one SQLite file in WAL mode, its tables are in doc/formats.md.
 *
 * Daemons open it ACCOUNT_DB_READ; only mailadmin and managesieved write, and where they are told to statusd (new
 * passwords) and imapd (SETQUOTA).  Reading works while
 * somebody writes, without write permission on the file or its directory, and when the -wal and
 * -shm files are gone.  A reader takes any version up to ours: what an older file does not have
 * yet is simply not found.  A writer migrates an older file, each step in one transaction, and
 * adopts a file that has nothing but the table `account`.  A newer file is STORE_VERSION.
 *
 * One handle serves any number of threads (each call takes a connection of its own from a pool).
 * Handles do not survive fork(): open after it. */
#ifndef STORE_ACCOUNT_DB_H
#define STORE_ACCOUNT_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/text.h"
#include "store/err.h"
#include "store/password.h"

#define ACCOUNT_DB_VERSION       6
#define ACCOUNT_LOCALPART_MAX    128 /* bytes; the column's width */
#define ACCOUNT_DOMAIN_MAX       128
#define ACCOUNT_REALNAME_MAX     256
#define ACCOUNT_FILTER_MAX_BYTES (1024 * 1024)
#define ACCOUNT_DB_BUSY_MS       10000 /* how long a writer waits for another */

struct account_db;
struct account_limits;

enum account_db_mode { ACCOUNT_DB_READ, ACCOUNT_DB_WRITE /* creates it, mode 0640 */ };

/* One account; zero-initialise, then fill by account_db_find*() and end with account_row_free(). */
struct account_row {
	int64_t id;
	char *localpart, *domain; /* as stored: in the case they were added with */
	char *password;           /* "{SCHEME}hash": never log it */
	char *realname;           /* or NULL */
	char *filter;             /* its bytes and a NUL, or NULL: the default filter */
	size_t filter_len;
	bool active;
	uint64_t quota_kb; /* 0: unlimited */
};
void account_row_free(struct account_row *row);           /* wipes the password; leaves it zeroed */
char *account_row_address(const struct account_row *row); /* "localpart@domain", the caller's */

/* Splits and checks an account's address: a dot-atom of RFC 5321 §4.1.2 (with UTF-8, RFC 6531)
 * without '/', since it names a folder, and a domain of letters, digits, '-' and '.' (or UTF-8).
 * The parts point into `address`. */
bool account_address_parse(struct str address, struct str *localpart_out, struct str *domain_out);
/* Its two halves.  A row of another program's making may have others; they are nobody's. */
bool account_localpart_is_valid(struct str s);
bool account_domain_is_valid(struct str s);

/* The form in which a part of an address is stored, which also names its folder: as it is, or where it
 * is not ASCII in lower case and NFC.  The caller's. */
char *account_db_fold(struct str part);

/* The log, which says what is wrong, is borrowed until the close.
 * STORE_NOT_FOUND (READ only), STORE_VERSION, STORE_CORRUPT, STORE_DENIED, STORE_IO. */
enum store_err account_db_open(
    const char *path, enum account_db_mode mode, const struct log *log, struct account_db **db_out);
void account_db_close(struct account_db *db); /* NULL is fine */

/* Look-ups; letter case does not matter (ASCII by NOCASE; other letters are folded to lower case
 * and NFC when they are stored and when they are looked up).  An inactive account is found too.
 * STORE_NOT_FOUND, STORE_BUSY, STORE_IO, STORE_CORRUPT. */
enum store_err account_db_find(
    struct account_db *db, struct str localpart, struct str domain, struct account_row *row_out);
enum store_err account_db_find_address(/* STORE_INVALID if it is none */
    struct account_db *db, struct str address, struct account_row *row_out);
enum store_err account_db_find_id(struct account_db *db, int64_t id, struct account_row *row_out);
/* Is any account of this domain here?  STORE_OK or STORE_NOT_FOUND. */
enum store_err account_db_has_domain(struct account_db *db, struct str domain);

/* All accounts, or those of `domain` (not NULL), ordered by domain and local part. */
enum store_err account_db_list(
    struct account_db *db, const char *domain, struct account_row **rows_out, size_t *count_out);
void account_rows_free(struct account_row *rows, size_t count);

/* Writing; each call is one durable transaction.  STORE_EXISTS, STORE_INVALID, STORE_NOT_FOUND,
 * STORE_BUSY, STORE_FULL, STORE_IO.  `row->id` is set.  SCRAM keys may be NULL: none. */
/* Adding and renaming: STORE_EXISTS also where the address is an alias (store/account_aliases.h). */
enum store_err account_db_add(
    struct account_db *db, struct account_row *row, const struct scram_keys *scram);
enum store_err account_db_set_password(
    struct account_db *db, int64_t id, const char *stored, const struct scram_keys *scram);
enum store_err account_db_set_realname(struct account_db *db, int64_t id, const char *realname);
enum store_err account_db_set_quota(struct account_db *db, int64_t id, uint64_t quota_kb);
enum store_err account_db_set_active(struct account_db *db, int64_t id, bool active);
/* Several of these in one transaction; what is NULL stays as it is. */
struct account_change {
	const char *realname; /* "": none */
	const uint64_t *quota_kb;
	const bool *active;
	const char *leave_text;
	bool leave_whole;                    /* with leave_text: see account_db_leave_text() */
	const struct account_limits *limits; /* store/account_limits.h */
	const int *app_only;                 /* enum account_app_only, store/account_apps.h */
};
enum store_err account_db_change(
    struct account_db *db, int64_t id, const struct account_change *change);
/* `filter` NULL: back to the default filter. */
enum store_err account_db_set_filter(
    struct account_db *db, int64_t id, const char *filter, size_t filter_len);
enum store_err account_db_rename(
    struct account_db *db, int64_t id, struct str localpart, struct str domain);
enum store_err account_db_delete(struct account_db *db, int64_t id);

/* What senders are told after a user left; such an account is inactive.  NULL clears it.
 * Getting: *text_out is the caller's; STORE_NOT_FOUND where there is none.  *whole_out (or NULL): it is the whole answer, and
 * not to be put into lda.leave_template. */
enum store_err account_db_set_leave_text(struct account_db *db, int64_t id, const char *text);
enum store_err account_db_leave_text(
    struct account_db *db, int64_t id, char **text_out, bool *whole_out);

/* Keys of SCRAM-SHA-256, kept when we set a password.  STORE_NOT_FOUND where there are none. */
enum store_err account_db_scram_keys(
    struct account_db *db, int64_t id, struct scram_keys *keys_out);

/* A secret of this database, the same for all processes and restarts; STORE_NOT_FOUND in a file
 * that no writer of ours has opened yet. */
#define ACCOUNT_DB_SECRET_BYTES 32
enum store_err account_db_secret(
    struct account_db *db, uint8_t secret_out[ACCOUNT_DB_SECRET_BYTES]);

/* A number that is another one after any change of the database by anybody: for caches.  Costs a
 * few microseconds.  UINT64_MAX when it cannot be told: then trust no cache. */
uint64_t account_db_generation(struct account_db *db);

/* For doctor: PRAGMA integrity_check; findings go into `problems`, one per line. */
enum store_err account_db_check(struct account_db *db, struct buf *problems);
int account_db_version(struct account_db *db); /* user_version of the file; -1: unreadable */

#endif
