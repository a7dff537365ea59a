#include "store/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mime_message *m = mime_parse((struct str){ (const char *)data, size }), *cut;
	struct mime_parser *p = mime_parser_new();
	struct buf a = { 0 }, b = { 0 };

	for (size_t i = 0; i < size; i += 1 + data[i] % 5u)
		mime_parser_feed(
		    p, data + i, size - i < 1 + data[i] % 5u ? size - i : 1 + data[i] % 5u);
	cut = mime_parser_finish(p);
	mime_envelope(&a, m->root);
	mime_bodystructure(&a, m);
	mime_pack(&a, m);
	mime_envelope(&b, cut->root);
	mime_bodystructure(&b, cut);
	mime_pack(&b, cut);
	if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
		__builtin_trap(); /* the cuts must not matter */
	buf_reset(&a);
	mime_pack(&a, m);
	mime_message_free(cut);
	cut = mime_unpack((struct str){ a.data, a.len });
	if (cut == NULL)
		__builtin_trap();
	mime_message_free(cut);
	mime_message_free(m);
	buf_free(&a);
	buf_free(&b);
	return 0;
}
