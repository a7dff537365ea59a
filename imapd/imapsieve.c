#include "imapd/imapsieve.h"

void
imap_sieve_event(struct imap_session *s, const struct imap_sieve_event *event)
{
	(void)s;
	(void)event;
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
