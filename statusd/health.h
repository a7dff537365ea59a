/* Is the server fit to work?  For /healthz: what is wrong, if anything is.
 *
 * The databases can be read, what is to run runs and greets at each of its addresses, and no disk is below
 * store.free_space_floor.  Knocking at all doors leaves lines in the daemons' logs, so a good answer holds for
 * HEALTH_HOLDS_S, and a bad one for HEALTH_HOLDS_BAD_S, whoever asks how often. */
#ifndef STATUSD_HEALTH_H
#define STATUSD_HEALTH_H

#include "base/buf.h"
#include "statusd/facts.h"

#define HEALTH_HOLDS_S     20
#define HEALTH_HOLDS_BAD_S 2

struct health;
struct service;

/* NULL with the reason logged. */
struct health *health_open(struct service *sv, struct quotas *quotas);
void health_close(struct health *h); /* NULL is fine */

/* Appends what is wrong, a line each; true if nothing is.  Pool thread; may wait for doors that do not answer. */
bool health_check(struct health *h, struct buf *problems);

/* What facts alone tell, without knocking: for the page. */
void health_problems(const struct facts *f, struct buf *problems);

#endif
