#include "service/load.h"

#include <stdlib.h>

#include "base/config.h"

bool
service_overloaded(const struct config *config, double *load_out)
{
	return getloadavg(load_out, 1) == 1 &&
	       *load_out > (double)config_integer(config, "server.load_ceiling");
}
