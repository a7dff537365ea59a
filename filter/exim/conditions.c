#include "filter/exim/addresses.h"
#include "filter/exim/expand.h"
#include "filter/exim/numbers.h"
#include "filter/exim/regex.h"
#include "filter/exim/run.h"

static bool
same(struct str a, struct str b, bool exact)
{
	return exact ? str_eq(a, b) : str_eq_nocase(a, b);
}

static bool
test_is(struct str a, struct str b, bool exact)
{
	return same(a, b, exact);
}

static bool
test_begins(struct str a, struct str b, bool exact)
{
	return a.len >= b.len && same((struct str){ a.p, b.len }, b, exact);
}

static bool
test_ends(struct str a, struct str b, bool exact)
{
	return a.len >= b.len && same((struct str){ a.p + a.len - b.len, b.len }, b, exact);
}

static struct str
lowered(struct exim_run *x, struct str s)
{
	char *copy = arena_strndup(&x->scratch, s.p, s.len);

	ascii_lower_all(copy, s.len);
	return (struct str){ copy, s.len };
}

/* Without regard to case nothing contains "": Exim's own quirk. */
static bool
test_contains(struct exim_run *x, struct str a, struct str b, bool exact)
{
	if (exact)
		return str_find(a, b) != SIZE_MAX;
	return b.len > 0 && str_find(lowered(x, a), lowered(x, b)) != SIZE_MAX;
}

static const char *const NAMES[] = {
	[EXIM_IS] = "is",
	[EXIM_CONTAINS] = "contains",
	[EXIM_BEGINS] = "begins",
	[EXIM_ENDS] = "ends",
	[EXIM_MATCHES] = "matches",
	[EXIM_ABOVE] = "above",
	[EXIM_BELOW] = "below",
};

static bool
compare_numbers(
    struct exim_run *x, const struct exim_condition *c, struct str a, struct str b, bool *out)
{
	int64_t left, right;

	if (!exim_number_filter(a, &left))
		return exim_fail(
		    x, FILTER_ERROR_EXPAND, "malformed numerical string \"%.200s\"", a.p);
	if (!exim_number_filter(b, &right))
		return exim_fail(
		    x, FILTER_ERROR_EXPAND, "malformed numerical string \"%.200s\"", b.p);
	*out = c->kind == EXIM_ABOVE ? left > right : left < right;
	return true;
}

static bool
compare(struct exim_run *x, const struct exim_condition *c, bool *out)
{
	struct str a, b;

	if (!exim_value(x, c->a, "filter file", &a) || !exim_value(x, c->b, "filter file", &b))
		return false;
	switch (c->kind) {
	case EXIM_IS: *out = test_is(a, b, c->exact); break;
	case EXIM_BEGINS: *out = test_begins(a, b, c->exact); break;
	case EXIM_ENDS: *out = test_ends(a, b, c->exact); break;
	case EXIM_CONTAINS: *out = test_contains(x, a, b, c->exact); break;
	case EXIM_MATCHES:
		if (!exim_match(x, a, b, !c->exact, out))
			return false;
		break;
	default:
		if (!compare_numbers(x, c, a, b, out))
			return false;
	}
	exim_trace(x, "\"%.150s\" %s \"%.150s\": %s", a.p, NAMES[c->kind], b.p,
	    *out != c->negated ? (c->negated ? "true (not)" : "true")
			       : (c->negated ? "false (not)" : "false"));
	return true;
}

/* foranyaddress LIST (CONDITION): $thisaddress keeps the first for which it holds, or the last. */
static bool
forany_address(struct exim_run *x, const struct exim_condition *c, bool *out)
{
	struct str list, member, address;
	struct cursor at;
	const char *why;

	*out = false;
	if (!exim_value(x, c->a, "filter file", &list))
		return false;
	at = cursor_from(list);
	while (exim_address_next(&at, &member)) {
		if (!exim_step(x))
			return false;
		if (!exim_address(x->arena, member, &address, &why))
			continue;
		x->thisaddress = address;
		if (!exim_condition(x, c->left, out))
			return false;
		if (*out)
			return true;
	}
	return true; /* $thisaddress keeps the last one until `endif`, as in Exim */
}

static bool
single(struct exim_run *x, const struct exim_condition *c, bool *out)
{
	const char *sender = x->message->sender;

	switch (c->kind) {
	case EXIM_DELIVERED: *out = x->delivered; return true;
	case EXIM_ERROR_MESSAGE: *out = sender == NULL || sender[0] == '\0'; return true;
	case EXIM_FIRST_DELIVERY: *out = true; return true;
	case EXIM_MANUALLY_THAWED: *out = false; return true;
	case EXIM_PERSONAL: return exim_personal(x, c, out);
	case EXIM_FORANYADDRESS: return forany_address(x, c, out);
	default: return compare(x, c, out);
	}
}

/* Left to right; operands that are not needed are not looked at. */
bool
exim_condition(struct exim_run *x, const struct exim_condition *c, bool *out)
{
	bool stop = c->kind == EXIM_OR;

	x->line = c->line;
	if (!exim_step(x))
		return false;
	if (c->kind != EXIM_AND && c->kind != EXIM_OR) {
		if (!single(x, c, out))
			return false;
	} else {
		for (const struct exim_condition *part = c->left; part != NULL; part = part->next) {
			if (!exim_condition(x, part, out))
				return false;
			if (*out == stop)
				break;
		}
	}
	*out ^= c->negated;
	return true;
}
