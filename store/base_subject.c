#include "store/base_subject.h"

#include "store/header.h"

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP; BLOBCHAR is all but "[" and "]" (and NUL) */
static bool
take_blob(struct cursor *c)
{
	struct cursor at = *c;

	if (!cursor_take(&at, '['))
		return false;
	while (at.p < at.end && *at.p != '[' && *at.p != ']' && *at.p != '\0')
		at.p++;
	if (!cursor_take(&at, ']'))
		return false;
	cursor_take_while(&at, is_wsp);
	*c = at;
	return true;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static bool
take_refwd(struct cursor *c)
{
	struct cursor at = *c;

	if (!cursor_take_nocase(&at, STR("re")) && !cursor_take_nocase(&at, STR("fwd")) &&
	    !cursor_take_nocase(&at, STR("fw")))
		return false;
	cursor_take_while(&at, is_wsp);
	take_blob(&at);
	if (!cursor_take(&at, ':'))
		return false;
	*c = at;
	return true;
}

/* Step 2: subj-trailer = "(fwd)" / WSP, as often as it is there. */
static void
remove_trailers(struct cursor *c, bool *reply)
{
	for (;;) {
		if (c->p < c->end && is_wsp(c->end[-1])) {
			c->end--;
		} else if (cursor_left(c) >= 5 &&
			   str_eq_nocase((struct str){ c->end - 5, 5 }, STR("(fwd)"))) {
			c->end -= 5;
			*reply = true;
		} else {
			return;
		}
	}
}

/* Steps 3 to 5: subj-leader = (*subj-blob subj-refwd) / WSP, and blobs in front of something.  Blobs with no
 * subj-refwd behind them go one by one as long as text is left; that nothing else begins between them is known by
 * then, so they are looked at once. */
static void
remove_leaders(struct cursor *c, bool *reply)
{
	for (;;) {
		struct cursor at = *c, last;
		bool blob = false;

		cursor_take_while(&at, is_wsp);
		last = at;
		*c = at;
		while (take_blob(&at)) {
			if (!cursor_at_end(&at))
				last = at;
			blob = true;
		}
		if (take_refwd(&at)) {
			*reply = true;
			*c = at;
			continue;
		}
		if (blob)
			*c = last;
		return;
	}
}

struct str
base_subject(struct str text, bool *reply_out)
{
	static const struct str FWD = { "[fwd:", 5 };
	struct cursor c = cursor_from(text);

	*reply_out = false;
	for (;;) {
		struct str left;

		remove_trailers(&c, reply_out);
		remove_leaders(&c, reply_out);
		left = (struct str){ c.p, cursor_left(&c) };
		if (left.len < FWD.len + 1 || !str_has_prefix_nocase(left, FWD) || c.end[-1] != ']')
			return left;
		c.p += FWD.len;
		c.end--;
		*reply_out = true;
	}
}

void
base_subject_normal(struct buf *out, struct str value)
{
	size_t from = out->len, to = from;
	bool space = false;

	if (value.len == 0)
		return;
	header_decode(out, value);
	for (size_t i = from; i < out->len; i++) {
		char c = out->data[i];
		bool is_space = is_wsp(c) || c == '\r' || c == '\n';

		if (!is_space)
			out->data[to++] = c;
		else if (!space)
			out->data[to++] = ' ';
		space = is_space;
	}
	out->len = to;
}
