#include "service/hostname.h"

#include <unistd.h>

#include "base/config.h"
#include "base/mem.h"

#define HOSTNAME_BYTES 256

char *
service_hostname(const struct config *config)
{
	const char *name = config_string(config, "server.hostname");
	char system[HOSTNAME_BYTES] = "localhost";

	if (name == NULL)
		gethostname(system, sizeof(system) - 1);
	return mem_strdup(name != NULL ? name : system);
}
