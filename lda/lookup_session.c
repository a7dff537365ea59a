#include "lda/lookup_session.h"

#include <stdlib.h>

#include "base/mem.h"
#include "lda/lookup.h"
#include "net/cidr.h"
#include "net/loop.h"
#include "net/stream.h"
#include "service/service.h"

struct lookup_session {
	struct lookup_sessions *sessions;
	struct lookup_session *next, **link;
	struct net_stream *st; /* NULL: gone */
	bool busy, last;       /* a question is being answered; no more shall be */

	/* the question, the job's while busy */
	struct lookup_request request;
	enum lookup_result result;
	char *text;
};

static void
session_free(struct lookup_session *s)
{
	*s->link = s->next;
	if (s->next != NULL)
		s->next->link = s->link;
	free(s->text);
	free(s);
}

static void
answer(struct lookup_session *s, enum lookup_result result, const char *text)
{
	struct buf out = { 0 };

	lookup_answer_write(&out, s->request.protocol, result, text);
	net_stream_write_buf(s->st, &out);
	buf_free(&out);
}

static void
run_job(void *arg)
{
	struct lookup_session *s = arg;

	s->result = lookup_answer(s->sessions->lookup, &s->request, &s->text);
}

static void
on_job_done(void *arg)
{
	struct lookup_session *s = arg;

	s->busy = false;
	if (s->st == NULL) {
		session_free(s);
		return;
	}
	answer(s, s->result, s->text);
	free(s->text);
	s->text = NULL;
	if (s->last)
		net_stream_close(s->st);
	else
		net_stream_resume(s->st);
}

static void
on_input(void *arg)
{
	struct lookup_session *s = arg;
	struct str bytes;
	size_t used;

	while (!s->busy && net_stream_pending(s->st) < NET_OUTPUT_HIGH_BYTES) {
		net_stream_input(s->st, &bytes.p, &bytes.len);
		switch (lookup_request_read(bytes, &s->request, &used)) {
		case LOOKUP_READ_MORE: return;
		case LOOKUP_READ_END: net_stream_close(s->st); return;
		case LOOKUP_READ_BAD: answer(s, LOOKUP_REFUSED, "not understood"); break;
		case LOOKUP_READ_YES:
			s->busy = true;
			net_stream_pause(s->st);
			net_job_run(net_stream_loop(s->st), run_job, on_job_done, s);
			break;
		}
		net_stream_consume(s->st, used);
	}
}

/* What was asked before the end is still answered. */
static void
on_eof(void *arg)
{
	struct lookup_session *s = arg;

	s->last = true;
	if (!s->busy)
		net_stream_close(s->st);
}

static void
on_closed(void *arg, enum net_closed why, const char *detail)
{
	struct lookup_session *s = arg;

	(void)why, (void)detail;
	s->st = NULL;
	if (!s->busy)
		session_free(s);
}

static const struct net_stream_events EVENTS = {
	.on_input = on_input,
	.on_drained = on_input,
	.on_eof = on_eof,
	.on_closed = on_closed,
};

void
lookup_session_start(struct lookup_sessions *sessions, struct net_stream *st)
{
	struct lookup_session *s = mem_zalloc(sizeof(*s));
	const struct net_ip *ip = net_stream_peer_ip(st);

	s->sessions = sessions;
	s->st = st;
	s->next = sessions->first;
	s->link = &sessions->first;
	if (s->next != NULL)
		s->next->link = &s->next;
	sessions->first = s;
	net_stream_begin(st, &EVENTS, s);
	net_stream_timeout(
	    st, (unsigned)config_duration_s(sessions->service->config, "lda.timeout"));
	if (ip == NULL || net_cidr_list_match(&sessions->service->relays, ip))
		return;
	log_warn(sessions->service->log, "lookup-refused", "peer=%s", net_stream_peer(st));
	net_stream_close(st);
}

void
lookup_sessions_drain(struct lookup_sessions *sessions)
{
	for (struct lookup_session *s = sessions->first; s != NULL; s = s->next) {
		s->last = true;
		if (!s->busy && s->st != NULL)
			net_stream_close(s->st);
	}
}
