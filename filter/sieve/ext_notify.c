/* notify, valid_notify_method, notify_method_capability: RFC 5435, by mail: RFC 5436.  (The modifier
 * :encodeurl of `set` stands with its kind in ext_variables.c.) */
#include "filter/sieve/mailto.h"
#include "filter/sieve/reply.h"
#include "filter/sieve/specs.h"

#define IMPORTANCE_NORMAL 2

static int
shown(struct str s)
{
	return s.len > 100 ? 100 : (int)s.len;
}

/* RFC 5435 §3.4: "1", "2" or "3"; 0: none of them. */
static unsigned
importance_of(struct str text)
{
	return text.len == 1 && text.p[0] >= '1' && text.p[0] <= '3' ? (unsigned)(text.p[0] - '0')
								     : 0;
}

/* option = l-d-p "=" value; RFC 5435 §3.5: l-d *l-d-p */
static bool
is_option(struct str text)
{
	size_t i = 0;

	while (i < text.len &&
	       (ascii_is_alnum(text.p[i]) ||
		   (i > 0 && (text.p[i] == '.' || text.p[i] == '-' || text.p[i] == '_'))))
		i++;
	return i > 0 && i < text.len && text.p[i] == '=' && memchr(text.p, '\n', text.len) == NULL;
}

/* --- notify ------------------------------------------------------------------------------------- */

static bool
notify_options(struct sieve_run *r, const struct sieve_call *call, struct filter_notify *notify)
{
	const struct sieve_arg *arg = sieve_tag(call, SIEVE_TAG_OPTIONS);

	if (arg == NULL)
		return true;
	notify->options = arena_alloc(r->arena, (arg->count + 1) * sizeof(*notify->options));
	for (size_t i = 0; i < arg->count; i++) {
		struct str option = sieve_expand(r, &arg->strings[i]);

		if (!is_option(option))
			return sieve_run_error(r, call->line,
			    "notify: '%.*s' of :options is not \"name=value\"", shown(option),
			    option.p);
		notify->options[notify->option_count++] = sieve_cstr(r, option);
	}
	return true;
}

static bool
notify_importance(struct sieve_run *r, const struct sieve_call *call, unsigned *importance_out)
{
	const struct sieve_arg *arg = sieve_tag(call, SIEVE_TAG_IMPORTANCE);
	struct str text;

	*importance_out = IMPORTANCE_NORMAL;
	if (arg == NULL)
		return true;
	text = sieve_expand(r, &arg->strings[0]);
	*importance_out = importance_of(text);
	if (*importance_out == 0)
		return sieve_run_error(r, call->line,
		    "notify: :importance must be \"1\", \"2\" or \"3\", not '%.*s'", shown(text),
		    text.p);
	return true;
}

static bool
notify_run(struct sieve_run *r, const struct sieve_call *call)
{
	struct str uri = sieve_expand(r, &call->args[0]->strings[0]);
	const char *why, *from = sieve_tag_cstr(r, call, SIEVE_TAG_FROM);
	struct filter_notify notify = { 0 };
	struct filter_action *a;
	struct mailto mailto;

	if (sieve_run_failed(r))
		return false;
	if (!mailto_parse(r->arena, uri, &mailto, &why))
		return sieve_run_error(r, call->line, "notify: '%.*s': %s", shown(uri), uri.p, why);
	if (from != NULL && !sieve_reply_is_mailbox(str_from(from)))
		return sieve_run_error(
		    r, call->line, "notify: '%.100s' of :from is no mail address", from);
	if (!notify_importance(r, call, &notify.importance) || !notify_options(r, call, &notify) ||
	    !sieve_fcc(r, call, &notify.fcc))
		return false;
	a = sieve_action_add(r, call, FILTER_NOTIFY);
	if (a == NULL)
		return false;
	notify.method = sieve_cstr(r, uri);
	notify.from = from;
	notify.message = sieve_tag_cstr(r, call, SIEVE_TAG_MESSAGE);
	notify.to = mailto.to;
	notify.to_count = mailto.to_count;
	a->notify = notify;
	return !sieve_run_failed(r);
}

static bool
check_importance(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	const struct sieve_string *s = &arg->strings[0];

	(void)call;
	if (!sieve_is_constant(s) || importance_of(s->text) != 0)
		return true;
	return sieve_check_error(c, arg->line, "notify: :importance must be \"1\", \"2\" or \"3\"");
}

static bool
check_options(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	(void)call;
	for (size_t i = 0; i < arg->count; i++) {
		const struct sieve_string *s = &arg->strings[i];

		if (sieve_is_constant(s) && !is_option(s->text))
			return sieve_check_error(c, arg->line,
			    "notify: '%.*s' of :options is not \"name=value\"", shown(s->text),
			    s->text.p);
	}
	sieve_check_warn(c, arg->line, "notify: mail has no use for :options"); /* RFC 5436 §2.5 */
	return true;
}

static bool
notify_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_string *uri = &call->args[0]->strings[0];
	struct arena arena = { 0 };
	struct mailto mailto;
	const char *why;
	bool ok = true;

	if (!sieve_fcc_check(c, call))
		return false;
	if (!sieve_is_constant(uri))
		return true;
	if (!mailto_parse(&arena, uri->text, &mailto, &why))
		ok = sieve_check_error(
		    c, call->line, "notify: '%.*s': %s", shown(uri->text), uri->text.p, why);
	else if (mailto.to_count == 0)
		sieve_check_warn(c, call->line, "notify: the URI names nobody");
	else if (mailto.ignored != NULL)
		sieve_check_warn(
		    c, call->line, "notify: '%.100s' in the URI does not count", mailto.ignored);
	arena_free(&arena);
	return ok;
}

/* --- tests -------------------------------------------------------------------------------------- */

static bool
is_valid_method(struct sieve_run *r, struct str uri)
{
	struct mailto mailto;
	const char *why;

	return mailto_parse(r->arena, uri, &mailto, &why);
}

/* True if all are: RFC 5435 §4. */
static bool
valid_notify_method_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	const struct sieve_arg *uris = call->args[0];

	*truth_out = true;
	for (size_t i = 0; i < uris->count && *truth_out; i++)
		*truth_out = is_valid_method(r, sieve_expand(r, &uris->strings[i]));
	return !sieve_run_failed(r);
}

/* RFC 5435 §5.  The one capability is "online"; of mail nobody can say, RFC 5436 §2.2. */
static bool
notify_method_capability_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	struct str uri = sieve_expand(r, &call->args[0]->strings[0]);
	struct str capability = sieve_expand(r, &call->args[1]->strings[0]);
	struct sieve_matcher m;

	sieve_match_begin(&m, r, call);
	if (is_valid_method(r, uri) && str_eq_nocase(capability, STR("online")))
		sieve_match_value(&m, STR("maybe"));
	return sieve_match_end(&m, truth_out);
}

/* --- their rows --------------------------------------------------------------------------------- */

static const struct sieve_tag_spec NOTIFY_TAGS[] = {
	{ .name = "from",
	    .id = SIEVE_TAG_FROM,
	    .value = SIEVE_STRING,
	    .check = sieve_reply_check_from },
	{ .name = "importance",
	    .id = SIEVE_TAG_IMPORTANCE,
	    .value = SIEVE_STRING,
	    .check = check_importance },
	{ .name = "options",
	    .id = SIEVE_TAG_OPTIONS,
	    .value = SIEVE_STRINGS,
	    .check = check_options },
	{ .name = "message", .id = SIEVE_TAG_MESSAGE, .value = SIEVE_STRING },
	{ 0 },
};

const struct sieve_spec SIEVE_NOTIFY_SPECS[] = {
	{ .name = "notify",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_ENOTIFY,
	    .tags = { NOTIFY_TAGS, SIEVE_FCC_TAGS, SIEVE_STORE_TAGS },
	    .args = { SIEVE_STRING },
	    .check = notify_check,
	    .run = notify_run },
	{ .name = "valid_notify_method",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_ENOTIFY,
	    .args = { SIEVE_STRINGS },
	    .test = valid_notify_method_test },
	{ .name = "notify_method_capability",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_ENOTIFY,
	    .tags = { SIEVE_MATCH_TAGS },
	    .args = { SIEVE_STRING, SIEVE_STRING, SIEVE_STRINGS },
	    .keys_arg = 3,
	    .test = notify_method_capability_test },
	{ 0 },
};
