#include "filter/sieve/ext_mime.h"

#include "base/mem.h"
#include "filter/sieve/sieve.h"
#include "store/mime.h"
#include "store/mime_params.h"

#define GROUP_OPTION (SIEVE_GROUP_OWN + 20)

const struct sieve_tag_spec SIEVE_MIME_TAGS[] = {
	{ .name = "mime", .id = SIEVE_TAG_MIME, .cap = SIEVE_CAP_MIME },
	{ .name = "anychild", .id = SIEVE_TAG_ANYCHILD, .cap = SIEVE_CAP_MIME },
	{ 0 },
};

const struct sieve_tag_spec SIEVE_MIME_OPTION_TAGS[] = {
	{ .name = "type", .id = SIEVE_TAG_MIME_TYPE, .cap = SIEVE_CAP_MIME, .group = GROUP_OPTION },
	{ .name = "subtype",
	    .id = SIEVE_TAG_MIME_SUBTYPE,
	    .cap = SIEVE_CAP_MIME,
	    .group = GROUP_OPTION },
	{ .name = "contenttype",
	    .id = SIEVE_TAG_MIME_CONTENTTYPE,
	    .cap = SIEVE_CAP_MIME,
	    .group = GROUP_OPTION },
	{ .name = "param",
	    .id = SIEVE_TAG_MIME_PARAM,
	    .cap = SIEVE_CAP_MIME,
	    .value = SIEVE_STRINGS,
	    .group = GROUP_OPTION },
	{ 0 },
};

bool
sieve_mime_has_option(const struct sieve_call *call)
{
	return sieve_tag(call, SIEVE_TAG_MIME_TYPE) != NULL ||
	       sieve_tag(call, SIEVE_TAG_MIME_SUBTYPE) != NULL ||
	       sieve_tag(call, SIEVE_TAG_MIME_CONTENTTYPE) != NULL ||
	       sieve_tag(call, SIEVE_TAG_MIME_PARAM) != NULL;
}

bool
sieve_mime_check(struct sieve_check *c, struct sieve_call *call)
{
	if (sieve_tag(call, SIEVE_TAG_MIME) == NULL &&
	    (sieve_tag(call, SIEVE_TAG_ANYCHILD) != NULL || sieve_mime_has_option(call)))
		return sieve_check_error(c, call->line,
		    "%s: :anychild, :type, :subtype, :contenttype and :param need :mime",
		    call->spec->name);
	return true;
}

/* What a field means; len 0 where a value is not there, p NULL where nothing can have one. */
struct meaning {
	struct str type, subtype;
	struct mime_param *params;
	size_t param_count;
};

static void
read_field(struct arena *a, const struct sieve_field *field, struct meaning *m)
{
	struct mime_info info = { 0 };
	struct mime_part part = { 0 };

	if (str_eq_nocase(field->name, STR("Content-Type"))) {
		if (!mime_parse_type(a, field->value, &part, &info))
			return;
		*m = (struct meaning){ part.type, part.subtype, info.params, info.param_count };
		return;
	}
	/* All other fields with parameters have the shape of Content-Disposition. */
	mime_parse_disposition(a, field->value, &info);
	m->params = info.disposition_params;
	m->param_count = info.disposition_param_count;
	if (str_eq_nocase(field->name, STR("Content-Disposition")))
		m->type = info.disposition;
}

static struct str
full_type(struct arena *a, const struct meaning *m)
{
	const char *text;

	if (m->subtype.len == 0)
		return m->type;
	text = arena_printf(
	    a, "%.*s/%.*s", (int)m->type.len, m->type.p, (int)m->subtype.len, m->subtype.p);
	return str_from(text);
}

static bool
match_params(struct sieve_matcher *m, const struct meaning *meaning, const struct sieve_arg *names)
{
	bool done = false;

	for (size_t i = 0; i < names->count && !done; i++) {
		const char *name = sieve_expand_cstr(m->r, &names->strings[i]);
		struct buf value = { 0 };

		if (mime_param_utf8(meaning->params, meaning->param_count, name, &value))
			done = sieve_match_value(
			    m, sieve_copy(m->r, (struct str){ value.data, value.len }));
		buf_free(&value);
	}
	return done;
}

static struct str
or_blank(struct str s)
{
	return s.p != NULL ? s : (struct str){ "", 0 };
}

bool
sieve_mime_match(
    struct sieve_matcher *m, const struct sieve_call *call, const struct sieve_field *field)
{
	const struct sieve_arg *names = sieve_tag(call, SIEVE_TAG_MIME_PARAM);
	struct meaning meaning = { 0 };

	read_field(m->r->arena, field, &meaning);
	if (names != NULL)
		return match_params(m, &meaning, names);
	if (sieve_tag(call, SIEVE_TAG_MIME_TYPE) != NULL)
		return sieve_match_value(m, or_blank(meaning.type));
	if (sieve_tag(call, SIEVE_TAG_MIME_SUBTYPE) != NULL)
		return sieve_match_value(m, or_blank(meaning.subtype));
	return sieve_match_value(m, or_blank(full_type(m->r->arena, &meaning)));
}
