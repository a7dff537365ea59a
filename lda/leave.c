#include "lda/leave.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter/actions.h"

const char LEAVE_DEFAULT_TEMPLATE[] =
    "${name} no longer reads mail at ${address}.\n"
    "\n"
    "${text}\n"
    "\n"
    "Your message was not delivered to anybody.  This is an automatic answer; if you write\n"
    "again soon, you will not get another one.\n";

/* --- the template ------------------------------------------------------------------------------- */

static ssize_t
read_file(const char *path, struct buf *text)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a FIFO keeps nobody waiting */
	struct stat sb;
	ssize_t got = -1;

	if (fd < 0)
		return -1;
	buf_reserve(text, LEAVE_TEMPLATE_MAX_BYTES + 1);
	if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode))
		while ((got = read(fd, text->data + text->len,
			    LEAVE_TEMPLATE_MAX_BYTES + 1 - text->len)) > 0)
			text->len += (size_t)got;
	close(fd);
	return got < 0 ? -1 : (ssize_t)text->len;
}

char *
leave_template_read(const char *path, const struct log *log)
{
	struct buf text = { 0 };
	const char *why = NULL;

	if (path == NULL)
		return NULL;
	if (read_file(path, &text) < 0)
		why = "cannot be read";
	else if (text.len == 0 || text.len > LEAVE_TEMPLATE_MAX_BYTES)
		why = text.len == 0 ? "empty" : "too long";
	else if (memchr(text.data, '\0', text.len) != NULL ||
		 !text_is_utf8((struct str){ text.data, text.len }))
		why = "not UTF-8";
	if (why == NULL)
		return buf_take(&text);
	log_error(log, "leave-template", "file=%s error=%s", path, why);
	buf_free(&text);
	return NULL;
}

/* --- what is said ------------------------------------------------------------------------------- */

struct variable {
	struct str name;
	const char *value;
};

/* A value is put in as it is: a "${" in it is nobody's variable. */
static void
expand(struct buf *out, struct str text, const struct variable *vars, size_t count)
{
	for (size_t at = 0; at < text.len;) {
		struct str rest = { text.p + at, text.len - at };
		size_t i = 0;

		while (i < count && !str_has_prefix(rest, vars[i].name))
			i++;
		if (i < count)
			buf_adds(out, vars[i].value);
		else if (*rest.p != '\r')
			buf_addc(out, *rest.p);
		at += i < count ? vars[i].name.len : 1;
	}
}

/* Where ${text} was nothing, two paragraphs would stand wide apart. */
static void
close_gaps(struct buf *out, struct str text)
{
	size_t newlines = 2; /* none at the beginning */

	for (size_t i = 0; i < text.len; i++) {
		newlines = text.p[i] == '\n' ? newlines + 1 : 0;
		if (newlines <= 2)
			buf_addc(out, text.p[i]);
	}
}

/* Takes "Subject: …" and the empty line behind it from the front; NULL: there is none. */
static const char *
take_subject(struct str *text, struct arena *arena)
{
	static const struct str NAME = { "Subject:", 8 };
	const char *end;
	struct str line;

	if (!str_has_prefix_nocase(*text, NAME))
		return NULL;
	end = memchr(text->p, '\n', text->len);
	line = (struct str){ text->p, end != NULL ? (size_t)(end - text->p) : text->len };
	text->p += line.len;
	text->len -= line.len;
	line = str_trim((struct str){ line.p + NAME.len, line.len - NAME.len });
	return line.len > 0 ? arena_strndup(arena, line.p, line.len) : NULL;
}

/* A mailbox as people write it: "Ann Smith" <ann@example.org>. */
static const char *
make_from(const struct leave *leave, struct arena *arena)
{
	struct buf from = { 0 };
	const char *made;

	if (leave->name == NULL || *leave->name == '\0')
		return NULL;
	buf_addc(&from, '"');
	for (const char *s = leave->name; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			buf_addc(&from, '\\');
		buf_addc(&from, (unsigned char)*s < ' ' || *s == 0x7f ? ' ' : *s);
	}
	buf_printf(&from, "\" <%s>", leave->address);
	made = arena_strndup(arena, from.data, from.len);
	buf_free(&from);
	return made;
}

void
leave_reply(const struct leave *leave, const char *template, struct arena *arena,
    struct filter_reply *reply_out)
{
	const struct variable vars[] = {
		{ STR("${address}"), leave->address },
		{ STR("${localpart}"), leave->localpart },
		{ STR("${domain}"), leave->domain },
		{ STR("${name}"),
		    leave->name != NULL && *leave->name != '\0' ? leave->name : leave->address },
		{ STR("${text}"), leave->whole ? "" : leave->text },
	};
	const char *from = leave->whole       ? leave->text
			   : template != NULL ? template
					      : LEAVE_DEFAULT_TEMPLATE;
	/* the text may use the others */
	struct buf given = { 0 }, all = { 0 }, body = { 0 };
	struct variable with_text[ARRAY_LEN(vars)];
	struct str rest;

	memcpy(with_text, vars, sizeof(vars));
	expand(
	    &given, str_trim(str_from(vars[ARRAY_LEN(vars) - 1].value)), vars, ARRAY_LEN(vars) - 1);
	with_text[ARRAY_LEN(vars) - 1].value = buf_cstr(&given);
	expand(&all, str_from(from), with_text, ARRAY_LEN(vars));
	rest = str_from(buf_cstr(&all));
	reply_out->subject = take_subject(&rest, arena);
	close_gaps(&body, rest);
	reply_out->body = arena_strndup(arena, body.len > 0 ? body.data : "", body.len);
	reply_out->from = make_from(leave, arena);
	reply_out->key = arena_printf(arena, "left %s", reply_out->body);
	buf_free(&given);
	buf_free(&all);
	buf_free(&body);
}
