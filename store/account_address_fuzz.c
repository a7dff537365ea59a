/* Any bytes as an account's address: what is taken is safe as the name of two directories. */
#include "store/account_db.h"

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_safe_name(struct str s)
{
	return s.len > 0 && s.p[0] != '.' && memchr(s.p, '/', s.len) == NULL &&
	       memchr(s.p, '\0', s.len) == NULL && memchr(s.p, '\n', s.len) == NULL &&
	       text_is_utf8(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str localpart, domain;

	if (account_address_parse((struct str){ (const char *)data, size }, &localpart, &domain) &&
	    !(is_safe_name(localpart) && is_safe_name(domain)))
		__builtin_trap();
	return 0;
}
