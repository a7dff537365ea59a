/* ENVELOPE, BODY and BODYSTRUCTURE, RFC 9051 §7.5.2 and §9. */
#include "store/address.h"
#include "store/mime.h"

/* TEXT-CHAR without 8-bit: what may stand in a quoted string (RFC 3501 §9; UTF-8 in quoted strings
 * would need ENABLE IMAP4rev2, and these bytes are shared by all clients). */
static bool
quotable(struct str s, size_t *specials_out)
{
	size_t specials = 0;

	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.p[i] >= 0x80 || s.p[i] == '\r' || s.p[i] == '\n' ||
		    s.p[i] == '\0')
			return false;
		specials += s.p[i] == '"' || s.p[i] == '\\';
	}
	*specials_out = specials;
	return true;
}

/* char8 of a literal has no NUL. */
static void
literal(struct buf *out, struct str s)
{
	size_t nuls = 0;

	for (size_t i = 0; i < s.len; i++)
		nuls += s.p[i] == '\0';
	buf_addc(out, '{');
	buf_number(out, s.len + 2 * nuls);
	buf_adds(out, "}\r\n");
	if (nuls == 0) {
		buf_add(out, s.p, s.len);
		return;
	}
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\0')
			buf_adds(out, "\xEF\xBF\xBD");
		else
			buf_addc(out, s.p[i]);
	}
}

void
mime_nstring(struct buf *out, struct str s)
{
	size_t specials;

	if (s.p == NULL) {
		buf_adds(out, "NIL");
		return;
	}
	if (!quotable(s, &specials)) {
		literal(out, s);
		return;
	}
	buf_addc(out, '"');
	if (specials == 0) {
		buf_add(out, s.p, s.len);
	} else {
		for (size_t i = 0; i < s.len; i++) {
			if (s.p[i] == '"' || s.p[i] == '\\')
				buf_addc(out, '\\');
			buf_addc(out, s.p[i]);
		}
	}
	buf_addc(out, '"');
}

static bool
is_flat(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (ascii_is_space(s.p[i]) && (s.p[i] != ' ' || s.p[i + 1] == ' '))
			return false;
	return true;
}

/* Text for people: runs of white space (also bare CR) are one blank. */
static void
text_nstring(struct buf *out, struct str s)
{
	struct buf flat = { 0 };

	if (s.p == NULL) {
		buf_adds(out, "NIL");
		return;
	}
	s = str_trim(s); /* so that no blank is the last */
	if (is_flat(s)) {
		mime_nstring(out, s);
		return;
	}
	for (size_t i = 0; i < s.len; i++) {
		bool space = ascii_is_space(s.p[i]);

		if (!space)
			buf_addc(&flat, s.p[i]);
		else if (!ascii_is_space(s.p[i - 1]))
			buf_addc(&flat, ' ');
	}
	mime_nstring(out, flat.len > 0 ? (struct str){ flat.data, flat.len } : STR(""));
	buf_free(&flat);
}

static void
address(struct buf *out, const struct address *a)
{
	buf_addc(out, '(');
	text_nstring(out, a->name);
	buf_addc(out, ' ');
	mime_nstring(out, a->route);
	buf_addc(out, ' ');
	mime_nstring(out, a->mailbox);
	buf_addc(out, ' ');
	mime_nstring(out, a->domain);
	buf_addc(out, ')');
}

/* The members of all fields of that name, whose values have NULs between; false if there are none. */
static bool
address_list(struct buf *out, struct arena *arena, struct str values)
{
	bool any = false;

	while (values.p != NULL && values.len > 0) {
		const char *nul = memchr(values.p, '\0', values.len);
		size_t len = nul != NULL ? (size_t)(nul - values.p) : values.len;

		for (const struct address *a = address_parse(arena, (struct str){ values.p, len });
		     a != NULL; a = a->next) {
			if (!any)
				buf_addc(out, '(');
			any = true;
			address(out, a);
		}
		len += nul != NULL;
		values.p += len;
		values.len -= len;
	}
	if (any)
		buf_addc(out, ')');
	return any;
}

void
mime_envelope(struct buf *out, const struct mime_part *part)
{
	static const struct mime_fields NO_FIELDS = { 0 };
	const struct mime_fields *fields = part->fields != NULL ? part->fields : &NO_FIELDS;
	struct arena arena = { 0 };
	size_t from, from_len;

	buf_addc(out, '(');
	mime_nstring(out, fields->field[MIME_DATE]);
	buf_addc(out, ' ');
	text_nstring(out, fields->field[MIME_SUBJECT]);
	buf_addc(out, ' ');
	from = out->len;
	if (!address_list(out, &arena, fields->field[MIME_FROM]))
		buf_adds(out, "NIL");
	from_len = out->len - from;
	for (int i = MIME_SENDER; i <= MIME_BCC; i++) {
		buf_addc(out, ' ');
		if (address_list(out, &arena, fields->field[i]))
			continue;
		if (i == MIME_SENDER || i == MIME_REPLY_TO) { /* default to From */
			buf_reserve(out, from_len);
			buf_add(out, out->data + from, from_len);
		} else {
			buf_adds(out, "NIL");
		}
	}
	buf_addc(out, ' ');
	mime_nstring(out, fields->field[MIME_IN_REPLY_TO]);
	buf_addc(out, ' ');
	mime_nstring(out, fields->field[MIME_MESSAGE_ID]);
	buf_addc(out, ')');
	arena_free(&arena);
}

static void
params(struct buf *out, const struct mime_param *list, size_t count, bool default_charset)
{
	bool charset = !default_charset;

	if (count == 0 && !default_charset) {
		buf_adds(out, "NIL");
		return;
	}
	buf_addc(out, '(');
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_addc(out, ' ');
		mime_nstring(out, list[i].name);
		buf_addc(out, ' ');
		mime_nstring(out, list[i].value);
		charset = charset || str_eq_nocase(list[i].name, STR("charset"));
	}
	if (!charset) {
		buf_adds(out, count > 0 ? " " : "");
		buf_adds(out, "\"charset\" \"us-ascii\"");
	}
	buf_addc(out, ')');
}

/* body-ext-*part from the disposition on. */
static void
extension(struct buf *out, const struct mime_info *info)
{
	buf_addc(out, ' ');
	if (info->disposition.p == NULL) {
		buf_adds(out, "NIL");
	} else {
		buf_addc(out, '(');
		mime_nstring(out, info->disposition);
		buf_addc(out, ' ');
		params(out, info->disposition_params, info->disposition_param_count, false);
		buf_addc(out, ')');
	}
	buf_addc(out, ' ');
	if (info->language_count == 0)
		buf_adds(out, "NIL");
	for (size_t i = 0; i < info->language_count; i++) {
		buf_addc(out, i == 0 ? '(' : ' ');
		mime_nstring(out, info->languages[i]);
	}
	buf_adds(out, info->language_count > 0 ? ") " : " ");
	mime_nstring(out, info->location);
}

static void structure(struct buf *out, const struct mime_part *part, bool extended);

/* body-type-mpart needs a part; one that has none shows an empty text. */
static void
multipart(struct buf *out, const struct mime_part *part, bool extended)
{
	buf_addc(out, '(');
	for (const struct mime_part *child = part->first_child; child != NULL; child = child->next)
		structure(out, child, extended);
	if (part->first_child == NULL) {
		buf_adds(
		    out, "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0");
		buf_adds(out, extended ? " NIL NIL NIL NIL)" : ")");
	}
	buf_addc(out, ' ');
	mime_nstring(out, part->subtype);
	if (extended) {
		buf_addc(out, ' ');
		params(out, part->info->params, part->info->param_count, false);
		extension(out, part->info);
	}
	buf_addc(out, ')');
}

/* A message/rfc822 and the plainest text are written in one way whatever the sender's letter case. */
static bool
is_plainest(const struct mime_part *part)
{
	const struct mime_info *info = part->info;

	return part->parent == NULL && str_eq_nocase(part->type, STR("text")) &&
	       str_eq_nocase(part->subtype, STR("plain")) && info->param_count == 1 &&
	       str_eq_nocase(info->params[0].name, STR("charset")) &&
	       str_eq_nocase(info->params[0].value, STR("us-ascii")) &&
	       (info->encoding.p == NULL || str_eq_nocase(info->encoding, STR("7bit"))) &&
	       info->id.p == NULL && info->description.p == NULL && info->md5.p == NULL &&
	       info->disposition.p == NULL && info->language_count == 0 && info->location.p == NULL;
}

static void
media(struct buf *out, const struct mime_part *part)
{
	const struct mime_info *info = part->info;

	if (is_plainest(part)) {
		buf_adds(out, "\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\"");
		return;
	}
	if ((part->flags & MIME_PART_MESSAGE) != 0 && str_eq_nocase(part->subtype, STR("rfc822"))) {
		buf_adds(out, "\"message\" \"rfc822\"");
	} else {
		mime_nstring(out, part->type);
		buf_addc(out, ' ');
		mime_nstring(out, part->subtype);
	}
	buf_addc(out, ' ');
	params(out, info->params, info->param_count, (part->flags & MIME_PART_TEXT) != 0);
	buf_addc(out, ' ');
	mime_nstring(out, info->id);
	buf_addc(out, ' ');
	mime_nstring(out, info->description);
	buf_addc(out, ' ');
	mime_nstring(out, info->encoding.p != NULL ? info->encoding : STR("7bit"));
}

static void
structure(struct buf *out, const struct mime_part *part, bool extended)
{
	const struct mime_info *info = part->info;

	if ((part->flags & MIME_PART_MULTIPART) != 0) {
		multipart(out, part, extended);
		return;
	}
	buf_addc(out, '(');
	media(out, part);
	buf_addc(out, ' ');
	buf_number(out, part->body.virtual_size);
	if ((part->flags & MIME_PART_MESSAGE) != 0) {
		buf_addc(out, ' ');
		mime_envelope(out, part->first_child);
		buf_addc(out, ' ');
		structure(out, part->first_child, extended);
	}
	if ((part->flags & (MIME_PART_MESSAGE | MIME_PART_TEXT)) != 0) {
		buf_addc(out, ' ');
		buf_number(out, part->body.lines);
	}
	if (extended) {
		buf_addc(out, ' ');
		mime_nstring(out, info->md5);
		extension(out, info);
	}
	buf_addc(out, ')');
}

void
mime_body(struct buf *out, const struct mime_message *m)
{
	structure(out, m->root, false);
}

void
mime_bodystructure(struct buf *out, const struct mime_message *m)
{
	structure(out, m->root, true);
}
