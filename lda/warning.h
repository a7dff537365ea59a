/* The warning that an account gets when its usage reaches one of the percentages of lda.quota_warning: a message straight
 * into INBOX, whatever the quota, which no filter sees.  Once for each threshold until usage falls below it; state.db
 * remembers, so that of several deliveries at once just one says it.  Where several are crossed at once, the highest
 * is told.  What IMAP crosses is told at the next delivery, or at the next that quota refuses. */
#ifndef LDA_WARNING_H
#define LDA_WARNING_H

#include "base/buf.h"
#include "lda/lda.h"

struct home;

/* At the beginning of a delivery: forgets thresholds that usage has fallen below. Cheap where none was ever told. */
void warning_settle(struct lda *l, const struct lda_rcpt *rcpt, const struct home *home,
    const struct quota_usage *usage);
/* After it, and when one was refused: warns if it is due. */
void warning_check(struct lda *l, const struct lda_rcpt *rcpt, const struct home *home);

/* What the text may name.  All borrowed. */
struct warning_facts {
	const char *localpart, *domain, *realname, *hostname;
	struct quota_rules rules;
	struct quota_usage usage;
	unsigned threshold; /* that was crossed */
	int64_t now;
};
/* The whole message, with LF line ends.  The template: perhaps lines "Subject: …" and "From: …" and a blank line; then the
 * text.  ${address}, ${localpart}, ${domain}, ${realname}, ${host}, ${percent}, ${threshold}, ${usage} ("1.2 GB of 2.0 GB",
 * or messages where those are what is short), ${used}, ${quota}, ${messages}, ${messages_max}.  p NULL: ours. */
void warning_compose(struct buf *out, const struct warning_facts *facts, struct str text);

#endif
