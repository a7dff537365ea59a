/* Messages on their way out for an account: into the spool, from which submitd hands them to a relay. */
#ifndef LDA_OUTGOING_H
#define LDA_OUTGOING_H

#include "base/text.h"
#include "lda/lda.h"
#include "store/spool.h"

/* The spool, opened when it is first needed; NULL with the reason logged.  Any thread. */
struct spool *outgoing_spool(struct lda *l);

/* Hands over a complete message made here (LF line ends) with the null reverse-path, to be told of nothing.  On STORE_OK
 * it is durable and its id in the spool is in id_out. */
enum store_err outgoing_send(struct lda *l, const char *account, const char *origin,
    struct str message, const char *const *recipients, size_t count, char id_out[SPOOL_ID_LEN + 1]);

/* SPOOL_NOTIFY_… of "NEVER", "SUCCESS,FAILURE"…; 0 for NULL and for what says nothing. */
unsigned outgoing_notify(const char *words);

#endif
