/* address and envelope, RFC 5228 §5.1 and §5.4; :user and :detail, RFC 5233. */
#include "filter/sieve/address_part.h"
#include "filter/sieve/ext_dsn.h"
#include "filter/sieve/ext_mime.h"
#include "filter/sieve/index_tags.h"
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"
#include "store/address.h"

const struct sieve_tag_spec SIEVE_ADDRESS_PART_TAGS[] = {
	{ .name = "all", .id = SIEVE_TAG_ALL, .group = SIEVE_GROUP_ADDRESS_PART },
	{ .name = "localpart", .id = SIEVE_TAG_LOCALPART, .group = SIEVE_GROUP_ADDRESS_PART },
	{ .name = "domain", .id = SIEVE_TAG_DOMAIN, .group = SIEVE_GROUP_ADDRESS_PART },
	{ .name = "user",
	    .id = SIEVE_TAG_USER,
	    .cap = SIEVE_CAP_SUBADDRESS,
	    .group = SIEVE_GROUP_ADDRESS_PART },
	{ .name = "detail",
	    .id = SIEVE_TAG_DETAIL,
	    .cap = SIEVE_CAP_SUBADDRESS,
	    .group = SIEVE_GROUP_ADDRESS_PART },
	{ 0 },
};

static enum sieve_tag
part_tag(const struct sieve_call *call)
{
	for (size_t i = 0; i < call->tag_count; i++)
		if (call->tags[i].tag >= SIEVE_TAG_LOCALPART &&
		    call->tags[i].tag <= SIEVE_TAG_DETAIL)
			return call->tags[i].tag;
	return SIEVE_TAG_ALL;
}

bool
sieve_address_part(struct sieve_run *r, const struct sieve_call *call, struct str local,
    struct str domain, struct str *part_out)
{
	const char *delimiter =
	    local.len > 0 ? memchr(local.p, r->settings->detail_delimiter, local.len) : NULL;
	char *all;

	switch (part_tag(call)) {
	case SIEVE_TAG_LOCALPART: *part_out = local; return true;
	case SIEVE_TAG_DOMAIN: *part_out = domain; return true;
	case SIEVE_TAG_USER:
		*part_out = local;
		if (delimiter != NULL)
			part_out->len = (size_t)(delimiter - local.p);
		return true;
	case SIEVE_TAG_DETAIL:
		if (delimiter == NULL)
			return false;
		*part_out =
		    (struct str){ delimiter + 1, local.len - 1 - (size_t)(delimiter - local.p) };
		return true;
	default:
		all = arena_alloc(r->arena, local.len + domain.len + 2);
		if (local.len > 0)
			memcpy(all, local.p, local.len);
		all[local.len] = '@';
		if (domain.len > 0)
			memcpy(all + local.len + 1, domain.p, domain.len);
		*part_out = (struct str){ all, local.len + 1 + domain.len };
		return true;
	}
}

/* --- address --- */

/* Fields that hold addresses; others are an error, RFC 5228 §5.1. */
static const char *const ADDRESS_FIELDS[] = {
	"from",
	"to",
	"cc",
	"bcc",
	"sender",
	"reply-to",
	"resent-from",
	"resent-to",
	"resent-cc",
	"resent-bcc",
	"resent-sender",
	"resent-reply-to",
	"return-path",
	"delivered-to",
	"x-original-to",
	"envelope-from",
	"envelope-to",
	"x-envelope-from",
	"x-envelope-to",
	"errors-to",
	"disposition-notification-to",
	"return-receipt-to",
	"mail-followup-to",
	"mail-reply-to",
	"approved",
	"for-approval",
	"for-handling",
	"for-comment",
	"apparently-to",
	"abuse-reports-to",
	"x-admin",
	"x-beenthere",
	"x-confirm-reading-to",
	"prevent-nondelivery-report",
	"generate-delivery-report",
	"x400-originator",
	"x400-recipients",
	"alternate-recipient",
	"original-recipient",
	"x-loop",
	"x-sender",
};

static bool
is_address_field(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(ADDRESS_FIELDS); i++)
		if (str_eq_nocase(name, str_from(ADDRESS_FIELDS[i])))
			return true;
	return false;
}

static bool
address_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_arg *names = call->args[0];

	if (!sieve_mime_check(c, call))
		return false;
	for (size_t i = 0; i < names->count; i++) {
		struct str name = names->strings[i].text;

		if (sieve_is_constant(&names->strings[i]) && !is_address_field(name))
			return sieve_check_error(c, names->line,
			    "'%.*s' is no header field with addresses",
			    name.len > 60 ? 60 : (int)name.len, name.p);
	}
	return true;
}

/* :all is the addr-spec of RFC 5322 §3.4.1, so a local part that needs its quotes keeps them. */
static bool
address_part(struct sieve_matcher *m, const struct address *a, struct str *part_out)
{
	struct buf spec = { 0 };

	if (part_tag(m->call) != SIEVE_TAG_ALL)
		return sieve_address_part(m->r, m->call, a->mailbox, a->domain, part_out);
	address_spec(&spec, a);
	*part_out = (struct str){ arena_strndup(m->r->arena, spec.data, spec.len), spec.len };
	buf_free(&spec);
	return true;
}

/* A field without a single address in it is text that :all can match, and no part of one: RFC 5228 §5.1. */
static bool
match_addresses(struct sieve_matcher *m, struct sieve_field *field)
{
	bool broken = false, good = false;
	struct str part;

	for (const struct address *a = sieve_field_addresses(m->r, field); a != NULL; a = a->next) {
		if (a->domain.p == NULL)
			continue; /* a group's start or end */
		if (a->broken) {
			broken = true;
			continue;
		}
		good = true;
		if (address_part(m, a, &part) && sieve_match_value(m, part))
			return true;
	}
	return broken && !good && part_tag(m->call) == SIEVE_TAG_ALL &&
	       sieve_match_value(m, sieve_field_text(m->r, field));
}

static bool
address_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	return sieve_match_fields(r, call, match_addresses, truth_out);
}

/* --- envelope --- */

/* A part that is an address; the others are in ext_dsn.c. */
struct envelope_part {
	const char *name;
	const char *(*get)(struct sieve_run *r); /* NULL: there is none */
};

static const char *
get_from(struct sieve_run *r)
{
	return r->message->sender;
}

static const char *
get_to(struct sieve_run *r)
{
	return r->message->rcpt;
}

static const struct envelope_part ENVELOPE_PARTS[] = {
	{ "from", get_from },
	{ "to", get_to },
};

static const struct envelope_part *
envelope_part(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(ENVELOPE_PARTS); i++)
		if (str_eq_nocase(name, str_from(ENVELOPE_PARTS[i].name)))
			return &ENVELOPE_PARTS[i];
	return NULL;
}

static const struct sieve_envelope_part *
other_part(struct str name)
{
	const struct sieve_envelope_part *part = SIEVE_DSN_PARTS;

	while (part->name != NULL && !str_eq_nocase(name, str_from(part->name)))
		part++;
	return part->name != NULL ? part : NULL;
}

static bool
envelope_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_arg *names = call->args[0];

	for (size_t i = 0; i < names->count; i++) {
		struct str name = names->strings[i].text;
		const struct sieve_envelope_part *other = other_part(name);

		if (!sieve_is_constant(&names->strings[i]) || envelope_part(name) != NULL)
			continue;
		if (other == NULL || !sieve_check_has(c, other->cap))
			return sieve_check_error(c, names->line,
			    "the envelope has no part '%.*s'; is a require missing?",
			    name.len > 60 ? 60 : (int)name.len, name.p);
		if (part_tag(call) != SIEVE_TAG_ALL)
			return sieve_check_error(c, names->line,
			    "envelope part '%s' is no address, and has only :all", other->name);
	}
	return true;
}

/* The null reverse-path is "" for every address part, RFC 5228 §5.4, and :count does not count it,
 * RFC 5231 §4.2. */
static bool
match_envelope(struct sieve_matcher *m, const struct envelope_part *part)
{
	const char *value = part->get(m->r), *at = value != NULL ? strrchr(value, '@') : NULL;
	struct str text;

	if (value == NULL)
		return false;
	text = str_from(value);
	if (text.len == 0 && sieve_match_counts(m))
		return false;
	if (text.len > 0 && at != NULL &&
	    !sieve_address_part(m->r, m->call, (struct str){ value, (size_t)(at - value) },
		str_from(at + 1), &text))
		return false;
	return sieve_match_value(m, text);
}

static bool
envelope_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	const struct sieve_arg *names = call->args[0];
	struct sieve_matcher m;
	bool done = false;

	if (r->message->imap_cause != NULL) /* RFC 6785 §4.6 */
		return sieve_run_error(r, call->line, "there is no envelope in an IMAP event");
	sieve_match_begin(&m, r, call);
	for (size_t i = 0; i < names->count && !done; i++) {
		struct str name = sieve_expand(r, &names->strings[i]);
		const struct envelope_part *part = envelope_part(name);
		const struct sieve_envelope_part *other = other_part(name);

		if (part != NULL)
			done = match_envelope(&m, part);
		else if (other != NULL)
			done = other->match(&m);
	}
	return sieve_match_end(&m, truth_out);
}

const struct sieve_spec SIEVE_ADDRESS_SPECS[] = {
	{ .name = "address",
	    .kind = SIEVE_TEST,
	    .tags = { SIEVE_MATCH_TAGS, SIEVE_ADDRESS_PART_TAGS, SIEVE_INDEX_TAGS,
		SIEVE_MIME_TAGS },
	    .args = { SIEVE_STRINGS, SIEVE_STRINGS },
	    .keys_arg = 2,
	    .check = address_check,
	    .test = address_test },
	{ .name = "envelope",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_ENVELOPE,
	    .tags = { SIEVE_MATCH_TAGS, SIEVE_ADDRESS_PART_TAGS, SIEVE_DSN_ENVELOPE_TAGS },
	    .args = { SIEVE_STRINGS, SIEVE_STRINGS },
	    .keys_arg = 2,
	    .check = envelope_check,
	    .test = envelope_test },
	{ 0 },
};
