#include "imapd/gather.h"
#include "imapd/messages.h"
#include "imapd/progress.h"
#include "imapd/response.h"
#include "imapd/searching.h"
#include "imapd/session.h"
#include "imapd/thread.h"

struct thread_state {
	struct searching searching;
	struct thread *thread;
	struct gather gather;
	bool gathering;
	uint32_t count;
};

static void
thread_state_free(void *arg)
{
	struct thread_state *st = arg;

	searching_free(&st->searching);
	thread_free(st->thread);
}

static bool
on_message(void *arg, const struct gathered *m)
{
	struct thread_state *st = arg;

	st->count++;
	return thread_add(
	    st->thread, search_result_number(&st->searching.result, m->uid), m->date_s, m->keys);
}

static void
gather_begin(struct imap_session *s, struct thread_state *st)
{
	st->gather.box = s->box;
	st->gather.uids = &st->searching.result.found;
	st->gather.needs = GATHER_KEYS | GATHER_DATE;
	st->gather.cb = on_message;
	st->gather.arg = st;
	st->gathering = true;
}

static enum imap_result
thread_step(struct imap_session *s, struct imap_request *req, struct thread_state *st)
{
	enum imap_result result = searching_step(s, req, &st->searching);
	enum store_err err;
	bool done;

	if (result != IMAP_OK)
		return result;
	if (req->limited_uid != 0) { /* a part of the messages makes no threads, RFC 9738 §3.3 */
		req->limited_uid = 0;
		return messages_refuse_limit(req, messages_limit(s), 0);
	}
	if (!st->gathering)
		gather_begin(s, st);
	err = gather_step(&st->gather, &done);
	if (err != STORE_OK)
		return imap_finish(req, err);
	if (!done) {
		imap_progress(s, req, st->count, uidset_count(&st->searching.result.found));
		return IMAP_MORE;
	}
	buf_adds(&s->out, "* THREAD");
	thread_out(st->thread, &s->out);
	buf_adds(&s->out, "\r\n");
	return IMAP_OK;
}

/* THREAD finds messages and says what answers what.  RFC 5256 §3. */
static enum imap_result
thread_command(struct imap_session *s, struct imap_request *req)
{
	struct thread_state *st = req->state;
	enum thread_algorithm algorithm;
	enum imap_result result;
	struct str name;

	if (st != NULL)
		return thread_step(s, req, st);
	req->state = st = arena_zalloc(req->arena, sizeof(*st));
	req->state_free = thread_state_free;
	if (!imap_arg_atom(req, &name) || !thread_algorithm_find(name, &algorithm) ||
	    !imap_arg_sp(req))
		return imap_bad(req, "Threading algorithm not known");
	result = searching_start(s, req, &st->searching, SEARCH_CHARSET_FIRST);
	if (result != IMAP_OK)
		return result;
	st->thread = thread_new(algorithm);
	return thread_step(s, req, st);
}

const struct imap_command imap_cmd_thread = {
	.name = "THREAD",
	.rfc = "RFC 5256 3",
	.states = IMAP_SELECTED,
	.flags = IMAP_CMD_UID | IMAP_CMD_KEEPS_NUMBERS,
	.run = thread_command,
};
