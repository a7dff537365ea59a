/* A client's whole side of a conversation, on a real account database: the first byte chooses where the session
 * stands and the size of the pieces in which the rest comes.  What is said must be replies of the protocol. */
#include <stdio.h>
#include <stdlib.h>

#include "managesieved/test_world.h"

#define RUNS_PER_WORLD 500

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world world;
static unsigned runs;

static void
on_exit_close(void)
{
	world_close(&world);
}

/* A session that says nothing has been given no whole command; what it says ends a line. */
static void
check_output(const struct buf *out)
{
	if (out->len > 0 && (out->len < 4 || out->data[out->len - 1] != '\n'))
		abort();
}

/* Nothing can make two scripts active. */
static void
check_scripts(struct world *w)
{
	struct account_script *scripts;
	size_t count, active = 0;

	if (account_scripts_list(w->daemon.accounts, w->ann.id, &scripts, &count) != STORE_OK)
		abort();
	for (size_t i = 0; i < count; i++)
		active += scripts[i].active;
	if (active > 1 || count > w->daemon.limits.scripts_max)
		abort();
	account_scripts_free(scripts, count);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum msieve_state STATES[] = { MSIEVE_AUTHENTICATED, MSIEVE_UNAUTHENTICATED,
		MSIEVE_CLEAR, MSIEVE_AUTHENTICATED };
	struct buf out = { 0 };

	if (size == 0)
		return 0;
	if (runs == 0)
		atexit(on_exit_close);
	if (runs++ % RUNS_PER_WORLD == 0) {
		world_close(&world);
		world_open(&world);
	}
	world_session(&world, STATES[data[0] % 4]);
	world_converse(&world, (struct str){ (const char *)data + 1, size - 1 },
	    (size_t)data[0] / 4 * 4 + 1, &out);
	check_output(&out);
	check_scripts(&world);
	buf_free(&out);
	return 0;
}
