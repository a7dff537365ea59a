/* vacation, RFC 5230, with seconds (RFC 6131) and a copy (RFC 8580).  Whether an answer is really sent is
 * for delivery to decide: that it is for people only, and once per correspondent (RFC 5230 §4.2, §4.5, §4.6). */
#include <inttypes.h>

#include "filter/sieve/reply.h"
#include "filter/sieve/specs.h"
#include "store/address.h"

#define DAY_S 86400

/* RFC 5230 §4.1: days are at least one; RFC 6131 §2: seconds may be 0.  The site's bounds hold for both. */
static uint64_t
vacation_period_s(struct sieve_run *r, const struct sieve_call *call)
{
	const struct filter_settings *s = r->settings;
	const struct sieve_arg *days = sieve_tag(call, SIEVE_TAG_DAYS),
			       *seconds = sieve_tag(call, SIEVE_TAG_SECONDS);
	uint64_t period = s->vacation_default_seconds;

	if (days != NULL)
		period = days->number < 1                    ? DAY_S
			 : days->number > UINT32_MAX / DAY_S ? UINT32_MAX
							     : days->number * DAY_S;
	else if (seconds != NULL)
		period = seconds->number;
	if (period < s->vacation_min_seconds)
		period = s->vacation_min_seconds;
	return period > s->vacation_max_seconds ? s->vacation_max_seconds : period;
}

/* FNV-1a of the bytes and their count, so that two arguments do not run into one. */
static uint64_t
hash_add(uint64_t hash, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		hash = (hash ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
	return (hash ^ s.len) * UINT64_C(0x100000001b3);
}

static struct str
tag_text(const struct sieve_call *call, enum sieve_tag tag)
{
	const struct sieve_arg *arg = sieve_tag(call, tag);

	return arg != NULL ? arg->strings[0].text : (struct str){ "", 0 };
}

/* What one answer is told from another by, RFC 5230 §4.2: the handle, else subject, sender, kind and
 * reason together.  As they are written: a variable in them (the subject of what came) must not make
 * each answer one of its own. */
static const char *
vacation_key(struct sieve_run *r, const struct sieve_call *call)
{
	const char *handle = sieve_tag_cstr(r, call, SIEVE_TAG_HANDLE);
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	if (handle != NULL)
		return arena_printf(r->arena, "handle:%s", handle);
	hash = hash_add(hash, tag_text(call, SIEVE_TAG_SUBJECT));
	hash = hash_add(hash, tag_text(call, SIEVE_TAG_FROM));
	hash = hash_add(hash, sieve_tag(call, SIEVE_TAG_MIME) != NULL ? STR("mime") : STR("text"));
	hash = hash_add(hash, call->args[0]->strings[0].text);
	return arena_printf(r->arena, "reason:%016" PRIx64, hash);
}

/* They are compared as localpart@domain, so a name before one goes. */
static void
vacation_addresses(struct sieve_run *r, const struct sieve_call *call, struct filter_reply *reply)
{
	const struct sieve_arg *arg = sieve_tag(call, SIEVE_TAG_ADDRESSES);
	struct buf spec = { 0 };

	if (arg == NULL)
		return;
	reply->own_addresses =
	    arena_alloc(r->arena, (arg->count + 1) * sizeof(*reply->own_addresses));
	for (size_t i = 0; i < arg->count; i++) {
		struct str text = sieve_expand(r, &arg->strings[i]);

		buf_reset(&spec);
		if (address_first(text, &spec))
			text = (struct str){ spec.data, spec.len };
		reply->own_addresses[reply->own_address_count++] = sieve_cstr(r, text);
	}
	buf_free(&spec);
}

static bool
vacation_run(struct sieve_run *r, const struct sieve_call *call)
{
	const char *from = sieve_tag_cstr(r, call, SIEVE_TAG_FROM);
	struct filter_store *fcc;
	struct filter_action *a;

	if (from != NULL && !sieve_reply_is_mailbox(str_from(from)))
		return sieve_run_error(
		    r, call->line, "vacation: '%.100s' of :from is no mail address", from);
	if (!sieve_fcc(r, call, &fcc))
		return false;
	a = sieve_action_add(r, call, FILTER_VACATION);
	if (a == NULL)
		return false;
	a->reply.from = from;
	a->reply.subject = sieve_tag_cstr(r, call, SIEVE_TAG_SUBJECT);
	a->reply.body = sieve_expand_cstr(r, &call->args[0]->strings[0]);
	a->reply.mime = sieve_tag(call, SIEVE_TAG_MIME) != NULL;
	a->reply.fcc = fcc;
	a->reply.seconds = vacation_period_s(r, call);
	if (a->reply.seconds > 0)
		a->reply.key = vacation_key(r, call);
	vacation_addresses(r, call, &a->reply);
	return !sieve_run_failed(r);
}

/* --- its row ------------------------------------------------------------------------------------ */

/* §4.5: one that is no address can only be a slip of the pen; it matches nothing. */
static bool
check_addresses(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	for (size_t i = 0; i < arg->count; i++) {
		const struct sieve_string *s = &arg->strings[i];

		if (sieve_is_constant(s) && !sieve_reply_is_mailbox(s->text))
			sieve_check_warn(c, arg->line,
			    "%s: '%.*s' of :addresses is no mail address", call->spec->name,
			    s->text.len > 100 ? 100 : (int)s->text.len, s->text.p);
	}
	return true;
}

static bool
vacation_check(struct sieve_check *c, struct sieve_call *call)
{
	return sieve_fcc_check(c, call);
}

static const struct sieve_tag_spec VACATION_TAGS[] = {
	{ .name = "days", .id = SIEVE_TAG_DAYS, .value = SIEVE_NUMBER, .group = SIEVE_GROUP_OWN },
	{ .name = "seconds",
	    .id = SIEVE_TAG_SECONDS,
	    .cap = SIEVE_CAP_VACATION_SECONDS,
	    .value = SIEVE_NUMBER,
	    .group = SIEVE_GROUP_OWN },
	{ .name = "subject", .id = SIEVE_TAG_SUBJECT, .value = SIEVE_STRING },
	{ .name = "from",
	    .id = SIEVE_TAG_FROM,
	    .value = SIEVE_STRING,
	    .check = sieve_reply_check_from },
	{ .name = "addresses",
	    .id = SIEVE_TAG_ADDRESSES,
	    .value = SIEVE_STRINGS,
	    .check = check_addresses },
	{ .name = "mime", .id = SIEVE_TAG_MIME },
	{ .name = "handle", .id = SIEVE_TAG_HANDLE, .value = SIEVE_STRING },
	{ 0 },
};

const struct sieve_spec SIEVE_VACATION_SPECS[] = {
	{ .name = "vacation",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_VACATION,
	    .tags = { VACATION_TAGS, SIEVE_FCC_TAGS, SIEVE_STORE_TAGS },
	    .args = { SIEVE_STRING },
	    .check = vacation_check,
	    .run = vacation_run },
	{ 0 },
};
