/* The body of the form for a new password, up to what is decided without looking at the account. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "statusd/form.h"
#include "statusd/password_policy.h"
#include "store/password.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LENGTH_MIN 10

static struct str
field(struct str body, const char *name, struct buf *out)
{
	if (!form_field(body, name, out))
		buf_reset(out);
	if (out->len > body.len || memchr(buf_cstr(out), '\0', out->len) != NULL)
		abort();
	return (struct str){ buf_cstr(out), out->len };
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body = { (const char *)data, size };
	struct buf address = { 0 }, current = { 0 }, fresh = { 0 }, why = { 0 };
	struct str who = field(body, "address", &address);
	struct str old = field(body, "current", &current);
	struct str new = field(body, "new", &fresh);
	enum password_policy verdict = password_policy_check(new, old, who, LENGTH_MIN);

	if (verdict == PASSWORD_POLICY_OK &&
	    (new.len < LENGTH_MIN || new.len > PASSWORD_MAX_BYTES || str_eq(new, old) ||
		!text_is_utf8(new)))
		abort();
	password_policy_explain(verdict, LENGTH_MIN, &why);
	if ((verdict == PASSWORD_POLICY_OK) != (why.len == 0))
		abort();
	buf_free(&address);
	buf_free(&current);
	buf_free(&fresh);
	buf_free(&why);
	return 0;
}
