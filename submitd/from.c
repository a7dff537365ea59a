#include "submitd/from.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/address.h"
#include "store/compose.h"
#include "store/header.h"

/* What the fields of one name say. */
struct claim {
	unsigned fields;
	size_t addresses;
	bool foreign;     /* one is not the account's own, or cannot be told */
	struct str whose; /* the first that is not, as it stands; p NULL: none can be read */
};

struct claims {
	struct claim from, sender;
	struct claim resent_from,
	    resent_sender; /* of the first such fields: the last who sent it on */
};

static bool
is_own(const struct from_check *check, const struct address *a)
{
	struct buf spec = { 0 };
	bool own;

	if (a->broken || a->route.p != NULL) /* a route leads some readers to another address */
		return false;
	address_spec(&spec, a);
	own = check->is_own(check->arg, (struct str){ spec.data, spec.len });
	buf_free(&spec);
	return own;
}

static void
add_foreign(struct claim *claim, struct str whose)
{
	if (claim->whose.p == NULL)
		claim->whose = whose;
	claim->foreign = true;
}

/* mailbox-list / address-list, RFC 5322 §3.6.2 as of RFC 6854 §3: groups may be there, also empty ones. */
static void
read_claim(const struct from_check *check, struct str value, struct claim *claim)
{
	struct arena arena = { 0 };
	struct str shown = str_trim(value);
	bool whole = false;

	claim->fields++;
	if (value.len <= FROM_FIELD_MAX) {
		for (const struct address *a = address_parse_whole(&arena, value, &whole);
		     a != NULL; a = a->next) {
			if (a->domain.p == NULL) /* a group begins or ends */
				continue;
			if (++claim->addresses > FROM_ADDRESSES_MAX || !is_own(check, a)) {
				add_foreign(claim, shown);
				break;
			}
		}
	}
	if (!whole)
		add_foreign(claim, shown);
	arena_free(&arena);
}

static void
read_claims(const struct from_check *check, struct str header, struct claims *claims)
{
	const struct {
		const char *name;
		struct claim *claim;
		bool first_only;
	} FIELDS[] = {
		{ "From", &claims->from, false },
		{ "Sender", &claims->sender, false },
		{ "Resent-From", &claims->resent_from, true },
		{ "Resent-Sender", &claims->resent_sender, true },
	};
	struct cursor c = cursor_from(header);
	struct header_field field;

	while (header_next(&c, &field)) {
		for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
			if (!str_eq_nocase(field.name, str_from(FIELDS[i].name)))
				continue;
			if (FIELDS[i].first_only && FIELDS[i].claim->fields > 0)
				continue;
			if (FIELDS[i].claim->fields < 2) /* with two it is decided */
				read_claim(check, field.value, FIELDS[i].claim);
		}
	}
}

/* One field that names the account and nobody else. */
static bool
is_own_mailbox(const struct claim *claim)
{
	return claim->fields == 1 && claim->addresses == 1 && !claim->foreign;
}

/* --- FROM_ADD_SENDER ---------------------------------------------------------------------------- */

/* The identity is given where From is one own mailbox; else Sender must give it: by RFC 5322 §3.6.2 also where there
 * are several.  A Sender that is somebody else's is wrong in either case. */
static void
mend(const struct claim *from, const struct claim *sender, bool *drop_out, bool *add_out)
{
	if (sender->fields > 0 && is_own_mailbox(sender))
		return;
	*drop_out = sender->fields > 0;
	*add_out = !is_own_mailbox(from);
}

static void
add_sender(const struct claims *claims, struct from_verdict *v)
{
	static const struct claim ACCOUNT = { .fields = 1, .addresses = 1 };

	if (claims->resent_from.fields > 0) /* RFC 5322 §3.6.6: the fields of the original stay */
		mend(&claims->resent_from, &claims->resent_sender, &v->drop_resent_sender,
		    &v->add_resent_sender);
	else /* a missing From becomes the account's */
		mend(claims->from.fields > 0 ? &claims->from : &ACCOUNT, &claims->sender,
		    &v->drop_sender, &v->add_sender);
}

/* --- FROM_REFUSE -------------------------------------------------------------------------------- */

static void
say_why(struct from_verdict *v, const char *name, const struct claim *claim)
{
	struct buf shown = { 0 };

	v->refused = true;
	if (claim->whose.p != NULL)
		header_unfold(&shown, claim->whose);
	for (size_t i = 0; i < shown.len; i++)
		if ((unsigned char)shown.data[i] < ' ' || shown.data[i] == 0x7F)
			shown.data[i] = '?';
	if (shown.len > 200) { /* not within a UTF-8 character */
		for (shown.len = 200; ((unsigned char)shown.data[shown.len] & 0xC0) == 0x80;)
			shown.len--;
	}
	if (!text_is_utf8((struct str){ shown.data, shown.len }))
		buf_reset(&shown);
	snprintf(v->why, sizeof(v->why), "%s: %s is not an address of yours", name,
	    shown.len > 0 ? buf_cstr(&shown) : "what it says");
	buf_free(&shown);
}

/* What is wrong with the fields as such; NULL: nothing. */
static const char *
misshapen(const struct claims *claims)
{
	if (claims->from.fields > 1)
		return "There is more than one From field";
	if (claims->sender.fields > 1 || claims->sender.addresses > 1)
		return "Sender is not one mailbox";
	if (claims->from.fields > 0 && claims->from.addresses == 0 && !claims->from.foreign)
		return "From has no address";
	return NULL;
}

static void
judge_strictly(const struct claims *claims, struct from_verdict *v)
{
	const struct {
		const char *name;
		const struct claim *claim;
	} FIELDS[] = {
		{ "From", &claims->from },
		{ "Sender", &claims->sender },
		{ "Resent-From", &claims->resent_from },
		{ "Resent-Sender", &claims->resent_sender },
	};
	const char *problem = misshapen(claims);

	if (problem != NULL) {
		v->refused = true;
		snprintf(v->why, sizeof(v->why), "%s", problem);
	}
	for (size_t i = 0; i < ARRAY_LEN(FIELDS) && !v->refused; i++)
		if (FIELDS[i].claim->foreign)
			say_why(v, FIELDS[i].name, FIELDS[i].claim);
	v->add_sender = claims->from.addresses > 1 && claims->sender.fields == 0;
}

void
from_judge(const struct from_check *check, struct str header, struct from_verdict *verdict_out)
{
	struct claims claims = { 0 };

	*verdict_out = (struct from_verdict){ 0 };
	if (check->policy == FROM_OFF)
		return;
	read_claims(check, header, &claims);
	if (check->policy == FROM_REFUSE)
		judge_strictly(&claims, verdict_out);
	else
		add_sender(&claims, verdict_out);
}
