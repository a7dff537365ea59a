/* For tests: a session without a network, on a real account database and mail root in a directory of its own. */
#ifndef MANAGESIEVED_TEST_WORLD_H
#define MANAGESIEVED_TEST_WORLD_H

#include "managesieved/frame.h"
#include "managesieved/managesieved.h"
#include "managesieved/session.h"
#include "service/service.h"

#define WORLD_PASSWORD "secret-Pw1"

struct world {
	char dir[64];
	struct service service;
	struct sasl_service sasl;
	struct managesieved daemon;
	struct account_row ann; /* ann@example.org */
	struct msieve_session s;
	struct msieve_run run;
	bool waiting;
};

/* In memory (/dev/shm).  Ends the process if it cannot be made. */
void world_open(struct world *w);
void world_close(struct world *w); /* one that is not open is fine */

/* A new session: in the clear, before login or logged in as ann. */
void world_session(struct world *w, enum msieve_state state);
/* One framed command or line; what is said stands in w->s.out. */
void world_command(struct world *w, struct str text);
/* A whole conversation, in pieces of that size; all that is said goes behind what is in `out`.  STARTTLS takes
 * place at once.  Ends where the session does. */
void world_converse(struct world *w, struct str bytes, size_t piece, struct buf *out);

#endif
