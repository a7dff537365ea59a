/* What relays may ask without an SMTP callout: does this address get mail here, and whose is it?
 *
 *     recipients   an address, as at RCPT  ->  the address of the account
 *     domains      a domain that has an account or an alias  ->  the domain
 *
 * tcp_table has no maps: what has an @ is looked for in recipients, all else in domains. */
#ifndef LDA_LOOKUP_H
#define LDA_LOOKUP_H

#include "lda/lookup_protocol.h"

struct lda;
struct lookup;
struct net_stream;

/* One per worker.  It keeps the last answers until the account database changes. */
struct lookup *lookup_open(struct lda *lda);
void lookup_close(struct lookup *lookup); /* after its sessions; NULL is fine */

/* The answer to a request; the text is the caller's.  On a pool thread. */
enum lookup_result lookup_answer(
    struct lookup *lookup, const struct lookup_request *request, char **text_out);

/* The sessions; on the loop. */
void lookup_accept(struct lookup *lookup, struct net_stream *st);
void lookup_drain(struct lookup *lookup);

#endif
