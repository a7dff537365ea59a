/* foreverypart and break, RFC 5703 §3: a loop over the parts of a message, or within another loop
 * over what is below the part that it is at.  Depth first, a multipart before its parts. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"
#include "store/mime.h"

/* The part behind `part` among those below `within`; NULL: no more.  What is below a part that has been
 * replaced is gone. */
static const struct mime_part *
part_after(const struct mime_part *part, const struct mime_part *within, bool replaced)
{
	if (part->first_child != NULL && !replaced)
		return part->first_child;
	while (part != within && part->next == NULL)
		part = part->parent;
	return part == within ? NULL : part->next;
}

/* What the block's flow means for this loop; false: the loop is over. */
static bool
goes_on(struct sieve_run *r, const struct sieve_call *call)
{
	if (r->flow == SIEVE_BREAK && r->broken == call)
		r->flow = SIEVE_GO_ON;
	else if (r->flow == SIEVE_GO_ON)
		return true;
	return false;
}

static bool
foreverypart_run(struct sieve_run *r, const struct sieve_call *call)
{
	struct sieve_part here = { .outer = r->part };
	const struct mime_part *within;
	bool ok = true;

	if (r->part != NULL) {
		here.within = r->part->bytes;
		within = r->part->mime;
		here.at = part_after(within, within, false);
	} else {
		here.within = sieve_message_bytes(r);
		within = sieve_message_mime(r)->root;
		here.at = within;
	}
	while (ok && here.at != NULL && sieve_run_step(r, call->line, 1)) {
		here.bytes = here.within;
		here.mime = here.at;
		r->part = &here;
		sieve_trace(r, call->line, "part %.*s/%.*s", (int)here.mime->type.len,
		    here.mime->type.p, (int)here.mime->subtype.len, here.mime->subtype.p);
		ok = sieve_run_block(r, call->block);
		r->part = here.outer;
		if (!ok || !goes_on(r, call))
			break;
		here.at = part_after(here.at, within, here.mime != here.at);
	}
	return ok && !sieve_run_failed(r);
}

/* --- break ------------------------------------------------------------------------------------ */

static bool
name_check(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	(void)call;
	return sieve_is_constant(arg->strings) ||
	       sieve_check_error(c, arg->line, "the :name of a loop must be a constant");
}

static bool
has_name(const struct sieve_call *loop, const struct sieve_arg *name)
{
	const struct sieve_arg *own = sieve_tag(loop, SIEVE_TAG_NAME);

	return name == NULL || (own != NULL && str_eq(own->strings->text, name->strings->text));
}

/* Which loop it ends: the innermost, or the innermost of that :name. */
static bool
break_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_arg *name = sieve_tag(call, SIEVE_TAG_NAME);
	const struct sieve_call *loop = sieve_check_inside(c, "foreverypart");

	if (loop == NULL)
		return sieve_check_error(c, call->line, "break is not inside of foreverypart");
	while (loop != NULL && !has_name(loop, name))
		loop = sieve_check_outside(c, loop, "foreverypart");
	if (loop == NULL)
		return sieve_check_error(c, call->line,
		    "no foreverypart around it has the name \"%.*s\"", (int)name->strings->text.len,
		    name->strings->text.p);
	call->data = loop;
	return true;
}

static bool
break_run(struct sieve_run *r, const struct sieve_call *call)
{
	r->flow = SIEVE_BREAK;
	r->broken = call->data;
	return true;
}

static const struct sieve_tag_spec NAME_TAGS[] = {
	{ .name = "name", .id = SIEVE_TAG_NAME, .value = SIEVE_STRING, .check = name_check },
	{ 0 },
};

const struct sieve_spec SIEVE_FOREVERYPART_SPECS[] = {
	{ .name = "foreverypart",
	    .kind = SIEVE_CONTROL,
	    .cap = SIEVE_CAP_FOREVERYPART,
	    .tags = { NAME_TAGS },
	    .block = true,
	    .run = foreverypart_run },
	{ .name = "break",
	    .kind = SIEVE_CONTROL,
	    .cap = SIEVE_CAP_FOREVERYPART,
	    .tags = { NAME_TAGS },
	    .check = break_check,
	    .run = break_run },
	{ 0 },
};
