#include <strings.h>

#include "filter/exim/parse.h"

static const struct {
	const char *name;
	enum exim_condition_kind kind;
} PLAIN_CONDITIONS[] = {
	{ "delivered", EXIM_DELIVERED },
	{ "error_message", EXIM_ERROR_MESSAGE },
	{ "first_delivery", EXIM_FIRST_DELIVERY },
	{ "manually_thawed", EXIM_MANUALLY_THAWED },
};

static const struct {
	const char *lower, *upper;
	enum exim_condition_kind kind;
} OPERATORS[] = {
	{ "is", "IS", EXIM_IS },
	{ "contains", "CONTAINS", EXIM_CONTAINS },
	{ "contain", "CONTAIN", EXIM_CONTAINS },
	{ "begins", "BEGINS", EXIM_BEGINS },
	{ "begin", "BEGIN", EXIM_BEGINS },
	{ "ends", "ENDS", EXIM_ENDS },
	{ "end", "END", EXIM_ENDS },
	{ "matches", "MATCHES", EXIM_MATCHES },
	{ "match", "MATCH", EXIM_MATCHES },
	{ "above", NULL, EXIM_ABOVE },
	{ "below", NULL, EXIM_BELOW },
};

/* A word for a message about it. */
#define WORD(w) (int)((w).len < 200 ? (w).len : 200), (w).p

static bool
find_operator(struct str word, struct exim_condition *c)
{
	for (size_t i = 0; i < ARRAY_LEN(OPERATORS); i++) {
		bool lower = str_eq(word, str_from(OPERATORS[i].lower));

		if (!lower &&
		    (OPERATORS[i].upper == NULL || !str_eq(word, str_from(OPERATORS[i].upper))))
			continue;
		c->kind = OPERATORS[i].kind;
		c->exact = !lower;
		return true;
	}
	return false;
}

/* A op B, with "does", "is" and then "not" as fillers before the operator.  "is" is taken as the operator if
 * none follows it. */
static bool
parse_comparison(struct exim_parser *p, struct exim_condition *c)
{
	struct exim_lex behind_is = p->lex;
	struct str word, is = { 0 };
	bool has_is = false;

	if (!exim_lex_item(&p->lex, true, &word))
		return false;
	if (str_eq_nocase(word, STR("is")) || str_eq_nocase(word, STR("does"))) {
		has_is = word.len == 2;
		is = word;
		behind_is = p->lex;
		/* A quoted word behind "is" is what is compared with. */
		if (has_is && cursor_peek(&p->lex.at) == '"')
			goto plain_is;
		if (!exim_lex_item(&p->lex, true, &word))
			return false;
		if (str_eq_nocase(word, STR("not"))) {
			c->negated = !c->negated;
			behind_is = p->lex;
			if (has_is && cursor_peek(&p->lex.at) == '"')
				goto plain_is;
			if (!exim_lex_item(&p->lex, true, &word))
				return false;
		}
	}
	if (!find_operator(word, c)) {
		if (!has_is)
			return exim_syntax_error(&p->lex,
			    "unrecognized condition word \"%.*s\" near line %u of filter file",
			    WORD(word), p->lex.line);
	plain_is:
		p->lex = behind_is;
		c->kind = EXIM_IS;
		c->exact = !str_eq(is, STR("is"));
	}
	if (cursor_peek(&p->lex.at) == '(' || cursor_peek(&p->lex.at) == ')')
		return exim_syntax_error(&p->lex, "unexpected \"%c\" in line %u of filter file",
		    *p->lex.at.p, p->lex.line);
	return exim_lex_item(&p->lex, true, &c->b);
}

/* personal [alias ADDRESS]… */
static bool
parse_personal(struct exim_parser *p, struct exim_condition *c)
{
	struct str aliases[64], word;

	c->kind = EXIM_PERSONAL;
	for (;;) {
		struct exim_lex saved = p->lex;

		if (!exim_lex_item(&p->lex, true, &word))
			return false;
		if (!str_eq(word, STR("alias"))) {
			p->lex = saved;
			break;
		}
		if (c->alias_count == ARRAY_LEN(aliases))
			return exim_syntax_error(&p->lex, "more than %zu aliases in line %u",
			    ARRAY_LEN(aliases), p->lex.line);
		if (!exim_lex_item(&p->lex, true, &aliases[c->alias_count++]))
			return false;
	}
	c->aliases = arena_alloc(p->arena, (c->alias_count + 1) * sizeof(*c->aliases));
	memcpy(c->aliases, aliases, c->alias_count * sizeof(*c->aliases));
	return true;
}

/* foranyaddress LIST ( CONDITION ) */
static bool
parse_foranyaddress(struct exim_parser *p, struct exim_condition *c)
{
	c->kind = EXIM_FORANYADDRESS;
	if (!exim_lex_item(&p->lex, true, &c->a))
		return false;
	if (!cursor_take(&p->lex.at, '('))
		return exim_syntax_error(&p->lex,
		    "\"(\" expected after \"foranyaddress\" near line %u of filter file",
		    p->lex.line);
	exim_lex_skip(&p->lex);
	return exim_parse_condition(p, true, &c->left);
}

/* One condition or one bracket, after any number of "not". */
static bool
parse_single(struct exim_parser *p, struct exim_condition **out)
{
	struct exim_condition *c = arena_zalloc(p->arena, sizeof(*c));
	bool bare = cursor_peek(&p->lex.at) != '"', negated = false;
	struct str word;

	c->line = p->lex.line;
	if (cursor_at_end(&p->lex.at))
		return exim_syntax_error(&p->lex, "\"then\" missing at end of filter file");
	if (!exim_lex_item(&p->lex, true, &word))
		return false;
	while (bare && str_eq(word, STR("not"))) {
		negated = !negated;
		bare = cursor_peek(&p->lex.at) != '"';
		if (cursor_at_end(&p->lex.at))
			return exim_syntax_error(&p->lex, "\"then\" missing at end of filter file");
		if (!exim_lex_item(&p->lex, true, &word))
			return false;
	}
	*out = c;
	c->negated = negated;
	if (bare && str_eq(word, STR("("))) {
		if (!exim_parse_condition(p, true, out))
			return false;
		(*out)->negated ^= negated;
		return true;
	}
	if (bare && str_eq(word, STR(")")))
		return exim_syntax_error(
		    &p->lex, "unexpected \")\" in line %u of filter file", p->lex.line);
	if (bare && str_eq(word, STR("then")))
		return exim_syntax_error(&p->lex, "unexpected \"%.*s\" near line %u of filter file",
		    WORD(word), p->lex.line);
	for (size_t i = 0; i < ARRAY_LEN(PLAIN_CONDITIONS); i++)
		if (str_eq(word, str_from(PLAIN_CONDITIONS[i].name))) {
			c->kind = PLAIN_CONDITIONS[i].kind;
			return true;
		}
	if (str_eq(word, STR("personal")))
		return parse_personal(p, c);
	if (str_eq(word, STR("foranyaddress")))
		return parse_foranyaddress(p, c);
	c->a = word;
	return parse_comparison(p, c);
}

/* Conditions that are joined in the same way. */
struct chain {
	struct exim_condition *first, **tail;
};

static void
chain_add(struct chain *chain, struct exim_condition *c)
{
	if (chain->first == NULL)
		chain->tail = &chain->first;
	*chain->tail = c;
	chain->tail = &c->next;
}

/* One condition of all in the chain, which is empty then. */
static struct exim_condition *
chain_join(struct exim_parser *p, struct chain *chain, enum exim_condition_kind kind)
{
	struct exim_condition *c = chain->first;

	if (c->next != NULL) {
		c = arena_zalloc(p->arena, sizeof(*c));
		c->kind = kind;
		c->line = chain->first->line;
		c->left = chain->first;
	}
	*chain = (struct chain){ 0 };
	return c;
}

enum joint { JOINT_AND, JOINT_OR, JOINT_END };

/* What follows a condition: "and", "or", or the end, which is "then" or a closing bracket. */
static bool
parse_joint(struct exim_parser *p, bool nested, enum joint *joint_out)
{
	struct str word;

	if (cursor_peek(&p->lex.at) == ')') {
		if (!nested)
			return exim_syntax_error(
			    &p->lex, "unexpected \")\" in line %u of filter file", p->lex.line);
		p->lex.at.p++;
		exim_lex_skip(&p->lex);
		*joint_out = JOINT_END;
		return true;
	}
	if (cursor_peek(&p->lex.at) == '(')
		return exim_syntax_error(
		    &p->lex, "unexpected \"(\" in line %u of filter file", p->lex.line);
	if (cursor_at_end(&p->lex.at))
		return exim_syntax_error(&p->lex, "%s",
		    nested ? "missing \")\" at end of condition at end of filter file"
			   : "\"then\" missing at end of filter file");
	if (!exim_lex_word(&p->lex, false, &word))
		return false;
	if (str_eq(word, STR("and")))
		*joint_out = JOINT_AND;
	else if (str_eq(word, STR("or")))
		*joint_out = JOINT_OR;
	else if (str_eq(word, STR("then")) && !nested)
		*joint_out = JOINT_END;
	else if (str_eq(word, STR("then")))
		return exim_syntax_error(&p->lex,
		    "missing \")\" at end of condition near line %u of filter file", p->lex.line);
	else
		return exim_syntax_error(&p->lex,
		    "\"and\" or \"or\" or \"%s\" expected near line %u of filter file, but found "
		    "\"%.*s\"",
		    nested ? ")" : "then", p->lex.line, WORD(word));
	return true;
}

/* "and" binds tighter than "or". */
bool
exim_parse_condition(struct exim_parser *p, bool nested, struct exim_condition **out)
{
	struct chain any = { 0 }, all = { 0 };
	struct exim_condition *one;
	enum joint joint = JOINT_AND;

	if (++p->depth > EXIM_NESTING_MAX)
		return exim_syntax_error(&p->lex, "conditions are nested too deeply");
	while (joint != JOINT_END) {
		if (!parse_single(p, &one))
			return false;
		chain_add(&all, one);
		if (!parse_joint(p, nested, &joint))
			return false;
		if (joint != JOINT_AND)
			chain_add(&any, chain_join(p, &all, EXIM_AND));
	}
	p->depth--;
	*out = chain_join(p, &any, EXIM_OR);
	return true;
}
