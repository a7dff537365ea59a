#include "imapd/place.h"

#include <stdlib.h>
#include <string.h>

#include "imapd/names.h"
#include "imapd/parse.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/account.h"
#include "store/mailbox.h"

enum store_err
imap_place_of(struct imap_session *s, struct arena *a, const char *shown, struct imap_place *out)
{
	*out = (struct imap_place){
		.acct = s->acct,
		.name = arena_strdup(a, shown),
		.own = true,
		.rights = ACL_ALL,
	};
	out->shown = out->name;
	return out->err;
}

bool
imap_arg_place(struct imap_session *s, struct imap_request *req, struct imap_place *out)
{
	char *shown;

	if (!imap_arg_mailbox(s, req, &shown))
		return false;
	imap_place_of(s, req->arena, shown, out);
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
	return refuse(req, place->acct != NULL ? place->rights : 0, result_out);
}

bool
imap_place_may_create(struct imap_session *s, struct imap_request *req,
    const struct imap_place *place, enum imap_result *result_out)
{
	(void)s;
	return imap_place_may(req, place, ACL_CREATE, result_out);
}

bool
imap_selected_may(
    struct imap_session *s, struct imap_request *req, unsigned rights, enum imap_result *result_out)
{
	return (s->rights & rights) == rights || refuse(req, s->rights, result_out);
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
