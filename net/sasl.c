#include "net/sasl.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net/sasl_mechanism.h"
#include "net/sasl_prep.h"

/* In the order they are told, best first: many clients take the first they know. */
static const struct sasl_mechanism *const MECHANISMS[] = {
	&sasl_mechanism_scram_plus,
	&sasl_mechanism_scram,
	&sasl_mechanism_plain,
	&sasl_mechanism_login,
};

unsigned
sasl_mechanisms(const struct sasl_service *service, const struct sasl_channel *channel,
    const char *prefix, struct buf *out)
{
	unsigned count = 0;

	for (size_t i = 0; channel->tls && i < ARRAY_LEN(MECHANISMS); i++) {
		if (!MECHANISMS[i]->offered(service, channel))
			continue;
		buf_printf(out, "%s%s", prefix, MECHANISMS[i]->name);
		count++;
	}
	return count;
}

struct sasl_session *
sasl_session_new(
    const struct sasl_service *service, const struct sasl_channel *channel, struct str mechanism)
{
	struct sasl_session *s;

	for (size_t i = 0; channel->tls && i < ARRAY_LEN(MECHANISMS); i++) {
		if (!str_eq_nocase(mechanism, str_from(MECHANISMS[i]->name)) ||
		    !MECHANISMS[i]->offered(service, channel))
			continue;
		s = mem_zalloc(sizeof(*s));
		s->mechanism = MECHANISMS[i];
		s->service = service;
		s->channel = *channel;
		return s;
	}
	return NULL;
}

void
sasl_session_free(struct sasl_session *s)
{
	if (s == NULL)
		return;
	if (s->state != NULL)
		s->mechanism->end(s);
	buf_free(&s->user);
	buf_free(&s->login);
	buf_free(&s->note);
	mem_wipe(s, sizeof(*s));
	free(s);
}

static void
wipe_free(struct buf *b)
{
	if (b->data != NULL)
		mem_wipe(b->data, b->cap);
	buf_free(b);
}

static enum sasl_status
run_step(struct sasl_session *s, struct str in, struct buf *challenge_out)
{
	struct buf raw = { 0 };
	enum sasl_status status;

	if (s->state == NULL && !s->mechanism->begin(s))
		return SASL_STATUS_TEMPFAIL;
	status = s->mechanism->step(s, in, &raw);
	if (status == SASL_STATUS_MORE)
		base64_encode(challenge_out, raw.data, raw.len);
	buf_cstr(&s->login);
	s->done = status == SASL_STATUS_DONE && s->login.len > 0;
	buf_free(&raw);
	return status == SASL_STATUS_DONE && !s->done ? SASL_STATUS_TEMPFAIL : status;
}

/* One base64 line from the client.  The decoded bytes may be a password. */
static enum sasl_status
run_line(struct sasl_session *s, struct str line, struct buf *challenge_out)
{
	struct buf raw = { 0 };
	enum sasl_status status = SASL_STATUS_MALFORMED;

	if (line.len > SASL_LINE_MAX_BYTES)
		return SASL_STATUS_TOO_LONG;
	buf_reserve(&raw, line.len + 1); /* no copy is left behind by growing, and never NULL */
	if (base64_decode(&raw, line))
		status = run_step(s, (struct str){ raw.data, raw.len }, challenge_out);
	wipe_free(&raw);
	return status;
}

enum sasl_status
sasl_session_start(struct sasl_session *s, const struct str *initial, struct buf *challenge_out)
{
	if (initial == NULL && s->mechanism->server_first)
		return run_step(s, (struct str){ 0 }, challenge_out);
	if (initial == NULL)
		return SASL_STATUS_MORE; /* an empty challenge asks for the first message */
	if (str_eq(*initial, STR("=")))
		return run_line(s, STR(""), challenge_out);
	/* An empty one is written "=", RFC 4954 §4. */
	return initial->len > 0 ? run_line(s, *initial, challenge_out) : SASL_STATUS_MALFORMED;
}

enum sasl_status
sasl_session_next(struct sasl_session *s, struct str line, struct buf *challenge_out)
{
	return str_eq(line, STR("*")) ? SASL_STATUS_CANCELLED : run_line(s, line, challenge_out);
}

bool
sasl_session_is_last(const struct sasl_session *s)
{
	return s->mechanism->is_last != NULL && s->mechanism->is_last(s);
}

bool
sasl_session_server_first(const struct sasl_session *s)
{
	return s->mechanism->server_first;
}

const char *
sasl_session_login(const struct sasl_session *s)
{
	return s->done ? s->login.data : NULL; /* run_step() has put the NUL */
}

const char *
sasl_session_user(const struct sasl_session *s)
{
	return s->user.data != NULL ? s->user.data : "";
}

const char *
sasl_session_mechanism(const struct sasl_session *s)
{
	return s->mechanism->name;
}

struct str
sasl_session_note(const struct sasl_session *s)
{
	return (struct str){ s->note.data, s->note.len };
}

bool
sasl_session_claim(struct sasl_session *s, struct str name)
{
	buf_reset(&s->user);
	/* libsasl2 would take blanks off the ends, and leaks where nothing is left. */
	if (name.len > SASL_USER_MAX_BYTES || !sasl_prep(name, &s->user) ||
	    s->user.len > SASL_USER_MAX_BYTES || s->user.data[0] == ' ' ||
	    s->user.data[s->user.len - 1] == ' ')
		buf_reset(&s->user);
	buf_cstr(&s->user);
	return s->user.len > 0;
}

bool
sasl_session_may_act_as(const struct sasl_session *s, struct str authzid)
{
	struct buf name = { 0 };
	struct str prepared;
	bool ok;

	if (authzid.len == 0)
		return true;
	ok = authzid.len <= SASL_USER_MAX_BYTES && sasl_prep(authzid, &name);
	prepared = (struct str){ name.data, name.len };
	ok = ok && (str_eq(prepared, (struct str){ s->user.data, s->user.len }) ||
		       (s->login.len > 0 &&
			   str_eq_nocase(prepared, (struct str){ s->login.data, s->login.len })));
	buf_free(&name);
	return ok;
}

enum sasl_status
sasl_status_of(enum sasl_verdict verdict)
{
	static const enum sasl_status STATUS[] = {
		[SASL_VERDICT_OK] = SASL_STATUS_DONE,
		[SASL_VERDICT_DENIED] = SASL_STATUS_DENIED,
		[SASL_VERDICT_TEMPFAIL] = SASL_STATUS_TEMPFAIL,
	};

	return (size_t)verdict < ARRAY_LEN(STATUS) ? STATUS[verdict] : SASL_STATUS_TEMPFAIL;
}
