/* New messages of the selected mailbox for which the client has asked to be sent FETCH items unasked: by NOTIFY's MessageNew
 * (RFC 5465 §5.2), and by UPDATE of the searches that find them (§7).  What both want of a message comes in one response.
 *
 * Nothing is kept between commands: what has arrived is sent before anything else is done. */
#ifndef IMAPD_NEWS_H
#define IMAPD_NEWS_H

#include <stdbool.h>

#include "base/text.h"

struct imap_session;
struct uidset;

/* The session has put these into the selected mailbox itself: nothing is sent of them. */
void imap_news_own(struct imap_session *s, const struct uidset *uids);
/* A search has found these; `atts` is a list of fetch-att that has been parsed before. */
void imap_news_found(struct imap_session *s, const struct uidset *uids, struct str atts);
/* These have been announced. */
void imap_news_arrived(struct imap_session *s, const struct uidset *uids);
/* Sends it.  False: s->out is full, call again before anything else is written. */
bool imap_news_fetch(struct imap_session *s);
bool imap_news_is_pending(const struct imap_session *s); /* it has not been sent to the end */
void imap_news_free(struct imap_session *s);

#endif
