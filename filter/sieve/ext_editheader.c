/* addheader and deleteheader, RFC 5293.  What they change is seen by the tests and actions behind them.
 * A change that is not allowed is passed over in silence (§6). */
#include "filter/sieve/index_tags.h"
#include "filter/sieve/specs.h"

#define VALUE_MAX_BYTES SIEVE_VARIABLE_MAX_BYTES

/* Deleting these is never allowed, §6: they end loops. */
static bool
is_trace(struct str name)
{
	return str_eq_nocase(name, STR("Received")) || str_eq_nocase(name, STR("Auto-Submitted")) ||
	       str_eq_nocase(name, STR(FILTER_REDIRECT_MARK));
}

/* The administrator's; Subject can always be changed, §6. */
static bool
is_protected(const struct sieve_run *r, struct str name)
{
	const char *const *p = r->settings->protected_headers;

	if (p == NULL || str_eq_nocase(name, STR("Subject")))
		return false;
	for (; *p != NULL; p++)
		if (str_eq_nocase(name, str_from(*p)))
			return true;
	return false;
}

static bool
take_name(struct sieve_run *r, const struct sieve_call *call, struct str *name_out)
{
	*name_out = sieve_expand(r, &call->args[0]->strings[0]);
	if (sieve_run_failed(r) || sieve_is_field_name(*name_out))
		return !sieve_run_failed(r);
	return sieve_run_error(r, call->line, "%s: '%.*s' is no name of a header field",
	    call->spec->name, name_out->len > 60 ? 60 : (int)name_out->len, name_out->p);
}

static bool
names_check(struct sieve_check *c, struct sieve_call *call)
{
	return sieve_check_field_names(c, call->args[0]);
}

/* --- addheader, §4 ------------------------------------------------------------------------------ */

static bool
addheader_run(struct sieve_run *r, const struct sieve_call *call)
{
	struct str name, value = sieve_expand(r, &call->args[1]->strings[0]);

	if (!take_name(r, call, &name))
		return false;
	if (value.len > VALUE_MAX_BYTES)
		return sieve_run_error(
		    r, call->line, "addheader: the value is longer than %d bytes", VALUE_MAX_BYTES);
	if (value.len > 0 && memchr(value.p, '\0', value.len) != NULL)
		return sieve_run_error(r, call->line, "addheader: there is a NUL in the value");
	if (is_protected(r, name)) {
		sieve_trace(r, call->line, "%.*s is protected", (int)name.len, name.p);
		return true;
	}
	return sieve_field_add(r, call->line, name, value, sieve_tag(call, SIEVE_TAG_LAST) != NULL);
}

/* --- deleteheader, §5 --------------------------------------------------------------------------- */

static bool
is_meant(
    struct sieve_run *r, const struct sieve_call *call, struct sieve_field *field, bool *truth_out)
{
	struct sieve_matcher m;

	*truth_out = true;
	if (call->args[1] == NULL)
		return true;
	sieve_match_begin(&m, r, call);
	sieve_match_value(&m, sieve_field_text(r, field));
	return sieve_match_end(&m, truth_out);
}

/* With :index only that one field is looked at, and it goes if it matches too. */
static bool
delete_fields(struct sieve_run *r, const struct sieve_call *call, struct str name)
{
	const struct sieve_arg *index = sieve_tag(call, SIEVE_TAG_INDEX);
	bool last = sieve_tag(call, SIEVE_TAG_LAST) != NULL, truth;
	struct sieve_field *field = last ? r->header.last : r->header.first, *next;
	uint64_t at = 0;

	for (; field != NULL; field = next) {
		next = last ? field->prev : field->next;
		if (!str_eq_nocase(field->name, name))
			continue;
		if (index != NULL && ++at != index->number)
			continue;
		if (!sieve_run_step(r, call->line, 1) || !is_meant(r, call, field, &truth))
			return false;
		if (truth)
			sieve_field_remove(r, field);
		if (index != NULL)
			break;
	}
	return true;
}

static bool
deleteheader_run(struct sieve_run *r, const struct sieve_call *call)
{
	struct str name;

	if (!take_name(r, call, &name))
		return false;
	if (is_trace(name) || is_protected(r, name)) {
		sieve_trace(r, call->line, "%.*s is protected", (int)name.len, name.p);
		return true;
	}
	return delete_fields(r, call, name);
}

static bool
deleteheader_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_string *name = &call->args[0]->strings[0];

	if (sieve_is_constant(name) && is_trace(name->text))
		sieve_check_warn(c, call->line, "deleteheader: %.*s cannot be deleted",
		    (int)name->text.len, name->text.p);
	return names_check(c, call);
}

/* --- their rows --------------------------------------------------------------------------------- */

static const struct sieve_tag_spec ADDHEADER_TAGS[] = {
	{ .name = "last", .id = SIEVE_TAG_LAST },
	{ 0 },
};

static const struct sieve_tag_spec DELETEHEADER_TAGS[] = {
	{ .name = "index",
	    .id = SIEVE_TAG_INDEX,
	    .value = SIEVE_NUMBER,
	    .check = sieve_check_index },
	{ .name = "last", .id = SIEVE_TAG_LAST, .check = sieve_check_last },
	{ 0 },
};

const struct sieve_spec SIEVE_EDITHEADER_SPECS[] = {
	{ .name = "addheader",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_EDITHEADER,
	    .tags = { ADDHEADER_TAGS },
	    .args = { SIEVE_STRING, SIEVE_STRING },
	    .check = names_check,
	    .run = addheader_run },
	{ .name = "deleteheader",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_EDITHEADER,
	    .tags = { SIEVE_MATCH_TAGS, DELETEHEADER_TAGS },
	    .args = { SIEVE_STRING, SIEVE_TRAILING_STRINGS },
	    .keys_arg = 2,
	    .check = deleteheader_check,
	    .run = deleteheader_run },
	{ 0 },
};
