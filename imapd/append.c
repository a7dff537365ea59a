#include "imapd/append.h"

#include <errno.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"
#include "imapd/append_url.h"
#include "imapd/imapd.h"
#include "imapd/imapsieve.h"
#include "imapd/messages.h"
#include "imapd/response.h"
#include "store/mailbox.h"

/* What comes next in the command's text. */
enum append_at {
	AT_MESSAGE,  /* append-message, or the end */
	AT_PART,     /* cat-part */
	AT_URL,      /* nothing yet: a URL is being copied */
	AT_PART_END, /* SP and another cat-part, or ")" */
	AT_UTF8_END, /* the ")" behind the literal of UTF8 */
};

/* Looks for 8-bit bytes in the header of a message that comes in pieces. */
struct header_watch {
	bool over; /* the blank line has passed */
	bool in_line;
	bool eight_bit;
};

struct append_state {
	struct append *ap;
	struct imap_append_target target;
	enum append_at at;
	unsigned messages;
	uint64_t text_bytes; /* that stood between literals so far */
	bool catenating;
	bool paused;    /* the text at hand is not done */
	bool binary;    /* the literal at hand may hold NULs */
	uint64_t bytes; /* of the message at hand, announced or copied */
	uint64_t literal_bytes, literal_left;
	bool wrapped; /* see unwrap() */
	/* What is parsed of one message or URL, and needed no longer: of them there may be any number. */
	struct arena parsed;
	struct header_watch header;
	struct append_url url;
};

uint64_t
imap_append_limit_bytes(const struct imap_session *s, const struct account *acct)
{
	uint64_t own = acct != NULL ? account_message_max_bytes(acct) : 0;

	return own != 0 ? own : s->imapd->message_max_bytes;
}

enum imap_result
imap_append_refuse(struct imap_request *req, enum store_err err)
{
	if (err == STORE_NOT_FOUND)
		return imap_no(req, "TRYCREATE", "No such mailbox");
	if (err == STORE_CHANGED)
		return imap_no(req, "EXPUNGEISSUED", "The message to replace is not there");
	return imap_finish(req, err);
}

static void
state_free(void *state)
{
	struct append_state *st = state;

	append_url_close(&st->url);
	append_end(st->ap);
	arena_free(&st->parsed);
}

enum imap_result
imap_append_into(
    struct imap_session *s, struct imap_request *req, const struct imap_append_target *target)
{
	struct append_state *st;
	struct append *ap;
	enum imap_result result;
	enum store_err err;

	if (!imap_place_may(req, &target->to, ACL_INSERT, &result))
		return result;
	err = append_begin(target->to.acct, target->to.name, &ap);
	if (err != STORE_OK)
		return imap_append_refuse(req, err);
	if (target->replaced_uid != 0)
		err = append_replaces(ap, s->box, target->replaced_uid);
	if (err != STORE_OK) {
		append_end(ap);
		return imap_append_refuse(req, err);
	}
	st = arena_zalloc(req->arena, sizeof(*st));
	st->target = *target;
	st->ap = ap;
	req->state = st;
	req->state_free = state_free;
	return IMAP_WAIT;
}

enum store_err
imap_append_commit(struct imap_session *s, const struct imap_append_target *target,
    struct append *ap, struct buf *code_out)
{
	struct uidset uids = { 0 };
	uint32_t uidvalidity;
	enum store_err err = STORE_DENIED;

	/* the client may have taken hours for its literal */
	if (imap_place_still(s, target->to.shown, target->to.acct, ACL_INSERT))
		err = append_commit(ap, &uidvalidity, &uids);
	if (err == STORE_OK) {
		if ((target->to.rights & ACL_READ) != 0) {
			buf_printf(code_out, "APPENDUID %u ", uidvalidity);
			uidset_format(&uids, code_out);
		}
		imap_sieve_event(s, &(struct imap_sieve_event){ .cause = IMAP_SIEVE_APPEND,
					.acct = target->to.acct,
					.mailbox = target->to.name,
					.uidvalidity = uidvalidity,
					.uids = &uids });
	}
	uidset_free(&uids);
	return err;
}

/* --- bytes ------------------------------------------------------------------------------------- */

static void
watch_header(struct header_watch *w, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && !w->over; i++) {
		if (bytes[i] == '\n') {
			w->over = !w->in_line;
			w->in_line = false;
		} else if (bytes[i] != '\r') {
			w->in_line = true;
			w->eight_bit |= (unsigned char)bytes[i] >= 0x80;
		}
	}
}

/* RFC 6855 §4: without ENABLE UTF8=ACCEPT no 8-bit character comes into a header; IMAP4rev2 permits them, RFC 9051 §6.3.12.
 * Mail of decades has such fields, and a client that moves it here may not enable anything: for that there is a setting. */
static bool
refuses_8bit(const struct imap_session *s)
{
	return !imap_enabled(s, IMAP_ENABLED_UTF8 | IMAP_ENABLED_REV2) &&
	       !config_bool(s->imapd->config, "imapd.append_8bit_headers");
}

static enum imap_result
take_bytes(struct imap_session *s, struct imap_request *req, const char *bytes, size_t len)
{
	struct append_state *st = req->state;
	enum store_err err;

	watch_header(&st->header, bytes, len);
	if (st->header.eight_bit && refuses_8bit(s))
		return imap_no(req, "CANNOT", "8-bit header fields need ENABLE UTF8=ACCEPT first");
	err = append_write(st->ap, bytes, len);
	return err == STORE_OK ? IMAP_WAIT : imap_append_refuse(req, err);
}

/* Python's imaplib (3.11, say), once it has enabled UTF8=ACCEPT, puts the "UTF8 (" and ")" of RFC 6855 §4 into the literal,
 * not around it.  No header begins like that: they are taken off. */
static struct str
unwrap(const struct imap_session *s, struct append_state *st, struct str bytes)
{
	static const struct str OPEN = { "UTF8 (", 6 };
	bool first = st->literal_left == st->literal_bytes;

	st->literal_left -= bytes.len < st->literal_left ? bytes.len : st->literal_left;
	if (first && st->at == AT_MESSAGE && imap_enabled(s, IMAP_ENABLED_UTF8))
		st->wrapped = str_has_prefix(bytes, OPEN);
	if (first && st->wrapped)
		bytes = (struct str){ bytes.p + OPEN.len, bytes.len - OPEN.len };
	if (st->wrapped && st->literal_left == 0 && bytes.len > 0 && bytes.p[bytes.len - 1] == ')')
		bytes.len--;
	return bytes;
}

/* literal = … *CHAR8, which has no NUL; literal8 has, RFC 9051 §9. */
enum imap_result
imap_append_data(struct imap_session *s, struct imap_request *req, struct str bytes)
{
	struct append_state *st = req->state;

	if (!st->binary && memchr(bytes.p, '\0', bytes.len) != NULL)
		return imap_no(req, "CANNOT", "NUL in a message needs a literal8, ~{n}");
	bytes = unwrap(s, st, bytes);
	return take_bytes(s, req, bytes.p, bytes.len);
}

/* --- text between the data --------------------------------------------------------------------- */

/* Each of these parses what comes next.  True: go on; false: *result_out is for the caller. */
struct piece {
	struct imap_session *s;
	struct imap_request *req;
	struct append_state *st;
	const struct imap_literal *literal; /* announced behind the text, NULL: none */
};

static bool
stop(enum imap_result result, enum imap_result *result_out)
{
	*result_out = result;
	return false;
}

/* The text ends here, and the literal follows. */
static bool
literal_follows(const struct piece *p)
{
	return p->literal != NULL && cursor_at_end(&p->req->args);
}

/* "UTF8" SP "(" before a literal8 */
static bool
take_utf8(const struct piece *p)
{
	struct cursor *c = &p->req->args;

	return cursor_take_nocase(c, STR("UTF8")) && imap_parse_sp(c) && cursor_take(c, '(') &&
	       literal_follows(p) && p->literal->binary;
}

/* The limit of the account that gets the message. */
static uint64_t
limit_bytes(const struct piece *p)
{
	return imap_append_limit_bytes(p->s, p->st->target.to.acct);
}

static bool
add_bytes(const struct piece *p, uint64_t bytes, enum imap_result *result_out)
{
	uint64_t limit = limit_bytes(p);

	if (bytes > limit || p->st->bytes > limit - bytes)
		return stop(imap_no(p->req, "TOOBIG", "Larger than APPENDLIMIT"), result_out);
	p->st->bytes += bytes;
	return true;
}

/* The literal's bytes may come; what is parsed behind them is `then`. */
static bool
want_literal(const struct piece *p, enum append_at then, enum imap_result *result_out)
{
	if (!add_bytes(p, p->literal->size_bytes, result_out))
		return false;
	p->st->binary = p->literal->binary;
	p->st->literal_bytes = p->st->literal_left = p->literal->size_bytes;
	p->st->wrapped = false;
	p->st->at = then;
	return stop(IMAP_WAIT, result_out);
}

/* [SP flag-list] [SP date-time] SP */
static bool
parse_flags_and_date(const struct piece *p, struct imap_flags *flags, int64_t *date_s)
{
	struct cursor *c = &p->req->args;

	arena_reset(&p->st->parsed);
	if (!imap_parse_sp(c))
		return false;
	if (cursor_peek(c) == '(' &&
	    (!imap_parse_flag_list(c, &p->st->parsed, flags) || !imap_parse_sp(c)))
		return false;
	return cursor_peek(c) != '"' || (imap_parse_date_time(c, date_s) && imap_parse_sp(c));
}

static bool
refuse_syntax(const struct piece *p, enum imap_result *result_out)
{
	return stop(imap_bad(p->req, "Flags, date or a literal expected"), result_out);
}

/* Flags that the rights do not let one set are left out, RFC 4314 §4. */
static bool
take_options(const struct piece *p, struct append_message_info *info, enum imap_result *result_out)
{
	unsigned rights = p->st->target.to.rights;
	struct imap_flags flags = { 0 };

	info->internaldate_s = -1;
	if (!parse_flags_and_date(p, &flags, &info->internaldate_s))
		return refuse_syntax(p, result_out);
	if (flags.beyond)
		return stop(imap_finish(p->req, STORE_LIMIT), result_out);
	info->flags = flags.bits & imap_flags_allowed(rights);
	info->keywords = flags.keywords;
	info->keyword_count = (rights & ACL_WRITE) != 0 ? flags.keyword_count : 0;
	return true;
}

static bool
begin_message(const struct piece *p, struct append_message_info *info, enum imap_result *result_out)
{
	uint32_t limit = messages_save_limit(p->s); /* RFC 9738 §3.1 */
	struct append_state *st = p->st;
	enum store_err err;

	st->messages++;
	if (limit != 0 && limit < st->target.messages_max && st->messages > limit)
		return stop(messages_refuse_limit(p->req, limit, 0), result_out);
	if (st->messages > st->target.messages_max)
		return stop(
		    imap_no(p->req, "LIMIT", "Too many messages in one APPEND"), result_out);
	if (p->literal != NULL && p->literal->size_bytes > limit_bytes(p))
		return stop(imap_no(p->req, "TOOBIG", "Larger than APPENDLIMIT"), result_out);
	if (p->literal != NULL)
		info->announced_bytes = p->literal->size_bytes;
	st->bytes = 0;
	st->header = (struct header_watch){ 0 };
	err = append_message(st->ap, info);
	return err == STORE_OK || stop(imap_append_refuse(p->req, err), result_out);
}

/* RFC 3502 §6.3.11: so the client gives up. */
static bool
refuse_empty(const struct piece *p, enum imap_result *result_out)
{
	return stop(imap_no(p->req, NULL, "An empty message cancels APPEND"), result_out);
}

static bool
at_message(const struct piece *p, enum imap_result *result_out)
{
	struct append_message_info info = { 0 };
	struct append_state *st = p->st;
	struct cursor *c = &p->req->args;

	if (st->messages > 0 && p->literal == NULL && cursor_at_end(c))
		return stop(st->target.commit(p->s, p->req, &st->target, st->ap), result_out);
	if (st->messages > 0 && st->target.replaced_uid != 0)
		return stop(imap_bad(p->req, "One message only"), result_out);
	if (!take_options(p, &info, result_out))
		return false;
	if (literal_follows(p)) {
		if (p->literal->size_bytes == 0)
			return refuse_empty(p, result_out);
		return begin_message(p, &info, result_out) &&
		       want_literal(p, AT_MESSAGE, result_out);
	}
	if (cursor_take_nocase(c, STR("CATENATE"))) {
		if (!imap_parse_sp(c) || !cursor_take(c, '('))
			return stop(imap_bad(p->req, "A list of parts expected"), result_out);
		st->catenating = true;
		st->at = AT_PART;
		return begin_message(p, &info, result_out);
	}
	if (!take_utf8(p))
		return refuse_syntax(p, result_out);
	if (p->literal->size_bytes == 0)
		return refuse_empty(p, result_out);
	return begin_message(p, &info, result_out) && want_literal(p, AT_UTF8_END, result_out);
}

/* url-resp-text, RFC 4469 §5: without what could end the response code or the line. */
static bool
refuse_url(const struct piece *p, struct str url, enum imap_result *result_out)
{
	struct buf code = { 0 };

	buf_adds(&code, url.len > 0 ? "BADURL " : "BADURL"); /* resp-text-code = atom [SP 1*…] */
	for (size_t i = 0; i < url.len && i < IMAP_LINE_LOGIN_MAX_BYTES; i++) {
		unsigned char ch = (unsigned char)url.p[i];

		if (ch <= ' ' || ch >= 0x7f || ch == ']' || ch == '"' || ch == '\\')
			buf_printf(&code, "%%%02X", ch);
		else
			buf_addc(&code, url.p[i]);
	}
	imap_no(p->req, buf_cstr(&code), "The URL names nothing that can be read here");
	buf_free(&code);
	return stop(IMAP_NO, result_out);
}

static bool
open_url(const struct piece *p, enum imap_result *result_out)
{
	struct append_state *st = p->st;
	enum store_err err;
	struct str url;

	arena_reset(&st->parsed);
	if (!imap_parse_sp(&p->req->args) || !imap_parse_astring(&p->req->args, &st->parsed, &url))
		return stop(imap_bad(p->req, "A URL expected"), result_out);
	err = append_url_open(p->s, &st->parsed, &st->url, url);
	if (err == STORE_INVALID)
		return refuse_url(p, url, result_out);
	if (err != STORE_OK)
		return stop(imap_finish(p->req, err), result_out);
	st->at = AT_URL;
	return add_bytes(p, st->url.left, result_out);
}

static bool
at_part(const struct piece *p, enum imap_result *result_out)
{
	struct cursor *c = &p->req->args;

	if (cursor_take_nocase(c, STR("URL")))
		return open_url(p, result_out);
	if (cursor_take_nocase(c, STR("TEXT"))) {
		if (imap_parse_sp(c) && literal_follows(p))
			return want_literal(p, AT_PART_END, result_out);
	} else if (take_utf8(p)) {
		return want_literal(p, AT_UTF8_END, result_out);
	}
	return stop(imap_bad(p->req, "TEXT, URL or UTF8 expected"), result_out);
}

/* Copies a slice; what was read to find the part counts. */
static bool
at_url(const struct piece *p, enum imap_result *result_out)
{
	struct append_state *st = p->st;
	char bytes[MIME_READ_BUFFER_BYTES];
	uint64_t copied = st->url.parsed_bytes;

	st->url.parsed_bytes = 0;
	while (copied < IMAP_APPEND_SLICE_BYTES) {
		ssize_t n = append_url_read(&st->url, bytes, sizeof(bytes));
		enum imap_result result;

		if (n < 0) {
			log_error(p->s->log, "catenate", "errno=%d", errno);
			return stop(
			    imap_no(p->req, "UNAVAILABLE", "A part could not be read"), result_out);
		}
		if (n == 0) {
			st->at = AT_PART_END;
			return true;
		}
		result = take_bytes(p->s, p->req, bytes, (size_t)n);
		if (result != IMAP_WAIT)
			return stop(result, result_out);
		copied += (uint64_t)n;
	}
	st->paused = true;
	return stop(IMAP_MORE, result_out);
}

static bool
at_part_end(const struct piece *p, enum imap_result *result_out)
{
	struct append_state *st = p->st;
	struct cursor *c = &p->req->args;

	if (cursor_take(c, ')')) {
		st->catenating = false;
		st->at = AT_MESSAGE;
		return st->bytes > 0 || refuse_empty(p, result_out);
	}
	if (!imap_parse_sp(c))
		return stop(imap_bad(p->req, "Another part or ) expected"), result_out);
	st->at = AT_PART;
	return true;
}

static bool
at_utf8_end(const struct piece *p, enum imap_result *result_out)
{
	if (!cursor_take(&p->req->args, ')'))
		return stop(imap_bad(p->req, ") expected"), result_out);
	p->st->at = p->st->catenating ? AT_PART_END : AT_MESSAGE;
	return true;
}

static enum imap_result
advance(struct imap_session *s, struct imap_request *req, const struct imap_literal *literal)
{
	static bool (*const STEPS[])(const struct piece *p, enum imap_result *result_out) = {
		[AT_MESSAGE] = at_message,
		[AT_PART] = at_part,
		[AT_URL] = at_url,
		[AT_PART_END] = at_part_end,
		[AT_UTF8_END] = at_utf8_end,
	};
	struct piece p = { s, req, req->state, literal };
	enum imap_result result = IMAP_BAD;

	p.st->paused = false;
	while (STEPS[p.st->at](&p, &result))
		continue;
	return result;
}

enum imap_result
imap_append_head(struct imap_session *s, struct imap_request *req, struct str text,
    const struct imap_literal *literal)
{
	struct append_state *st = req->state;
	bool more = st != NULL && st->paused; /* of the same text */

	if (!more)
		req->args = cursor_from(text);
	if (st == NULL) {
		enum imap_result result = req->command->begin(s, req);

		if (result != IMAP_WAIT)
			return result;
		st = req->state;
	}
	st->text_bytes += more ? 0 : text.len;
	if (st->text_bytes > IMAP_APPEND_TEXT_MAX_BYTES)
		return imap_no(req, "LIMIT", "Too many parts in one command");
	return advance(s, req, literal);
}

enum imap_result
imap_append_run(struct imap_session *s, struct imap_request *req)
{
	if (req->state == NULL) {
		enum imap_result result = req->command->begin(s, req);

		if (result != IMAP_WAIT)
			return result;
	}
	return advance(s, req, NULL);
}
