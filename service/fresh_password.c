#include "service/fresh_password.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/sasl_prep.h"

static bool
prepare(struct str text, struct buf *prepared)
{
	return text.len > 0 && text.len <= PASSWORD_MAX_BYTES && sasl_prep(text, prepared);
}

static void
wipe(struct buf *secret)
{
	if (secret->len > 0)
		mem_wipe(secret->data, secret->len);
	buf_free(secret);
}

bool
fresh_password_possible(struct str text)
{
	struct buf prepared = { 0 };
	bool ok = prepare(text, &prepared);

	wipe(&prepared);
	return ok;
}

bool
fresh_password_make(struct str text, struct fresh_password *out)
{
	struct buf prepared = { 0 };
	bool ok = prepare(text, &prepared);

	*out = (struct fresh_password){ 0 };
	if (ok) {
		scram_keys_make((struct str){ prepared.data, prepared.len }, &out->scram);
		out->stored = password_create(text);
	}
	wipe(&prepared);
	return ok;
}

void
fresh_password_free(struct fresh_password *p)
{
	if (p->stored != NULL)
		mem_wipe(p->stored, strlen(p->stored));
	free(p->stored);
	mem_wipe(p, sizeof(*p));
}
