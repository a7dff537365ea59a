#include "filter/exim/match.h"

#include "filter/exim/addresses.h"
#include "filter/exim/expand.h"
#include "filter/exim/ip.h"
#include "filter/exim/regex.h"

typedef bool item_matches(struct exim_run *x, struct str subject, struct str item, bool *out);

static bool
refuse(struct exim_run *x, const char *what)
{
	return exim_fail(
	    x, FILTER_ERROR_FORBIDDEN, "%s in a list are not permitted in a filter", what);
}

/* Lookups ("lsearch;…"), files ("/…") and named lists ("+…"). */
static bool
allowed(struct exim_run *x, struct str item)
{
	size_t word = 0;

	if (item.len > 0 && item.p[0] == '/')
		return refuse(x, "files");
	if (item.len > 0 && item.p[0] == '+')
		return refuse(x, "named lists");
	if (item.len > 0 && item.p[0] == '^')
		return true;
	while (word < item.len &&
	       (ascii_is_alnum(item.p[word]) || strchr("*-_@,=.%", item.p[word]) != NULL) &&
	       item.p[word] != '\0')
		word++;
	if (word < item.len && item.p[word] == ';')
		return refuse(x, "lookups");
	return true;
}

/* Left to right: the first item that matches decides; if none does, the opposite of what the last said. */
static bool
match_list(
    struct exim_run *x, struct str subject, struct str list_text, item_matches *matches, bool *out)
{
	struct exim_list list = { .at = cursor_from(list_text) };
	struct str item;
	bool negated = false, hit;

	*out = false;
	while (exim_list_next(&x->scratch, &list, &item)) {
		if (!exim_step(x))
			return false;
		negated = item.len > 0 && item.p[0] == '!';
		if (negated)
			item = str_trim((struct str){ item.p + 1, item.len - 1 });
		if (!allowed(x, item) || !matches(x, subject, item, &hit))
			return false;
		if (hit) {
			*out = !negated;
			return true;
		}
	}
	*out = negated;
	return true;
}

/* A literal, or a wildcard: `*` and how it ends. */
static bool
ends_or_is(struct str subject, struct str item)
{
	if (item.len == 0 || item.p[0] != '*')
		return str_eq_nocase(subject, item);
	item = (struct str){ item.p + 1, item.len - 1 };
	return subject.len >= item.len &&
	       str_eq_nocase((struct str){ subject.p + subject.len - item.len, item.len }, item);
}

static bool
match_pattern(struct exim_run *x, struct str subject, struct str item, bool *out)
{
	struct exim_captures saved;

	exim_captures_save(x, &saved);
	if (!exim_match(x, subject, item, true, out))
		return false;
	exim_captures_restore(x, &saved);
	return true;
}

static bool
domain_item(struct exim_run *x, struct str subject, struct str item, bool *out)
{
	if (item.len > 0 && item.p[0] == '^')
		return match_pattern(x, subject, item, out);
	if (item.len == 1 && item.p[0] == '@')
		*out = x->message->hostname != NULL &&
		       str_eq_nocase(subject, str_from(x->message->hostname));
	else if (item.len > 1 && item.p[0] == '@')
		return refuse(x, "names that need the server's configuration");
	else
		*out = ends_or_is(subject, item);
	return true;
}

bool
exim_match_domain(struct exim_run *x, struct str subject, struct str list, bool *out)
{
	return match_list(x, subject, list, domain_item, out);
}

static bool
local_part_item(struct exim_run *x, struct str subject, struct str item, bool *out)
{
	if (item.len > 0 && item.p[0] == '^')
		return match_pattern(x, subject, item, out);
	*out = ends_or_is(subject, item);
	return true;
}

bool
exim_match_local_part(struct exim_run *x, struct str subject, struct str list, bool *out)
{
	return match_list(x, subject, list, local_part_item, out);
}

/* `local@domain` with wildcards on either side, a domain alone, or a pattern over all of it. */
static bool
address_item(struct exim_run *x, struct str subject, struct str item, bool *out)
{
	struct str local, domain, wanted_local, wanted_domain;

	*out = false;
	if (item.len == 0) {
		*out = subject.len == 0;
		return true;
	}
	if (item.p[0] == '^')
		return match_pattern(x, subject, item, out);
	if (item.len >= 2 && memcmp(item.p, "@@", 2) == 0)
		return refuse(x, "lookups");
	exim_address_split(subject, &local, &domain);
	exim_address_split(item, &wanted_local, &wanted_domain);
	if (wanted_domain.len == 0) {
		wanted_domain = item;
		wanted_local = STR("*");
	}
	*out = (domain.len > 0 || item.len == 1) && ends_or_is(local, wanted_local) &&
	       ends_or_is(domain, wanted_domain);
	return true;
}

bool
exim_match_address(struct exim_run *x, struct str subject, struct str list, bool *out)
{
	return match_list(x, subject, list, address_item, out);
}

static bool
ip_item(struct exim_run *x, struct str subject, struct str item, bool *out)
{
	struct exim_ip ip, net;

	(void)x;
	*out = false;
	if (item.len == 1 && item.p[0] == '*')
		*out = true;
	else if (item.len == 0)
		*out = subject.len == 0;
	else if (exim_ip_parse(item, true, &net) && exim_ip_parse(subject, false, &ip))
		*out = net.mask_bits < 0
			   ? net.len == ip.len && memcmp(net.bytes, ip.bytes, ip.len) == 0
			   : exim_ip_within(&ip, &net);
	return true;
}

bool
exim_match_ip(struct exim_run *x, struct str subject, struct str list, bool *out)
{
	struct exim_ip ip;

	if (subject.len > 0 && !exim_ip_parse(subject, false, &ip))
		return exim_fail(
		    x, FILTER_ERROR_EXPAND, "\"%.60s\" is not an IP address", subject.p);
	return match_list(x, subject, list, ip_item, out);
}
