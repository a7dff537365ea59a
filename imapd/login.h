/* What LOGIN and AUTHENTICATE share: a proved identity becomes a session with an account. */
#ifndef IMAPD_LOGIN_H
#define IMAPD_LOGIN_H

#include "imapd/commands.h"
#include "store/account_db.h"

/* What an exchange has shown. */
struct imap_identity {
	const char *user; /* as claimed */
	const char *mechanism;
	struct str note; /* of LOGIN_BACKEND, service/login.h */
};

/* Opens the account (making its default folders at the first login); the reply carries the
 * capabilities, RFC 9051 §6.2.2. */
enum imap_result imap_login(struct imap_session *s, struct imap_request *req,
    const struct account_row *row, const struct imap_identity *who);
/* A failed login: logs and notes it, counts it if nobody has yet, and replies NO.  `other_user`: the password is right, and
 * was to let in somebody else. */
enum imap_result imap_login_failed(struct imap_session *s, struct imap_request *req,
    const struct imap_identity *who, bool other_user);

#endif
