#include "imapd/metadata.h"
#include "imapd/parse.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"

struct get_state {
	const struct imap_place *place;
	struct imap_metadata_answer answer;
	size_t at;
};

/* scope-opt = "DEPTH" SP ("0" / "1" / "infinity") */
static bool
parse_depth(struct cursor *c, struct imap_metadata_query *q)
{
	struct str word;

	if (!imap_parse_atom(c, &word))
		return false;
	q->depth = str_eq_nocase(word, STR("infinity")) ? IMAP_METADATA_DEPTH_INFINITY
		   : str_eq(word, STR("1"))             ? 1
							: 0;
	return q->depth != 0 || str_eq(word, STR("0"));
}

/* getmetadata-options = "(" getmetadata-option *(SP getmetadata-option) ")" */
static bool
parse_options(struct cursor *c, struct imap_metadata_query *q)
{
	struct str name;

	if (!cursor_take(c, '('))
		return false;
	do {
		if (!imap_parse_atom(c, &name) || !imap_parse_sp(c))
			return false;
		if (str_eq_nocase(name, STR("MAXSIZE"))) {
			uint32_t n;

			if (!imap_parse_number(c, &n))
				return false;
			q->has_max = true;
			q->max_bytes = n;
		} else if (!str_eq_nocase(name, STR("DEPTH")) || !parse_depth(c, q)) {
			return false;
		}
	} while (imap_parse_sp(c));
	return cursor_take(c, ')');
}

/* Options stand before the mailbox by the grammar (§5), and behind it in the examples (§4.2.1): both are taken.  So are
 * entries without parentheses, one after the other, as in §4.4.1. */
static bool
parse_get(struct imap_session *s, struct imap_request *req, struct imap_place *room,
    const struct imap_place **place_out, struct imap_metadata_query *q)
{
	struct cursor *c = &req->args, ahead = *c;
	bool have = false;

	if (imap_parse_sp(&ahead) && cursor_peek(&ahead) == '(') {
		req->text = "Options not understood";
		if (!parse_options(&ahead, q))
			return false;
		*c = ahead;
		have = true;
	}
	req->text = NULL;
	if (!imap_arg_metadata_place(s, req, room, place_out) || !imap_arg_sp(req))
		return false;
	ahead = *c;
	if (!have && cursor_peek(&ahead) == '(' && parse_options(&ahead, q) &&
	    imap_parse_sp(&ahead))
		*c = ahead;
	else if (!have)
		*q = (struct imap_metadata_query){ .entries = q->entries };
	req->text = "Entries expected";
	if (!imap_parse_metadata_entries(c, req->arena, q->entries, &q->entry_count))
		return false;
	while (cursor_left(c) > 1 && imap_parse_sp(c)) {
		const char *why;

		if (q->entry_count == IMAP_METADATA_ENTRIES_MAX ||
		    !imap_parse_metadata_entry(c, req->arena, &q->entries[q->entry_count++], &why))
			return false;
	}
	req->text = NULL;
	return imap_arg_end(req);
}

static enum imap_result
get_more(struct imap_session *s, struct imap_request *req, struct get_state *st)
{
	if (!imap_metadata_send(s, st->place, &st->answer, &st->at))
		return IMAP_MORE;
	if (st->answer.longest_bytes > 0)
		return imap_okf(req, "GETMETADATA done", "METADATA LONGENTRIES %llu",
		    (unsigned long long)st->answer.longest_bytes);
	return IMAP_OK;
}

/* GETMETADATA.  RFC 5464 §4.2. */
static enum imap_result
get_run(struct imap_session *s, struct imap_request *req)
{
	struct get_state *st = req->state;
	struct imap_metadata_query q = { 0 };
	struct imap_metadata m;
	struct imap_place *room;
	enum imap_result result;
	enum store_err err;

	if (st != NULL)
		return get_more(s, req, st);
	st = arena_zalloc(req->arena, sizeof(*st));
	room = arena_zalloc(req->arena, sizeof(*room));
	q.entries = arena_zalloc(req->arena, IMAP_METADATA_ENTRIES_MAX * sizeof(*q.entries));
	if (!parse_get(s, req, room, &st->place, &q))
		return IMAP_BAD;
	if (!imap_metadata_may(req, st->place, false, "", &result))
		return result;
	err = imap_metadata_open(&m, s, req->arena, st->place);
	if (err == STORE_OK)
		err = imap_metadata_get(&m, &q, &st->answer);
	imap_metadata_close(&m);
	if (err != STORE_OK)
		return imap_finish(req, err);
	req->state = st;
	return get_more(s, req, st);
}

const struct imap_command imap_cmd_getmetadata = {
	.name = "GETMETADATA",
	.rfc = "RFC 5464 4.2",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = get_run,
};
