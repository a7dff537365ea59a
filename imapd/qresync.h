/* QRESYNC: what a client that was here before is told when it selects the mailbox again, RFC 7162 §3.2.5. */
#ifndef IMAPD_QRESYNC_H
#define IMAPD_QRESYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "imapd/fetch_run.h"
#include "imapd/parse.h"
#include "imapd/session.h"

/* The parameter's value. */
struct qresync {
	uint32_t uidvalidity;
	uint64_t modseq;
	bool has_known;
	struct imap_sequence_set known; /* UIDs */
	bool has_match;
	struct imap_sequence_set match_seqs, match_uids; /* pair by pair, both ascending */
};

/* "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")", RFC 7162 §7. */
bool qresync_parse(struct cursor *c, struct arena *a, struct qresync *q_out);

/* The highest UID of match data up to which the client knows of every expunge: the highest pair that is still
 * right; 0: none.  RFC 7162 §3.2.5.2. */
uint32_t qresync_matched_uid(const struct qresync *q, const struct uidset *view);

/* The mailbox has just been selected: writes VANISHED (EARLIER) and gives back the FETCH that says the rest, in the
 * arena; NULL: there is nothing more to say. */
enum store_err qresync_begin(
    struct imap_session *s, struct arena *a, const struct qresync *q, struct fetch_run **run_out);

#endif
