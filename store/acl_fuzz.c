/* Lists as files and identifiers as clients say them: what is understood comes out the same again. */
#include <stdlib.h>
#include <string.h>

#include "store/acl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct acl_user ANN = { "ann@a.example", "" };
/* The present bob, and the one before. */
static const struct acl_user BOB = { "bob@a.example", "5f0c" }, OLD_BOB = { "bob@a.example", "" };

static enum store_err
tenure_of(void *arg, const char *address, struct buf *tenure_out)
{
	(void)arg;
	if (strcmp(address, BOB.address) == 0)
		buf_adds(tenure_out, BOB.tenure);
	return STORE_OK;
}

/* What was given to those who had an address before goes, and with it nothing that counts. */
static void
check_former(struct acl *acl)
{
	static const struct acl_tenures TENURES = { tenure_of, NULL };
	unsigned anns = acl_rights_of(acl, ANN.address, &ANN);
	unsigned bobs = acl_rights_of(acl, ANN.address, &BOB);
	size_t count;

	if (acl_drop_former(acl, ANN.address, &TENURES) != STORE_OK ||
	    acl_rights_of(acl, ANN.address, &ANN) != anns ||
	    acl_rights_of(acl, ANN.address, &BOB) != bobs)
		abort();
	count = acl->count;
	if (acl_drop_former(acl, ANN.address, &TENURES) != STORE_OK || acl->count != count)
		abort();
}

static void
check_again(const struct acl *acl)
{
	struct buf text = { 0 }, twice = { 0 };
	struct acl again;

	acl_format(&text, acl);
	if (!acl_parse((struct str){ buf_cstr(&text), text.len }, &again))
		abort();
	acl_format(&twice, &again);
	if (twice.len != text.len || memcmp(buf_cstr(&twice), buf_cstr(&text), text.len) != 0)
		abort();
	if (acl_rights_of(acl, ANN.address, &BOB) != acl_rights_of(&again, ANN.address, &BOB) ||
	    acl_rights_of(acl, ANN.address, &OLD_BOB) !=
		acl_rights_of(&again, ANN.address, &OLD_BOB))
		abort();
	check_former(&again);
	acl_free(&again);
	buf_free(&text);
	buf_free(&twice);
}

static void
check_identifier(struct acl *acl, struct str text)
{
	struct arena arena = { 0 };
	struct buf shown = { 0 };
	struct acl_id id, again;

	if (acl_id_parse(&arena, text, ANN.address, &id)) {
		acl_id_format(&shown, &id, NULL);
		if (!acl_id_parse(
			&arena, (struct str){ buf_cstr(&shown), shown.len }, ANN.address, &again) ||
		    again.kind != id.kind || again.negative != id.negative)
			abort();
		if (acl_set(acl, ANN.address, &id, "5f0c", ACL_ADD, ACL_READ) == STORE_OK)
			check_again(acl);
		acl_delete(acl, ANN.address, &id);
	}
	buf_free(&shown);
	arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct acl acl;
	unsigned rights;

	if (acl_parse(text, &acl)) {
		check_again(&acl);
		if ((acl_rights_of(&acl, ANN.address, &ANN) & ACL_OWNER_ALWAYS) != ACL_OWNER_ALWAYS)
			abort();
		check_identifier(&acl, text);
	}
	acl_free(&acl);
	acl = (struct acl){ 0 };
	check_identifier(&acl, text);
	acl_free(&acl);
	acl_rights_parse(text, &rights);
	return 0;
}
