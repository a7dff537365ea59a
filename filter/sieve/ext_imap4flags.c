/* setflag, addflag, removeflag, hasflag: RFC 5232.  Flags are a text with a blank between them: in the
 * internal variable (r->flags), or in a variable of the script. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"

static bool
is_not_blank(char c)
{
	return c != ' ' && c != '\t' && c != '\r' && c != '\n';
}

/* The next flag of a text; false: no more. */
static bool
flag_next(struct cursor *c, struct str *flag_out)
{
	while (!cursor_at_end(c) && !is_not_blank(*c->p))
		c->p++;
	*flag_out = cursor_take_while(c, is_not_blank);
	return flag_out->len > 0;
}

/* flag-keyword is an atom, and of flags with a backslash only those of RFC 9051 can be set; others are
 * passed over, RFC 5232 §2. */
static bool
flag_is_valid(struct str flag)
{
	static const char *const SYSTEM[] = { "\\Answered", "\\Flagged", "\\Deleted", "\\Seen",
		"\\Draft" };

	if (*flag.p == '\\') {
		for (size_t i = 0; i < ARRAY_LEN(SYSTEM); i++)
			if (str_eq_nocase(flag, str_from(SYSTEM[i])))
				return true;
		return false;
	}
	for (size_t i = 0; i < flag.len; i++)
		if ((unsigned char)flag.p[i] <= ' ' || (unsigned char)flag.p[i] >= 127 ||
		    strchr("(){%*\"\\]", flag.p[i]) != NULL)
			return false;
	return true;
}

static bool
flags_have(struct str flags, struct str flag)
{
	struct cursor c = cursor_from(flags);
	struct str each;

	while (flag_next(&c, &each))
		if (str_eq_nocase(each, flag))
			return true;
	return false;
}

/* Adds the flags of a text that are valid and not there yet. */
static void
flags_add(struct buf *to, struct str flags)
{
	struct cursor c = cursor_from(flags);
	struct str flag;

	while (flag_next(&c, &flag) && to->len < SIEVE_VARIABLE_MAX_BYTES) {
		if (!flag_is_valid(flag) || flags_have((struct str){ to->data, to->len }, flag))
			continue;
		if (to->len > 0)
			buf_addc(to, ' ');
		buf_add(to, flag.p, flag.len);
	}
}

static void
flags_remove(struct buf *to, struct str from, struct str flags)
{
	struct cursor c = cursor_from(from);
	struct str flag;

	while (flag_next(&c, &flag)) {
		if (flags_have(flags, flag))
			continue;
		if (to->len > 0)
			buf_addc(to, ' ');
		buf_add(to, flag.p, flag.len);
	}
}

/* The strings of an argument with blanks between them. */
static void
flags_of(struct sieve_run *r, const struct sieve_arg *arg, struct buf *out)
{
	for (size_t i = 0; i < arg->count; i++) {
		struct str s = sieve_expand(r, &arg->strings[i]);

		buf_add(out, s.p, s.len);
		buf_addc(out, ' ');
	}
}

static bool
flags_check(struct sieve_check *c, struct sieve_call *call)
{
	unsigned *variable;

	if (call->args[0] == NULL)
		return true;
	if (!sieve_check_has(c, SIEVE_CAP_VARIABLES))
		return sieve_check_error(
		    c, call->line, "%s: a variable needs require \"variables\"", call->spec->name);
	variable = arena_alloc(sieve_check_arena(c), sizeof(*variable));
	call->data = variable;
	return sieve_check_variable_arg(c, call->args[0], variable);
}

static struct str
flags_get(struct sieve_run *r, const struct sieve_call *call)
{
	const unsigned *variable = call->data;

	return variable != NULL ? sieve_variable(r, *variable) : r->flags;
}

static void
flags_put(struct sieve_run *r, const struct sieve_call *call, struct buf *flags)
{
	struct str text = { flags->data != NULL ? flags->data : "", flags->len };
	const unsigned *variable = call->data;

	if (variable != NULL)
		sieve_variable_set(r, *variable, text);
	else
		r->flags = sieve_copy(r, text);
	sieve_trace(
	    r, call->line, "%s: flags are now \"%.*s\"", call->spec->name, (int)text.len, text.p);
}

static bool
setflag_run(struct sieve_run *r, const struct sieve_call *call)
{
	struct buf given = { 0 }, flags = { 0 };

	flags_of(r, call->args[1], &given);
	flags_add(&flags, (struct str){ given.data, given.len });
	flags_put(r, call, &flags);
	buf_free(&given);
	buf_free(&flags);
	return true;
}

static bool
addflag_run(struct sieve_run *r, const struct sieve_call *call)
{
	struct buf given = { 0 }, flags = { 0 };

	flags_of(r, call->args[1], &given);
	flags_add(&flags, flags_get(r, call));
	flags_add(&flags, (struct str){ given.data, given.len });
	flags_put(r, call, &flags);
	buf_free(&given);
	buf_free(&flags);
	return true;
}

static bool
removeflag_run(struct sieve_run *r, const struct sieve_call *call)
{
	struct buf given = { 0 }, flags = { 0 };

	flags_of(r, call->args[1], &given);
	flags_remove(&flags, flags_get(r, call), (struct str){ given.data, given.len });
	flags_put(r, call, &flags);
	buf_free(&given);
	buf_free(&flags);
	return true;
}

/* --- hasflag --- */

struct hasflag {
	const unsigned *variables; /* NULL: the internal one */
	size_t count;
	bool split; /* a key of several flags is several keys */
};

static bool
hasflag_check(struct sieve_check *c, struct sieve_call *call)
{
	struct hasflag *data = arena_zalloc(sieve_check_arena(c), sizeof(*data));
	const struct sieve_arg *names = call->args[0];
	unsigned *variables;

	call->data = data;
	data->split = sieve_tag(call, SIEVE_TAG_CONTAINS) == NULL &&
		      sieve_tag(call, SIEVE_TAG_MATCHES) == NULL &&
		      sieve_tag(call, SIEVE_TAG_REGEX) == NULL &&
		      sieve_tag(call, SIEVE_TAG_COUNT) == NULL;
	if (names == NULL)
		return true;
	if (!sieve_check_has(c, SIEVE_CAP_VARIABLES))
		return sieve_check_error(
		    c, call->line, "hasflag: a variable needs require \"variables\"");
	variables = arena_alloc(sieve_check_arena(c), (names->count + 1) * sizeof(*variables));
	for (size_t i = 0; i < names->count; i++) {
		if (!sieve_is_constant(&names->strings[i]))
			return sieve_check_error(
			    c, names->line, "the name of a variable must be written out");
		if (!sieve_check_variable(c, names->line, names->strings[i].text, &variables[i]))
			return false;
	}
	data->variables = variables;
	data->count = names->count;
	return true;
}

/* Each flag of the list is a key, several in one string too (RFC 5232 §2). */
static void
begin_split(struct sieve_matcher *m, struct sieve_run *r, const struct sieve_call *call)
{
	struct buf given = { 0 };
	struct str text, flag, *keys;
	struct cursor c;
	size_t n = 0;

	flags_of(r, call->args[1], &given);
	text = sieve_copy(r, (struct str){ given.data, given.len });
	buf_free(&given);
	keys = arena_alloc(r->arena, (text.len / 2 + 1) * sizeof(*keys));
	for (c = cursor_from(text); flag_next(&c, &flag);)
		keys[n++] = flag;
	sieve_match_begin_keys(m, r, call, keys, n);
}

static bool
match_flags(struct sieve_matcher *m, struct str flags)
{
	struct cursor c = cursor_from(flags);
	struct str flag;

	while (flag_next(&c, &flag))
		if (sieve_match_value(m, flag))
			return true;
	return false;
}

static bool
hasflag_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	const struct hasflag *data = call->data;
	struct sieve_matcher m;

	if (data->split)
		begin_split(&m, r, call);
	else
		sieve_match_begin(&m, r, call);
	if (data->variables == NULL)
		match_flags(&m, r->flags);
	else
		for (size_t i = 0; i < data->count; i++)
			if (match_flags(&m, sieve_variable(r, data->variables[i])))
				break;
	return sieve_match_end(&m, truth_out);
}

const struct sieve_spec SIEVE_IMAP4FLAGS_SPECS[] = {
	{ .name = "setflag",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_IMAP4FLAGS,
	    .args = { SIEVE_OPTIONAL_STRING, SIEVE_STRINGS },
	    .check = flags_check,
	    .run = setflag_run },
	{ .name = "addflag",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_IMAP4FLAGS,
	    .args = { SIEVE_OPTIONAL_STRING, SIEVE_STRINGS },
	    .check = flags_check,
	    .run = addflag_run },
	{ .name = "removeflag",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_IMAP4FLAGS,
	    .args = { SIEVE_OPTIONAL_STRING, SIEVE_STRINGS },
	    .check = flags_check,
	    .run = removeflag_run },
	{ .name = "hasflag",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_IMAP4FLAGS,
	    .tags = { SIEVE_MATCH_TAGS },
	    .args = { SIEVE_OPTIONAL_STRINGS, SIEVE_STRINGS },
	    .keys_arg = 2,
	    .check = hasflag_check,
	    .test = hasflag_test },
	{ 0 },
};
