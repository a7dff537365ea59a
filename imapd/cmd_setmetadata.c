#include <stdio.h>

#include "imapd/metadata.h"
#include "imapd/parse.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/mailbox.h"
#include "store/state_metadata.h"

_Static_assert(STATE_METADATA_BYTES_MAX == 32768, "IMAP_METADATA_MAXSIZE says so");

static enum store_err
set_in(
    struct imap_metadata *m, bool shared, const struct state_metadata_entry *entries, size_t count)
{
	struct state_metadata_entry *part = arena_alloc(m->arena, count * sizeof(*part));
	uint64_t first, last;
	struct state *st;
	size_t n = 0;
	enum store_err err;

	for (size_t i = 0; i < count; i++)
		if (imap_metadata_is_shared(entries[i].name) == shared)
			part[n++] = entries[i];
	if (n == 0)
		return STORE_OK;
	err = imap_metadata_state(m, shared, true, &st);
	if (err == STORE_OK)
		err = state_metadata_set_all(st, m->mailbox_id, part, n, &first, &last);
	if (err == STORE_OK)
		imap_metadata_own(m->s, st == m->own ? m->s->acct : m->place->acct, first, last);
	return err;
}

/* What the old values were, to take a half back whose other half fails. */
static enum store_err
old_values(struct imap_metadata *m, bool shared, const struct state_metadata_entry *entries,
    size_t count, struct state_metadata_entry *old_out)
{
	struct state *st;
	enum store_err err = imap_metadata_state(m, shared, true, &st);

	for (size_t i = 0; err == STORE_OK && i < count; i++) {
		old_out[i] = (struct state_metadata_entry){ .name = entries[i].name };
		if (imap_metadata_is_shared(entries[i].name) != shared)
			continue;
		err = state_metadata_get(
		    st, m->arena, m->mailbox_id, entries[i].name, &old_out[i].value);
		if (err == STORE_NOT_FOUND) {
			old_out[i].value = (struct str){ NULL, 0 };
			err = STORE_OK;
		}
	}
	return err;
}

/* All or none, §4.3.  Of somebody else's mailbox the two halves lie in two files: the second is written when the first
 * is, and if it fails the first is taken back. */
static enum store_err
set_both(struct imap_metadata *m, const struct state_metadata_entry *entries, size_t count)
{
	struct state_metadata_entry *old;
	enum store_err err;

	if (m->place == NULL || m->place->own) {
		uint64_t first, last;
		struct state *st;

		err = imap_metadata_state(m, false, true, &st);
		if (err == STORE_OK)
			err = state_metadata_set_all(
			    st, m->mailbox_id, entries, count, &first, &last);
		if (err == STORE_OK)
			imap_metadata_own(m->s, m->s->acct, first, last);
		return err;
	}
	old = arena_zalloc(m->arena, count * sizeof(*old));
	err = old_values(m, false, entries, count, old);
	if (err == STORE_OK)
		err = set_in(m, false, entries, count);
	if (err != STORE_OK)
		return err;
	err = set_in(m, true, entries, count);
	if (err != STORE_OK)
		(void)set_in(m, false, old, count);
	return err;
}

static enum imap_result
set_all(struct imap_session *s, struct imap_request *req, const struct imap_place *place,
    const struct state_metadata_entry *entries, size_t count)
{
	enum imap_result result;
	struct imap_metadata m;
	struct str value;
	enum store_err err;

	for (size_t i = 0; i < count; i++)
		if (!imap_metadata_may(req, place, true, entries[i].name, &result))
			return result;
	err = imap_metadata_open(&m, s, req->arena, place);
	if (err != STORE_OK)
		return imap_finish(req, err);
	for (size_t i = 0; i < count; i++)
		if (imap_metadata_is_computed(&m, entries[i].name, &value))
			return imap_no(req, "CANNOT", "The administrator sets this entry");
	/* First: too many mod-sequences are harmless, one too few is not; RFC 7162 §3.2. */
	if (place != NULL)
		err = mailbox_raise_modseq(place->acct, place->name);
	if (err == STORE_OK)
		err = set_both(&m, entries, count);
	imap_metadata_close(&m);
	if (err == STORE_LIMIT)
		return imap_no(req, "METADATA TOOMANY", "No room for more annotations");
	return imap_finish(req, err);
}

/* value = nstring / literal8 */
static bool
parse_value(struct cursor *c, struct arena *a, struct str *value_out)
{
	if (cursor_peek(c) == '~')
		return imap_parse_literal(c, true, value_out);
	return imap_parse_nstring(c, a, value_out);
}

/* entry-values = "(" entry-value *(SP entry-value) ")" */
static bool
parse_values(struct imap_request *req, struct state_metadata_entry *entries, size_t *count_out)
{
	struct cursor *c = &req->args;

	req->text = "Entries with their values expected";
	*count_out = 0;
	if (!cursor_take(c, '('))
		return false;
	do {
		struct state_metadata_entry *e = &entries[*count_out];

		if (*count_out == IMAP_METADATA_ENTRIES_MAX ||
		    !imap_parse_metadata_entry(c, req->arena, &e->name, &req->text))
			return false;
		if (!state_metadata_entry_is_valid(str_from(e->name))) {
			req->text = "Not a possible entry name";
			return false;
		}
		req->text = "Value expected: a string, a literal or NIL";
		if (!imap_parse_sp(c) || !parse_value(c, req->arena, &e->value))
			return false;
		++*count_out;
	} while (imap_parse_sp(c));
	req->text = "Entries with their values expected";
	return cursor_take(c, ')');
}

/* SETMETADATA.  RFC 5464 §4.3. */
static enum imap_result
set_run(struct imap_session *s, struct imap_request *req)
{
	struct state_metadata_entry *entries =
	    arena_zalloc(req->arena, IMAP_METADATA_ENTRIES_MAX * sizeof(*entries));
	const struct imap_place *place;
	struct imap_place room;
	size_t count;

	if (!imap_arg_metadata_place(s, req, &room, &place) || !imap_arg_sp(req))
		return IMAP_BAD;
	if (!parse_values(req, entries, &count))
		return IMAP_BAD;
	req->text = NULL;
	if (!imap_arg_end(req))
		return IMAP_BAD;
	for (size_t i = 0; i < count; i++) {
		if (entries[i].value.len <= STATE_METADATA_BYTES_MAX)
			continue;
		return imap_no(
		    req, "METADATA MAXSIZE " IMAP_METADATA_MAXSIZE, "The value is too large");
	}
	return set_all(s, req, place, entries, count);
}

const struct imap_command imap_cmd_setmetadata = {
	.name = "SETMETADATA",
	.rfc = "RFC 5464 4.3",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = set_run,
};
