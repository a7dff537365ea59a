/* Further addresses of accounts, and which account an address belongs to.
 *
 * An alias is an address of its own, exact like an account's, or the catch-all of a domain (local part ""), which
 * takes what nobody else there takes.  An address is an account's or an alias, never both: whoever adds or renames is
 * refused.  (Where another program has written both into the file, the account wins.)  Aliases go with their account;
 * their domain needs no account. */
#ifndef STORE_ACCOUNT_ALIASES_H
#define STORE_ACCOUNT_ALIASES_H

#include "store/account_db.h"

#define ALIASES_MAX 1000 /* of one account */

struct account_alias {
	char *localpart, *domain; /* as stored; localpart "": the catch-all of the domain */
	int64_t account;
	char *target; /* localpart@domain of the account */
};
void account_aliases_free(struct account_alias *aliases, size_t count);
char *account_alias_address(
    const struct account_alias *alias); /* "info@example.org", "@example.org" */

/* Like account_address_parse(), and "@example.org" or "*@example.org" for the catch-all. */
bool account_alias_parse(struct str address, struct str *localpart_out, struct str *domain_out);

/* Writing; each call is one durable transaction.  STORE_EXISTS: that is an alias or an account already; STORE_NOT_FOUND: no
 * such account (alias); STORE_LIMIT, STORE_INVALID and what writing may fail of. */
enum store_err account_alias_add(
    struct account_db *db, int64_t account, struct str localpart, struct str domain);
enum store_err account_alias_delete(struct account_db *db, struct str localpart, struct str domain);

/* Those of one account (not 0), of one domain (not NULL), or all; by domain and local part, the catch-all first. */
enum store_err account_alias_list(struct account_db *db, int64_t account, const char *domain,
    struct account_alias **aliases_out, size_t *count_out);
/* STORE_NOT_FOUND: there is no such alias. */
enum store_err account_alias_find(
    struct account_db *db, struct str localpart, struct str domain, struct account_row *row_out);

/* How an address may differ from what is in the database. */
struct account_resolve_rules {
	char delimiter;  /* of localpart+detail; '\0': none */
	bool exact_case; /* local parts count letter by letter */
	bool catch_all;
};

/* The account that mail for an address goes to: the account of that address, else the one of an alias, then both without
 * the detail, then the domain's catch-all.  An inactive account is found too, but not by a catch-all.  `*detail_out` points into `localpart`; p is NULL
 * where there is none, and with a catch-all.  STORE_NOT_FOUND: nobody. */
enum store_err account_resolve(struct account_db *db, const struct account_resolve_rules *rules,
    struct str localpart, struct str domain, struct account_row *row_out, struct str *detail_out);

/* Is this address the account's own: its address, an alias of it, or either with a detail?  Never by a catch-all, and never
 * where the address with its detail is somebody else's account or alias.  STORE_OK: yes.  STORE_NOT_FOUND: no, also where it
 * is no address.  `rules->catch_all` does not count. */
enum store_err account_owns_address(struct account_db *db, int64_t account,
    const struct account_resolve_rules *rules, struct str address);

#endif
