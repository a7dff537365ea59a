/* Any bytes as a passwd-file: spans stay inside the line, and every loop ends. */
#include "admin/passwd_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_lie_in(struct str line, struct str span)
{
	if (span.len > 0 && (span.p < line.p || span.p + span.len > line.p + line.len))
		__builtin_trap();
}

static void
read_line(struct str line)
{
	struct passwd_line p;
	struct str key, value;
	struct cursor c;
	uint64_t bytes, messages;

	if (!passwd_line_split(line, &p))
		return;
	must_lie_in(line, p.user);
	must_lie_in(line, p.password);
	must_lie_in(line, p.gecos);
	must_lie_in(line, p.extra);
	c = cursor_from(p.extra);
	while (passwd_extra_next(&c, &key, &value)) {
		must_lie_in(line, key);
		must_lie_in(line, value);
		if (value.p != NULL)
			(void)passwd_quota_rule(value, &bytes, &messages);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_from((struct str){ (const char *)data, size });
	struct str line;

	while (cursor_take_line(&c, &line))
		read_line(line);
	return 0;
}
