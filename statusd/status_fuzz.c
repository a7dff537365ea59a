/* Forms, credentials, names and status files, from anybody. */
#include <stdint.h>
#include <stdlib.h>

#include "statusd/form.h"
#include "statusd/guard.h"
#include "statusd/status_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = { size > 0 ? (const char *)data + 1 : "", size > 0 ? size - 1 : 0 };
	struct buf a = { 0 }, b = { 0 };
	struct status_file f;
	struct str name;

	switch (size > 0 ? data[0] % 4 : 0) {
	case 0:
		if (form_field(input, "token", &a) && a.len > input.len)
			abort();
		break;
	case 1:
		if (form_basic(input, &a, &b) && a.len + b.len >= input.len)
			abort();
		break;
	case 2:
		name = guard_host_name(input);
		guard_same_origin(input, name);
		if (name.len > input.len)
			abort();
		break;
	default:
		status_file_parse(input, &f);
		for (size_t i = 0; i < f.count; i++)
			if (f.lines[i].at < 0 ||
			    !text_is_utf8((struct str){ f.lines[i].text, strlen(f.lines[i].text) }))
				abort();
		status_file_free(&f);
		break;
	}
	buf_free(&a);
	buf_free(&b);
	return 0;
}
