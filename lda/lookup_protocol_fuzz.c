/* Requests of socketmap and tcp_table, as they come off the wire. */
#include "lda/lookup_protocol.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct lookup_request request;
	enum lookup_read read;
	size_t used;

	while ((read = lookup_request_read(in, &request, &used)) == LOOKUP_READ_YES ||
	       read == LOOKUP_READ_BAD) {
		struct buf out = { 0 };

		if (used == 0 || used > in.len)
			__builtin_trap();
		lookup_answer_write(&out, request.protocol, LOOKUP_FOUND, request.key);
		buf_free(&out);
		in = (struct str){ in.p + used, in.len - used };
	}
	return 0;
}
