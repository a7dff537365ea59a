/* THREAD's algorithms on any references: messages, ids and subjects from the input's bytes.  What is written must have each
 * message once and its parentheses in pairs. */
#include "imapd/thread.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct str text, uint32_t count)
{
	bool seen[MESSAGES_MAX + 1] = { false };
	struct cursor c = cursor_from(text);
	size_t depth = 0;
	uint32_t n, found = 0;

	while (!cursor_at_end(&c)) {
		if (cursor_take_u32(&c, &n)) {
			if (n == 0 || n > count || seen[n])
				abort();
			seen[n] = true;
			found++;
		} else if (cursor_take(&c, '(')) {
			depth++;
		} else if (cursor_take(&c, ')')) {
			if (depth-- == 0)
				abort();
		} else if (!cursor_take(&c, ' ')) {
			abort();
		}
	}
	if (depth != 0 || found != count)
		abort();
}

static void
run(enum thread_algorithm algorithm, const uint8_t *data, size_t size)
{
	struct thread *t = thread_new(algorithm);
	struct buf out = { 0 };
	uint32_t count = 0;

	while (size >= 4 && count < MESSAGES_MAX) {
		unsigned char id[SORT_ID_BYTES], refs[8][SORT_ID_BYTES];
		struct sort_keys keys = { .reply = (data[0] & 8) != 0, .references = refs[0] };
		size_t n = data[0] & 7;

		memset(id, data[1], sizeof(id));
		keys.id = (data[0] & 16) != 0 ? NULL : id;
		keys.text[SORT_TEXT_SUBJECT] = (struct str){ (const char *)&data[2], data[0] >> 7 };
		if (n > size - 4)
			n = size - 4;
		for (size_t i = 0; i < n; i++)
			memset(refs[i], data[4 + i], SORT_ID_BYTES);
		keys.reference_count = n;
		thread_add(t, ++count, data[3], &keys);
		data += 4 + n;
		size -= 4 + n;
	}
	thread_out(t, &out);
	check((struct str){ out.data, out.len }, count);
	buf_free(&out);
	thread_free(t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	run(THREAD_ORDEREDSUBJECT, data, size);
	run(THREAD_REFERENCES, data, size);
	run(THREAD_REFS, data, size);
	return 0;
}
