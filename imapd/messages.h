/* What the commands on messages share: message sets and the switch to CONDSTORE.
 *
 * Whatever a command names its messages by (sequence numbers, UIDs or "$"), they are turned into
 * UIDs of the session's view at once; sequence numbers appear again only in what is sent. */
#ifndef IMAPD_MESSAGES_H
#define IMAPD_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "imapd/commands.h"
#include "imapd/parse.h"
#include "imapd/session.h"
#include "store/mailbox.h"

/* SP sequence-set, as sequence numbers or (req->uid) UIDs, added to the empty *uids_out, which the
 * caller frees.  A sequence number above the number of messages is an error, RFC 9051 §9; a
 * UID may be any.  False: return IMAP_BAD. */
bool messages_arg_set(struct imap_session *s, struct imap_request *req, struct uidset *uids_out);
/* The same, and the set as it was written. */
bool messages_arg_set_raw(struct imap_session *s, struct imap_request *req,
    struct imap_sequence_set *set_out, struct uidset *uids_out);
/* The same for a set that has been parsed.  False: there was a sequence number beyond the mailbox ("*"
 * too in an empty one); uids_out has the rest. */
bool messages_resolve(const struct imap_session *s, const struct imap_sequence_set *set, bool uid,
    struct uidset *uids_out);
/* The same in any mailbox; `saved` is "$" there, or NULL. */
bool messages_resolve_in(const struct mailbox *box, const struct uidset *saved,
    const struct imap_sequence_set *set, bool uid, struct uidset *uids_out);

/* A set of UIDs as the client knows them: also such as are not there any more.  "*" is the highest that was ever given. */
void messages_known_uids(
    const struct imap_session *s, const struct imap_sequence_set *set, struct uidset *uids_out);

/* Messages that one command may take, RFC 9738; 0: no limit.  messages_save_limit(): COPY and APPEND. */
uint32_t messages_limit(const struct imap_session *s);
uint32_t messages_save_limit(const struct imap_session *s);
/* Leaves no more than that of `uids`, those with the highest UIDs, and notes it for the reply (req->limited_uid). */
void messages_keep_limit(
    const struct imap_session *s, struct imap_request *req, struct uidset *uids);
/* NO [MESSAGELIMIT n uid]: nothing is done; uid 0 is left out. */
enum imap_result messages_refuse_limit(struct imap_request *req, uint32_t limit, uint32_t uid);

/* The sequence numbers of those of `uids` that are in the view, added to the empty *seqs_out. */
void messages_to_seqs(
    const struct mailbox *box, const struct uidset *uids, struct uidset *seqs_out);

/* Adds UIDs that are in no order: sorted first, so that each is added at the end. */
void messages_add_all(struct uidset *to, const uint32_t *uids, uint32_t count);

/* Up to `max` members of `set` above `after`, replacing *slice_out. */
void messages_slice(
    const struct uidset *set, uint32_t after, uint32_t max, struct uidset *slice_out);

/* Up to `max` members of `set` below `below` (0: the last ones), the highest there are. */
void messages_slice_below(
    const struct uidset *set, uint32_t below, uint32_t max, struct uidset *slice_out);

/* A command has asked for mod-sequences: from now on FETCH responses carry them; the client is told
 * the present HIGHESTMODSEQ when that starts in the middle of a mailbox.  RFC 7162 §3.1. */
void messages_enable_condstore(struct imap_session *s);

#endif
