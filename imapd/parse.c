#include "imapd/parse.h"

#include <string.h>

/* atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials */
bool
imap_is_atom_char(char c)
{
	unsigned char u = (unsigned char)c;

	return u > ' ' && u < 0x7f && strchr("(){%*\"\\]", c) == NULL ? true : c == '}';
}

bool
imap_is_astring_char(char c)
{
	return imap_is_atom_char(c) || c == ']';
}

bool
imap_is_list_char(char c)
{
	return imap_is_astring_char(c) || c == '%' || c == '*';
}

bool
imap_is_tag_char(char c)
{
	return imap_is_astring_char(c) && c != '+';
}

bool
imap_parse_sp(struct cursor *c)
{
	return cursor_take(c, ' ');
}

bool
imap_parse_crlf(struct cursor *c)
{
	cursor_take(c, '\r');
	return cursor_take(c, '\n');
}

static bool
take_some(struct cursor *c, bool (*accept)(char c), struct str *out)
{
	*out = cursor_take_while(c, accept);
	return out->len > 0;
}

bool
imap_parse_tag(struct cursor *c, struct str *tag_out)
{
	return take_some(c, imap_is_tag_char, tag_out);
}

bool
imap_parse_atom(struct cursor *c, struct str *atom_out)
{
	return take_some(c, imap_is_atom_char, atom_out);
}

bool
imap_parse_number(struct cursor *c, uint32_t *n_out)
{
	return cursor_take_u32(c, n_out);
}

/* nz-number = digit-nz *DIGIT; leading zeros are taken too */
bool
imap_parse_nz_number(struct cursor *c, uint32_t *n_out)
{
	return cursor_take_u32(c, n_out) && *n_out != 0;
}

bool
imap_parse_number64(struct cursor *c, uint64_t *n_out)
{
	return cursor_take_u64(c, n_out) && *n_out <= INT64_MAX;
}

bool
imap_parse_nz_number64(struct cursor *c, uint64_t *n_out)
{
	return imap_parse_number64(c, n_out) && *n_out != 0;
}

/* literal = "{" number64 ["+"] "}" …, literal8 = "~{" number64 ["+"] "}" …, RFC 9051 §9 */
bool
imap_parse_literal_head(struct cursor *c, struct imap_literal *lit_out)
{
	lit_out->binary = cursor_take(c, '~');
	if (!cursor_take(c, '{') || !imap_parse_number64(c, &lit_out->size_bytes))
		return false;
	lit_out->nonsync = cursor_take(c, '+');
	return cursor_take(c, '}');
}

bool
imap_line_ends_in_literal(struct str line, struct imap_literal *lit_out, size_t *start_out)
{
	const char *open;
	struct cursor c;

	if (line.len < 3 || line.p[line.len - 1] != '}')
		return false;
	open = memrchr(line.p, '{', line.len);
	if (open == NULL)
		return false;
	if (open > line.p && open[-1] == '~')
		open--;
	c = (struct cursor){ open, line.p + line.len };
	*start_out = (size_t)(open - line.p);
	return imap_parse_literal_head(&c, lit_out) && cursor_at_end(&c);
}

/* quoted = DQUOTE *QUOTED-CHAR DQUOTE, RFC 9051 §9.  A backslash before another character than
 * DQUOTE and "\" stands for that character, as other servers read it. */
bool
imap_parse_quoted(struct cursor *c, struct arena *a, struct str *text_out)
{
	const char *start;
	char *text;
	size_t len = 0;
	bool escaped = false;

	if (!cursor_take(c, '"'))
		return false;
	start = c->p;
	for (; c->p < c->end && *c->p != '"'; c->p++) {
		if (*c->p == '\\') {
			escaped = true;
			c->p++;
		}
		if (c->p == c->end || *c->p == '\0' || *c->p == '\r' || *c->p == '\n')
			return false;
	}
	if (c->p == c->end)
		return false;
	*text_out = (struct str){ start, (size_t)(c->p - start) };
	c->p++;
	if (escaped) {
		text = arena_alloc(a, text_out->len);
		for (size_t i = 0; i < text_out->len; i++) {
			if (start[i] == '\\')
				i++;
			text[len++] = start[i];
		}
		*text_out = (struct str){ text, len };
	}
	return text_is_utf8(*text_out);
}

bool
imap_parse_literal(struct cursor *c, bool binary_ok, struct str *bytes_out)
{
	struct imap_literal lit;

	if (!imap_parse_literal_head(c, &lit) || (lit.binary && !binary_ok) || !imap_parse_crlf(c))
		return false;
	if (lit.size_bytes > cursor_left(c))
		return false;
	*bytes_out = (struct str){ c->p, (size_t)lit.size_bytes };
	c->p += lit.size_bytes;
	return lit.binary || memchr(bytes_out->p, '\0', bytes_out->len) == NULL;
}

/* string = quoted / literal */
bool
imap_parse_string(struct cursor *c, struct arena *a, struct str *text_out)
{
	if (cursor_peek(c) == '"')
		return imap_parse_quoted(c, a, text_out);
	return imap_parse_literal(c, false, text_out);
}

/* astring = 1*ASTRING-CHAR / string */
bool
imap_parse_astring(struct cursor *c, struct arena *a, struct str *text_out)
{
	if (cursor_peek(c) == '"' || cursor_peek(c) == '{')
		return imap_parse_string(c, a, text_out);
	return take_some(c, imap_is_astring_char, text_out);
}

/* nstring = string / nil */
bool
imap_parse_nstring(struct cursor *c, struct arena *a, struct str *text_out)
{
	if (cursor_take_nocase(c, STR("NIL"))) {
		*text_out = (struct str){ NULL, 0 };
		return true;
	}
	return imap_parse_string(c, a, text_out);
}

/* list-mailbox = 1*list-char / string */
bool
imap_parse_list_mailbox(struct cursor *c, struct arena *a, struct str *pattern_out)
{
	if (cursor_peek(c) == '"' || cursor_peek(c) == '{')
		return imap_parse_string(c, a, pattern_out);
	return take_some(c, imap_is_list_char, pattern_out);
}

/* seq-number = nz-number / "*" */
bool
imap_parse_seq_number(struct cursor *c, uint32_t *n_out)
{
	if (cursor_take(c, '*')) {
		*n_out = IMAP_SEQ_STAR;
		return true;
	}
	if (!imap_parse_nz_number(c, n_out))
		return false;
	if (*n_out == IMAP_SEQ_STAR) /* the number is not "*"; no message ever has it */
		*n_out = IMAP_SEQ_STAR - 1;
	return true;
}

/* seq-range = seq-number ":" seq-number; either end may be the larger */
bool
imap_parse_seq_range(struct cursor *c, struct imap_range *range_out)
{
	uint32_t a, b;

	if (!imap_parse_seq_number(c, &a))
		return false;
	b = a;
	if (cursor_take(c, ':') && !imap_parse_seq_number(c, &b))
		return false;
	*range_out = a <= b ? (struct imap_range){ a, b } : (struct imap_range){ b, a };
	return true;
}

static bool
is_sequence_char(char c)
{
	return ascii_is_digit(c) || c == ':' || c == '*' || c == ',';
}

/* sequence-set = (seq-number / seq-range) ["," sequence-set] / seq-last-command, "$" */
bool
imap_parse_sequence_set(struct cursor *c, struct arena *a, struct imap_sequence_set *set_out)
{
	struct cursor ahead = *c;
	struct str all = cursor_take_while(&ahead, is_sequence_char);
	size_t most = 1;

	*set_out = (struct imap_sequence_set){ 0 };
	if (cursor_take(c, '$')) {
		set_out->saved = true;
		return true;
	}
	for (size_t i = 0; i < all.len; i++)
		most += all.p[i] == ',';
	set_out->ranges = arena_alloc(a, most * sizeof(*set_out->ranges));
	do {
		if (!imap_parse_seq_range(c, &set_out->ranges[set_out->count++]))
			return false;
	} while (cursor_take(c, ','));
	return true;
}

struct imap_range
imap_range_resolve(struct imap_range r, uint32_t largest)
{
	if (r.high != IMAP_SEQ_STAR)
		return r;
	if (r.low > largest)
		return (struct imap_range){ largest, r.low == IMAP_SEQ_STAR ? largest : r.low };
	return (struct imap_range){ r.low, largest };
}

/* 1*2DIGIT or 4DIGIT, no sign and no blanks */
static bool
take_digits(struct cursor *c, size_t least, size_t most, int *n_out)
{
	size_t len = 0;

	*n_out = 0;
	while (len < most && c->p < c->end && ascii_is_digit(*c->p)) {
		*n_out = *n_out * 10 + (*c->p++ - '0');
		len++;
	}
	return len >= least;
}

/* date-month = "Jan" / "Feb" / … */
static bool
take_month(struct cursor *c, int *month_out)
{
	static const struct str MONTHS[] = {
		STR("Jan"),
		STR("Feb"),
		STR("Mar"),
		STR("Apr"),
		STR("May"),
		STR("Jun"),
		STR("Jul"),
		STR("Aug"),
		STR("Sep"),
		STR("Oct"),
		STR("Nov"),
		STR("Dec"),
	};

	for (size_t i = 0; i < ARRAY_LEN(MONTHS); i++) {
		if (cursor_take_nocase(c, MONTHS[i])) {
			*month_out = (int)i + 1;
			return true;
		}
	}
	return false;
}

static bool
is_leap_year(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
month_days(int year, int month)
{
	static const int DAYS[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return DAYS[month - 1] + (month == 2 && is_leap_year(year));
}

/* Days from 1970-01-01 to the date in the proleptic Gregorian calendar; March begins the year, so
 * that the leap day is its last. */
static int32_t
days_from_civil(int year, int month, int day)
{
	int y = month <= 2 ? year - 1 : year;
	int era = y / 400, year_of_era = y % 400;
	int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

/* date-text = date-day "-" date-month "-" date-year */
static bool
take_date_text(struct cursor *c, int32_t *days_out)
{
	int day, month, year;

	if (!take_digits(c, 1, 2, &day) || !cursor_take(c, '-') || !take_month(c, &month) ||
	    !cursor_take(c, '-') || !take_digits(c, 4, 4, &year))
		return false;
	if (year == 0 || day == 0 || day > month_days(year, month))
		return false;
	*days_out = days_from_civil(year, month, day);
	return true;
}

/* date = date-text / DQUOTE date-text DQUOTE */
bool
imap_parse_date(struct cursor *c, int32_t *days_out)
{
	bool quoted = cursor_take(c, '"');

	return take_date_text(c, days_out) && (!quoted || cursor_take(c, '"'));
}

/* time = 2DIGIT ":" 2DIGIT ":" 2DIGIT; :60 is a leap second */
static bool
take_time(struct cursor *c, int32_t *seconds_out)
{
	int hour, minute, second;

	if (!take_digits(c, 2, 2, &hour) || !cursor_take(c, ':') ||
	    !take_digits(c, 2, 2, &minute) || !cursor_take(c, ':') ||
	    !take_digits(c, 2, 2, &second))
		return false;
	*seconds_out = hour * 3600 + minute * 60 + second;
	return hour <= 23 && minute <= 59 && second <= 60;
}

/* zone = ("+" / "-") 4DIGIT, seconds to subtract for UT */
static bool
take_zone(struct cursor *c, int32_t *offset_out)
{
	bool west = cursor_take(c, '-');
	int hour, minute;

	if (!west && !cursor_take(c, '+'))
		return false;
	if (!take_digits(c, 2, 2, &hour) || !take_digits(c, 2, 2, &minute) || minute > 59)
		return false;
	*offset_out = (hour * 3600 + minute * 60) * (west ? -1 : 1);
	return true;
}

/* date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE; a day of
 * one digit without the space in front is taken too */
bool
imap_parse_date_time(struct cursor *c, int64_t *unix_s_out)
{
	int32_t days, seconds, offset;

	if (!cursor_take(c, '"'))
		return false;
	cursor_take(c, ' ');
	if (!take_date_text(c, &days) || !cursor_take(c, ' ') || !take_time(c, &seconds) ||
	    !cursor_take(c, ' ') || !take_zone(c, &offset) || !cursor_take(c, '"'))
		return false;
	*unix_s_out = (int64_t)days * 86400 + seconds - offset;
	return true;
}

static const struct {
	struct str name;
	unsigned bit;
} SYSTEM_FLAGS[] = {
	{ STR("\\Answered"), MESSAGE_ANSWERED },
	{ STR("\\Flagged"), MESSAGE_FLAGGED },
	{ STR("\\Deleted"), MESSAGE_DELETED },
	{ STR("\\Seen"), MESSAGE_SEEN },
	{ STR("\\Draft"), MESSAGE_DRAFT },
};

static bool
system_flag_find(struct str name, unsigned *bit_out)
{
	for (size_t i = 0; i < ARRAY_LEN(SYSTEM_FLAGS); i++) {
		if (str_eq_nocase(name, SYSTEM_FLAGS[i].name)) {
			*bit_out = SYSTEM_FLAGS[i].bit;
			return true;
		}
	}
	return false;
}

/* Adds a keyword that is not there yet.  Keywords are compared without regard to letter case, RFC 9051 §2.3.2. */
static void
flags_add_keyword(struct arena *a, struct imap_flags *flags, struct str name)
{
	for (size_t i = 0; i < flags->keyword_count; i++)
		if (str_eq_nocase(str_from(flags->keywords[i]), name))
			return;
	if (name.len > MAILBOX_KEYWORD_MAX_BYTES || flags->keyword_count == MAILBOX_KEYWORDS_MAX) {
		flags->beyond = true;
		return;
	}
	if (flags->keywords == NULL)
		flags->keywords = arena_alloc(a, MAILBOX_KEYWORDS_MAX * sizeof(*flags->keywords));
	flags->keywords[flags->keyword_count++] = arena_strndup(a, name.p, name.len);
}

/* flag = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword / flag-extension, RFC 9051 §9;
 * "Does not include \Recent". */
bool
imap_parse_flag(struct cursor *c, struct arena *a, struct imap_flags *flags)
{
	const char *start = c->p;
	bool system = cursor_take(c, '\\');
	struct str name;
	unsigned bit;

	if (!imap_parse_atom(c, &name))
		return false;
	if (!system) {
		flags_add_keyword(a, flags, name);
		return true;
	}
	name = (struct str){ start, (size_t)(c->p - start) };
	if (system_flag_find(name, &bit))
		flags->bits |= bit;
	return !str_eq_nocase(name, STR("\\Recent"));
}

/* flag-list = "(" [flag *(SP flag)] ")" */
bool
imap_parse_flag_list(struct cursor *c, struct arena *a, struct imap_flags *flags_out)
{
	*flags_out = (struct imap_flags){ 0 };
	if (!cursor_take(c, '('))
		return false;
	if (cursor_take(c, ')'))
		return true;
	do {
		if (!imap_parse_flag(c, a, flags_out))
			return false;
	} while (imap_parse_sp(c));
	return cursor_take(c, ')');
}

/* store-att-flags = … (flag-list / (flag *(SP flag))) */
bool
imap_parse_store_flags(struct cursor *c, struct arena *a, struct imap_flags *flags_out)
{
	if (cursor_peek(c) == '(')
		return imap_parse_flag_list(c, a, flags_out);
	*flags_out = (struct imap_flags){ 0 };
	do {
		if (!imap_parse_flag(c, a, flags_out))
			return false;
	} while (imap_parse_sp(c));
	return true;
}
