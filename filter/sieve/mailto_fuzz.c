/* mailto URIs, RFC 6068: whatever a script's variables bring into one. */
#include "filter/sieve/mailto.h"

#include <stdlib.h>

#include "store/address.h"
#include "store/compose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct mailto m;
	const char *why = NULL;

	if (mailto_parse(&arena, (struct str){ (const char *)data, size }, &m, &why)) {
		if (m.to_count > MAILTO_RECIPIENTS_MAX)
			abort();
		for (size_t i = 0; i < m.to_count; i++)
			if (strchr(m.to[i], '@') == NULL)
				abort();
		for (const struct mailto_field *f = m.fields; f != NULL; f = f->next)
			if (!compose_header_name_is_valid(f->name))
				abort();
	} else if (why == NULL) {
		abort();
	}
	arena_free(&arena);
	return 0;
}
