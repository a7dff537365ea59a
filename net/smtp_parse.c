#include "net/smtp_parse.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

/* atext, RFC 5322 §3.2.3; UTF8-non-ascii of RFC 6531 §3.3 is admitted here and counted later. */
static bool
is_atext(char c)
{
	return ascii_is_alnum(c) || (unsigned char)c >= 0x80 ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7F;
}

/* Let-dig and "-" of RFC 5321 §4.1.2, U-labels of RFC 6531 §3.3; "_" for hosts that are about. */
static bool
is_label_char(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_' || (unsigned char)c >= 0x80;
}

static bool
has_non_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80)
			return true;
	return false;
}

static void
skip_blanks(struct cursor *c)
{
	while (cursor_peek(c) == ' ' || cursor_peek(c) == '\t')
		c->p++;
}

static struct str
trim_end(struct str s)
{
	while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE, RFC 5321 §4.1.2, appended without its quoting. */
static bool
parse_quoted_string(struct cursor *c, struct buf *out)
{
	if (!cursor_take(c, '"'))
		return false;
	while (!cursor_at_end(c)) {
		char ch = *c->p++;

		if (ch == '"')
			return true;
		if (ch == '\\') {
			if (cursor_at_end(c))
				return false;
			ch = *c->p++;
		}
		if (is_control(ch))
			return false;
		buf_addc(out, ch);
	}
	return false;
}

/* Local-part = Dot-string / Quoted-string, RFC 5321 §4.1.2.  Beyond Dot-string, dots may stand anywhere:
 * some providers have such accounts, and their mail should not bounce. */
static bool
parse_local_part(struct cursor *c, struct buf *out)
{
	if (cursor_peek(c) == '"')
		return parse_quoted_string(c, out);
	while (!cursor_at_end(c) && (is_atext(*c->p) || *c->p == '.'))
		buf_addc(out, *c->p++);
	return out->len > 0;
}

/* Domain = sub-domain *("." sub-domain), RFC 5321 §4.1.2 */
static bool
parse_domain(struct cursor *c, struct buf *out)
{
	size_t label = 0;

	while (!cursor_at_end(c) && (is_label_char(*c->p) || *c->p == '.')) {
		if (*c->p == '.' && label == 0)
			return false;
		label = *c->p == '.' ? 0 : label + 1;
		buf_addc(out, ascii_lower(*c->p++));
	}
	return label > 0;
}

/* dcontent of General-address-literal = Standardized-tag ":" 1*dcontent, RFC 5321 §4.1.3 */
static bool
is_general_literal(struct str s)
{
	struct cursor c = cursor_from(s);
	struct str tag = { s.p, 0 };

	while (!cursor_at_end(&c) && (ascii_is_alnum(*c.p) || *c.p == '-'))
		c.p++;
	tag.len = (size_t)(c.p - s.p);
	if (tag.len == 0 || tag.p[tag.len - 1] == '-' || !cursor_take(&c, ':') || cursor_at_end(&c))
		return false;
	return !str_eq_nocase(tag, STR("IPv6"));
}

/* address-literal = "[" ( IPv4 / IPv6 / General ) "]", RFC 5321 §4.1.3 */
static bool
parse_address_literal(struct cursor *c, struct buf *out)
{
	char text[SMTP_DOMAIN_MAX_BYTES + 1];
	unsigned char address[16];
	struct str inner;
	size_t from = out->len;

	if (!cursor_take(c, '['))
		return false;
	inner.p = c->p;
	while (!cursor_at_end(c) && *c->p != ']') {
		if (*c->p <= ' ' || *c->p > '~' || *c->p == '[' || *c->p == '\\')
			return false;
		c->p++;
	}
	inner.len = (size_t)(c->p - inner.p);
	if (inner.len >= sizeof(text) || !cursor_take(c, ']'))
		return false;
	memcpy(text, inner.p, inner.len);
	text[inner.len] = '\0';
	if (inet_pton(AF_INET, text, address) != 1 &&
	    !(str_has_prefix_nocase(inner, STR("IPv6:")) &&
		inet_pton(AF_INET6, text + strlen("IPv6:"), address) == 1) &&
	    !is_general_literal(inner))
		return false;
	buf_addc(out, '[');
	buf_add(out, inner.p, inner.len);
	buf_addc(out, ']');
	ascii_lower_all(out->data + from, out->len - from);
	return true;
}

static bool
is_dot_string(struct str s)
{
	bool dot = true; /* none at the start, none after another */

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '.' ? dot : !is_atext(s.p[i]))
			return false;
		dot = s.p[i] == '.';
	}
	return !dot;
}

/* The mailbox as RFC 5321 §4.1.2 wants it written: the local part quoted only where it must be. */
static void
add_mailbox(struct buf *out, struct str local, struct str domain)
{
	if (is_dot_string(local)) {
		buf_add(out, local.p, local.len);
	} else {
		buf_addc(out, '"');
		for (size_t i = 0; i < local.len; i++) {
			if (local.p[i] == '"' || local.p[i] == '\\')
				buf_addc(out, '\\');
			buf_addc(out, local.p[i]);
		}
		buf_addc(out, '"');
	}
	if (domain.len > 0) {
		buf_addc(out, '@');
		buf_add(out, domain.p, domain.len);
	}
}

static struct smtp_path
path_build(struct arena *a, struct str local, struct str domain)
{
	struct buf address = { 0 };
	struct smtp_path path;

	if (local.len > 0)
		add_mailbox(&address, local, domain);
	path.address = arena_strndup(a, address.data, address.len);
	path.local = arena_strndup(a, local.p, local.len);
	path.domain = arena_strndup(a, domain.p, domain.len);
	path.utf8 = has_non_ascii(path.address);
	buf_free(&address);
	return path;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ), RFC 5321 §4.1.2.  `lone` admits a local part
 * without domain, as in <postmaster>, §4.5.1. */
static bool
parse_mailbox(struct cursor *c, bool lone, struct arena *a, struct smtp_path *path_out)
{
	struct buf local = { 0 }, domain = { 0 };
	bool ok = parse_local_part(c, &local) && local.len <= SMTP_LOCAL_PART_MAX_BYTES;

	if (ok && cursor_take(c, '@'))
		ok = cursor_peek(c) == '[' ? parse_address_literal(c, &domain)
					   : parse_domain(c, &domain);
	else if (ok)
		ok =
		    lone && str_eq_nocase((struct str){ local.data, local.len }, STR("postmaster"));
	ok = ok && domain.len <= SMTP_DOMAIN_MAX_BYTES &&
	     text_is_utf8((struct str){ local.data, local.len }) &&
	     text_is_utf8((struct str){ domain.data, domain.len });
	if (ok)
		*path_out = path_build(a, (struct str){ local.data, local.len },
		    (struct str){ domain.data, domain.len });
	buf_free(&local);
	buf_free(&domain);
	return ok;
}

/* A-d-l = At-domain *( "," At-domain ), followed by ":"; accepted and ignored, RFC 5321 §4.1.2, app. C */
static bool
skip_source_route(struct cursor *c)
{
	struct buf domain = { 0 };
	bool ok = true;

	while (ok && cursor_take(c, '@')) {
		ok = parse_domain(c, &domain);
		cursor_take(c, ',');
	}
	buf_free(&domain);
	return ok && cursor_take(c, ':');
}

/* Path = "<" [ A-d-l ":" ] Mailbox ">", RFC 5321 §4.1.2; the brackets may be missing.
 * `null` admits "<>", `lone` admits <postmaster>. */
static bool
parse_path(struct cursor *c, bool null, bool lone, struct arena *a, struct smtp_path *path_out)
{
	const char *from = c->p;
	bool bracket = cursor_take(c, '<');

	if (bracket && null && cursor_take(c, '>')) {
		*path_out = path_build(a, STR(""), STR(""));
		return true;
	}
	if (bracket && cursor_peek(c) == '@' && !skip_source_route(c))
		return false;
	if (!parse_mailbox(c, lone, a, path_out) || (bracket && !cursor_take(c, '>')))
		return false;
	return (size_t)(c->p - from) <= SMTP_PATH_MAX_BYTES;
}

static bool
is_xchar(unsigned char c)
{
	return c > ' ' && c != 0x7F && c != '+' && c != '=';
}

/* One upper-case hex digit: hexchar = "+" 2(%x30-39 / %x41-46), RFC 3461 §4 */
static int
upper_hex(char c)
{
	return c >= 'a' && c <= 'f' ? -1 : hex_value(c);
}

/* xtext = *( xchar / hexchar ), RFC 3461 §4; bytes beyond ASCII as RFC 6533 allows with SMTPUTF8. */
bool
smtp_xtext_decode(struct str in, struct buf *out)
{
	size_t from = out->len;

	for (size_t i = 0; i < in.len; i++) {
		char ch = in.p[i];

		if (ch == '+') {
			int high = i + 2 < in.len ? upper_hex(in.p[i + 1]) : -1;
			int low = i + 2 < in.len ? upper_hex(in.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			ch = (char)(high << 4 | low);
			i += 2;
		} else if (!is_xchar((unsigned char)ch)) {
			return false;
		}
		if (is_control(ch))
			return false;
		buf_addc(out, ch);
	}
	return out->len == from || text_is_utf8((struct str){ out->data + from, out->len - from });
}

void
smtp_xtext_encode(struct buf *out, struct str in)
{
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.p[i];

		if (is_xchar(c))
			buf_addc(out, (char)c);
		else
			buf_printf(out, "+%02X", c);
	}
}

/* A parameter's place to go. */
struct param_target {
	struct arena *a;
	struct smtp_mail *mail; /* one of the two */
	struct smtp_rcpt *rcpt;
	unsigned params; /* enum smtp_param on offer */
};

/* size-value = 1*20DIGIT, RFC 1870 §3 */
static bool
param_size(struct str value, struct param_target *t)
{
	return value.len <= 20 && text_u64(value, UINT64_MAX, &t->mail->size_bytes);
}

/* body-value = "7BIT" / "8BITMIME" / "BINARYMIME", RFC 6152 §3, RFC 3030 §3 */
static bool
param_body(struct str value, struct param_target *t)
{
	if (str_eq_nocase(value, STR("7BIT")))
		t->mail->body = SMTP_BODY_7BIT;
	else if (str_eq_nocase(value, STR("8BITMIME")))
		t->mail->body = SMTP_BODY_8BITMIME;
	else if ((t->params & SMTP_PARAM_BINARYMIME) != 0 &&
		 str_eq_nocase(value, STR("BINARYMIME")))
		t->mail->body = SMTP_BODY_BINARYMIME;
	else
		return false;
	return true;
}

/* RFC 6531 §3.4: no value */
static bool
param_smtputf8(struct str value, struct param_target *t)
{
	t->mail->smtputf8 = true;
	return value.p == NULL;
}

/* AUTH=mailbox in xtext, or <>, RFC 4954 §5 */
static bool
param_auth(struct str value, struct param_target *t)
{
	struct buf text = { 0 };
	struct smtp_path path;
	bool ok = smtp_xtext_decode(value, &text);

	if (ok && str_eq((struct str){ text.data, text.len }, STR("<>")))
		t->mail->auth = "<>";
	else if (ok && smtp_parse_address((struct str){ text.data, text.len }, t->a, &path))
		t->mail->auth = path.address;
	else
		ok = false;
	buf_free(&text);
	return ok;
}

/* RET=FULL / RET=HDRS, RFC 3461 §4.3 */
static bool
param_ret(struct str value, struct param_target *t)
{
	if (str_eq_nocase(value, STR("FULL")))
		t->mail->ret = SMTP_RET_FULL;
	else if (str_eq_nocase(value, STR("HDRS")))
		t->mail->ret = SMTP_RET_HDRS;
	return t->mail->ret != SMTP_RET_NONE;
}

static bool
xtext_to_arena(struct str value, size_t max, struct arena *a, const char **text_out)
{
	struct buf text = { 0 };
	bool ok = value.len > 0 && value.len <= max && smtp_xtext_decode(value, &text);

	if (ok)
		*text_out = arena_strndup(a, text.data, text.len);
	buf_free(&text);
	return ok;
}

/* ENVID=xtext, RFC 3461 §4.4 */
static bool
param_envid(struct str value, struct param_target *t)
{
	return xtext_to_arena(value, SMTP_ENVID_MAX_BYTES, t->a, &t->mail->envid);
}

/* NOTIFY=NEVER / 1#( SUCCESS / FAILURE / DELAY ), RFC 3461 §4.1 */
static bool
param_notify(struct str value, struct param_target *t)
{
	static const struct {
		struct str name;
		unsigned bit;
	} WORDS[] = {
		{ { "NEVER", 5 }, SMTP_NOTIFY_NEVER },
		{ { "SUCCESS", 7 }, SMTP_NOTIFY_SUCCESS },
		{ { "FAILURE", 7 }, SMTP_NOTIFY_FAILURE },
		{ { "DELAY", 5 }, SMTP_NOTIFY_DELAY },
	};
	struct cursor c = cursor_from(value);
	unsigned notify = 0;

	do {
		size_t i = 0;

		while (i < ARRAY_LEN(WORDS) && !cursor_take_nocase(&c, WORDS[i].name))
			i++;
		if (i == ARRAY_LEN(WORDS))
			return false;
		notify |= WORDS[i].bit;
	} while (cursor_take(&c, ','));
	t->rcpt->notify = notify;
	return cursor_at_end(&c) && ((notify & SMTP_NOTIFY_NEVER) == 0 ||
					str_eq_nocase(value, STR("NEVER"))); /* alone and once */
}

/* ORCPT=addr-type ";" xtext, RFC 3461 §4.2 */
static bool
param_orcpt(struct str value, struct param_target *t)
{
	const char *semicolon = value.len > 0 ? memchr(value.p, ';', value.len) : NULL;

	if (semicolon == NULL || semicolon == value.p || semicolon == value.p + value.len - 1)
		return false;
	for (const char *p = value.p; p < semicolon; p++)
		if (!ascii_is_alnum(*p) && *p != '-')
			return false;
	return xtext_to_arena(value, SMTP_ORCPT_MAX_BYTES, t->a, &t->rcpt->orcpt);
}

/* RFC 8689 §2: no value */
static bool
param_require_tls(struct str value, struct param_target *t)
{
	t->mail->require_tls = true;
	return value.p == NULL;
}

/* priority-value = (["-"] NZDIGIT) / "0", RFC 6710 §6 */
static bool
param_priority(struct str value, struct param_target *t)
{
	bool below = value.len == 2 && value.p[0] == '-';
	char digit = value.len > 0 ? value.p[value.len - 1] : 0;

	if ((value.len != 1 && !below) || !ascii_is_digit(digit) || (below && digit == '0'))
		return false;
	t->mail->has_priority = true;
	t->mail->priority = below ? '0' - digit : digit - '0';
	return true;
}

/* by-value = by-time ";" by-mode [by-trace], by-time = ["-" / "+"] 1*9digit; with R more than 0.
 * RFC 2852 §4 */
static bool
param_by(struct str value, struct param_target *t)
{
	struct cursor c = cursor_from(value);
	bool minus = cursor_take(&c, '-');
	struct str digits;
	uint64_t seconds;

	if (!minus)
		(void)cursor_take(&c, '+');
	digits = cursor_take_while(&c, ascii_is_digit);
	if (digits.len == 0 || digits.len > 9 || !text_u64(digits, UINT64_MAX, &seconds) ||
	    !cursor_take(&c, ';'))
		return false;
	t->mail->by_seconds = minus ? -(int64_t)seconds : (int64_t)seconds;
	t->mail->by_mode = cursor_take_nocase(&c, STR("N"))   ? 'N'
			   : cursor_take_nocase(&c, STR("R")) ? 'R'
							      : 0;
	t->mail->by_trace = cursor_take_nocase(&c, STR("T"));
	return cursor_at_end(&c) && t->mail->by_mode != 0 &&
	       (t->mail->by_mode == 'N' || t->mail->by_seconds > 0);
}

/* HOLDFOR=future-release-integer: %x31-39 *8DIGIT, RFC 4865 §3; one of the two. */
static bool
param_hold_for(struct str value, struct param_target *t)
{
	uint64_t seconds;

	if (t->mail->hold_mode != 0 || value.len > 9 || *value.p == '0' ||
	    !text_u64(value, UINT64_MAX, &seconds))
		return false;
	t->mail->hold_mode = 'F';
	t->mail->hold = (int64_t)seconds;
	return true;
}

/* N digits as a number. */
static bool
take_digits(struct cursor *c, size_t count, int *number_out)
{
	*number_out = 0;
	for (size_t i = 0; i < count; i++) {
		if (cursor_at_end(c) || !ascii_is_digit(*c->p))
			return false;
		*number_out = *number_out * 10 + (*c->p++ - '0');
	}
	return true;
}

/* time-offset = "Z" / ("+" / "-") time-hour ":" time-minute, RFC 3339 §5.6 */
static bool
take_offset(struct cursor *c, int *seconds_out)
{
	int sign = cursor_peek(c) == '-' ? -1 : 1, hours, minutes;

	*seconds_out = 0;
	if (cursor_take_nocase(c, STR("Z")))
		return true;
	if (!cursor_take(c, '+') && !cursor_take(c, '-'))
		return false;
	if (!take_digits(c, 2, &hours) || !cursor_take(c, ':') || !take_digits(c, 2, &minutes) ||
	    hours > 23 || minutes > 59)
		return false;
	*seconds_out = sign * (hours * 3600 + minutes * 60);
	return true;
}

bool
smtp_parse_date_time(struct str text, int64_t *unix_time_out)
{
	struct cursor c = cursor_from(text);
	struct tm tm = { 0 }, back;
	int offset = 0;
	time_t when;

	if (!take_digits(&c, 4, &tm.tm_year) || !cursor_take(&c, '-') ||
	    !take_digits(&c, 2, &tm.tm_mon) || !cursor_take(&c, '-') ||
	    !take_digits(&c, 2, &tm.tm_mday) || !cursor_take_nocase(&c, STR("T")) ||
	    !take_digits(&c, 2, &tm.tm_hour) || !cursor_take(&c, ':') ||
	    !take_digits(&c, 2, &tm.tm_min) || !cursor_take(&c, ':') ||
	    !take_digits(&c, 2, &tm.tm_sec))
		return false;
	if (cursor_take(&c, '.') && cursor_take_while(&c, ascii_is_digit).len == 0)
		return false;
	if (!take_offset(&c, &offset) || !cursor_at_end(&c) || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 60 || tm.tm_mon < 1 || tm.tm_mon > 12)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	back = tm;
	when = timegm(&back);
	if (back.tm_mon != tm.tm_mon && tm.tm_sec < 60) /* a day that the month does not have */
		return false;
	*unix_time_out = (int64_t)when - offset;
	return tm.tm_mday >= 1;
}

/* HOLDUNTIL=date-time, RFC 4865 §3 with its erratum 2040 */
static bool
param_hold_until(struct str value, struct param_target *t)
{
	if (t->mail->hold_mode != 0 || !smtp_parse_date_time(value, &t->mail->hold))
		return false;
	t->mail->hold_mode = 'U';
	return true;
}

struct param {
	struct str name;
	unsigned offered; /* enum smtp_param */
	bool value;       /* needs one */
	bool (*parse)(struct str value, struct param_target *t);
};
#define PARAM_NAME(literal)                                                                        \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}
static const struct param MAIL_PARAMS[] = {
	{ PARAM_NAME("SIZE"), SMTP_PARAM_SIZE, true, param_size },
	{ PARAM_NAME("BODY"), SMTP_PARAM_BODY, true, param_body },
	{ PARAM_NAME("SMTPUTF8"), SMTP_PARAM_SMTPUTF8, false, param_smtputf8 },
	{ PARAM_NAME("AUTH"), SMTP_PARAM_AUTH, true, param_auth },
	{ PARAM_NAME("RET"), SMTP_PARAM_DSN, true, param_ret },
	{ PARAM_NAME("ENVID"), SMTP_PARAM_DSN, true, param_envid },
	{ PARAM_NAME("REQUIRETLS"), SMTP_PARAM_REQUIRETLS, false, param_require_tls },
	{ PARAM_NAME("MT-PRIORITY"), SMTP_PARAM_PRIORITY, true, param_priority },
	{ PARAM_NAME("BY"), SMTP_PARAM_BY, true, param_by },
	{ PARAM_NAME("HOLDFOR"), SMTP_PARAM_HOLD, true, param_hold_for },
	{ PARAM_NAME("HOLDUNTIL"), SMTP_PARAM_HOLD, true, param_hold_until },
};
static const struct param RCPT_PARAMS[] = {
	{ PARAM_NAME("NOTIFY"), SMTP_PARAM_DSN, true, param_notify },
	{ PARAM_NAME("ORCPT"), SMTP_PARAM_DSN, true, param_orcpt },
};

/* esmtp-value = 1*(%d33-60 / %d62-126), RFC 5321 §4.1.2; UTF-8 by RFC 6531 §3.3 */
static bool
is_value_char(char c)
{
	return (unsigned char)c > ' ' && c != '=' && c != 0x7F;
}

/* esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-"), RFC 5321 §4.1.2 */
static bool
is_keyword_char(char c)
{
	return ascii_is_alnum(c) || c == '-';
}

/* esmtp-param = esmtp-keyword ["=" esmtp-value], RFC 5321 §4.1.2 */
static enum smtp_parse
parse_param(struct cursor *c, const struct param *table, size_t count, uint32_t *seen,
    struct param_target *t)
{
	struct str name = cursor_take_while(c, is_keyword_char), value = { 0 };

	if (name.len == 0)
		return SMTP_PARSE_SYNTAX;
	if (cursor_take(c, '=')) {
		value = cursor_take_while(c, is_value_char);
		if (value.len == 0)
			return SMTP_PARSE_BAD_PARAM;
	}
	for (size_t i = 0; i < count; i++) {
		if (!str_eq_nocase(name, table[i].name) || (table[i].offered & t->params) == 0)
			continue;
		if ((*seen & (1u << i)) != 0 || table[i].value != (value.p != NULL) ||
		    !table[i].parse(value, t))
			return SMTP_PARSE_BAD_PARAM;
		*seen |= 1u << i;
		return SMTP_PARSE_OK;
	}
	return SMTP_PARSE_UNKNOWN_PARAM;
}

/* esmtp-params = *( SP esmtp-param ), RFC 5321 §4.1.2 */
static enum smtp_parse
parse_params(struct cursor *c, const struct param *table, size_t count, struct param_target *t)
{
	enum smtp_parse result;
	uint32_t seen = 0;

	for (unsigned n = 0; !cursor_at_end(c); n++) {
		if (cursor_peek(c) != ' ' && cursor_peek(c) != '\t')
			return SMTP_PARSE_SYNTAX;
		skip_blanks(c);
		if (cursor_at_end(c))
			break;
		if (n == SMTP_PARAMS_MAX)
			return SMTP_PARSE_SYNTAX;
		result = parse_param(c, table, count, &seen, t);
		if (result != SMTP_PARSE_OK)
			return result;
	}
	return SMTP_PARSE_OK;
}

enum smtp_parse
smtp_parse_mail(struct str args, unsigned params, struct arena *a, struct smtp_mail *mail_out)
{
	struct cursor c = cursor_from(args);
	struct param_target t = { .a = a, .mail = mail_out, .params = params };
	enum smtp_parse result;

	*mail_out = (struct smtp_mail){ 0 };
	skip_blanks(&c);
	if (!parse_path(&c, true, true, a, &mail_out->from))
		return SMTP_PARSE_ADDRESS;
	result = parse_params(&c, MAIL_PARAMS, ARRAY_LEN(MAIL_PARAMS), &t);
	if (result == SMTP_PARSE_OK && mail_out->from.utf8 && !mail_out->smtputf8)
		return SMTP_PARSE_ADDRESS;
	return result;
}

enum smtp_parse
smtp_parse_rcpt(
    struct str args, unsigned params, bool smtputf8, struct arena *a, struct smtp_rcpt *rcpt_out)
{
	struct cursor c = cursor_from(args);
	struct param_target t = { .a = a, .rcpt = rcpt_out, .params = params };

	*rcpt_out = (struct smtp_rcpt){ 0 };
	skip_blanks(&c);
	if (!parse_path(&c, false, true, a, &rcpt_out->to) || (rcpt_out->to.utf8 && !smtputf8))
		return SMTP_PARSE_ADDRESS;
	return parse_params(&c, RCPT_PARAMS, ARRAY_LEN(RCPT_PARAMS), &t);
}

bool
smtp_parse_address(struct str text, struct arena *a, struct smtp_path *path_out)
{
	struct cursor c = cursor_from(text);

	return parse_mailbox(&c, false, a, path_out) && cursor_at_end(&c);
}

/* Any literal in brackets passes: clients put scoped and broken addresses there. */
static bool
is_loose_literal(struct str s)
{
	if (s.len < 3 || s.p[0] != '[' || s.p[s.len - 1] != ']')
		return false;
	for (size_t i = 1; i + 1 < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '[' || s.p[i] == ']')
			return false;
	return true;
}

bool
smtp_parse_helo(struct str args, bool utf8, struct arena *a, const char **host_out)
{
	struct str host = trim_end(args);
	struct cursor c;
	struct buf domain = { 0 };
	bool ok;

	while (host.len > 0 && (*host.p == ' ' || *host.p == '\t')) {
		host.p++;
		host.len--;
	}
	c = cursor_from(host);
	ok = host.len <= SMTP_DOMAIN_MAX_BYTES && text_is_utf8(host) &&
	     (is_loose_literal(host) || (parse_domain(&c, &domain) && cursor_at_end(&c)));
	buf_free(&domain);
	if (!ok)
		return false;
	*host_out = arena_strndup(a, host.p, host.len);
	return utf8 || !has_non_ascii(*host_out);
}

static bool
is_attribute_char(char c)
{
	return ascii_is_alnum(c) || c == '_';
}

static bool
is_not_blank(char c)
{
	return c != ' ' && c != '\t';
}

/* attribute-name "=" xtext, as Postfix's XCLIENT_README has it */
bool
smtp_parse_xclient(
    struct str *args, struct arena *a, struct smtp_xclient *attribute_out, bool *bad_out)
{
	struct cursor c = cursor_from(*args);
	struct str value;

	*bad_out = false;
	*attribute_out = (struct smtp_xclient){ 0 };
	skip_blanks(&c);
	if (cursor_at_end(&c))
		return false;
	attribute_out->name = cursor_take_while(&c, is_attribute_char);
	*bad_out = attribute_out->name.len == 0 || !cursor_take(&c, '=');
	value = cursor_take_while(&c, is_not_blank);
	*args = (struct str){ c.p, cursor_left(&c) };
	if (*bad_out || str_eq_nocase(value, STR("[UNAVAILABLE]")) ||
	    str_eq_nocase(value, STR("[TEMPUNAVAIL]")))
		return !*bad_out;
	*bad_out = !xtext_to_arena(value, SMTP_DOMAIN_MAX_BYTES, a, &attribute_out->value);
	return !*bad_out;
}

bool
smtp_parse_bdat(struct str args, uint64_t *size_out, bool *last_out)
{
	struct cursor c = cursor_from(trim_end(args));

	*last_out = false;
	skip_blanks(&c);
	if (!cursor_take_u64(&c, size_out))
		return false;
	if (cursor_at_end(&c))
		return true;
	if (cursor_peek(&c) != ' ')
		return false;
	skip_blanks(&c);
	*last_out = cursor_take_nocase(&c, STR("LAST"));
	return *last_out && cursor_at_end(&c);
}

/* sasl-mech, RFC 4422 §3.1 */
static bool
is_mechanism_char(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_';
}

/* initial-response = base64 / "=", RFC 4954 §8; what is inside is SASL's to judge */
static bool
is_response_char(char c)
{
	return c > ' ' && c <= '~';
}

bool
smtp_parse_auth(struct str args, struct str *mechanism_out, struct str *initial_out)
{
	struct cursor c = cursor_from(trim_end(args));

	*initial_out = (struct str){ 0 };
	skip_blanks(&c);
	*mechanism_out = cursor_take_while(&c, is_mechanism_char);
	if (mechanism_out->len == 0)
		return false;
	if (cursor_at_end(&c))
		return true;
	if (cursor_peek(&c) != ' ')
		return false;
	skip_blanks(&c);
	*initial_out = cursor_take_while(&c, is_response_char);
	return initial_out->len > 0 && cursor_at_end(&c);
}

/* status-code = class "." subject "." detail, RFC 3463 §2; its class is that of the reply */
static bool
parse_enhanced(struct str text, int code, char *enhanced_out, size_t room)
{
	struct cursor c = cursor_from(text);
	uint32_t status_class, subject, detail;

	if (!cursor_take_u32(&c, &status_class) || (int)status_class != code / 100 ||
	    !cursor_take(&c, '.') || !cursor_take_u32(&c, &subject) || subject > 999 ||
	    !cursor_take(&c, '.') || !cursor_take_u32(&c, &detail) || detail > 999)
		return false;
	if (!cursor_at_end(&c) && *c.p != ' ')
		return false;
	snprintf(enhanced_out, room, "%u.%u.%u", status_class % 10, subject, detail);
	return true;
}

/* Reply-line, RFC 5321 §4.2 */
bool
smtp_parse_reply_line(struct str line, struct smtp_reply_line *line_out)
{
	int code = 0;

	*line_out = (struct smtp_reply_line){ 0 };
	if (line.len < 3)
		return false;
	for (size_t i = 0; i < 3; i++) {
		if (!ascii_is_digit(line.p[i]))
			return false;
		code = code * 10 + (line.p[i] - '0');
	}
	if (code < 200 || code > 599)
		return false;
	line_out->code = code;
	if (line.len == 3)
		return true;
	if (line.p[3] != ' ' && line.p[3] != '-')
		return false;
	line_out->more = line.p[3] == '-';
	line_out->text = (struct str){ line.p + 4, line.len - 4 };
	if (!parse_enhanced(line_out->text, code, line_out->enhanced, sizeof(line_out->enhanced)))
		line_out->enhanced[0] = '\0';
	return true;
}
