/* Does a daemon of ours answer at each address it is to listen at? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "base/mem.h"
#include "net/tls.h"
#include "service/doors.h"

/* Is `pid` a process of that name, and not one that has ended and waits to be collected? */
static bool
is_alive(long pid, const char *name)
{
	char *path = mem_printf("/proc/%ld/stat", pid);
	FILE *f = fopen(path, "re");
	char comm[64] = "", state = 'Z';
	bool ok;

	free(path);
	if (f == NULL)
		return false;
	ok = fscanf(f, "%*d (%63[^)]) %c", comm, &state) == 2;
	fclose(f);
	return ok && state != 'Z' && state != 'X' && strcmp(comm, name) == 0;
}

/* By its pid file. */
static bool
is_running(struct doctor *d, const char *daemon)
{
	char *path = mem_printf("%s/%s.pid", config_string(d->a->config, "server.run_dir"), daemon);
	FILE *f = fopen(path, "re");
	long pid = 0;
	bool ok;

	free(path);
	if (f == NULL)
		return false;
	ok = fscanf(f, "%ld", &pid) == 1 && pid > 0;
	fclose(f);
	return ok && is_alive(pid, daemon);
}

static void
check_door(struct doctor *d, const struct door *door, const char *address, struct net_tls *tls)
{
	struct door_answer k;
	bool running = is_running(d, door->daemon);

	door_knock(door, address, tls, d->a->log, &k);
	if (!k.is_address) {
		doctor_fail(d, "ports", "mend it in the configuration", "%s: %s is no address",
		    door->setting, address);
		return;
	}
	if (k.ours && (running || !door->silent))
		doctor_ok(d, "ports", "%s answers at %s", door->daemon, address);
	else if (!k.connected && !running)
		doctor_fail(d, "ports",
		    "start the daemons (admin/instance start DIR, or systemctl)",
		    "%s is not running: nothing listens at %s", door->daemon, address);
	else if (!k.connected)
		doctor_fail(d, "ports", "restart it; its log says why",
		    "%s runs but does not listen at %s: %s", door->daemon, address, k.why);
	else if (!running)
		doctor_fail(d, "ports",
		    "stop the other program (ss -ltnp names it) or choose another port",
		    "%s (%s): another program listens there: %s", address, door->setting,
		    *k.greeting != '\0' ? k.greeting : k.why);
	else
		doctor_fail(d, "ports", "look into the log, and at the certificate",
		    "%s at %s does not greet as it should: %s", door->daemon, address,
		    *k.greeting != '\0' ? k.greeting : k.why);
}

void
doctor_doors(struct doctor *d)
{
	const struct net_tls_client_spec spec = { .verify = NET_TLS_ANY };
	struct net_tls *tls = net_tls_client_new(&spec, d->a->log);

	for (size_t i = 0; i < DOOR_COUNT; i++)
		for (size_t n = 0; n < door_address_count(d->a->config, &DOORS[i]); n++)
			check_door(d, &DOORS[i], door_address(d->a->config, &DOORS[i], n), tls);
	net_tls_free(tls);
}
