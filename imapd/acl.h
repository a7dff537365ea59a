/* What the commands on access control lists share, RFC 4314. */
#ifndef IMAPD_ACL_H
#define IMAPD_ACL_H

#include <stdbool.h>

#include "imapd/place.h"
#include "store/acl.h"

/* SP identifier; as it came too.  SASLprep first, §3.  False: return IMAP_BAD. */
bool imap_arg_acl_id(struct imap_request *req, const struct imap_place *place,
    struct str *identifier_out, struct acl_id *id_out);
/* imapd.share_with_anyone */
bool imap_may_share_with_anyone(const struct imap_session *s);
/* "* MYRIGHTS mailbox rights", §3.8 */
void imap_send_myrights(struct imap_session *s, const struct imap_place *place);
/* May MYRIGHTS tell of it?  Any of l r i k x a, §4. */
static inline bool
imap_place_is_known(const struct imap_place *place)
{
	return place->acct != NULL &&
	       (place->rights & (ACL_LOOKUP | ACL_READ | ACL_INSERT | ACL_CREATE |
				    ACL_DELETE_MAILBOX | ACL_ADMIN)) != 0;
}

#endif
