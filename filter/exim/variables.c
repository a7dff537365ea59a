/* What $names stand for. */
#include <stdio.h>
#include <time.h>

#include "filter/exim/addresses.h"
#include "filter/exim/expand.h"
#include "filter/exim/headers.h"
#include "filter/surroundings.h"
#include "store/date.h"

static struct str
copied(struct exim_run *x, const struct buf *b)
{
	return (
	    struct str){ arena_strndup(&x->scratch, b->len > 0 ? b->data : "", b->len), b->len };
}

static struct str
from_c(const char *s)
{
	return s != NULL ? str_from(s) : (struct str){ "", 0 };
}

static struct str
number(struct exim_run *x, long long n)
{
	return str_from(arena_printf(&x->scratch, "%lld", n));
}

/* --- who --- */

static struct str
var_local_part(struct exim_run *x)
{
	return x->local_part;
}

static struct str
var_local_part_suffix(struct exim_run *x)
{
	return x->suffix;
}

static struct str
var_domain(struct exim_run *x)
{
	return x->domain;
}

static struct str
var_original_local_part(struct exim_run *x)
{
	return x->original_local_part;
}

static struct str
var_original_domain(struct exim_run *x)
{
	return x->original_domain;
}

static struct str
var_sender(struct exim_run *x)
{
	return from_c(x->message->sender);
}

static struct str
sender_half(struct exim_run *x, int half)
{
	struct str halves[2];

	exim_address_split(var_sender(x), &halves[0], &halves[1]);
	return halves[half];
}

static struct str
var_sender_local_part(struct exim_run *x)
{
	return sender_half(x, 0);
}

static struct str
var_sender_domain(struct exim_run *x)
{
	return sender_half(x, 1);
}

static struct str
var_reply_address(struct exim_run *x)
{
	struct str reply = exim_header(x, STR("reply-to"), EXIM_HEADER_REPLY);

	return reply.len > 0 ? reply : exim_header(x, STR("from"), EXIM_HEADER_REPLY);
}

static struct str
var_thisaddress(struct exim_run *x)
{
	return x->thisaddress;
}

static struct str
var_item(struct exim_run *x)
{
	return x->item;
}

static struct str
var_value(struct exim_run *x)
{
	return x->value;
}

static struct str
var_empty(struct exim_run *x)
{
	(void)x;
	return (struct str){ "", 0 };
}

static struct str
var_hostname(struct exim_run *x)
{
	return from_c(x->message->hostname);
}

/* The domain of bare local parts: a setting, else the account's own. */
static struct str
var_qualify_domain(struct exim_run *x)
{
	const struct filter_surroundings *around = x->options->around;

	if (around != NULL && around->settings != NULL &&
	    around->settings->qualify_domain != NULL && around->settings->qualify_domain[0] != '\0')
		return str_from(around->settings->qualify_domain);
	return x->domain;
}

static struct str
var_home(struct exim_run *x)
{
	return from_c(x->options->around != NULL ? x->options->around->home : NULL);
}

static struct str
var_remote_ip(struct exim_run *x)
{
	return from_c(x->message->remote_ip);
}

static struct str
var_remote_host(struct exim_run *x)
{
	return from_c(x->message->remote_host);
}

/* --- the message --- */

/* Lines end in LF here, whatever they end in on disk. */
static long long
lines_in(struct str s)
{
	long long lines = 0;

	for (const char *p = s.p, *end = s.p + s.len;
	     p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
		lines++;
	return lines;
}

static struct str
body_piece(struct exim_run *x, bool end)
{
	struct str body = x->view.body;
	char *piece;
	size_t at = 0, want = body.len;

	/* CRs do not count: the message is seen with LF line ends. */
	if (want > 2 * EXIM_BODY_VISIBLE)
		want = 2 * EXIM_BODY_VISIBLE;
	body = (struct str){ end ? body.p + body.len - want : body.p, want };
	piece = arena_alloc(&x->scratch, want + 1);
	for (size_t i = 0; i < body.len; i++) {
		if (body.p[i] == '\r' && i + 1 < body.len && body.p[i + 1] == '\n')
			continue;
		piece[at++] = (char)(body.p[i] == '\n' || body.p[i] == '\0' ? ' ' : body.p[i]);
	}
	piece[at] = '\0';
	if (at <= EXIM_BODY_VISIBLE)
		return (struct str){ piece, at };
	if (end)
		return (struct str){ piece + at - EXIM_BODY_VISIBLE, EXIM_BODY_VISIBLE };
	piece[EXIM_BODY_VISIBLE] = '\0';
	return (struct str){ piece, EXIM_BODY_VISIBLE };
}

static struct str
var_message_body(struct exim_run *x)
{
	return body_piece(x, false);
}

static struct str
var_message_body_end(struct exim_run *x)
{
	return body_piece(x, true);
}

/* Bytes without the CRs of line ends. */
static long long
size_of(struct str s)
{
	long long size = (long long)s.len;

	for (const char *p = s.p, *end = s.p + s.len;
	     p < end && (p = memchr(p, '\r', (size_t)(end - p))); p++)
		if (p + 1 < end && p[1] == '\n')
			size--;
	return size;
}

static struct str
var_body_size(struct exim_run *x)
{
	return number(x, size_of(x->view.body));
}

static struct str
var_message_size(struct exim_run *x)
{
	return number(x, size_of(x->view.all));
}

static long long
body_lines(struct exim_run *x)
{
	struct str body = x->view.body;

	return lines_in(body) + (body.len > 0 && body.p[body.len - 1] != '\n');
}

static struct str
var_body_linecount(struct exim_run *x)
{
	return number(x, body_lines(x));
}

static struct str
var_message_linecount(struct exim_run *x)
{
	return number(x, lines_in(x->view.header) + body_lines(x));
}

static struct str
var_zerocount(struct exim_run *x)
{
	struct str s = x->view.body;
	long long zeros = 0;

	for (const char *p = s.p, *end = s.p + s.len;
	     p < end && (p = memchr(p, '\0', (size_t)(end - p))); p++)
		zeros++;
	return number(x, zeros);
}

static struct str
var_max_linelength(struct exim_run *x)
{
	struct cursor c = cursor_from(x->view.all);
	struct str line;
	size_t longest = 0;

	while (cursor_take_line(&c, &line))
		if (line.len > longest)
			longest = line.len;
	return number(x, (long long)longest);
}

static struct str
var_received_count(struct exim_run *x)
{
	long long count = 0;

	for (size_t i = 0; i < x->view.field_count; i++)
		count += str_eq_nocase(x->view.fields[i].name, STR("Received"));
	return number(x, count);
}

/* Sanger has no ids of Exim's kind: this one comes from the message and is the same each time. */
static struct str
var_message_id(struct exim_run *x)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */
	static const char DIGITS[] =
	    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	char id[17];

	for (size_t i = 0; i < x->view.header.len; i++)
		h = (h ^ (unsigned char)x->view.header.p[i]) * 1099511628211u;
	for (size_t i = 0; i < 16; i++) {
		id[i] = DIGITS[h % 62];
		h = h / 62 + (i == 8 ? x->view.header.len : 0);
	}
	id[6] = id[13] = '-';
	id[16] = '\0';
	return str_from(arena_strdup(&x->scratch, id));
}

static struct str
var_message_headers(struct exim_run *x)
{
	return exim_all_headers(x, true);
}

static struct str
var_message_headers_raw(struct exim_run *x)
{
	return exim_all_headers(x, false);
}

/* --- time --- */

static struct tm
local_time(struct exim_run *x)
{
	time_t now = (time_t)x->now;
	struct tm tm;

	return localtime_r(&now, &tm) != NULL ? tm : (struct tm){ .tm_mday = 1 };
}

static struct str
var_tod_full(struct exim_run *x)
{
	struct buf b = { 0 };
	struct str s;

	date_print_rfc5322(&b, x->now, date_local_zone_min(x->now));
	s = copied(x, &b);
	buf_free(&b);
	return s;
}

static struct str
var_tod_zulu(struct exim_run *x)
{
	char text[64];
	time_t now = (time_t)x->now;
	struct tm tm;

	if (gmtime_r(&now, &tm) == NULL || strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm) == 0)
		text[0] = '\0';
	return str_from(arena_strdup(&x->scratch, text));
}

static struct str
var_tod_log(struct exim_run *x)
{
	struct tm tm = local_time(x);
	char text[64];

	return str_from(strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) > 0
			    ? arena_strdup(&x->scratch, text)
			    : "");
}

static struct str
var_tod_logfile(struct exim_run *x)
{
	struct tm tm = local_time(x);
	char text[64];

	return str_from(
	    strftime(text, sizeof(text), "%Y%m%d", &tm) > 0 ? arena_strdup(&x->scratch, text) : "");
}

static struct str
var_tod_zone(struct exim_run *x)
{
	struct tm tm = local_time(x);
	char text[64];

	return str_from(
	    strftime(text, sizeof(text), "%z", &tm) > 0 ? arena_strdup(&x->scratch, text) : "");
}

static struct str
var_tod_bsdinbox(struct exim_run *x)
{
	static const char DAYS[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char MONTHS[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	struct tm tm = local_time(x);

	return str_from(arena_printf(&x->scratch, "%s %s %2d %02d:%02d:%02d %d", DAYS[tm.tm_wday],
	    MONTHS[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900));
}

static struct str
var_tod_epoch(struct exim_run *x)
{
	return number(x, x->now);
}

/* Microseconds, of which we know none. */
static struct str
var_tod_epoch_l(struct exim_run *x)
{
	return number(x, x->now * 1000000);
}

static struct str
var_zero(struct exim_run *x)
{
	(void)x;
	return STR("0");
}

static const struct {
	const char *name;
	struct str (*value)(struct exim_run *x);
} VARIABLES[] = {
	{ "body_linecount", var_body_linecount },
	{ "body_zerocount", var_zerocount },
	{ "domain", var_domain },
	{ "home", var_home },
	{ "item", var_item },
	{ "local_part", var_local_part },
	{ "local_part_prefix", var_empty },
	{ "local_part_suffix", var_local_part_suffix },
	{ "max_received_linelength", var_max_linelength },
	{ "message_age", var_zero },
	{ "message_body", var_message_body },
	{ "message_body_end", var_message_body_end },
	{ "message_body_size", var_body_size },
	{ "message_exim_id", var_message_id },
	{ "message_headers", var_message_headers },
	{ "message_headers_raw", var_message_headers_raw },
	{ "message_id", var_message_id },
	{ "message_linecount", var_message_linecount },
	{ "message_size", var_message_size },
	{ "original_domain", var_original_domain },
	{ "original_local_part", var_original_local_part },
	{ "primary_hostname", var_hostname },
	{ "qualify_domain", var_qualify_domain },
	{ "qualify_recipient", var_qualify_domain },
	{ "received_count", var_received_count },
	{ "reply_address", var_reply_address },
	{ "return_path", var_sender },
	{ "sender_address", var_sender },
	{ "sender_address_domain", var_sender_domain },
	{ "sender_address_local_part", var_sender_local_part },
	{ "sender_host_address", var_remote_ip },
	{ "sender_host_name", var_remote_host },
	{ "thisaddress", var_thisaddress },
	{ "tod_bsdinbox", var_tod_bsdinbox },
	{ "tod_epoch", var_tod_epoch },
	{ "tod_epoch_l", var_tod_epoch_l },
	{ "tod_full", var_tod_full },
	{ "tod_log", var_tod_log },
	{ "tod_logfile", var_tod_logfile },
	{ "tod_zone", var_tod_zone },
	{ "tod_zulu", var_tod_zulu },
	{ "value", var_value },
};

static const struct {
	const char *prefix;
	enum exim_header_kind kind;
} HEADERS[] = {
	{ "h_", EXIM_HEADER_DECODED },
	{ "header_", EXIM_HEADER_DECODED },
	{ "rh_", EXIM_HEADER_RAW },
	{ "rheader_", EXIM_HEADER_RAW },
	{ "bh_", EXIM_HEADER_BYTES },
	{ "bheader_", EXIM_HEADER_BYTES },
	{ "lh_", EXIM_HEADER_LIST },
	{ "lheader_", EXIM_HEADER_LIST },
};

size_t
exim_header_prefix(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(HEADERS); i++)
		if (str_has_prefix(name, str_from(HEADERS[i].prefix)))
			return strlen(HEADERS[i].prefix);
	return 0;
}

static struct str
header(struct exim_run *x, struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(HEADERS); i++) {
		size_t len = strlen(HEADERS[i].prefix);

		if (str_has_prefix(name, str_from(HEADERS[i].prefix)))
			return exim_header(
			    x, (struct str){ name.p + len, name.len - len }, HEADERS[i].kind);
	}
	return (struct str){ "", 0 };
}

bool
exim_variable(struct exim_run *x, struct str name, bool skip, struct str *out)
{
	*out = (struct str){ "", 0 };
	if (exim_header_prefix(name) > 0) {
		if (!skip)
			*out = header(x, name);
		return true;
	}
	if (name.len == 2 && name.p[0] == 'n' && ascii_is_digit(name.p[1])) {
		*out = number(x, (long long)x->numbers[name.p[1] - '0']);
		return true;
	}
	if (name.len == 3 && memcmp(name.p, "sn", 2) == 0 && ascii_is_digit(name.p[2])) {
		*out = STR("0");
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(VARIABLES); i++)
		if (str_eq(name, str_from(VARIABLES[i].name))) {
			if (!skip)
				*out = VARIABLES[i].value(x);
			return true;
		}
	return false;
}
