#include "imapd/place.h"

#include <stdlib.h>
#include <string.h>

#include "imapd/imapd.h"
#include "imapd/names.h"
#include "imapd/parse.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "net/metrics.h"
#include "service/account_quota.h"
#include "service/service.h"
#include "store/account.h"
#include "store/account_acl.h"
#include "store/account_tenure.h"
#include "store/mailbox.h"

#define PREFIX  IMAP_OTHER_USERS "/"
#define LOOK_NS UINT64_C(1000000000)

bool
imap_name_is_of_others(const char *shown)
{
	struct str name = str_from(shown);

	return str_eq(name, STR(IMAP_OTHER_USERS)) || str_has_prefix(name, STR(PREFIX));
}

struct acl_user
imap_session_user(const struct imap_session *s)
{
	return (struct acl_user){ account_address(s->acct), s->tenure };
}

bool
imap_account_is_there(struct imap_session *s)
{
	struct account_db *db;
	uint64_t generation;
	bool lasts;

	if (s->user == NULL)
		return true;
	db = s->imapd->service->accounts;
	generation = account_db_generation(db);
	if (generation != UINT64_MAX && generation == s->tenure_seen)
		return true;
	if (account_tenure_lasts(db, str_from(s->user), s->tenure, &lasts) != STORE_OK)
		return true; /* cannot be found out now: logged */
	if (lasts)
		s->tenure_seen = generation;
	else
		imap_bye(s, NULL, "The account is gone");
	return lasts;
}

bool
imap_account_was_there(struct imap_session *s)
{
	uint64_t now = metrics_now_ns();

	if (s->tenure_looked_ns != 0 && now - s->tenure_looked_ns < LOOK_NS)
		return true;
	s->tenure_looked_ns = now;
	return imap_account_is_there(s);
}

static struct str
domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at != NULL ? str_from(at + 1) : STR("");
}

/* "bob" below the namespace is who has that name in the session's own domain; each account has one name only. */
static const char *
address_of(const struct imap_session *s, struct arena *a, struct str user)
{
	struct str own = domain_of(account_address(s->acct));
	const char *address;

	if (memchr(user.p, '@', user.len) != NULL) {
		address = arena_strndup(a, user.p, user.len);
		return str_eq(domain_of(address), own) ? "" : address;
	}
	return arena_printf(a, "%.*s@%.*s", (int)user.len, user.p, (int)own.len, own.p);
}

const char *
imap_place_shown(const struct imap_session *s, struct arena *a, const char *owner, const char *name)
{
	struct str domain = domain_of(owner), own = domain_of(account_address(s->acct));
	size_t len = strlen(owner);

	if (str_eq(domain, own))
		len -= domain.len + 1;
	return arena_printf(a, PREFIX "%.*s/%s", (int)len, owner, name);
}

/* Keeps a reference on the account until logout; takes over the one it is given. */
static enum store_err
hold(struct imap_session *s, struct account *acct)
{
	for (size_t i = 0; i < s->other_count; i++) {
		if (s->others[i] == acct) {
			account_close(acct);
			return STORE_OK;
		}
	}
	if (s->other_count >= IMAP_OTHERS_MAX) {
		account_close(acct);
		return STORE_LIMIT;
	}
	if ((s->other_count & (s->other_count - 1)) == 0)
		s->others = mem_realloc_array(
		    s->others, s->other_count > 0 ? 2 * s->other_count : 1, sizeof(*s->others));
	s->others[s->other_count++] = acct;
	return STORE_OK;
}

/* Its limits count, whoever fills it. */
static void
take_limits(struct imap_session *s, struct account *acct, const struct account_row *row)
{
	struct quota_limits limits =
	    account_quota_limits(s->imapd->service->accounts, row, s->imapd->config);

	account_set_quota_limits(acct, &limits);
}

enum store_err
imap_other_account(struct imap_session *s, const char *owner, struct account **acct_out)
{
	struct account_row row = { 0 };
	struct account *acct = NULL;
	enum store_err err;

	*acct_out = NULL;
	err = account_db_find_address(s->imapd->service->accounts, str_from(owner), &row);
	if (err == STORE_OK && !row.active)
		err = STORE_NOT_FOUND;
	if (err == STORE_OK)
		err = account_open(s->imapd->store, row.localpart, row.domain, 0, &acct);
	/* only by the one form that is the address of the tree */
	if (err == STORE_OK && strcmp(account_address(acct), owner) != 0) {
		account_close(acct);
		err = STORE_NOT_FOUND;
	}
	if (err == STORE_OK) {
		take_limits(s, acct, &row);
		err = hold(s, acct);
	}
	account_row_free(&row);
	if (err == STORE_OK)
		*acct_out = acct;
	return err == STORE_NOT_FOUND || err == STORE_INVALID ? STORE_OK : err;
}

/* The mailbox in an account that has named this user in a list; anything else leads nowhere, and costs the same. */
static enum store_err
find_other(struct imap_session *s, struct arena *a, struct str rest, struct imap_place *out)
{
	struct acl_user me = imap_session_user(s);
	const char *slash = memchr(rest.p, IMAP_DELIMITER, rest.len);
	struct str user = { rest.p, slash != NULL ? (size_t)(slash - rest.p) : rest.len };
	struct account *acct;
	struct buf name = { 0 };
	const char *owner, *nfc;
	unsigned above = 0;
	enum store_err err;

	if (slash == NULL || user.len == 0 || slash[1] == '\0')
		return STORE_OK;
	owner = address_of(s, a, user);
	if (strcmp(owner, me.address) == 0 || !shares_has(s->imapd->store, me.address, owner))
		return STORE_OK;
	err = imap_other_account(s, owner, &acct);
	if (err != STORE_OK || acct == NULL)
		return err;
	mailbox_name_canonical(&name, str_from(slash + 1));
	out->acct = acct;
	out->name = arena_strdup(a, buf_cstr(&name));
	out->shown = arena_printf(a, PREFIX "%.*s/%s", (int)user.len, user.p, buf_cstr(&name));
	buf_free(&name);
	nfc = imap_mailbox_nfc(a, out->name);
	err = account_acl_rights(acct, out->name, &me, &out->rights);
	if (err == STORE_OK && out->rights == 0 && nfc != NULL) {
		out->name = nfc;
		err = account_acl_rights(acct, out->name, &me, &out->rights);
	}
	if (err == STORE_OK && (out->rights & ACL_LOOKUP) == 0)
		err = account_acl_rights_above(acct, out->name, &me, &above);
	out->creatable = (above & ACL_CREATE) != 0;
	return err;
}

enum store_err
imap_place_of(struct imap_session *s, struct arena *a, const char *shown, struct imap_place *out)
{
	struct acl_user me = imap_session_user(s);

	*out = (struct imap_place){ .name = arena_strdup(a, shown) };
	out->shown = out->name;
	if (!imap_name_is_of_others(shown)) {
		out->own = true;
		out->acct = s->acct;
		out->err = account_acl_rights(s->acct, shown, &me, &out->rights);
	} else if (strlen(shown) > strlen(PREFIX)) {
		struct str name = str_from(shown);
		struct str rest = { name.p + strlen(PREFIX), name.len - strlen(PREFIX) };

		out->err = find_other(s, a, rest, out);
	}
	return out->err;
}

bool
imap_arg_place(struct imap_session *s, struct imap_request *req, struct imap_place *out)
{
	char *shown;

	if (!imap_arg_mailbox(s, req, &shown))
		return false;
	imap_place_of(s, req->arena, shown, out);
	out->written = req->mailbox_written;
	return true;
}

static bool
refuse(struct imap_request *req, unsigned has, enum imap_result *result_out)
{
	if ((has & ACL_LOOKUP) == 0)
		*result_out = imap_finish(req, STORE_NOT_FOUND);
	else
		*result_out = imap_no(req, "NOPERM", "You have no right to do that here");
	return false;
}

bool
imap_place_may(struct imap_request *req, const struct imap_place *place, unsigned rights,
    enum imap_result *result_out)
{
	if (place->err != STORE_OK) {
		*result_out = imap_finish(req, place->err);
		return false;
	}
	if (place->acct != NULL && (place->rights & rights) == rights)
		return true;
	if (place->creatable && (rights & ACL_INSERT) != 0) {
		*result_out = imap_no(req, "TRYCREATE", "No such mailbox");
		return false;
	}
	return refuse(req, place->acct != NULL ? place->rights : 0, result_out);
}

bool
imap_place_may_create(struct imap_session *s, struct imap_request *req,
    const struct imap_place *place, enum imap_result *result_out)
{
	struct acl_user me = imap_session_user(s);
	unsigned above = 0;
	enum store_err err = place->err;

	if (err == STORE_OK && place->acct != NULL)
		err = account_acl_rights_above(place->acct, place->name, &me, &above);
	if (err != STORE_OK)
		*result_out = imap_finish(req, err);
	else if ((above & ACL_CREATE) == 0)
		*result_out = imap_no(req, "NOPERM", "You have no right to make a mailbox there");
	return err == STORE_OK && (above & ACL_CREATE) != 0;
}

/* --- the selected mailbox ---------------------------------------------------------------------- */

bool
imap_selected_may(
    struct imap_session *s, struct imap_request *req, unsigned rights, enum imap_result *result_out)
{
	return (s->rights & rights) == rights || refuse(req, s->rights, result_out);
}

/* The rights there are now on another user's mailbox; what cannot be found out now changes nothing. */
static unsigned
selected_rights(struct imap_session *s)
{
	struct account *acct = mailbox_account(s->box), *found;
	struct acl_user me = imap_session_user(s);
	unsigned rights;

	if (imap_other_account(s, account_address(acct), &found) != STORE_OK)
		return s->rights;
	if (found != acct)
		return 0; /* inactive, or another tree */
	return account_acl_rights(acct, mailbox_name(s->box), &me, &rights) == STORE_OK ? rights
											: s->rights;
}

bool
imap_selected_goes_on(struct imap_session *s)
{
	if (s->box == NULL || mailbox_account(s->box) == s->acct)
		return true;
	return (selected_rights(s) & ACL_READ) != 0;
}

bool
imap_selected_is_open(struct imap_session *s)
{
	unsigned rights;

	if (s->box == NULL || mailbox_account(s->box) == s->acct)
		return true;
	rights = selected_rights(s);
	if ((rights & ACL_READ) == 0)
		return false;
	if (rights != s->rights) {
		s->rights = rights;
		imap_send_flags(s);
	}
	return true;
}

bool
imap_place_still(
    struct imap_session *s, const char *shown, const struct account *acct, unsigned rights)
{
	struct arena arena = { 0 };
	struct imap_place now;
	bool still;

	if (acct == s->acct)
		return true;
	still = imap_place_of(s, &arena, shown, &now) == STORE_OK && now.acct == acct &&
		(now.rights & rights) == rights;
	arena_free(&arena);
	return still;
}

unsigned
imap_flags_allowed(unsigned rights)
{
	unsigned flags = 0;

	if ((rights & ACL_SEEN) != 0)
		flags |= MESSAGE_SEEN;
	if ((rights & ACL_DELETE_MESSAGES) != 0)
		flags |= MESSAGE_DELETED;
	if ((rights & ACL_WRITE) != 0)
		flags |= MESSAGE_FLAGS_ALL & ~(unsigned)(MESSAGE_SEEN | MESSAGE_DELETED);
	return flags;
}

bool
imap_place_is_selected(const struct imap_session *s, const struct imap_place *place)
{
	return s->box != NULL && mailbox_account(s->box) == place->acct &&
	       strcmp(mailbox_name(s->box), place->name) == 0;
}

void
imap_places_free(struct imap_session *s)
{
	for (size_t i = 0; i < s->other_count; i++)
		account_close(s->others[i]);
	free(s->others);
	s->others = NULL;
	s->other_count = 0;
}
