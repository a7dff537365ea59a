#include "imapd/imapsieve.h"

#include "imapd/notify.h"

void
imap_sieve_event(struct imap_session *s, const struct imap_sieve_event *event)
{
	imap_notify_own_messages(s, event->acct, event->mailbox, event->uids);
}

void
imap_sieve_flags_begin(
    struct imap_session *s, const struct uidset *uids, const struct flags_change *change)
{
	(void)s;
	(void)uids;
	(void)change;
}

void
imap_sieve_flags_end(struct imap_session *s, const struct uidset *changed)
{
	(void)s;
	(void)changed;
}
