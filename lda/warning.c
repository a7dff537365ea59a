#include "lda/warning.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "service/service.h"
#include "store/compose.h"

#define WARNING_TEMPLATE_MAX_BYTES (64 * 1024)
#define MEBIBYTE                   (1024.0 * 1024.0)

static const char DEFAULT_TEXT[] =
    "Your mailbox ${address} is ${percent}% full: ${used} MB of ${limit} MB are used.\n"
    "\n"
    "When it is full, new mail for you is no longer taken in.  Please delete what you do\n"
    "not need any more, and empty the Trash folder if your mail program keeps one.\n";

/* The administrator's text, or ours if there is none or it cannot be read. */
static void
read_template(const struct lda *l, struct buf *out)
{
	const char *path = config_string(l->sv->config, "lda.quota_warning_template");
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t got = 0;

	if (fd >= 0) {
		buf_reserve(out, WARNING_TEMPLATE_MAX_BYTES);
		got = read(fd, out->data, WARNING_TEMPLATE_MAX_BYTES);
		close(fd);
	}
	if (got > 0)
		out->len = (size_t)got;
	else
		buf_adds(out, DEFAULT_TEXT);
	if (path != NULL && got <= 0)
		log_error(l->sv->log, "quota-warning", "template=%s error=unreadable", path);
}

struct variable {
	const char *name; /* with ${ and } */
	char value[300];
};

/* Replaces ${name}; what is no variable stays as it is. */
static void
expand(struct buf *out, struct str text, const struct variable *vars, size_t count)
{
	for (size_t at = 0; at < text.len;) {
		struct str rest = { text.p + at, text.len - at };
		size_t i = count;

		if (*rest.p == '$')
			for (i = 0; i < count; i++)
				if (str_has_prefix(rest, str_from(vars[i].name)))
					break;
		if (i < count) {
			buf_adds(out, vars[i].value);
			at += strlen(vars[i].name);
		} else {
			buf_addc(out, *rest.p);
			at++;
		}
	}
}

static void
compose_warning(
    struct lda *l, const struct lda_rcpt *rcpt, const struct quota_usage *usage, struct buf *out)
{
	uint64_t limit = rcpt->quota.limit_bytes;
	struct variable vars[] = {
		{ .name = "${address}" },
		{ .name = "${percent}" },
		{ .name = "${used}" },
		{ .name = "${limit}" },
	};
	struct buf text = { 0 }, body = { 0 }, id = { 0 }, date = { 0 };

	snprintf(vars[0].value, sizeof(vars[0].value), "%s@%s", rcpt->localpart, rcpt->domain);
	snprintf(vars[1].value, sizeof(vars[1].value), "%.0f",
	    100.0 * (double)usage->bytes / (double)limit);
	snprintf(vars[2].value, sizeof(vars[2].value), "%.0f", (double)usage->bytes / MEBIBYTE);
	snprintf(vars[3].value, sizeof(vars[3].value), "%.0f", (double)limit / MEBIBYTE);
	read_template(l, &text);
	expand(&body, (struct str){ text.data, text.len }, vars, ARRAY_LEN(vars));
	compose_message_id(&id, l->hostname);
	compose_date(&date, time(NULL));
	buf_printf(out,
	    "Return-Path: <>\nFrom: Mail server <postmaster@%s>\nTo: %s\nSubject: Your mailbox is "
	    "%s%% full\nDate: %s\nMessage-ID: %s\nAuto-Submitted: auto-generated\n"
	    "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
	    "Content-Transfer-Encoding: 8bit\n\n",
	    rcpt->domain, vars[0].value, vars[1].value, buf_cstr(&date), buf_cstr(&id));
	buf_add(out, body.data, body.len);
	buf_free(&text);
	buf_free(&body);
	buf_free(&id);
	buf_free(&date);
}

void
warning_check(struct lda *l, const struct lda_rcpt *rcpt, const struct quota_usage *before,
    const struct quota_usage *after)
{
	/* limit / 100 first: a quota may be near 2^64 / 100 */
	uint64_t threshold = rcpt->quota.limit_bytes / 100 * l->warning_percent;
	struct buf message = { 0 };
	enum lda_verdict v;

	if (threshold == 0 || before->bytes >= threshold || after->bytes < threshold)
		return;
	compose_warning(l, rcpt, after, &message);
	v = lda_deliver_system(l, rcpt, (struct str){ message.data, message.len });
	log_info(l->sv->log, "quota-warning", "account=%s@%s percent=%u result=%s", rcpt->localpart,
	    rcpt->domain, l->warning_percent, v == LDA_OK ? "delivered" : "failed");
	buf_free(&message);
}
