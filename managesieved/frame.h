/* What is ManageSieve's own in cutting a client's bytes into commands; the cutting itself is net/frame.h. */
#ifndef MANAGESIEVED_FRAME_H
#define MANAGESIEVED_FRAME_H

#include <stdbool.h>

#include "net/frame.h"

/* The limits before and after login.  Nobody waits for a go-ahead in this protocol, so what is too large is read and
 * dropped. */
const struct frame_rules *msieve_frame_rules(bool logged_in);

#endif
