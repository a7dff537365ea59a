/* The queue runner of a worker: takes due messages from the spool, hands them to a relay, and writes
 * down what became of each recipient.  The runners of all workers share the spool; a message is
 * claimed by one at a time. */
#ifndef SUBMITD_RUNNER_H
#define SUBMITD_RUNNER_H

#include <stdbool.h>

struct runner;
struct service;

struct runner *runner_open(struct service *sv, const char *hostname); /* NULL: reason logged */
void runner_drain(struct runner *r); /* takes nothing new; attempts in hand are finished */
void runner_close(struct runner *r); /* NULL is fine */

#endif
