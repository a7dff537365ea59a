/* A message that goes on to another address, RFC 5228 §4.2: when it may, how it is written, and what of a filter's wishes is in
 * its envelope.  lda and imapd both redirect by this.
 *
 * A message that has been redirected for this account before (the field X-Sanger-Redirected says so), or has as many hops
 * as lda.hops_max allows, is not redirected again: it stays where it is, so that a loop ends and loses nothing. */
#ifndef SENDING_REDIRECT_H
#define SENDING_REDIRECT_H

#include <stdint.h>

#include "base/mem.h"
#include "filter/actions.h"
#include "filter/view.h"
#include "sending/content.h"
#include "sending/outgoing.h"
#include "sending/trace.h"

/* Why it may not go there, as a word for the log; NULL: it may.  `message` NULL: it cannot be read. */
const char *redirect_objection(const struct filter_redirect *to, const char *account,
    const struct view *message, unsigned hops_max);

/* One that is written and that nobody sends yet. */
struct redirect_draft {
	struct spool_draft *draft; /* NULL: none */
	bool eight_bit;
};
/* With our own hop on top, and the mark by which a loop is known. */
enum store_err redirect_write(struct outgoing *o, const struct content *content,
    const struct filter_edit *edit, const struct trace *hop, const char *account,
    struct redirect_draft *draft_out);
void redirect_abort(struct redirect_draft *d);

/* What goes into every redirect's envelope; callers add what they know of DSN.  Strings live in the arena. */
void redirect_envelope(struct arena *a, const struct redirect_draft *d,
    const struct filter_redirect *to, const char *account, const char *sender, int64_t now,
    struct spool_recipient *recipient, struct spool_message *envelope_out);
/* Durable in the spool on STORE_OK; the draft is used up in any case. */
enum store_err redirect_commit(
    struct redirect_draft *d, const struct spool_message *envelope, char id_out[SPOOL_ID_LEN + 1]);

#endif
