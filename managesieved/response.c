#include "managesieved/response.h"

#define QUOTED_MAX_BYTES 1024 /* RFC 5804 §4: between the quotes */

static bool
can_be_quoted(struct str text)
{
	size_t len = text.len;

	if (len > QUOTED_MAX_BYTES || !text_is_utf8(text))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '\r' || text.p[i] == '\n' || text.p[i] == '\0')
			return false;
		len += text.p[i] == '"' || text.p[i] == '\\';
	}
	return len <= QUOTED_MAX_BYTES;
}

/* literal-s2c = "{" number "}" CRLF *OCTET */
void
msieve_write_literal(struct buf *out, struct str bytes)
{
	buf_printf(out, "{%zu}\r\n", bytes.len);
	buf_add(out, bytes.p, bytes.len);
}

void
msieve_write_string(struct buf *out, struct str text)
{
	if (!can_be_quoted(text)) {
		msieve_write_literal(out, text);
		return;
	}
	buf_addc(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '"' || text.p[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, text.p[i]);
	}
	buf_addc(out, '"');
}

/* Text for people: lines end in CRLF, the last one in nothing, and all of it is UTF-8. */
static void
write_text(struct buf *out, struct str text)
{
	struct buf clean = { 0 };
	bool utf8 = text_is_utf8(text);

	text = str_trim(text);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (c == '\n')
			buf_adds(&clean, "\r\n");
		else if (c != '\r')
			buf_addc(
			    &clean, c == '\0' || (!utf8 && (unsigned char)c >= 0x80) ? '?' : c);
	}
	msieve_write_string(out, (struct str){ buf_cstr(&clean), clean.len });
	buf_free(&clean);
}

void
msieve_write_reply(struct buf *out, const char *word, const char *code, struct str text)
{
	buf_adds(out, word);
	if (code != NULL)
		buf_printf(out, " (%s)", code);
	if (text.p != NULL) {
		buf_addc(out, ' ');
		write_text(out, text);
	}
	buf_adds(out, "\r\n");
}

static enum msieve_result
reply(struct msieve_request *req, enum msieve_result result, const char *code, const char *text)
{
	req->code = code != NULL ? arena_strdup(req->arena, code) : NULL;
	req->text = text != NULL ? str_from(arena_strdup(req->arena, text)) : (struct str){ 0 };
	return result;
}

enum msieve_result
msieve_ok(struct msieve_request *req, const char *code, const char *text)
{
	return reply(req, MSIEVE_OK, code, text);
}

enum msieve_result
msieve_no(struct msieve_request *req, const char *code, const char *text)
{
	return reply(req, MSIEVE_NO, code, text);
}

enum msieve_result
msieve_bad(struct msieve_request *req, const char *text)
{
	req->bad = true;
	return reply(req, MSIEVE_NO, NULL, text);
}

static const struct {
	enum store_err err;
	const char *code, *text;
} REPLIES[] = {
	{ STORE_NOT_FOUND, "NONEXISTENT", "There is no script of that name" },
	{ STORE_EXISTS, "ALREADYEXISTS", "There is a script of that name already" },
	{ STORE_INVALID, NULL, "This cannot be the name of a script" },
	{ STORE_LIMIT, "QUOTA/MAXSCRIPTS", "There are as many scripts as you may have" },
	{ STORE_OVER_QUOTA, "QUOTA/MAXSIZE", "Your scripts would be larger than they may be" },
	{ STORE_BUSY, "TRYLATER", "The accounts are busy, try again later" },
	{ STORE_FULL, "TRYLATER", "The disk is full, try again later" },
};

enum msieve_result
msieve_finish(struct msieve_request *req, enum store_err err)
{
	if (err == STORE_OK)
		return MSIEVE_OK;
	for (size_t i = 0; i < ARRAY_LEN(REPLIES); i++)
		if (REPLIES[i].err == err)
			return msieve_no(req, REPLIES[i].code, REPLIES[i].text);
	return msieve_no(req, "TRYLATER", "Temporary failure, try again later");
}
