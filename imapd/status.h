/* STATUS items, for STATUS and for LIST … RETURN (STATUS …). */
#ifndef IMAPD_STATUS_H
#define IMAPD_STATUS_H

#include "imapd/commands.h"
#include "imapd/place.h"
#include "store/account.h"

/* "(" status-att *(SP status-att) ")", RFC 9051 §9: one bit for each row of the table. */
bool imap_parse_status_items(struct cursor *c, unsigned *items_out);
/* True if HIGHESTMODSEQ is among them, which enables CONDSTORE, RFC 7162 §3.1. */
bool imap_status_wants_modseq(unsigned items);
/* "* STATUS name (…)" for a mailbox that can be looked at; else nothing and the error. */
enum store_err imap_send_status(
    struct imap_session *s, const struct imap_place *place, unsigned items);
/* The same of what is known already. */
void imap_out_status(struct imap_session *s, const struct account *acct, const char *shown,
    unsigned items, const struct mailbox_status *st);
unsigned imap_status_item(const char *name); /* the bit of one that there is */

#endif
