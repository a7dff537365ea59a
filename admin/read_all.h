/* Commands that read what another user owns: another server's mail, the system's logs. */
#ifndef ADMIN_READ_ALL_H
#define ADMIN_READ_ALL_H

#include <stdbool.h>

#include "admin/command.h"

/* As admin_start(), for a row with before_config; started as root the process becomes server.user too, but may read and
 * search every file (CAP_DAC_READ_SEARCH) and nothing else. */
bool read_all_start(struct admin *a);
/* In a child, before exec: the program may too. */
void read_all_hand_on(void);

#endif
