/* Any text as a stored password: parsed and priced, but only computed where that is cheap. */
#include "store/password.h"

#include <stdlib.h>

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Hashes that are right and dear would make for few runs. */
static bool
is_dear(const char *stored)
{
	return strstr(stored, "m=") != NULL || strstr(stored, "rounds=") != NULL ||
	       strstr(stored, "$2") != NULL || strstr(stored, "$y$") != NULL ||
	       strstr(stored, "$gy$") != NULL || strlen(stored) > 300;
}

static bool
has_big_number(const char *stored)
{
	return strspn(stored + strcspn(stored, "123456789"), "0123456789") > 4;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *stored = mem_strndup((const char *)data, size);
	struct scram_keys keys;
	struct str plain;

	(void)password_plain(stored, &plain);
	(void)scram_keys_from_stored(stored, &keys);
	for (const char *p = stored; *p != '\0'; p++)
		if (has_big_number(p))
			goto out;
	if (!is_dear(stored))
		(void)password_verify(stored, STR("password"));
out:
	free(stored);
	return 0;
}
