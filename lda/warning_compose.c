#include <stdio.h>
#include <string.h>

#include "lda/warning.h"
#include "store/charset.h"
#include "store/compose.h"
#include "store/header.h"

static const char DEFAULT_SUBJECT[] = "Your mailbox is ${percent}% full";
static const char DEFAULT_TEXT[] =
    "Your mailbox ${address} is ${percent}% full: ${usage}.\n"
    "\n"
    "When it is full, new mail for you is no longer taken in.  Please delete what you do\n"
    "not need any more, and empty the Trash folder if your mail program keeps one.\n";

#define VALUE_BYTES 400

struct variable {
	const char *name;
	char value[VALUE_BYTES];
};

static void
format_size(char out[VALUE_BYTES], uint64_t bytes)
{
	static const char *const UNITS[] = { "KB", "MB", "GB", "TB" };
	double size = (double)bytes / 1024;
	size_t unit = 0;

	while (size >= 1024 && unit + 1 < ARRAY_LEN(UNITS)) {
		size /= 1024;
		unit++;
	}
	snprintf(out, VALUE_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", size, UNITS[unit]);
}

/* Of whichever limit is nearer. */
static void
format_usage(char out[VALUE_BYTES], const struct warning_facts *f)
{
	struct quota_rules bytes = { .limit_bytes = f->rules.limit_bytes };
	char used[VALUE_BYTES], limit[VALUE_BYTES];

	format_size(used, f->usage.bytes);
	format_size(limit, f->rules.limit_bytes);
	if (quota_percent(&bytes, &f->usage) >= quota_percent(&f->rules, &f->usage))
		snprintf(out, VALUE_BYTES, "%.60s of %.60s", used, limit);
	else
		snprintf(out, VALUE_BYTES, "%llu of %llu messages",
		    (unsigned long long)f->usage.count,
		    (unsigned long long)f->rules.limit_messages);
}

static void
format_number(char out[VALUE_BYTES], uint64_t number)
{
	snprintf(out, VALUE_BYTES, "%llu", (unsigned long long)number);
}

static void
format_text(char out[VALUE_BYTES], const char *text)
{
	size_t len = 0;

	for (; text != NULL && *text != '\0' && len + 1 < VALUE_BYTES; text++)
		out[len++] = (unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text;
	out[len] = '\0';
}

#define VARIABLE_COUNT 12

static void
fill_variables(struct variable vars[VARIABLE_COUNT], const struct warning_facts *f)
{
	static const char *const NAMES[VARIABLE_COUNT] = { "${address}", "${localpart}",
		"${domain}", "${realname}", "${host}", "${percent}", "${threshold}", "${usage}",
		"${used}", "${quota}", "${messages}", "${messages_max}" };

	for (size_t i = 0; i < VARIABLE_COUNT; i++)
		vars[i].name = NAMES[i];
	snprintf(vars[0].value, VALUE_BYTES, "%s@%s", f->localpart, f->domain);
	format_text(vars[1].value, f->localpart);
	format_text(vars[2].value, f->domain);
	format_text(vars[3].value, f->realname);
	format_text(vars[4].value, f->hostname);
	format_number(vars[5].value, quota_percent(&f->rules, &f->usage));
	format_number(vars[6].value, f->threshold);
	format_usage(vars[7].value, f);
	format_size(vars[8].value, f->usage.bytes);
	format_size(vars[9].value, f->rules.limit_bytes);
	format_number(vars[10].value, f->usage.count);
	format_number(vars[11].value, f->rules.limit_messages);
}

/* Replaces ${name}; what is no variable stays as it is. */
static void
expand(struct buf *out, struct str text, const struct variable vars[VARIABLE_COUNT])
{
	struct buf all = { 0 };

	for (size_t at = 0; at < text.len;) {
		struct str rest = { text.p + at, text.len - at };
		size_t i = VARIABLE_COUNT;

		if (*rest.p == '$')
			for (i = 0; i < VARIABLE_COUNT; i++)
				if (str_has_prefix(rest, str_from(vars[i].name)))
					break;
		if (i < VARIABLE_COUNT) {
			buf_adds(&all, vars[i].value);
			at += strlen(vars[i].name);
		} else {
			buf_addc(&all, *rest.p);
			at++;
		}
	}
	utf8_repair(out, (struct str){ all.data != NULL ? all.data : "", all.len });
	buf_free(&all);
}

/* The lines at the top of a template, if it begins with them; what follows is its text. */
static struct str
take_fields(struct str text, struct str *subject_out, struct str *from_out)
{
	struct cursor c = cursor_from(text);
	struct header_field field;

	if (!str_has_prefix_nocase(text, STR("Subject:")) &&
	    !str_has_prefix_nocase(text, STR("From:")))
		return text;
	while (header_next(&c, &field)) {
		if (str_eq_nocase(field.name, STR("Subject")))
			*subject_out = str_trim(field.value);
		else if (str_eq_nocase(field.name, STR("From")))
			*from_out = str_trim(field.value);
	}
	cursor_take(&c, '\r');
	cursor_take(&c, '\n');
	return (struct str){ c.p, cursor_left(&c) };
}

static void
add_from(struct buf *out, const struct warning_facts *f, struct str from,
    const struct variable vars[VARIABLE_COUNT])
{
	struct buf text = { 0 };

	expand(&text, from, vars);
	if (from.len == 0 ||
	    !compose_address_field(out, "From", (struct str){ text.data, text.len }, "\n"))
		buf_printf(out, "From: Mail server <postmaster@%s>\n", f->domain);
	buf_free(&text);
}

static void
add_to(struct buf *out, const struct warning_facts *f, const char *address)
{
	struct buf to = { 0 };

	if (f->realname != NULL && *f->realname != '\0') {
		compose_encode_phrase(&to, str_from(f->realname));
		buf_printf(&to, " <%s>", address);
	} else {
		buf_adds(&to, address);
	}
	compose_field(out, "To", (struct str){ to.data, to.len }, "\n");
	buf_free(&to);
}

void
warning_compose(struct buf *out, const struct warning_facts *f, struct str text)
{
	struct str subject = STR(DEFAULT_SUBJECT), from = { NULL, 0 };
	struct variable vars[VARIABLE_COUNT] = { 0 };
	struct buf expanded = { 0 }, id = { 0 };

	fill_variables(vars, f);
	text = text.p != NULL ? take_fields(text, &subject, &from) : STR(DEFAULT_TEXT);
	buf_adds(out, "Return-Path: <>\n");
	add_from(out, f, from, vars);
	add_to(out, f, vars[0].value);
	expand(&expanded, subject, vars);
	compose_text_field(out, "Subject", (struct str){ expanded.data, expanded.len }, "\n");
	compose_message_id(&id, f->hostname);
	buf_adds(out, "Date: ");
	compose_date(out, f->now);
	buf_printf(out, "\nMessage-ID: %s\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n",
	    buf_cstr(&id));
	buf_reset(&expanded);
	expand(&expanded, text, vars);
	compose_text_part(out, (struct str){ expanded.data, expanded.len });
	buf_free(&expanded);
	buf_free(&id);
}
