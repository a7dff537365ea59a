/* An account's lists of addresses (or other short texts), for filters: RFC 6134.  In the account database, so
 * daemons only read them.  Names are compared byte by byte, members without ASCII case.
 *
 * What a filter calls "urn:ietf:params:sieve:addrbook:NAME" is the list NAME (filter/account.h does that). */
#ifndef STORE_ACCOUNT_LISTS_H
#define STORE_ACCOUNT_LISTS_H

#include "store/account_db.h"

#define LIST_NAME_MAX_BYTES   512
#define LIST_MEMBER_MAX_BYTES 512
#define LISTS_MAX             100   /* of one account */
#define LIST_MEMBERS_MAX      10000 /* of one list */

/* UTF-8 without control characters, 1 to LIST_NAME_MAX_BYTES (LIST_MEMBER_MAX_BYTES) bytes. */
bool account_list_name_is_valid(struct str name);
bool account_list_member_is_valid(struct str member);

/* Sorted; the caller's, free with account_texts_free(). */
enum store_err account_lists(
    struct account_db *db, int64_t account, char ***names_out, size_t *count_out);
/* STORE_NOT_FOUND: no such list. */
enum store_err account_list_members(struct account_db *db, int64_t account, const char *name,
    char ***members_out, size_t *count_out);
void account_texts_free(char **texts, size_t count);

/* STORE_OK or STORE_NOT_FOUND. */
enum store_err account_list_exists(struct account_db *db, int64_t account, const char *name);
enum store_err account_list_has(
    struct account_db *db, int64_t account, const char *name, struct str member);

/* Makes the list if there is none, also with no members; members that are there already stay.  STORE_INVALID,
 * STORE_LIMIT, STORE_NOT_FOUND (no such account).  All or nothing. */
enum store_err account_list_add(struct account_db *db, int64_t account, const char *name,
    const char *const *members, size_t member_count);
/* Removes members, or with member_count 0 the whole list.  STORE_NOT_FOUND: no such list, or a member it does not
 * have; then nothing is removed. */
enum store_err account_list_remove(struct account_db *db, int64_t account, const char *name,
    const char *const *members, size_t member_count);

#endif
