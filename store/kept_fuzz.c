#include "store/kept_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = { 0 };
	struct kept_place place, again;
	const char *name;
	int64_t when;
	uint32_t uid;

	if (kept_place_parse((struct str){ (const char *)data, size }, &place)) {
		kept_place_format(&place, &text);
		if (!kept_place_parse((struct str){ text.data, text.len }, &again))
			__builtin_trap();
		kept_place_free(&again);
	}
	kept_place_free(&place);
	buf_reset(&text);
	buf_add(&text, data, size);
	kept_name_parse(buf_cstr(&text), &when, &uid, &name);
	kept_is_place(buf_cstr(&text));
	buf_free(&text);
	return 0;
}
