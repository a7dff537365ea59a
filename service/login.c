#include "service/login.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "service/service.h"
#include "store/auth.h"

static enum sasl_verdict
verdict(enum store_err err)
{
	return err == STORE_OK       ? SASL_VERDICT_OK
	       : err == STORE_DENIED ? SASL_VERDICT_DENIED
				     : SASL_VERDICT_TEMPFAIL;
}

static void
add_address(struct buf *login_out, const struct account_row *row)
{
	buf_printf(login_out, "%s@%s", row->localpart, row->domain);
}

static enum sasl_verdict
verify_password(
    void *arg, const char *user, struct str password, const char *peer, struct buf *login_out)
{
	struct service *sv = arg;
	struct account_row row = { 0 };
	enum store_err err = auth_password(sv->auth, str_from(user), password, &row, NULL);

	(void)peer;
	if (err == STORE_OK)
		add_address(login_out, &row);
	account_row_free(&row);
	return verdict(err);
}

static enum sasl_verdict
find_scram_keys(
    void *arg, const char *user, struct sasl_scram_keys *keys_out, struct buf *login_out)
{
	struct service *sv = arg;
	struct scram_keys keys;
	struct account_row row = { 0 };
	enum store_err err = auth_scram_keys(sv->auth, str_from(user), &keys);

	if (err != STORE_OK)
		return SASL_VERDICT_TEMPFAIL;
	*keys_out =
	    (struct sasl_scram_keys){ .salt_len = keys.salt_len, .iterations = keys.iterations };
	_Static_assert(sizeof(keys.salt) <= sizeof(keys_out->salt), "a salt fits");
	memcpy(keys_out->salt, keys.salt, keys.salt_len);
	memcpy(keys_out->stored_key, keys.stored_key, sizeof(keys_out->stored_key));
	memcpy(keys_out->server_key, keys.server_key, sizeof(keys_out->server_key));
	err = auth_account(sv->auth, str_from(user), &row);
	if (err == STORE_OK)
		add_address(login_out, &row);
	account_row_free(&row);
	return verdict(err);
}

const struct sasl_backend LOGIN_BACKEND = {
	.verify_password = verify_password,
	.scram_keys = find_scram_keys,
};
