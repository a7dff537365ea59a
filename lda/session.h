/* The LMTP and SMTP doors of lda: what their dialogue asks, delivery answers. */
#ifndef LDA_SESSION_H
#define LDA_SESSION_H

#include "net/smtp_server.h"

struct lda;
struct net_stream;
struct net_worker;

struct lda_door {
	struct lda *lda;
	struct smtp_service service;
	struct lda_session *first;
};

/* Fills door->service for LMTP or SMTP.  The configuration's strings are borrowed. */
void lda_door_open(struct lda_door *door, struct lda *lda, enum smtp_protocol protocol);
void lda_door_accept(struct lda_door *door, struct net_stream *st);
void lda_door_drain(struct lda_door *door);

#endif
