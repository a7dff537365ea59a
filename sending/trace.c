#include "sending/trace.h"

#include <string.h>

#include "base/mem.h"
#include "store/compose.h"

void
trace_received(struct buf *out, const struct trace *t)
{
	buf_adds(out, "Received:");
	if (t->helo != NULL)
		buf_printf(out, " from %s", *t->helo != '\0' ? t->helo : "unknown");
	if (t->helo != NULL && strcmp(t->peer, "local") != 0)
		buf_printf(out, " ([%s%s])", strchr(t->peer, ':') != NULL ? "IPv6:" : "", t->peer);
	buf_printf(out, "%sby %s", t->helo != NULL ? "\n\t" : " ", t->hostname);
	if (t->with != NULL)
		buf_printf(out, " with %s", t->with);
	if (t->tls != NULL)
		buf_printf(out, "\n\t(%s)", t->tls);
	buf_printf(out, "\n\tid %s for <%s>;\n\t", t->id, t->rcpt);
	compose_date(out, t->now);
	buf_addc(out, '\n');
}

void
trace_headers(struct buf *out, const struct trace *t)
{
	buf_printf(out, "Return-Path: <%s>\nEnvelope-to: %s\nDelivery-date: ", t->sender, t->rcpt);
	compose_date(out, t->now);
	buf_addc(out, '\n');
	if (t->delivered_to)
		buf_printf(out, "Delivered-To: %s\n", t->rcpt);
	if (t->helo != NULL)
		trace_received(out, t);
}

static bool
is_dropped(struct str line)
{
	static const struct str NAMES[] = { { "return-path", 11 }, { "envelope-to", 11 },
		{ "delivery-date", 13 } };

	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
		struct str rest = { line.p + NAMES[i].len, line.len - NAMES[i].len };

		if (!str_has_prefix_nocase(line, NAMES[i]))
			continue;
		while (rest.len > 0 && (*rest.p == ' ' || *rest.p == '\t')) {
			rest.p++;
			rest.len--;
		}
		return rest.len > 0 && *rest.p == ':';
	}
	return false;
}

size_t
trace_copy_header(struct buf *out, struct str start)
{
	bool dropping = false;
	size_t at = 0;

	while (at < start.len) {
		const char *line = start.p + at;
		const char *lf = memchr(line, '\n', start.len - at);
		size_t len = lf != NULL ? (size_t)(lf - line) + 1 : start.len - at;

		if (*line == '\n' || (*line == '\r' && len == 2)) /* the blank line */
			return at;
		if (*line != ' ' && *line != '\t')
			dropping = is_dropped((struct str){ line, len });
		if (!dropping)
			buf_add(out, line, len);
		at += len;
	}
	return at;
}
