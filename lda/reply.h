/* How a verdict is said: to an SMTP or LMTP peer, and as an exit code of lda -d. */
#ifndef LDA_REPLY_H
#define LDA_REPLY_H

#include "lda/lda.h"
#include "net/smtp_server.h"

/* `permanent_quota`: over quota is refused (552) instead of put off (452). */
void reply_set(struct smtp_reply *r, enum lda_verdict v, bool permanent_quota, const char *rcpt);
/* LDA_REFUSED, in the words of the recipient's filter; lines divided by LF. */
void reply_set_refusal(struct smtp_reply *r, const char *rcpt, const char *reason);
int reply_exit_code(enum lda_verdict v, bool permanent_quota); /* sysexits.h */
const char *reply_text(enum lda_verdict v);

#endif
