/* What LOGIN and AUTHENTICATE share: a proved identity becomes a session with an account. */
#ifndef IMAPD_LOGIN_H
#define IMAPD_LOGIN_H

#include "imapd/commands.h"
#include "net/sasl.h"
#include "store/account_db.h"

/* For sasl_service; its arg is the struct imapd.  Asks the service's own backend, and counts a wrong
 * password against the client's address (net/limits.h). */
extern const struct sasl_backend IMAP_SASL_BACKEND;

/* Opens the account (making its default folders at the first login); the reply carries the
 * capabilities, RFC 9051 §6.2.2. */
enum imap_result imap_login(struct imap_session *s, struct imap_request *req,
    const struct account_row *row, const char *mechanism);
/* Counts and logs a failed login; `password` may be empty where none was seen (SCRAM). */
void imap_login_failed(struct imap_session *s, const char *user, const char *mechanism);

#endif
