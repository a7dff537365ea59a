/* replace and enclose, RFC 5703 §5 and §6: another body, or the whole message within a new one. */
#include "base/mem.h"
#include "filter/sieve/edit_part.h"
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"
#include "store/address.h"
#include "store/compose.h"
#include "store/mime.h"

/* --- both --- */

static bool
from_check(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	struct arena scratch = { 0 };
	bool ok;

	(void)call;
	if (!sieve_is_constant(arg->strings))
		return true;
	ok = sieve_is_mailbox_list(&scratch, arg->strings->text);
	arena_free(&scratch);
	return ok || sieve_check_error(c, arg->line, "the :from of a message must be an address");
}

static void
remove_all(struct sieve_run *r, const char *name)
{
	struct sieve_field *f, *next = sieve_field_next(&r->header, NULL, str_from(name));

	while ((f = next) != NULL) {
		next = sieve_field_next(&r->header, f, f->name);
		sieve_field_remove(r, f);
	}
}

/* The field gets a new value and the one that was there the name `original`. */
static bool
retitle(
    struct sieve_run *r, unsigned line, const char *name, const char *original, struct str value)
{
	struct sieve_field *old = sieve_field_next(&r->header, NULL, str_from(name));
	struct str before = old != NULL ? sieve_field_text(r, old) : (struct str){ 0 };

	if (old != NULL) {
		remove_all(r, original);
		if (!sieve_field_add(r, line, str_from(original), before, true))
			return false;
		remove_all(r, name);
	}
	return sieve_field_add(r, line, str_from(name), value, true);
}

static bool
is_content_field(struct str name)
{
	return str_has_prefix_nocase(name, STR("Content-")) ||
	       str_eq_nocase(name, STR("MIME-Version"));
}

/* The header describes another content: the fields of `block`. */
static bool
set_content_fields(struct sieve_run *r, unsigned line, struct str block)
{
	const struct sieve_fields fields = sieve_fields_of(r, block);
	struct sieve_field *next;
	bool ok = true;

	for (struct sieve_field *f = r->header.first; f != NULL; f = next) {
		next = f->next;
		if (is_content_field(f->name))
			sieve_field_remove(r, f);
	}
	ok = sieve_field_add(r, line, STR("MIME-Version"), STR("1.0"), true);
	for (struct sieve_field *f = fields.first; ok && f != NULL; f = f->next)
		if (is_content_field(f->name) && !str_eq_nocase(f->name, STR("MIME-Version")))
			ok = sieve_field_add(r, line, f->name, sieve_field_text(r, f), true);
	return ok;
}

/* --- replace --- */

static bool
replace_message(
    struct sieve_run *r, const struct sieve_call *call, const struct sieve_entity *entity)
{
	const struct sieve_arg *subject = sieve_tag(call, SIEVE_TAG_SUBJECT);
	const struct sieve_arg *from = sieve_tag(call, SIEVE_TAG_FROM);

	if (!set_content_fields(r, call->line, entity->header))
		return false;
	if (subject != NULL && !retitle(r, call->line, "Subject", "Original-Subject",
				   sieve_expand(r, subject->strings)))
		return false;
	if (from != NULL) {
		struct str value = sieve_expand(r, from->strings);

		if (!sieve_is_mailbox_list(r->arena, value))
			return sieve_run_error(
			    r, call->line, "the :from of a message must be an address");
		if (!retitle(r, call->line, "From", "Original-From", value))
			return false;
	}
	sieve_body_set(r, entity->body);
	return !sieve_run_failed(r);
}

static bool
replace_check(struct sieve_check *c, struct sieve_call *call)
{
	struct arena scratch = { 0 };
	struct sieve_entity entity;
	bool ok = true;

	if (sieve_tag(call, SIEVE_TAG_MIME) != NULL && sieve_is_constant(call->args[0]->strings))
		ok = sieve_entity_parse(&scratch, call->args[0]->strings->text, &entity);
	arena_free(&scratch);
	return ok ||
	       sieve_check_error(c, call->line, "the text of replace :mime is no MIME entity");
}

static bool
replace_run(struct sieve_run *r, const struct sieve_call *call)
{
	struct str text = sieve_expand(r, call->args[0]->strings);
	struct sieve_entity entity;

	if (sieve_tag(call, SIEVE_TAG_MIME) == NULL)
		sieve_entity_text(r->arena, text, &entity);
	else if (!sieve_entity_parse(r->arena, text, &entity))
		return sieve_run_error(
		    r, call->line, "the text of replace :mime is no MIME entity");
	sieve_trace(r, call->line, "replace %s", r->part == NULL ? "the message" : "the part");
	if (r->part == NULL)
		return replace_message(r, call, &entity);
	if (sieve_part_is_message(r->part)) /* the loop's first: all of the message */
		return replace_message(r, call, &entity) && sieve_part_set(r, call->line, &entity);
	return sieve_part_set(r, call->line, &entity);
}

/* --- enclose --- */

static bool
is_listed(struct sieve_run *r, const struct sieve_arg *names, struct str name)
{
	for (size_t i = 0; names != NULL && i < names->count; i++)
		if (str_eq_nocase(sieve_expand(r, &names->strings[i]), name))
			return true;
	return false;
}

static bool
enclose_fields(struct sieve_run *r, const struct sieve_call *call, struct str boundary)
{
	const struct sieve_arg *subject = sieve_tag(call, SIEVE_TAG_SUBJECT);
	const struct sieve_arg *names = sieve_tag(call, SIEVE_TAG_HEADERS);
	struct sieve_field *next, *old = sieve_field_next(&r->header, NULL, STR("Subject"));
	struct str title = { 0 };
	struct buf date = { 0 }, id = { 0 };
	bool ok = true;

	if (subject != NULL)
		title = sieve_expand(r, subject->strings);
	else if (old != NULL)
		title = sieve_field_text(r, old);
	for (struct sieve_field *f = r->header.first; f != NULL; f = next) {
		next = f->next;
		if (!is_listed(r, names, f->name) || is_content_field(f->name) ||
		    (subject != NULL && str_eq_nocase(f->name, STR("Subject"))))
			sieve_field_remove(r, f);
	}
	compose_date(&date, r->now);
	compose_message_id(&id, r->message->hostname != NULL ? r->message->hostname : "localhost");
	if (sieve_field_next(&r->header, NULL, STR("Date")) == NULL)
		ok = sieve_field_add(
		    r, call->line, STR("Date"), (struct str){ date.data, date.len }, true);
	if (ok && sieve_field_next(&r->header, NULL, STR("From")) == NULL)
		ok = sieve_field_add(r, call->line, STR("From"),
		    str_from(
			r->message->account != NULL ? r->message->account : "unknown@localhost"),
		    true);
	if (ok && sieve_field_next(&r->header, NULL, STR("Message-ID")) == NULL)
		ok = sieve_field_add(
		    r, call->line, STR("Message-ID"), (struct str){ id.data, id.len }, true);
	if (ok && title.p != NULL && sieve_field_next(&r->header, NULL, STR("Subject")) == NULL)
		ok = sieve_field_add(r, call->line, STR("Subject"), title, true);
	buf_free(&date);
	buf_free(&id);
	return ok && sieve_field_add(r, call->line, STR("MIME-Version"), STR("1.0"), true) &&
	       sieve_field_add(r, call->line, STR("Content-Type"),
		   str_from(arena_printf(r->arena, "multipart/mixed; boundary=\"%.*s\"",
		       (int)boundary.len, boundary.p)),
		   true);
}

static bool
enclose_run(struct sieve_run *r, const struct sieve_call *call)
{
	struct str inner = sieve_message_bytes(r);
	struct sieve_entity entity;
	struct str boundary;

	sieve_entity_text(r->arena, sieve_expand(r, call->args[0]->strings), &entity);
	boundary = sieve_boundary(r->arena, entity.body, inner);
	sieve_edit_enclosing(r);
	if (sieve_run_failed(r) || !enclose_fields(r, call, boundary))
		return false;
	sieve_body_set(r, sieve_enclosing_body(r, boundary, &entity, inner));
	sieve_trace(r, call->line, "enclose");
	return true;
}

/* --- rows --- */

static const struct sieve_tag_spec REPLACE_TAGS[] = {
	{ .name = "mime", .id = SIEVE_TAG_MIME },
	{ .name = "subject", .id = SIEVE_TAG_SUBJECT, .value = SIEVE_STRING },
	{ .name = "from", .id = SIEVE_TAG_FROM, .value = SIEVE_STRING, .check = from_check },
	{ 0 },
};

static bool
headers_check(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	(void)call;
	return sieve_check_field_names(c, arg);
}

static const struct sieve_tag_spec ENCLOSE_TAGS[] = {
	{ .name = "subject", .id = SIEVE_TAG_SUBJECT, .value = SIEVE_STRING },
	{ .name = "headers",
	    .id = SIEVE_TAG_HEADERS,
	    .value = SIEVE_STRINGS,
	    .check = headers_check },
	{ 0 },
};

const struct sieve_spec SIEVE_REPLACE_SPECS[] = {
	{ .name = "replace",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_REPLACE,
	    .tags = { REPLACE_TAGS },
	    .args = { SIEVE_STRING },
	    .check = replace_check,
	    .run = replace_run },
	{ .name = "enclose",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_ENCLOSE,
	    .tags = { ENCLOSE_TAGS },
	    .args = { SIEVE_STRING },
	    .run = enclose_run },
	{ 0 },
};
