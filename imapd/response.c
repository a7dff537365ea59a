#include "imapd/response.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "imapd/names.h"
#include "imapd/parse.h"
#include "imapd/session.h"
#include "net/stream.h"

#define QUOTED_MAX_BYTES 1000 /* longer strings go as literals; RFC 2683 §3.2.1.5 on line lengths */

static enum imap_result
reply(struct imap_request *req, enum imap_result result, const char *code, const char *text)
{
	req->code = code != NULL ? arena_strdup(req->arena, code) : NULL;
	req->text = text != NULL ? arena_strdup(req->arena, text) : NULL;
	return result;
}

enum imap_result
imap_ok(struct imap_request *req, const char *code, const char *text)
{
	return reply(req, IMAP_OK, code, text);
}

enum imap_result
imap_okf(struct imap_request *req, const char *text, const char *code_fmt, ...)
{
	struct buf code = { 0 };
	va_list args;

	va_start(args, code_fmt);
	buf_vprintf(&code, code_fmt, args);
	va_end(args);
	reply(req, IMAP_OK, buf_cstr(&code), text);
	buf_free(&code);
	return IMAP_OK;
}

enum imap_result
imap_no(struct imap_request *req, const char *code, const char *text)
{
	return reply(req, IMAP_NO, code, text);
}

enum imap_result
imap_bad(struct imap_request *req, const char *text)
{
	return reply(req, IMAP_BAD, NULL, text);
}

enum imap_result
imap_uid_required(struct imap_request *req)
{
	return reply(req, IMAP_BAD, "UIDREQUIRED",
	    "Message numbers are not allowed once UIDONLY is enabled");
}

/* resp-text-code, RFC 9051 §7.1 (from RFC 5530) */
static const struct no_reply {
	const char *code, *text;
} NO_REPLIES[STORE_ERR_COUNT] = {
	[STORE_NOT_FOUND] = { "NONEXISTENT", "No such mailbox" },
	[STORE_EXISTS] = { "ALREADYEXISTS", "There is a mailbox of that name" },
	[STORE_BUSY] = { "INUSE", "The mailbox is busy, try again" },
	[STORE_IO] = { "UNAVAILABLE", "Temporary failure, see the server's log" },
	[STORE_FULL] = { "UNAVAILABLE", "The server's disk is full" },
	[STORE_OVER_QUOTA] = { "OVERQUOTA", "Over quota" },
	[STORE_INVALID] = { "CANNOT", "Not a possible name or value" },
	[STORE_CORRUPT] = { "CORRUPTION", "The mailbox is damaged, see the server's log" },
	[STORE_LIMIT] = { "LIMIT", "Beyond a limit of this server" },
	[STORE_DENIED] = { "NOPERM", "Not permitted" },
	[STORE_CHANGED] = { "INUSE", "It changed meanwhile, try again" },
	[STORE_VERSION] = { "CONTACTADMIN", "Made by a newer version of this server" },
};

enum imap_result
imap_finish(struct imap_request *req, enum store_err err)
{
	const struct no_reply *no = &NO_REPLIES[err];

	if (err == STORE_OK)
		return IMAP_OK;
	return imap_no(req, no->code, no->text);
}

void
imap_untagged(struct imap_session *s, const char *fmt, ...)
{
	va_list args;

	buf_adds(&s->out, "* ");
	va_start(args, fmt);
	buf_vprintf(&s->out, fmt, args);
	va_end(args);
	buf_adds(&s->out, "\r\n");
}

bool
imap_out_full(const struct imap_session *s)
{
	return s->out.len >= NET_OUTPUT_HIGH_BYTES;
}

/* quoted may hold any ASCII but CR, LF and NUL, RFC 9051 §9; rev1 clients know no UTF-8 there. */
static bool
is_quotable(struct str text)
{
	if (text.len > QUOTED_MAX_BYTES)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c == '\0' || c == '\r' || c == '\n' || c >= 0x80)
			return false;
	}
	return true;
}

static void
out_quoted(struct buf *out, struct str text)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '"' || text.p[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, text.p[i]);
	}
	buf_addc(out, '"');
}

void
imap_out_literal_head(struct buf *out, uint64_t size_bytes, bool binary)
{
	buf_printf(out, "%s{%llu}\r\n", binary ? "~" : "", (unsigned long long)size_bytes);
}

void
imap_out_string(struct buf *out, struct str text)
{
	if (is_quotable(text)) {
		out_quoted(out, text);
		return;
	}
	imap_out_literal_head(out, text.len, memchr(text.p, '\0', text.len) != NULL);
	buf_add(out, text.p, text.len);
}

void
imap_out_nstring(struct buf *out, struct str text)
{
	if (text.p == NULL)
		buf_adds(out, "NIL");
	else
		imap_out_string(out, text);
}

void
imap_out_astring(struct buf *out, struct str text)
{
	bool atom = text.len > 0 && !str_eq_nocase(text, STR("NIL"));

	for (size_t i = 0; i < text.len && atom; i++)
		atom = imap_is_atom_char(text.p[i]);
	if (atom)
		buf_add(out, text.p, text.len);
	else
		imap_out_string(out, text);
}

/* Where names are UTF-8 the quoted string may hold it, RFC 9051 §9 QUOTED-CHAR, RFC 6855 §3. */
void
imap_out_mailbox(struct imap_session *s, const char *name)
{
	struct buf wire = { 0 };
	struct str text;

	imap_mailbox_to_wire(&wire, !imap_utf8_names(s), name);
	text = (struct str){ buf_cstr(&wire), wire.len };
	if (imap_utf8_names(s) && text_is_utf8(text))
		out_quoted(&s->out, text);
	else
		imap_out_astring(&s->out, text);
	buf_free(&wire);
}

void
imap_out_oldname(struct imap_session *s, const char *name)
{
	buf_adds(&s->out, " (\"OLDNAME\" (");
	imap_out_mailbox(s, name);
	buf_adds(&s->out, "))");
}

void
imap_send_list(
    struct imap_session *s, const char *attributes, const char *shown, const char *written)
{
	buf_printf(&s->out, "* LIST (%s) \"%c\" ", attributes, IMAP_DELIMITER);
	imap_out_mailbox(s, shown);
	if (strcmp(shown, written) != 0)
		imap_out_oldname(s, written);
	buf_adds(&s->out, "\r\n");
}

void
imap_send_normalized(
    struct imap_session *s, const char *attributes, const char *shown, const char *written)
{
	if (imap_rev2(s) && strcmp(shown, written) != 0)
		imap_send_list(s, attributes, shown, written);
}

void
imap_out_mailbox_id(struct buf *out, const char *id)
{
	buf_printf(out, "MAILBOXID (F%s)", id);
}

/* date-time, RFC 9051 §9; always in UT */
void
imap_out_date_time(struct buf *out, int64_t unix_s)
{
	static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1899 || tm.tm_year > 9999 - 1900)
		gmtime_r(&(time_t){ 0 }, &tm);
	buf_printf(out, "\"%02d-%.3s-%04d %02d:%02d:%02d +0000\"", tm.tm_mday,
	    MONTHS + tm.tm_mon * 3, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}
