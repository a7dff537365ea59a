/* A changed name parses to what was asked for, and changes nothing else. */
#include <stdlib.h>

#include "store/maildir_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct maildir_name name, again;
	struct buf out = { 0 }, stem = { 0 }, stem_again = { 0 };

	if (!maildir_name_parse(in, &name))
		return 0;
	if (!maildir_name_change(&out, &name, 77, 33, 5)) {
		buf_free(&out);
		return 0;
	}
	if (!maildir_name_parse((struct str){ out.data, out.len }, &again) || again.uid != 77 ||
	    again.flags != 33 || again.keywords != 5 || again.size != name.size ||
	    again.crlf_size != name.crlf_size || !str_eq(again.unique, name.unique))
		abort();
	maildir_name_stem(&stem, &name);
	maildir_name_stem(&stem_again, &again);
	if (!str_eq((struct str){ stem.data, stem.len },
		(struct str){ stem_again.data, stem_again.len }))
		abort();
	buf_free(&out);
	buf_free(&stem);
	buf_free(&stem_again);
	return 0;
}
