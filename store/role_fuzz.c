#include "store/role.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct role role, again;
	struct buf text = { 0 };

	if (role_parse((struct str){ (const char *)data, size }, &role)) {
		role_format(&text, &role);
		if (!role_parse((struct str){ text.data, text.len }, &again) ||
		    again.kind != role.kind)
			__builtin_trap();
	}
	buf_free(&text);
	return 0;
}
