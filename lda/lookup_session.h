/* The connections on which relays ask: one question at a time each, answered in order. */
#ifndef LDA_LOOKUP_SESSION_H
#define LDA_LOOKUP_SESSION_H

struct lookup;
struct lookup_session;
struct net_stream;
struct service;

struct lookup_sessions { /* on the loop */
	struct lookup *lookup;
	struct service *service;
	struct lookup_session *first;
};

void lookup_session_start(struct lookup_sessions *sessions, struct net_stream *st);
void lookup_sessions_drain(struct lookup_sessions *sessions);

#endif
