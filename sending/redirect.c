#include "sending/redirect.h"

#include <string.h>

#include "filter/filter.h"
#include "sending/loops.h"
#include "sending/pour.h"
#include "store/address.h"

const char *
redirect_objection(const struct filter_redirect *to, const char *account,
    const struct view *message, unsigned hops_max)
{
	if (!address_is_valid(str_from(to->to)))
		return "no-address";
	if (ascii_eq_nocase(to->to, account))
		return "own-address";
	if (message == NULL)
		return NULL;
	if (loop_is_marked(message, account))
		return "redirected-before";
	return loop_hops(message) >= hops_max ? "too-many-hops" : NULL;
}

static enum store_err
write_draft(void *arg, const void *bytes, size_t len)
{
	struct redirect_draft *d = arg;
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len && !d->eight_bit; i++)
		d->eight_bit = p[i] >= 0x80;
	return spool_write(d->draft, bytes, len);
}

enum store_err
redirect_write(struct outgoing *o, const struct content *content, const struct filter_edit *edit,
    const struct trace *hop, const char *account, struct redirect_draft *draft_out)
{
	struct spool *spool = outgoing_spool(o);
	struct pour_sink sink = { write_draft, draft_out };
	struct buf top = { 0 };
	enum store_err err;

	*draft_out = (struct redirect_draft){ 0 };
	if (spool == NULL)
		return STORE_IO;
	err = spool_begin(spool, &draft_out->draft);
	if (err != STORE_OK)
		return err;
	trace_received(&top, hop);
	buf_printf(&top, "%s: %s\n", FILTER_REDIRECT_MARK, account);
	err = pour_message(content, edit, (struct str){ top.data, top.len }, &sink);
	buf_free(&top);
	return err;
}

void
redirect_abort(struct redirect_draft *d)
{
	spool_abort(d->draft);
	d->draft = NULL;
}

static bool
is_utf8(const char *address)
{
	for (; *address != '\0'; address++)
		if ((unsigned char)*address >= 0x80)
			return true;
	return false;
}

void
redirect_envelope(struct arena *a, const struct redirect_draft *d, const struct filter_redirect *to,
    const char *account, const char *sender, int64_t now, struct spool_recipient *recipient,
    struct spool_message *envelope_out)
{
	*recipient = (struct spool_recipient){
		.address = arena_strdup(a, to->to),
		.notify = outgoing_notify(to->notify),
	};
	*envelope_out = (struct spool_message){
		.sender = arena_strdup(a, sender),
		.account = arena_strdup(a, account),
		.ret = to->ret == NULL                    ? SPOOL_RET_UNSET
		       : ascii_eq_nocase(to->ret, "FULL") ? SPOOL_RET_FULL
							  : SPOOL_RET_HDRS,
		.body = d->eight_bit ? SPOOL_BODY_8BITMIME : SPOOL_BODY_7BIT,
		.smtputf8 = is_utf8(to->to) || is_utf8(sender),
		.by_mode = to->by_given ? to->by_mode : (char)0,
		.by_trace = to->by_trace,
		.deliver_by = now + to->by_seconds,
		.recipients = recipient,
		.recipient_count = 1,
	};
}

enum store_err
redirect_commit(
    struct redirect_draft *d, const struct spool_message *envelope, char id_out[SPOOL_ID_LEN + 1])
{
	enum store_err err;

	memcpy(id_out, spool_draft_id(d->draft), SPOOL_ID_LEN + 1);
	err = spool_commit(d->draft, envelope, 0);
	d->draft = NULL;
	return err;
}
