/* Messages on their way out for an account: into the spool, from which submitd hands them to a relay. */
#ifndef SENDING_OUTGOING_H
#define SENDING_OUTGOING_H

#include <pthread.h>

#include "base/text.h"
#include "store/spool.h"

#define OUTGOING_ROOM_BYTES                                                                        \
	(64 * 1024) /* what a redirected message may have more than one that came */

struct config;
struct log;

/* One per process; any thread. */
struct outgoing {
	const struct config *config;
	const struct log *log;
	pthread_mutex_t mutex;
	struct spool *spool; /* use outgoing_spool() */
};
/* Both are borrowed until outgoing_close(). */
void outgoing_open(struct outgoing *o, const struct config *config, const struct log *log);
void outgoing_close(struct outgoing *o);

/* The spool, opened when it is first needed; NULL with the reason logged. */
struct spool *outgoing_spool(struct outgoing *o);

/* Hands over a complete message made here (LF line ends) with the null reverse-path, to be told of nothing.  On STORE_OK
 * it is durable and its id in the spool is in id_out. */
enum store_err outgoing_send(struct outgoing *o, const char *account, const char *origin,
    struct str message, const char *const *recipients, size_t count, char id_out[SPOOL_ID_LEN + 1]);

/* SPOOL_NOTIFY_… of "NEVER", "SUCCESS,FAILURE"…; 0 for NULL and for what says nothing. */
unsigned outgoing_notify(const char *words);

#endif
