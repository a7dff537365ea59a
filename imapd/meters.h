/* How often each command is said, how it ends, and how long the server works on it (not how long it waits for the client). */
#ifndef IMAPD_METERS_H
#define IMAPD_METERS_H

#include <stdint.h>

#include "imapd/commands.h"

struct service;

/* In the parent. */
void imap_meters_name(struct service *sv);
/* A command is over; `command` NULL: there is none of that name. */
void imap_meters_count(const struct service *sv, const struct imap_command *command,
    enum imap_result result, uint64_t ns);

#endif
