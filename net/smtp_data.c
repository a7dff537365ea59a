/* DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030): bytes to the handlers, and their verdict. */
#include <stdio.h>
#include <stdlib.h>

#include "net/smtp_session.h"
#include "net/stream.h"

/* --- data --- */

static void
run_data_begin(struct smtp_session *s)
{
	if (s->service->handlers->data_begin != NULL)
		s->service->handlers->data_begin(s, &s->reply);
}

static void
after_data_begin(struct smtp_session *s)
{
	if (!smtp_reply_is_ok(&s->reply)) {
		smtp_session_after_reply(s, &s->reply);
		return;
	}
	smtp_session_say(s, 354, "", s->reply.text);
	s->state = STATE_DATA;
}

enum smtp_step
smtp_data_command(struct smtp_session *s, struct str args)
{
	if (args.len > 0)
		return smtp_command_bad(s, 501, "5.5.4", "DATA has no parameters");
	if (!s->in_transaction)
		return smtp_command_bad(s, 503, "5.5.1", "Say MAIL first");
	if (s->bdat_begun || s->mail.body == SMTP_BODY_BINARYMIME) /* RFC 3030 §2, §3 */
		return smtp_command_bad(s, 503, "5.5.1", "This message must go by BDAT");
	if (s->rcpt_count == 0) { /* RFC 5321 §3.3, RFC 2033 §4.2; no mistake when pipelining */
		smtp_session_say(s, 503, "5.5.1", "No valid recipients");
		return STEP_AGAIN;
	}
	smtp_reply_set(&s->reply, 354, "", "End data with <CR><LF>.<CR><LF>");
	return smtp_session_run_handler(s, SMTP_FAST_DATA_BEGIN, run_data_begin, after_data_begin);
}

/* The verdict on a message that data_end() shall not see; false if it shall. */
static bool
data_is_refused(struct smtp_session *s, struct smtp_reply *r)
{
	if (s->too_big) {
		s->why = SMTP_RESET_TOO_BIG;
		smtp_reply_set(r, 552, "5.3.4", "Message size exceeds the limit");
	} else if (s->write_failed) {
		s->why = SMTP_RESET_BAD_DATA;
		smtp_reply_set(r, 451, "4.3.0", "Cannot store the message now");
	} else if (s->service->refuse_bare_newlines && s->dots.bare_newline &&
		   s->mail.body != SMTP_BODY_BINARYMIME) {
		s->why = SMTP_RESET_BAD_DATA;
		smtp_reply_set(r, 550, "5.6.11", "Message has a bare CR or LF");
	} else {
		return false;
	}
	return true;
}

static void
run_data(struct smtp_session *s)
{
	const struct smtp_handlers *h = s->service->handlers;
	struct smtp_reply refused;

	if (s->bytes.len > 0 && !s->too_big && !s->write_failed)
		s->write_failed = !h->data_write(s, s->bytes.data, s->bytes.len);
	buf_reset(&s->bytes);
	if (!s->data_complete)
		return;
	s->reply_count = smtp_is_lmtp(s) ? s->rcpt_count : 1;
	s->replies = mem_realloc_array(NULL, s->reply_count, sizeof(*s->replies));
	for (size_t i = 0; i < s->reply_count; i++)
		smtp_reply_set(&s->replies[i], 250, "2.0.0", "Message accepted");
	if (!data_is_refused(s, &refused)) {
		h->data_end(s, s->replies, s->reply_count);
		s->in_transaction = false;
		return;
	}
	for (size_t i = 0; i < s->reply_count; i++)
		s->replies[i] = refused;
	smtp_session_run_reset(s);
}

static void
after_data(struct smtp_session *s)
{
	bool last = false;

	if (!s->data_complete)
		return;
	for (size_t i = 0; i < s->reply_count; i++) {
		smtp_session_reply(s, &s->replies[i]);
		last = last || s->replies[i].code == 421;
	}
	free(s->replies);
	s->replies = NULL;
	s->state = STATE_COMMAND;
	smtp_session_forget_transaction(s);
	if (last)
		smtp_session_finish(s);
}

static void
note_size(struct smtp_session *s, size_t more_bytes)
{
	s->total_bytes += more_bytes;
	if (s->total_bytes > s->service->size_max_bytes)
		s->too_big = true;
	if (s->too_big || s->write_failed)
		buf_free(&s->bytes);
}

/* Nobody sends so much by mistake: no more of it is read, whatever follows. */
static bool
is_flood(const struct smtp_session *s, uint64_t more_bytes)
{
	uint64_t most = 2 * s->service->size_max_bytes + SMTP_FLOOD_BYTES;

	return s->total_bytes > most || more_bytes > most - s->total_bytes;
}

static enum smtp_step
end_flood(struct smtp_session *s)
{
	return smtp_session_finish_with(s, 552, "5.3.4", "Message size exceeds the limit");
}

static enum smtp_step
wait_for_more(struct smtp_session *s)
{
	net_stream_ack_now(s->stream);
	return STEP_WAIT;
}

enum smtp_step
smtp_data_step(struct smtp_session *s)
{
	const char *in;
	size_t len, used, before = s->bytes.len;

	net_stream_input(s->stream, &in, &len);
	if (len == 0)
		return wait_for_more(s);
	used = smtp_dots_decode(&s->dots, in, len, &s->bytes);
	net_stream_consume(s->stream, used);
	note_size(s, s->bytes.len - before);
	if (is_flood(s, 0))
		return end_flood(s);
	s->data_complete = s->dots.state == SMTP_DOTS_END;
	if (s->data_complete || s->bytes.len >= SMTP_DATA_CHUNK_BYTES)
		return smtp_session_run_handler(s, 0, run_data, after_data);
	return STEP_AGAIN;
}

/* --- BDAT, RFC 3030 --- */

static void
after_bdat_begin(struct smtp_session *s)
{
	s->state = STATE_BDAT;
	s->bdat_begun = true;
	if (smtp_reply_is_ok(&s->reply))
		return;
	s->chunk_ignored = true; /* its bytes come all the same */
}

enum smtp_step
smtp_data_bdat(struct smtp_session *s, struct str args)
{
	uint64_t size;

	/* What cannot be read as a number cannot be skipped either. */
	if (!smtp_offers_chunking(s) || !smtp_parse_bdat(args, &size, &s->chunk_last))
		return smtp_session_finish_with(s, 421, "4.5.4", "Cannot follow this BDAT");
	if (is_flood(s, size))
		return end_flood(s);
	s->chunk_left = s->chunk_bytes = size;
	s->chunk_ignored = true;
	s->state = STATE_BDAT;
	if (!s->in_transaction)
		smtp_reply_set(&s->reply, 503, "5.5.1", "Say MAIL first");
	else if (s->rcpt_count == 0)
		smtp_reply_set(&s->reply, 503, "5.5.1", "No valid recipients");
	else
		s->chunk_ignored = false;
	if (s->chunk_ignored || s->bdat_begun)
		return STEP_AGAIN;
	smtp_reply_set(&s->reply, 354, "", "Go on");
	return smtp_session_run_handler(s, SMTP_FAST_DATA_BEGIN, run_data_begin, after_bdat_begin);
}

static void
after_bdat_refused(struct smtp_session *s)
{
	s->state = STATE_COMMAND;
	smtp_session_forget_transaction(s);
	smtp_session_after_reply(s, &s->reply);
}

/* The chunk is read to its end. */
static enum smtp_step
end_chunk(struct smtp_session *s)
{
	char text[64];
	bool broken = s->too_big || s->write_failed;

	if (s->chunk_ignored || (broken && !s->chunk_last)) {
		s->why = SMTP_RESET_COMMAND;
		if (!s->chunk_ignored)
			data_is_refused(s, &s->reply);
		/* Chunks that follow find no transaction, RFC 3030 §2. */
		return smtp_session_run_handler(
		    s, SMTP_FAST_RESET, smtp_session_run_reset, after_bdat_refused);
	}
	if (s->chunk_last) {
		s->data_complete = true;
		s->dots.bare_newline = s->dots.bare_newline || s->dots.state == SMTP_DOTS_CR;
		return smtp_session_run_handler(s, 0, run_data, after_data);
	}
	snprintf(text, sizeof(text), "%llu octets received", (unsigned long long)s->chunk_bytes);
	smtp_session_say(s, 250, "2.0.0", text);
	s->state = STATE_COMMAND;
	return STEP_AGAIN;
}

enum smtp_step
smtp_data_bdat_step(struct smtp_session *s)
{
	const char *in;
	size_t len;

	if (s->chunk_left == 0)
		return end_chunk(s);
	net_stream_input(s->stream, &in, &len);
	if (len == 0)
		return wait_for_more(s);
	if (len > s->chunk_left)
		len = (size_t)s->chunk_left;
	s->chunk_left -= len;
	if (!s->chunk_ignored) {
		smtp_dots_check(&s->dots, in, len);
		buf_add(&s->bytes, in, len);
		note_size(s, len);
	}
	net_stream_consume(s->stream, len);
	if (s->bytes.len >= SMTP_DATA_CHUNK_BYTES)
		return smtp_session_run_handler(s, 0, run_data, after_data);
	return STEP_AGAIN;
}
