/* Lists as files and identifiers as clients say them: what is understood comes out the same again. */
#include <stdlib.h>
#include <string.h>

#include "store/acl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	if (acl_rights_of(acl, "ann@a.example", "bob@a.example") !=
	    acl_rights_of(&again, "ann@a.example", "bob@a.example"))
		abort();
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

	if (acl_id_parse(&arena, text, "ann@a.example", &id)) {
		acl_id_format(&shown, &id, NULL);
		if (!acl_id_parse(&arena, (struct str){ buf_cstr(&shown), shown.len },
			"ann@a.example", &again) ||
		    again.kind != id.kind || again.negative != id.negative)
			abort();
		if (acl_set(acl, "ann@a.example", &id, ACL_ADD, ACL_READ) == STORE_OK)
			check_again(acl);
		acl_delete(acl, "ann@a.example", &id);
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
		if ((acl_rights_of(&acl, "ann@a.example", "ann@a.example") & ACL_OWNER_ALWAYS) !=
		    ACL_OWNER_ALWAYS)
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
