/* mailadmin why: the story of messages, out of the record (store/record.h), the spool and the mail tree.
 *   cmd_why.c    finding the records, and what became of what they put into the spool
 *   why_place.c  where in the account a copy is now
 *   why_story.c  in words
 *
 * A record stays the JSON object it is, with two members more: "now" in each copy and "relayed" in all that has
 * a "spool". */
#ifndef ADMIN_WHY_H
#define ADMIN_WHY_H

#include <jansson.h>
#include <stdint.h>

#include "admin/command.h"

/* Adds "now" to each copy among the things that a delivery did: {"mailbox": …, "flags": …}, or null where the message is in
 * no mailbox any more.  Nothing is added where that cannot be known. */
void why_find_places(struct admin *a, json_t *delivery);

/* To stdout. */
void why_tell(const json_t *record);

#endif
