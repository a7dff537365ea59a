/* THREAD's algorithms: ORDEREDSUBJECT and REFERENCES of RFC 5256 §3, REFS of draft-ietf-morg-inthread (REFERENCES without
 * a look at subjects; threads by their youngest message).
 *
 * Whatever messages say in References, time is about linear and nothing recurses: a thread may be as deep as the mailbox is
 * long.  Memory is bounded by the number of messages: beyond THREAD_NODES_EXTRA ids that no message has, further ones are
 * passed over. */
#ifndef IMAPD_THREAD_H
#define IMAPD_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/sort_keys.h"

#define THREAD_NODES_EXTRA    (1024 * 1024)
#define THREAD_TEXT_MAX_TOTAL (64 * 1024 * 1024) /* of all base subjects; beyond: NO [LIMIT] */
#define THREAD_CLIMB_MAX                                                                           \
	(50 * 1000 * 1000) /* steps in search of loops; then a link counts as one */

enum thread_algorithm { THREAD_ORDEREDSUBJECT, THREAD_REFERENCES, THREAD_REFS };

/* False: no such algorithm. */
bool thread_algorithm_find(struct str name, enum thread_algorithm *algorithm_out);

struct thread;
struct thread *thread_new(enum thread_algorithm algorithm);
void thread_free(struct thread *t); /* NULL is fine */
/* The next message in mailbox order; `number` is what the answer says.  False: the subjects are too long in all. */
bool thread_add(struct thread *t, uint32_t number, int64_t date_s, const struct sort_keys *keys);
/* Once all are in: appends the threads, " (1)(2 3 (4)(5))"; nothing if there are none. */
void thread_out(struct thread *t, struct buf *out);

#endif
