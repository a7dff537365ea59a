/* Is the machine too busy to take more work on? */
#ifndef SERVICE_LOAD_H
#define SERVICE_LOAD_H

#include <stdbool.h>

struct config;

/* The load average of the last minute lies above server.load_ceiling; false where it cannot be told. */
bool service_overloaded(const struct config *config, double *load_out);

#endif
