/* FILTER runs a Sieve script over messages that a search finds: draft-bosch-imap-filter-sieve-00. */
#include <stdio.h>

#include "imapd/filters.h"
#include "imapd/imapd.h"
#include "imapd/place.h"
#include "imapd/progress.h"
#include "imapd/response.h"
#include "imapd/searching.h"
#include "imapd/session.h"
#include "net/metrics.h"
#include "store/account_scripts.h"

#define SLICE_NS UINT64_C(100000000) /* of work between two chances for others */

struct filter_state {
	enum imap_script_place place;
	struct str name; /* or the script itself */
	struct searching search;
	struct imap_script script;
	bool running;
	struct uidset left;
	uint64_t done, goal;
};

static void
state_free(void *arg)
{
	struct filter_state *st = arg;

	searching_free(&st->search);
	imap_script_close(&st->script);
	uidset_free(&st->left);
}

/* --- arguments ---------------------------------------------------------------------------------- */

static const struct {
	struct str word;
	enum imap_script_place place;
	bool has_argument;
} KINDS[] = {
	{ STR("DELIVERY"), IMAP_SCRIPT_ACTIVE, false },
	{ STR("PERSONAL"), IMAP_SCRIPT_PERSONAL, true },
	{ STR("GLOBAL"), IMAP_SCRIPT_GLOBAL, true },
	{ STR("SCRIPT"), IMAP_SCRIPT_TEXT, true },
};

/* filter-spec = "SIEVE" SP ("DELIVERY" / ("PERSONAL" / "GLOBAL") SP sieve-name / "SCRIPT" SP sieve-literal), §7.  The
 * draft's grammar lacks the SP before the arguments, its examples have it. */
static bool
parse_spec(struct imap_request *req, struct filter_state *st)
{
	struct str word;

	if (!imap_arg_atom(req, &word) || !str_eq_nocase(word, STR("SIEVE")) ||
	    !imap_arg_atom(req, &word))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
		if (!str_eq_nocase(word, KINDS[i].word))
			continue;
		st->place = KINDS[i].place;
		return !KINDS[i].has_argument || imap_arg_astring(req, &st->name);
	}
	return false;
}

/* --- answers ------------------------------------------------------------------------------------ */

/* filter-correlator = "(" "TAG" SP tag-string ")" */
static void
out_correlator(struct imap_session *s, struct imap_request *req)
{
	struct str text = search_correlator(req->arena, req->tag);

	buf_addc(&s->out, '(');
	buf_add(&s->out, text.p, text.len);
	buf_addc(&s->out, ')');
}

/* filter-data = "FILTER" SP filter-correlator SP filter-problem */
static void
send_problem(struct imap_session *s, struct imap_request *req, const char *kind, struct str text)
{
	buf_adds(&s->out, "* FILTER ");
	out_correlator(s, req);
	buf_printf(&s->out, " %s ", kind);
	imap_out_string(&s->out, text);
	buf_adds(&s->out, "\r\n");
}

/* message-data =/ nz-number SP "FILTERED" SP filter-correlator [SP "UID" SP uniqueid] SP filter-result */
static void
send_result(struct imap_session *s, struct imap_request *req, uint32_t uid,
    enum imap_filtered result, const struct buf *text)
{
	uint32_t seq = mailbox_uid_to_seq(s->box, uid);
	bool uidonly = imap_enabled(s, IMAP_ENABLED_UIDONLY); /* no number then, RFC 9586 §3 */

	if (seq == 0 || result == IMAP_FILTERED_GONE)
		return;
	buf_printf(&s->out, "* %u FILTERED ", uidonly ? uid : seq);
	out_correlator(s, req);
	buf_printf(&s->out, " UID %u ", uid);
	if (result == IMAP_FILTERED_OK) {
		buf_adds(&s->out, "OK");
	} else {
		buf_adds(&s->out, result == IMAP_FILTERED_WARNINGS ? "WARNINGS " : "ERRORS ");
		imap_out_string(&s->out, (struct str){ text->data, text->len });
	}
	buf_adds(&s->out, "\r\n");
}

/* --- the script --------------------------------------------------------------------------------- */

static enum imap_result
refuse(struct imap_session *s, struct imap_request *req, const struct filter_error *error)
{
	struct buf text = { 0 };

	if (error->line > 0)
		buf_printf(&text, "line %u: ", error->line);
	buf_printf(&text, "%s\r\n", error->text);
	send_problem(s, req, "ERRORS", (struct str){ text.data, text.len });
	buf_free(&text);
	return imap_no(req, NULL, "The filter does not compile");
}

/* Lines end with CRLF on the wire. */
static void
send_warnings(
    struct imap_session *s, struct imap_request *req, const struct filter_warnings *warnings)
{
	struct cursor c = cursor_from((struct str){ warnings->text.data, warnings->text.len });
	struct buf text = { 0 };
	struct str line;

	while (cursor_take_line(&c, &line))
		buf_printf(&text, "%.*s\r\n", (int)line.len, line.p);
	send_problem(s, req, "WARNINGS", (struct str){ text.data, text.len });
	buf_free(&text);
}

static enum imap_result
open_script(struct imap_session *s, struct imap_request *req, struct filter_state *st)
{
	/* as it will be run: for what is known of that beforehand */
	const struct filter_message facts = { .mailbox = mailbox_name(s->box) };
	struct filter_warnings warnings = { 0 };
	struct filter_error error = { 0 };
	const char *why;
	enum store_err err;

	err = imap_script_open(
	    &st->script, s->imapd->filters, s->acct, st->place, st->name, &error, &warnings);
	if (err == STORE_OK && warnings.count > 0)
		send_warnings(s, req, &warnings);
	buf_free(&warnings.text);
	if (err == STORE_INVALID)
		return refuse(s, req, &error);
	if (err == STORE_NOT_FOUND) {
		send_problem(s, req, "ERRORS", STR("There is no such script\r\n"));
		return imap_no(req, "NONEXISTENT", "There is no such script");
	}
	if (err != STORE_OK)
		return imap_finish(req, err);
	why = filter_misfit(st->script.filter, &facts);
	if (why == NULL)
		return IMAP_OK;
	snprintf(error.text, sizeof(error.text), "%s", why);
	return refuse(s, req, &error);
}

/* --- running ------------------------------------------------------------------------------------ */

static enum imap_result
run_messages(struct imap_session *s, struct imap_request *req, struct filter_state *st)
{
	static const struct imap_filter_event NONE = { 0 };
	uint64_t until_ns = metrics_now_ns() + SLICE_NS;

	while (!uidset_is_empty(&st->left)) {
		uint32_t uid = uidset_first(&st->left);
		struct buf text = { 0 };
		enum imap_filtered result =
		    imap_filter_message(s, &st->script, s->box, uid, &NONE, &text);

		send_result(s, req, uid, result, &text);
		buf_free(&text);
		uidset_remove(&st->left, uid);
		imap_progress(s, req, ++st->done, st->goal);
		if (imap_out_full(s) || metrics_now_ns() >= until_ns)
			return uidset_is_empty(&st->left) ? IMAP_OK : IMAP_MORE;
	}
	return IMAP_OK;
}

static enum imap_result
step(struct imap_session *s, struct imap_request *req, struct filter_state *st)
{
	enum imap_result result;

	if (st->running)
		return run_messages(s, req, st);
	result = searching_step(s, req, &st->search);
	if (result != IMAP_OK)
		return result;
	uidset_copy(&st->left, &st->search.result.found);
	st->goal = uidset_count(&st->left);
	st->running = true;
	return run_messages(s, req, st);
}

/* FILTER and UID FILTER.  draft-bosch-imap-filter-sieve-00 §3.2. */
static enum imap_result
filter_command(struct imap_session *s, struct imap_request *req)
{
	struct filter_state *st = req->state;
	enum imap_result result;

	if (st != NULL)
		return step(s, req, st);
	req->state = st = arena_zalloc(req->arena, sizeof(*st));
	req->state_free = state_free;
	if (!parse_spec(req, st))
		return imap_bad(req, "SIEVE and DELIVERY, PERSONAL, GLOBAL or SCRIPT expected");
	if (!imap_arg_sp(req))
		return IMAP_BAD;
	result = searching_start(s, req, &st->search, SEARCH_CHARSET_OPTIONAL);
	if (result != IMAP_OK)
		return result;
	if (s->imapd->filters == NULL)
		return imap_no(req, "UNAVAILABLE", "No filters here");
	if (mailbox_account(s->box) != s->acct)
		return imap_no(req, "NOPERM", "Only one's own mailboxes are filtered");
	if (s->read_only)
		return imap_no(req, NULL, "The mailbox is selected read-only");
	if (imap_enabled(s, IMAP_ENABLED_UIDONLY)) /* the response begins with a number */
		return imap_no(req, "CANNOT", "FILTER has no answer without message numbers");
	if ((st->place == IMAP_SCRIPT_PERSONAL || st->place == IMAP_SCRIPT_GLOBAL) &&
	    !account_script_name_is_valid(st->name))
		return imap_bad(req, "Not a possible script name");
	result = open_script(s, req, st);
	return result == IMAP_OK ? step(s, req, st) : result;
}

const struct imap_command imap_cmd_filter = {
	.name = "FILTER",
	.rfc = "draft-bosch-imap-filter-sieve-00 3.2",
	.states = IMAP_SELECTED,
	.flags = IMAP_CMD_UID | IMAP_CMD_KEEPS_NUMBERS,
	.run = filter_command,
};
